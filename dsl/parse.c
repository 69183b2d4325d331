// Runs lexer and grammar over one source and words syntax errors; see parse.h.
#include "dsl/parse_state.h"

#include "parser.tab.h"

#include "lexer.lex.h"

#include <stdio.h>
#include <string.h>

// Syntax errors ---------------------------------------------------------------------------------------------

enum { LARGEST_GROUP = 48 };

// Groups of tokens that messages name together. `sign` is a member that tells whether the group is expected.
typedef struct TokenGroup {
    const char *name, *sign;
    const char *members[LARGEST_GROUP];
} TokenGroup;

static const TokenGroup GROUPS[] = {
    {"a declaration or statement",
     "let",
     {"advances", "alias",  "assert",      "buffer",    "config", "data",  "decoder",     "dim",    "draw",
      "entry",    "fn",     "for",         "if",        "import", "let",   "load",        "loss",   "metric",
      "minimise", "module", "no_decay",    "optimizer", "output", "param", "probability", "return", "set",
      "source",   "task",   "end of file", "integer",   "number", "text",  "name",        "true",   "false",
      "none",     "not",    "'-'",         "'('",       "'['"}},
    {"an expression",
     "integer",
     {"integer", "number", "text", "name", "true", "false", "none", "not", "'-'", "'('", "'['"}},
    {"an operator", "'*'", {"'+'", "'-'", "'*'",  "'/'",  "'//'", "'%'", "'@'", "'**'", "'=='", "'!='",
                            "'<'", "'>'", "'<='", "'>='", "and",  "or",  "if",  "'('",  "'['",  "'.'"}},
};

