// The pickle inside a checkpoint, protocol 2 as torch.save writes it; see torch_pickle.h.
#include "runtime/checkpoint/torch_pickle.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_little(FILE *out, uint64_t value, int width)
{
    for (int i = 0; i < width; i++) {
        fputc((int)(value >> (8 * i) & 255), out);
    }
}

static void put_integer(FILE *out, int64_t value)
{
    if (value >= 0 && value < 256) {
        fputc('K', out);
        put_little(out, (uint64_t)value, 1);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        fputc('J', out);
        put_little(out, (uint64_t)value, 4);
    } else {
        fputs("\x8a\x08", out);
        put_little(out, (uint64_t)value, 8);
    }
}

static void put_text(FILE *out, const char *text)
{
    fputc('X', out);
    put_little(out, strlen(text), 4);
    fputs(text, out);
}

static void put_real(FILE *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    fputc('G', out);
    for (int i = 7; i >= 0; i--) {
        fputc((int)(bits >> (8 * i) & 255), out);
    }
}

// JSON -------------------------------------------------------------------------------------------------------------

// The text is known to be JSON: cJSON has read it. It is walked again because cJSON does not tell 1 from 1.0.
static const char *put_json(FILE *out, const char *at);

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static const char *put_json_text(FILE *out, const char *at)
{
    const char *end = at + 1;
    while (*end && *end != '"') {
        end += *end == '\\' && end[1] ? 2 : 1;
    }
    end += *end == '"';
    cJSON *text = cJSON_ParseWithLength(at, (size_t)(end - at));
    put_text(out, cJSON_IsString(text) ? text->valuestring : "");
    cJSON_Delete(text);
    return end;
}

static const char *put_json_number(FILE *out, const char *at)
{
    size_t length = strspn(at, "+-0123456789.eE");
    char *end = NULL;
    errno = 0;
    long long integer = strtoll(at, &end, 10);
    if (end == at + length && !errno) {
        put_integer(out, integer);
    } else {
        put_real(out, strtod(at, NULL));
    }
    return at + (length ? length : 1);
}

static const char *put_json_items(FILE *out, const char *at, char close)
{
    fputc('(', out);
    for (at = skip_blanks(at + 1); *at && *at != close; at = skip_blanks(at)) {
        if (close == '}') {
            at = skip_blanks(put_json_text(out, at));
            at += *at == ':';
        }
        at = skip_blanks(put_json(out, at));
        at += *at == ',';
    }
    return at + (*at != 0);
}

static const char *put_json(FILE *out, const char *at)
{
    at = skip_blanks(at);
    switch (*at) {
    case '{':
        fputc('}', out);
        at = put_json_items(out, at, '}');
        fputc('u', out);
        return at;
    case '[':
        fputc(']', out);
        at = put_json_items(out, at, ']');
        fputc('e', out);
        return at;
    case '"': return put_json_text(out, at);
    case 't': fputc(0x88, out); return at + 4;
    case 'f': fputc(0x89, out); return at + 5;
    case 'n': fputc('N', out); return at + 4;
    default: return put_json_number(out, at);
    }
}

// The members of an object as keys and values, without the dict around them.
static bool put_members(FILE *out, const char *json, XvError *error)
{
    cJSON *object = json ? cJSON_Parse(json) : NULL;
    bool is_object = !json || cJSON_IsObject(object);
    bool has_model = cJSON_GetObjectItemCaseSensitive(object, "model") != NULL;
    cJSON_Delete(object);
    if (!is_object || has_model) {
        return xv_fail(error, is_object ? "the metadata have a member \"model\""
                                        : "the metadata are no JSON object");
    }
    for (const char *at = json ? skip_blanks(skip_blanks(json) + 1) : "}"; *at && *at != '}';
         at = skip_blanks(at)) {
        at = skip_blanks(put_json_text(out, at));
        at += *at == ':';
        at = skip_blanks(put_json(out, at));
        at += *at == ',';
    }
    return true;
}

// Tensors ----------------------------------------------------------------------------------------------------------

static const char *storage_class(XvDtype dtype)
{
    static const char *const NAMES[XV_DTYPE_COUNT] = {
        [XV_F32] = "FloatStorage",     [XV_F64] = "DoubleStorage", [XV_F16] = "HalfStorage",
        [XV_BF16] = "BFloat16Storage", [XV_I64] = "LongStorage",   [XV_I32] = "IntStorage",
        [XV_U8] = "ByteStorage",       [XV_BOOL] = "BoolStorage",  [XV_I16] = "ShortStorage",
        [XV_I8] = "CharStorage",
    };
    return NAMES[dtype];
}

// Shape and strides of a dense tensor.
static void put_sizes(FILE *out, const XvTensor *tensor)
{
    fputc('(', out);
    for (int i = 0; i < tensor->rank; i++) {
        put_integer(out, tensor->shape[i]);
    }
    fputs("t(", out);
    for (int i = 0; i < tensor->rank; i++) {
        int64_t stride = 1;
        for (int j = i + 1; j < tensor->rank; j++) {
            stride *= tensor->shape[j] > 0 ? tensor->shape[j] : 1;
        }
        put_integer(out, stride);
    }
    fputc('t', out);
}

static void put_tensor(FILE *out, const XvTensor *tensor, int storage)
{
    char key[16];
    snprintf(key, sizeof key, "%d", storage);
    put_text(out, tensor->name);
    fputs("ctorch._utils\n_rebuild_tensor_v2\n((", out);
    put_text(out, "storage");
    fprintf(out, "ctorch\n%s\n", storage_class(tensor->dtype));
    put_text(out, key);
    put_text(out, "cpu");
    put_integer(out, xv_tensor_count(tensor));
    fputs("tQ", out);
    put_integer(out, 0);
    put_sizes(out, tensor);
    fputs("\x89"
          "ccollections\nOrderedDict\n)RtR",
          out);
}

char *xv_torch_pickle(const XvTorchContent *content, const int *storages, size_t *length, XvError *error)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    if (!out) {
        xv_fail(error, "no memory");
        return NULL;
    }
    fputs("\x80\x02}(", out);
    put_text(out, "model");
    fputs("ccollections\nOrderedDict\n)R(", out);
    for (int i = 0; i < content->n_tensors; i++) {
        put_tensor(out, &content->tensors[i], storages[i]);
    }
    fputc('u', out);
    bool is_good = put_members(out, content->metadata, error);
    fputs("u.", out);
    if (fclose(out) != 0 || !is_good) {
        free(text);
        return is_good ? (xv_fail(error, "no memory"), NULL) : NULL;
    }
    return text;
}
