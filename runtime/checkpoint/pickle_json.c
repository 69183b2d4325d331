// Values of a pickle as JSON; see pickle.h.
#include "runtime/checkpoint/pickle.h"
#include "runtime/checkpoint/safetensors.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The length of the UTF-8 character at `text`; 0 where the bytes are none.
static uint32_t utf8_length(const char *text, uint32_t left)
{
    const unsigned char *c = (const unsigned char *)text;
    uint32_t length = c[0] < 0x80             ? 1
                      : (c[0] & 0xE0) == 0xC0 ? 2
                      : (c[0] & 0xF0) == 0xE0 ? 3
                      : (c[0] & 0xF8) == 0xF0 ? 4
                                              : 0;
    if (length == 0 || length > left || c[0] == 0xC0 || c[0] == 0xC1 || c[0] > 0xF4) {
        return 0;
    }
    for (uint32_t i = 1; i < length; i++) {
        if ((c[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool is_overlong = (c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xF0 && c[1] < 0x90);
    bool is_outside =
        (c[0] == 0xED && c[1] >= 0xA0) || (c[0] == 0xF4 && c[1] >= 0x90);  // surrogates, past U+10FFFF
    return is_overlong || is_outside ? 0 : length;
}

static void put_text(FILE *out, const char *text, uint32_t count)
{
    fputc('"', out);
    for (uint32_t i = 0; i < count;) {
        uint32_t length = utf8_length(text + i, count - i);
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20 || length == 0) {
            fprintf(out, "\\u%04x", c);  // bytes that are no UTF-8 are taken for Latin-1
        } else {
            fwrite(text + i, 1, length, out);
        }
        i += length ? length : 1;
    }
    fputc('"', out);
}

static void put_real(FILE *out, double real)
{
    if (!isfinite(real)) {
        fputs(isnan(real) ? "\"nan\"" : real > 0 ? "\"inf\"" : "\"-inf\"", out);
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, real);
        if (fabs(strtod(text, NULL) - real) <= 0.0) {
            break;
        }
    }
    // 1.0 must not come back as an integer.
    fprintf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void put_tensor(FILE *out, const XvPickleTensor *tensor)
{
    char shape[XV_SHAPE_TEXT];
    fprintf(out, "\"tensor %s %s\"", xv_dtype_name(tensor->storage->dtype),
            xv_shape_text(shape, tensor->rank, tensor->shape));
}

static void put_value(FILE *out, const XvPickle *value);

// JSON's keys are texts; a key that is none is written as one.
static void put_key(FILE *out, const XvPickle *key)
{
    if (key->kind == XV_PICKLE_TEXT || key->kind == XV_PICKLE_BYTES) {
        put_text(out, key->text, key->count);
        return;
    }
    char *text = xv_pickle_json(key);
    put_text(out, text ? text : "", text ? (uint32_t)strlen(text) : 0);
    free(text);
}

static void put_items(FILE *out, const XvPickle *value)
{
    fputc('[', out);
    for (uint32_t i = 0; i < value->count; i++) {
        fputs(i ? ", " : "", out);
        put_value(out, value->items[i]);
    }
    fputc(']', out);
}

// Of a key that is there twice, the last value counts.
static bool is_repeated(const XvPickle *dict, uint32_t pair)
{
    const char *key = xv_pickle_text(dict->items[2 * (size_t)pair]);
    return key && dict->count <= 1000 && xv_pickle_get(dict, key) != dict->items[2 * (size_t)pair + 1];
}

static void put_dict(FILE *out, const XvPickle *value)
{
    bool is_first = true;
    fputc('{', out);
    for (uint32_t i = 0; i < value->count; i++) {
        if (is_repeated(value, i)) {
            continue;
        }
        fputs(is_first ? "" : ", ", out);
        is_first = false;
        put_key(out, value->items[2 * (size_t)i]);
        fputs(": ", out);
        put_value(out, value->items[2 * (size_t)i + 1]);
    }
    fputc('}', out);
}

static void put_value(FILE *out, const XvPickle *value)
{
    switch (value->kind) {
    case XV_PICKLE_NONE: fputs("null", out); break;
    case XV_PICKLE_BOOL: fputs(value->boolean ? "true" : "false", out); break;
    case XV_PICKLE_INTEGER: fprintf(out, "%" PRId64, value->integer); break;
    case XV_PICKLE_REAL: put_real(out, value->real); break;
    case XV_PICKLE_WIDE:
    case XV_PICKLE_TEXT:
    case XV_PICKLE_BYTES: put_text(out, value->text, value->count); break;
    case XV_PICKLE_TUPLE:
    case XV_PICKLE_LIST:
    case XV_PICKLE_SET: put_items(out, value); break;
    case XV_PICKLE_DICT: put_dict(out, value); break;
    case XV_PICKLE_TENSOR: put_tensor(out, value->tensor); break;
    case XV_PICKLE_INTERNAL: fputs("null", out); break;
    }
}

char *xv_pickle_json(const XvPickle *value)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out) {
        return NULL;
    }
    put_value(out, value);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
