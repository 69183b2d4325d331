// Numbers, text and bytes of a pickle, in the spellings of all protocols; see pickle.c.
#include "runtime/checkpoint/pickle_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Numbers ----------------------------------------------------------------------------------------------------------

static bool push_bool(XvUnpickler *unpickler, bool boolean)
{
    XvPickle *value = xv_unpickle_value(unpickler, XV_PICKLE_BOOL);
    if (value) {
        value->boolean = boolean;
    }
    return xv_unpickle_push(unpickler, value);
}

static bool push_real(XvUnpickler *unpickler, double real)
{
    XvPickle *value = xv_unpickle_value(unpickler, XV_PICKLE_REAL);
    if (value) {
        value->real = real;
    }
    return xv_unpickle_push(unpickler, value);
}

bool xv_op_none(XvUnpickler *unpickler)
{
    return xv_unpickle_push(unpickler, xv_unpickle_value(unpickler, XV_PICKLE_NONE));
}

bool xv_op_true(XvUnpickler *unpickler)
{
    return push_bool(unpickler, true);
}

bool xv_op_false(XvUnpickler *unpickler)
{
    return push_bool(unpickler, false);
}

bool xv_op_int4(XvUnpickler *unpickler)
{
    uint64_t bits;
    return xv_unpickle_unsigned(unpickler, 4, &bits) &&
           xv_unpickle_push(unpickler, xv_unpickle_integer(unpickler, (int32_t)bits));
}

bool xv_op_int2(XvUnpickler *unpickler)
{
    uint64_t bits;
    return xv_unpickle_unsigned(unpickler, 2, &bits) &&
           xv_unpickle_push(unpickler, xv_unpickle_integer(unpickler, (int64_t)bits));
}

bool xv_op_int1(XvUnpickler *unpickler)
{
    uint64_t bits;
    return xv_unpickle_unsigned(unpickler, 1, &bits) &&
           xv_unpickle_push(unpickler, xv_unpickle_integer(unpickler, (int64_t)bits));
}

// Integers in two's complement, lowest byte first, of any width.
static bool push_long(XvUnpickler *unpickler, uint64_t width)
{
    const uint8_t *bytes = xv_unpickle_take(unpickler, width);
    if (!bytes) {
        return false;
    }
    if (width > 8) {
        if (width > 512) {
            return xv_unpickle_fail(unpickler, "an integer of %" PRIu64 " bytes", width);
        }
        char digits[2 * 512 + 3] = "0x";
        for (size_t i = 0; i < width; i++) {
            sprintf(digits + 2 + 2 * i, "%02x", bytes[width - 1 - i]);
        }
        return xv_unpickle_push(unpickler,
                                xv_unpickle_text(unpickler, XV_PICKLE_WIDE, digits, strlen(digits)));
    }
    uint64_t bits = width > 0 && bytes[width - 1] & 0x80 ? UINT64_MAX : 0;
    for (uint64_t i = width; i > 0; i--) {
        bits = bits << 8 | bytes[i - 1];
    }
    return xv_unpickle_push(unpickler, xv_unpickle_integer(unpickler, (int64_t)bits));
}

bool xv_op_long1(XvUnpickler *unpickler)
{
    uint64_t width;
    return xv_unpickle_unsigned(unpickler, 1, &width) && push_long(unpickler, width);
}

bool xv_op_long4(XvUnpickler *unpickler)
{
    uint64_t width;
    return xv_unpickle_unsigned(unpickler, 4, &width) && push_long(unpickler, width);
}

// "12", "-3L", and "01" and "00" of protocol 0, which are booleans.
bool xv_op_int_line(XvUnpickler *unpickler)
{
    char word[XV_UNPICKLE_NUMBER];
    if (!xv_unpickle_word(unpickler, word, sizeof word)) {
        return false;
    }
    size_t length = strlen(word);
    bool is_int = unpickler->bytes[unpickler->operation_at] == 'I';
    if (is_int && (strcmp(word, "01") == 0 || strcmp(word, "00") == 0)) {
        return push_bool(unpickler, word[1] == '1');
    }
    if (length > 0 && word[length - 1] == 'L') {
        word[length - 1] = 0;
    }
    char *end = NULL;
    errno = 0;
    long long integer = strtoll(word, &end, 10);
    if (end == word || *end) {
        return xv_unpickle_fail(unpickler, "\"%s\" is not an integer", word);
    }
    if (errno) {
        return xv_unpickle_push(unpickler, xv_unpickle_text(unpickler, XV_PICKLE_WIDE, word, strlen(word)));
    }
    return xv_unpickle_push(unpickler, xv_unpickle_integer(unpickler, integer));
}

bool xv_op_float(XvUnpickler *unpickler)
{
    const uint8_t *bytes = xv_unpickle_take(unpickler, 8);
    if (!bytes) {
        return false;
    }
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) {
        bits = bits << 8 | bytes[i];
    }
    double real;
    memcpy(&real, &bits, sizeof real);
    return push_real(unpickler, real);
}