static bool contains(const char *const *names, int n_names, const char *name)
{
    for (int i = 0; i < n_names && names[i]; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

// Replaces the members of a group by its name. The operators are only named when nothing else is expected.
static int grouped(const char **names, int n_names, const TokenGroup *group)
{
    if (!contains(names, n_names, group->sign)) {
        return n_names;
    }
    int n_left = 0;
    for (int i = 0; i < n_names; i++) {
        if (!contains(group->members, LARGEST_GROUP, names[i])) {
            names[n_left++] = names[i];
        }
    }
    if (n_left == 0 || strcmp(group->name, "an operator") != 0) {
        names[n_left++] = group->name;
    }
    return n_left;
}

static bool is_keyword(const char *text)
{
    const char *words[64];
    return contains(words, tokens_words(words, 64), text) || strcmp(text, "as") == 0 ||
           strcmp(text, "init") == 0;
}

// The name of a kind of token as messages write it: `'else'`, `a name`, `'+'`, `end of line`.
static const char *in_words(Arena *arena, const char *name)
{
    if (is_keyword(name)) {
        return arena_format(arena, "'%s'", name);
    }
    bool has_article =
        strcmp(name, "name") == 0 || strcmp(name, "integer") == 0 || strcmp(name, "number") == 0;
    return has_article ? arena_format(arena, "%s %s", *name == 'i' ? "an" : "a", name) : name;
}

static bool is_end(Span span)
{
    return span.begin == span.source->length;
}

// ", expected A, B or C", or nothing when the list would be too long to help.
static const char *expectation(Arena *arena, const SyntaxError *error)
{
    enum { MOST = 5 };
    if (is_end(error->span) && contains(error->expected, error->n_expected, "'}'")) {
        return ", expected '}'";
    }
    int n_names = error->n_expected;
    for (size_t i = 0; i < sizeof GROUPS / sizeof *GROUPS; i++) {
        n_names = grouped(error->expected, n_names, &GROUPS[i]);
    }
    const char *text = "";
    for (int i = 0; i < n_names && n_names <= MOST; i++) {
        const char *joint = i == 0 ? ", expected " : i == n_names - 1 ? " or " : ", ";
        text = arena_format(arena, "%s%s%s", text, joint, in_words(arena, error->expected[i]));
    }
    return text;
}

// What stands there, in the user's words: end of line, end of file, or the token's own text.
static const char *found_text(Arena *arena, const SyntaxError *error)
{
    enum { LONGEST = 40 };
    Span span = error->span;
    size_t length = span.end - span.begin;
    const char *text = span.source->text + span.begin;
    if (is_end(span)) {
        return "end of file";
    }
    if (*text == '\n') {
        return "end of line";
    }
    if (*text == '"') {
        return "text";
    }
    return arena_format(arena, "'%.*s%s'", (int)(length < LONGEST ? length : LONGEST), text,
                        length < LONGEST ? "" : "...");
}

// "modle Name(...)": two names in a row at the start of a statement.
static bool report_starter(Parser *parser, const SyntaxError *error)
{
    Span span;
    Sym word = tokens_starter(parser->tokens, &span);
    bool is_next = strcmp(error->found, "name") == 0 || strcmp(error->found, "text") == 0;
    if (!word || !is_next) {
        return false;
    }
    const char *words[64];
    const char *nearest = diag_nearest(word, words, tokens_words(words, 64));
    if (nearest) {
        diag_error(parser->context->diag, span, "nothing starts with '%s' here; did you mean '%s'?", word,
                   nearest);
    }
    return nearest != NULL;
}

static bool expects(const SyntaxError *error, const char *name)
{
    return contains(error->expected, error->n_expected, name);
}

static void report_unexpected(const ParseContext *context, const SyntaxError *error)
{
    static const char *const comparisons[] = {"'=='", "'!='", "'<'", "'>'", "'<='", "'>='"};
    if (expects(error, "name") && !expects(error, "integer") && is_keyword(error->found)) {
        diag_error(context->diag, error->span, "'%s' is a word of the language and cannot be a name",
                   error->found);
    } else if (contains(comparisons, 6, error->found) && expects(error, "'*'")) {
        diag_error(context->diag, error->span, "comparisons do not chain; write `a < b and b < c`");
    } else {
        const char *found = found_text(context->arena, error);
        diag_error(context->diag, error->span, "unexpected %s%s", found, expectation(context->arena, error));
    }
}

void parser_report(Parser *parser, const SyntaxError *error)
{
    if (parser->is_stopped) {
        return;
    }
    if (!report_starter(parser, error)) {
        report_unexpected(parser->context, error);
        tokens_note_open(parser->tokens, is_end(error->span));
    }
    tokens_skip_statement(parser->tokens);
}

// Sources ---------------------------------------------------------------------------------------------------

// Length of the UTF-8 sequence at `text`, 0 if there is none.
static size_t sequence_length(const unsigned char *text, size_t left)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xE0, 0xC0, 0x80}, {0xF0, 0xE0, 0x800}, {0xF8, 0xF0, 0x10000}};
    for (size_t n = 0; n < 4; n++) {
        if ((text[0] & forms[n].mask) != forms[n].lead) {
            continue;
        }
        uint32_t code = text[0] & (unsigned char)~forms[n].mask;
        for (size_t i = 1; i <= n; i++) {
            if (i >= left || (text[i] & 0xC0u) != 0x80u) {
                return 0;
            }
            code = code << 6 | (text[i] & 0x3Fu);
        }
        return code >= forms[n].least && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF) ? n + 1 : 0;
    }
    return 0;
}

// Reports the first byte that is no text.
static void check_bytes(const ParseContext *context, const Source *source)
{
    const unsigned char *text = (const unsigned char *)source->text;
    for (size_t i = 0; i < source->length;) {
        size_t length = sequence_length(text + i, source->length - i);
        if (length == 0 || text[i] == 0) {
            Span span = {source, (uint32_t)i, (uint32_t)i + 1};
            diag_error(context->diag, span, text[i] ? "this is not UTF-8 (byte 0x%02X)" : "zero byte",
                       text[i]);
            return;
        }
        i += length;
    }
}

AstFile *parse_source(const ParseContext *context, const Source *source)
{
    AstFile *file = arena_alloc(context->arena, sizeof *file);
    file->source = source;
    check_bytes(context, source);
    Parser parser = {.context = context, .source = source, .file = file};
    yyscan_t scanner;
    if (raw_lex_init_extra(&parser, &scanner) != 0) {
        XV_BUG("the lexer cannot be made");
    }
    bool has_mark = source->length >= 3 && memcmp(source->text, "\xEF\xBB\xBF", 3) == 0;
    parser.position = has_mark ? 3 : 0;
    raw__scan_bytes(source->text + parser.position, (int)(source->length - parser.position), scanner);
    parser.tokens = tokens_new(&parser, scanner);
    int n_errors = context->diag->n_errors;
    dsl_parse(&parser);
    if (context->diag->n_errors == n_errors) {
        check_places(context, file);
    }
    raw_lex_destroy(scanner);
    return file;
}
