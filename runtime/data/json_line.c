// A JSON parser with the grammar of Python's json module that leaves a cJSON tree; see json_line.h. cJSON's
// own parser takes what the official loaders refuse (control characters in strings, 01, 1., a byte order
// mark) and refuses what they take (NaN, Infinity).
#include "runtime/data/json_line.h"

#include "runtime/data/unicode.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 500 };  // arrays and objects inside each other

// The text ends with a zero byte, so looking at the next character is always allowed.
typedef struct Parser {
    const char *begin, *at, *end;
    int depth;
    XvError *error;
} Parser;

static cJSON *parse_value(Parser *parser);

// The column counts bytes from 1. Returns NULL.
static cJSON *fail_at(Parser *parser, const char *at, const char *reason)
{
    xv_fail(parser->error, "column %zu: %s", (size_t)(at - parser->begin) + 1, reason);
    return NULL;
}

static void skip_space(Parser *parser)
{
    while (*parser->at == ' ' || *parser->at == '\t' || *parser->at == '\n' || *parser->at == '\r') {
        parser->at++;
    }
}

static bool take(Parser *parser, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(parser->at, word, length) != 0) {
        return false;
    }
    parser->at += length;
    return true;
}

// ---- numbers

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *at)
{
    while (is_digit(*at)) {
        at++;
    }
    return at;
}

static cJSON *parse_number(Parser *parser)
{
    const char *first = parser->at + (*parser->at == '-');
    if (!is_digit(*first)) {
        return fail_at(parser, first, "a digit is expected after the minus");
    }
    const char *last = *first == '0' ? first + 1 : skip_digits(first);
    if (*last == '.' && is_digit(last[1])) {
        last = skip_digits(last + 1);
    }
    if (*last == 'e' || *last == 'E') {
        const char *exponent = last + 1 + (last[1] == '+' || last[1] == '-');
        last = is_digit(*exponent) ? skip_digits(exponent) : last;
    }
    double value = strtod(parser->at, NULL);
    parser->at = last;
    return cJSON_CreateNumber(value);
}

// ---- strings