bool xv_op_float_line(XvUnpickler *unpickler)
{
    char word[XV_UNPICKLE_NUMBER];
    if (!xv_unpickle_word(unpickler, word, sizeof word)) {
        return false;
    }
    char *end = NULL;
    double real = strtod(word, &end);
    return end == word || *end ? xv_unpickle_fail(unpickler, "\"%s\" is not a number", word)
                               : push_real(unpickler, real);
}

// Text and bytes ---------------------------------------------------------------------------------------------------

static bool push_text(XvUnpickler *unpickler, XvPickleKind kind, int width)
{
    uint64_t length;
    if (!xv_unpickle_unsigned(unpickler, width, &length)) {
        return false;
    }
    const uint8_t *bytes = xv_unpickle_take(unpickler, length);
    return bytes && xv_unpickle_push(unpickler, xv_unpickle_text(unpickler, kind, bytes, (size_t)length));
}

bool xv_op_text1(XvUnpickler *unpickler)
{
    return push_text(unpickler, XV_PICKLE_TEXT, 1);
}

bool xv_op_text4(XvUnpickler *unpickler)
{
    return push_text(unpickler, XV_PICKLE_TEXT, 4);
}

bool xv_op_text8(XvUnpickler *unpickler)
{
    return push_text(unpickler, XV_PICKLE_TEXT, 8);
}

bool xv_op_bytes1(XvUnpickler *unpickler)
{
    return push_text(unpickler, XV_PICKLE_BYTES, 1);
}

bool xv_op_bytes4(XvUnpickler *unpickler)
{
    return push_text(unpickler, XV_PICKLE_BYTES, 4);
}

bool xv_op_bytes8(XvUnpickler *unpickler)
{
    return push_text(unpickler, XV_PICKLE_BYTES, 8);
}

static size_t put_utf8(char *out, uint32_t point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

// `digits` hexadecimal digits at the start of a text; false when there are fewer.
static bool hexadecimal(const uint8_t *text, size_t length, size_t digits, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < digits; i++) {
        const char *all = "0123456789abcdef";
        int lower = i < length && text[i] >= 'A' && text[i] <= 'F' ? text[i] + 32 : i < length ? text[i] : 0;
        const char *found = lower ? strchr(all, lower) : NULL;
        if (!found) {
            return false;
        }
        *out = *out << 4 | (uint32_t)(found - all);
    }
    return true;
}

// A `str` of protocol 0 is written as Python shows it: in quotes, with escapes. Returns the length, or -1.
static int64_t unescape(const uint8_t *text, size_t length, char *out)
{
    static const char NAMED[][2] = {{'n', '\n'}, {'r', '\r'}, {'t', '\t'},  {'a', '\a'},  {'b', '\b'},
                                    {'f', '\f'}, {'v', '\v'}, {'\\', '\\'}, {'\'', '\''}, {'"', '"'}};
    int64_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\\') {
            out[used++] = (char)text[i];
            continue;
        }
        uint32_t code;
        size_t named = 0;
        i++;
        while (i < length && named < sizeof NAMED / sizeof *NAMED && NAMED[named][0] != (char)text[i]) {
            named++;
        }
        if (i >= length) {
            return -1;
        }
        if (named < sizeof NAMED / sizeof *NAMED) {
            out[used++] = NAMED[named][1];
        } else if (text[i] == 'x' && hexadecimal(text + i + 1, length - i - 1, 2, &code)) {
            out[used++] = (char)code;
            i += 2;
        } else {
            return -1;
        }
    }
    return used;
}

bool xv_op_string_line(XvUnpickler *unpickler)
{
    size_t length;
    const uint8_t *line = xv_unpickle_line(unpickler, &length);
    if (!line) {
        return false;
    }
    if (length < 2 || (line[0] != '\'' && line[0] != '"') || line[length - 1] != line[0]) {
        return xv_unpickle_fail(unpickler, "a text without quotes");
    }
    char *plain = malloc(length);
    int64_t used = plain ? unescape(line + 1, length - 2, plain) : -1;
    bool is_pushed =
        used < 0
            ? xv_unpickle_fail(unpickler, "a text with an unknown escape")
            : xv_unpickle_push(unpickler, xv_unpickle_text(unpickler, XV_PICKLE_BYTES, plain, (size_t)used));
    free(plain);
    return is_pushed;
}

// Unicode of protocol 0: Latin-1 with \uXXXX and \UXXXXXXXX.
bool xv_op_unicode_line(XvUnpickler *unpickler)
{
    size_t length;
    const uint8_t *line = xv_unpickle_line(unpickler, &length);
    char *plain = line ? malloc(2 * length + 1) : NULL;
    if (!plain) {
        return line ? xv_unpickle_fail(unpickler, "no memory") : false;
    }
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        size_t digits = line[i] == '\\' && i + 1 < length ? (line[i + 1] == 'u'   ? 4
                                                             : line[i + 1] == 'U' ? 8
                                                                                  : 0)
                                                          : 0;
        uint32_t point = line[i];
        if (digits && hexadecimal(line + i + 2, length - i - 2, digits, &point)) {
            i += digits + 1;
        }
        used += put_utf8(plain + used, point < 0x110000 ? point : 0xFFFD);
    }
    bool is_pushed = xv_unpickle_push(unpickler, xv_unpickle_text(unpickler, XV_PICKLE_TEXT, plain, used));
    free(plain);
    return is_pushed;
}
