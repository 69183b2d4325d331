// cJSON with the corners that the official loaders depend on; see json_line.h.
#include "runtime/data/json_line.h"

#include "runtime/data/unicode.h"

#include <ctype.h>
#include <string.h>

// The four digits after \u, or -1.
static int unicode_escape(const char *at, const char *end)
{
    int value = 0;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u') {
        return -1;
    }
    for (int i = 2; i < 6; i++) {
        int c = tolower((unsigned char)at[i]);
        if (!isxdigit(c)) {
            return -1;
        }
        value = value * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return value;
}

static void replace_escapes(char *line, size_t length)
{
    const char *end = line + length;
    char *at = line;
    while ((at = memchr(at, '\\', (size_t)(end - at)))) {
        int value = unicode_escape(at, end);
        if (value < 0) {
            at += end - at >= 2 ? 2 : 1;
            continue;
        }
        bool is_high = value >= 0xD800 && value < 0xDC00;
        int next = is_high ? unicode_escape(at + 6, end) : -1;
        if (next >= 0xDC00 && next < 0xE000) {
            at += 12;
            continue;
        }
        if (value == 0 || (value >= 0xD800 && value < 0xE000)) {
            memcpy(at, "\\ufffd", 6);
        }
        at += 6;
    }
}

cJSON *xv_json_parse_line(char *line, size_t length, XvError *error)
{
    size_t valid = xv_utf8_valid(line, length);
    if (valid < length) {
        xv_fail(error, "column %zu: byte 0x%02X is not UTF-8", valid + 1, (unsigned char)line[valid]);
        return NULL;
    }
    replace_escapes(line, length);
    const char *stop = line;
    cJSON *tree = cJSON_ParseWithLengthOpts(line, length + 1, &stop, 1);
    if (!tree) {
        size_t column = stop >= line && stop <= line + length ? (size_t)(stop - line) + 1 : 1;
        xv_fail(error, "column %zu: not a JSON document", column);
    }
    return tree;
}

const cJSON *xv_json_member(const cJSON *object, const char *key)
{
    const cJSON *found = NULL;
    for (const cJSON *item = object ? object->child : NULL; item; item = item->next) {
        if (item->string && strcmp(item->string, key) == 0) {
            found = item;
        }
    }
    return found;
}