// The value of four hexadecimal digits, or -1.
static int32_t hexadecimal(const char *digits)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = digits[i];
        if (!isxdigit((unsigned char)c)) {
            return -1;
        }
        value = value * 16 + (is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

// The character of an escape, whose backslash has been read; -1 with a message.
static int32_t parse_escape(Parser *parser)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *found = *parser->at ? strchr(names, *parser->at) : NULL;
    if (found) {
        parser->at++;
        return values[found - names];
    }
    int32_t value = *parser->at == 'u' ? hexadecimal(parser->at + 1) : -1;
    if (value < 0) {
        fail_at(parser, parser->at - 1, "an escape that JSON does not know");
        return -1;
    }
    parser->at += 5;
    if (value >= 0xD800 && value < 0xDC00 && parser->at[0] == '\\' && parser->at[1] == 'u') {
        int32_t low = hexadecimal(parser->at + 2);
        if (low >= 0xDC00 && low < 0xE000) {
            parser->at += 6;
            return 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    return value;
}

// Bytes from here to the closing quote, or to the end of the document.
static size_t text_length(const char *at)
{
    size_t length = strcspn(at, "\"\\");
    while (at[length] == '\\' && at[length + 1]) {
        length += 2;
        length += strcspn(at + length, "\"\\");
    }
    return length;
}

// The first control character of a span that has one; the usual span has none, which is found out without branches.
static const char *find_control(const char *at, size_t length)
{
    unsigned char has_control = 0;
    for (size_t i = 0; i < length; i++) {
        has_control |= (unsigned char)at[i] < 0x20;
    }
    for (size_t i = 0; has_control && i < length; i++) {
        if ((unsigned char)at[i] < 0x20) {
            return at + i;
        }
    }
    return NULL;
}

// Unescapes up to the closing quote into `out`, which has room for the escaped text: none gets longer.
static bool copy_text(Parser *parser, char *out)
{
    const char *open = parser->at - 1;
    for (;;) {
        size_t span = strcspn(parser->at, "\"\\");
        const char *control = find_control(parser->at, span);
        if (control) {
            return fail_at(parser, control, "a control character inside a text (JSON wants it escaped)");
        }
        memcpy(out, parser->at, span);
        out += span;
        parser->at += span;
        if (*parser->at == '\0') {
            return fail_at(parser, open, "a text without its closing quote");
        }
        if (*parser->at++ == '"') {
            *out = '\0';
            return true;
        }
        int32_t point = parse_escape(parser);
        if (point < 0) {
            return false;
        }
        out += xv_utf8_encode(point, out);
    }
}

// The text that starts at this quote; the caller frees it.
static char *parse_text(Parser *parser)
{
    size_t length = text_length(++parser->at);
    char *text = malloc(length + 1);
    if (!text) {
        xv_fail(parser->error, "no memory for a text of %zu bytes", length);
    } else if (!copy_text(parser, text)) {
        free(text);
        text = NULL;
    }
    return text;
}

static cJSON *parse_string(Parser *parser)
{
    char *text = parse_text(parser);
    cJSON *item = text ? cJSON_CreateNull() : NULL;
    if (!item) {
        free(text);
        return NULL;
    }
    item->type = cJSON_String;
    item->valuestring = text;
    return item;
}

// ---- containers

// Frees the tree and returns NULL.
static cJSON *drop(cJSON *tree)
{
    cJSON_Delete(tree);
    return NULL;
}

static cJSON *parse_array(Parser *parser)
{
    cJSON *array = cJSON_CreateArray();
    parser->at++;
    skip_space(parser);
    if (!array || take(parser, "]")) {
        return array;
    }
    for (;;) {
        cJSON *item = parse_value(parser);
        if (!item) {
            return drop(array);
        }
        cJSON_AddItemToArray(array, item);
        skip_space(parser);
        if (take(parser, "]")) {
            return array;
        }
        if (!take(parser, ",")) {
            fail_at(parser, parser->at, "a comma or ] is expected");
            return drop(array);
        }
    }
}

// Reads "key": value into the object.
static bool parse_member(Parser *parser, cJSON *object)
{
    skip_space(parser);
    if (*parser->at != '"') {
        return fail_at(parser, parser->at, "a key in double quotes is expected");
    }
    char *key = parse_text(parser);
    if (!key) {
        return false;
    }
    skip_space(parser);
    cJSON *item = NULL;
    if (take(parser, ":")) {
        item = parse_value(parser);
    } else {
        fail_at(parser, parser->at, "a colon is expected after a key");
    }
    if (item) {
        item->string = key;  // owned by the item from here on
        cJSON_AddItemToArray(object, item);
        return true;
    }
    free(key);
    return false;
}

static cJSON *parse_object(Parser *parser)
{
    cJSON *object = cJSON_CreateObject();
    parser->at++;
    skip_space(parser);
    if (!object || take(parser, "}")) {
        return object;
    }
    for (;;) {
        if (!parse_member(parser, object)) {
            return drop(object);
        }
        skip_space(parser);
        if (take(parser, "}")) {
            return object;
        }
        if (!take(parser, ",")) {
            fail_at(parser, parser->at, "a comma or } is expected");
            return drop(object);
        }
    }
}

static cJSON *parse_container(Parser *parser)
{
    if (parser->depth == MAX_DEPTH) {
        return fail_at(parser, parser->at, "too many arrays and objects inside each other");
    }
    parser->depth++;
    cJSON *item = *parser->at == '[' ? parse_array(parser) : parse_object(parser);
    parser->depth--;
    return item;
}

static cJSON *parse_word(Parser *parser)
{
    if (take(parser, "true")) {
        return cJSON_CreateTrue();
    }
    if (take(parser, "false")) {
        return cJSON_CreateFalse();
    }
    if (take(parser, "null")) {
        return cJSON_CreateNull();
    }
    if (take(parser, "NaN")) {
        return cJSON_CreateNumber((double)NAN);
    }
    if (take(parser, "Infinity")) {
        return cJSON_CreateNumber((double)INFINITY);
    }
    if (take(parser, "-Infinity")) {
        return cJSON_CreateNumber(-(double)INFINITY);
    }
    return NULL;
}

static cJSON *parse_value(Parser *parser)
{
    skip_space(parser);
    char c = *parser->at;
    if (c == '[' || c == '{') {
        return parse_container(parser);
    }
    if (c == '"') {
        return parse_string(parser);
    }
    cJSON *word = parse_word(parser);
    if (word) {
        return word;
    }
    if (is_digit(c) || c == '-') {
        return parse_number(parser);
    }
    return fail_at(parser, parser->at,
                   parser->at == parser->end ? "the document ends early" : "a value is expected");
}

cJSON *xv_json_parse_line(const char *line, size_t length, XvError *error)
{
    size_t valid = xv_utf8_valid(line, length);
    if (valid < length) {
        xv_fail(error, "column %zu: byte 0x%02X is not UTF-8", valid + 1, (unsigned char)line[valid]);
        return NULL;
    }
    XvError reason = {""};
    Parser parser = {line, line, line + length, 0, &reason};
    cJSON *tree = parse_value(&parser);
    skip_space(&parser);
    if (tree && parser.at < parser.end) {
        fail_at(&parser, parser.at, "something follows the document");
        cJSON_Delete(tree);
        tree = NULL;
    }
    if (!tree) {
        xv_fail(error, "%s", reason.text[0] ? reason.text : "no memory for a JSON document");
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
