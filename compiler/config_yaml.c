// libyaml's documents as ConfigNode trees; see config_yaml.h.
#include "compiler/config_yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { DEEPEST = 64 };

typedef struct Reader {
    const ParseContext *context;
    const Source *source;
    uint32_t begin;  // of the text that libyaml sees
    yaml_document_t *document;
    Span left_out;  // first group found in a list of the node being read
} Reader;

// Places ----------------------------------------------------------------------------------------------------

// libyaml counts lines and columns in code points; spans count bytes.
static uint32_t offset_of(const Reader *reader, yaml_mark_t mark)
{
    const char *text = reader->source->text;
    size_t at = reader->begin;
    size_t end = reader->source->length;
    for (size_t line = 0; line < mark.line && at < end; at++) {
        line += text[at] == '\n';
    }
    for (size_t column = 0; column < mark.column && at < end; column++) {
        at++;
        while (at < end && ((unsigned char)text[at] & 0xC0u) == 0x80u) {
            at++;
        }
    }
    return (uint32_t)at;
}

static Span span_of(const Reader *reader, const yaml_node_t *node)
{
    return (Span){reader->source, offset_of(reader, node->start_mark), offset_of(reader, node->end_mark)};
}

// Scalars ---------------------------------------------------------------------------------------------------

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

// [-+] digits [. digits] [e [-+] digits], with a digit before or behind the point.
static bool is_number(const char *text, bool *is_integer)
{
    text += *text == '-' || *text == '+';
    size_t whole = digits(text);
    text += whole;
    *is_integer = whole > 0 && !*text;
    size_t fraction = 0;
    if (*text == '.') {
        fraction = digits(text + 1);
        text += 1 + fraction;
    }
    if (whole + fraction == 0) {
        return false;
    }
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        size_t exponent = digits(text);
        text += exponent;
        return exponent > 0 && !*text;
    }
    return !*text;
}

static ConfigValue number_value(const Reader *reader, ConfigValue value, bool is_integer)
{
    errno = 0;
    if (is_integer) {
        value.kind = CONFIG_INT;
        value.integer = strtoll(value.text, NULL, 10);
        value.number = (double)value.integer;
    } else {
        value.kind = CONFIG_FLOAT;
        value.number = strtod(value.text, NULL);
    }
    if (errno == ERANGE && (is_integer || value.number > 1 || value.number < -1)) {
        diag_error(reader->context->diag, value.span, "this number is too large");
    }
    return value;
}

// What a word without quotes stands for in the core schema.
static ConfigValue plain_value(const Reader *reader, ConfigValue value)
{
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const yes[] = {"true", "True", "TRUE", NULL};
    static const char *const no[] = {"false", "False", "FALSE", NULL};
    bool is_integer;
    if (is_one_of(value.text, nothing)) {
        value.kind = CONFIG_NONE;
    } else if (is_one_of(value.text, yes) || is_one_of(value.text, no)) {
        value.kind = CONFIG_BOOL;
        value.truth = is_one_of(value.text, yes);
    } else if (is_number(value.text, &is_integer)) {
        value = number_value(reader, value, is_integer);
    }
    return value;
}

static ConfigValue scalar_value(const Reader *reader, const yaml_node_t *node)
{
    ConfigValue value = {.kind = CONFIG_STRING, .span = span_of(reader, node)};
    value.text = intern_length(reader->context->names, (const char *)node->data.scalar.value,
                               node->data.scalar.length);
    return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_value(reader, value) : value;
}

// Trees -----------------------------------------------------------------------------------------------------

static bool read_value(Reader *reader, int index, int depth, ConfigValue *value);

static bool is_too_deep(const Reader *reader, const yaml_node_t *node, int depth)
{
    if (depth > DEEPEST) {
        diag_error(reader->context->diag, span_of(reader, node), "this is nested more than %d deep",
                   (int)DEEPEST);
    }
    return depth > DEEPEST;
}

