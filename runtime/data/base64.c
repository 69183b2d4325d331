// Base64 decoding; see base64.h. Four characters at a time while all are in the alphabet, one by one
// otherwise.
#include "runtime/data/base64.h"

#include <string.h>

enum { OUTSIDE = 0x80 };

static uint8_t value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (uint8_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint8_t)(c - 'a' + 26);
    }
    if (c >= '0' && c <= '9') {
        return (uint8_t)(c - '0' + 52);
    }
    return c == '+' ? 62 : c == '/' ? 63 : OUTSIDE;
}

bool xv_base64_decode(const char *text, XvBytes *bytes, XvError *error)
{
    uint8_t values[256];
    for (int i = 0; i < 256; i++) {
        values[i] = value_of((char)i);
    }
    size_t length = strlen(text);
    if (!xv_bytes_reserve(bytes, length / 4 * 3 + 3)) {
        return xv_fail(error, "no memory for a base64 image of %zu characters", length);
    }
    uint8_t *out = bytes->data;
    const uint8_t *in = (const uint8_t *)text, *end = in + length;
    uint32_t bits = 0;
    int pending = 0;  // characters in bits
    while (in < end && *in != '=') {
        if (pending == 0 && end - in >= 4) {
            uint8_t a = values[in[0]], b = values[in[1]], c = values[in[2]], d = values[in[3]];
            if (!((a | b | c | d) & OUTSIDE)) {
                *out++ = (uint8_t)(a << 2 | b >> 4);
                *out++ = (uint8_t)(b << 4 | c >> 2);
                *out++ = (uint8_t)(c << 6 | d);
                in += 4;
                continue;
            }
        }
        uint8_t value = values[*in++];
        if (value == OUTSIDE) {
            continue;
        }
        bits = bits << 6 | value;
        if (++pending == 4) {
            *out++ = (uint8_t)(bits >> 16);
            *out++ = (uint8_t)(bits >> 8);
            *out++ = (uint8_t)bits;
            bits = 0;
            pending = 0;
        }
    }
    if (pending == 1) {
        return xv_fail(error, "the base64 image is cut off or damaged");
    }
    if (pending >= 2) {
        bits <<= 6 * (4 - pending);
        *out++ = (uint8_t)(bits >> 16);
        if (pending == 3) {
            *out++ = (uint8_t)(bits >> 8);
        }
    }
    bytes->count = (size_t)(out - bytes->data);
    *out = 0;
    return true;
}