static bool read_list(Reader *reader, const yaml_node_t *node, int depth, ConfigValue *value)
{
    size_t n_items = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    ConfigValue *items = arena_alloc(reader->context->arena, (n_items + 1) * sizeof *items);
    *value = (ConfigValue){.kind = CONFIG_LIST, .span = span_of(reader, node), .items = items};
    for (size_t i = 0; i < n_items; i++) {
        int index = node->data.sequence.items.start[i];
        const yaml_node_t *item = yaml_document_get_node(reader->document, index);
        if (item->type == YAML_MAPPING_NODE) {
            reader->left_out = reader->left_out.source ? reader->left_out : span_of(reader, item);
        } else if (!read_value(reader, index, depth + 1, &items[value->n_items++])) {
            return false;
        }
    }
    return true;
}

static bool read_value(Reader *reader, int index, int depth, ConfigValue *value)
{
    const yaml_node_t *node = yaml_document_get_node(reader->document, index);
    if (is_too_deep(reader, node, depth)) {
        return false;
    }
    if (node->type == YAML_SEQUENCE_NODE) {
        return read_list(reader, node, depth, value);
    }
    *value = scalar_value(reader, node);
    return true;
}

static ConfigNode *read_node(Reader *reader, int index, int depth);

static bool read_member(Reader *reader, const yaml_node_pair_t *pair, int depth, ConfigNode **member)
{
    const yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);
    if (key->type != YAML_SCALAR_NODE) {
        diag_error(reader->context->diag, span_of(reader, key), "a key must be a plain word");
        return false;
    }
    *member = read_node(reader, pair->value, depth + 1);
    if (*member) {
        (*member)->key = intern_length(reader->context->names, (const char *)key->data.scalar.value,
                                       key->data.scalar.length);
        (*member)->key_span = span_of(reader, key);
    }
    return *member != NULL;
}

static bool read_group(Reader *reader, const yaml_node_t *node, int depth, ConfigNode *group)
{
    Map *known = map_new(reader->context->arena);
    ConfigNode *last = NULL;
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
         pair++) {
        ConfigNode *member;
        if (!read_member(reader, pair, depth, &member)) {
            return false;
        }
        const ConfigNode *other = map_get(known, member->key);
        if (other) {
            diag_error(reader->context->diag, member->key_span, "'%s' is given twice", member->key);
            diag_note(reader->context->diag, other->key_span, "the first one is here");
            return false;
        }
        map_set(known, member->key, member);
        if (last) {
            last->next = member;
        } else {
            group->first = member;
        }
        last = member;
    }
    return true;
}

static ConfigNode *read_node(Reader *reader, int index, int depth)
{
    const yaml_node_t *node = yaml_document_get_node(reader->document, index);
    ConfigNode *result = arena_alloc(reader->context->arena, sizeof *result);
    if (is_too_deep(reader, node, depth)) {
        return NULL;
    }
    result->span = span_of(reader, node);
    result->is_group = node->type == YAML_MAPPING_NODE;
    reader->left_out = (Span){0};
    bool is_good = result->is_group ? read_group(reader, node, depth, result)
                                    : read_value(reader, index, depth, &result->value);
    result->left_out = reader->left_out;
    return is_good ? result : NULL;
}

static void report(const Reader *reader, const yaml_parser_t *parser)
{
    bool is_byte = parser->error == YAML_READER_ERROR;
    uint32_t at =
        is_byte ? reader->begin + (uint32_t)parser->problem_offset : offset_of(reader, parser->problem_mark);
    diag_error(reader->context->diag, (Span){reader->source, at, at + 1}, "neither YAML nor JSON: %s",
               parser->problem ? parser->problem : "unreadable");
}

const ConfigNode *config_parse(const ParseContext *context, const Source *source, uint32_t begin)
{
    yaml_parser_t parser;
    yaml_document_t document;
    Reader reader = {.context = context, .source = source, .begin = begin, .document = &document};
    if (!yaml_parser_initialize(&parser)) {
        XV_BUG("the YAML reader cannot be made");
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)source->text + begin,
                                 source->length - begin);
    const ConfigNode *tree = NULL;
    int n_errors = context->diag->n_errors;
    if (!yaml_parser_load(&parser, &document)) {
        report(&reader, &parser);
    } else {
        if (yaml_document_get_root_node(&document)) {
            tree = read_node(&reader, 1, 0);
        } else {
            ConfigNode *nothing = arena_alloc(context->arena, sizeof *nothing);
            nothing->span = (Span){source, begin, begin};
            nothing->is_group = begin == 0;
            tree = nothing;
        }
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return context->diag->n_errors > n_errors ? NULL : tree;
}
