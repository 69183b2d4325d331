// Between lexer and grammar: decides which newlines end statements and which words are keywords, keeps the
// stack of open brackets, and passes over the rest of a statement after an error.
//
// A SEPARATOR is also put before every '}' and at the end of the text unless one stands there, so that in the
// grammar every item ends with one. Words such as `output` or `dim` are keywords only at the start of a
// statement and only if what follows makes them one; so `output: Linear(...)`, `output(x)` and `dim = 3` use
// them as names.
#include "dsl/parse_state.h"

#include "parser.tab.h"

#include "lexer.lex.h"

#include <string.h>

enum { MAX_OPEN = AST_MAX_DEPTH };

typedef struct Token {
    int kind;
    Span span;
    DSL_STYPE value;
} Token;

struct Tokens {
    Parser *parser;
    yyscan_t scanner;
    Token ahead;  // read but not used yet, if has_ahead
    bool has_ahead;
    Token given, before;       // tokens given last and before it
    int last;                  // kind of `given`
    bool was_start, is_start;  // `before`, `given`: first of a statement
    Span open[MAX_OPEN];       // brackets and braces
    int n_open;
    int n_braces;     // of them, braces
    Span forgotten;   // bracket given up in this statement, or none
    Span stray;       // first declaration inside braces where none can stand
    Span stray_open;  // innermost brace around it
    int skip_braces;  // while the parser is skipping: number of braces where that ends
};

Tokens *tokens_new(Parser *parser, void *scanner)
{
    Tokens *tokens = arena_alloc(parser->context->arena, sizeof *tokens);
    tokens->parser = parser;
    tokens->scanner = scanner;
    return tokens;
}

// Raw tokens ------------------------------------------------------------------------------------------------

static Token take(Tokens *tokens)
{
    if (tokens->has_ahead) {
        tokens->has_ahead = false;
        return tokens->ahead;
    }
    Token token = {0};
    token.kind = raw_lex(&token.value, &token.span, tokens->scanner);
    if (token.kind == END) {
        uint32_t end = (uint32_t)tokens->parser->source->length;
        token.span = (Span){tokens->parser->source, end, end};
    }
    return token;
}

static void put_back(Tokens *tokens, Token token)
{
    tokens->ahead = token;
    tokens->has_ahead = true;
}

static const Token *peek(Tokens *tokens)
{
    if (!tokens->has_ahead) {
        put_back(tokens, take(tokens));
    }
    return &tokens->ahead;
}

static char first_byte(Span span)
{
    return span.source->text[span.begin];
}

static bool is_word(const Token *token, const char *word)
{
    return token->kind == NAME && strcmp(token->value.name, word) == 0;
}

// Words -----------------------------------------------------------------------------------------------------

enum { BEFORE_NAME = 1, BEFORE_TEXT = 2, BEFORE_VALUE = 4, BEFORE_LIST = 8 };

// Words that are always keywords, except behind a dot and, at the start of a statement, before a colon.
static const struct {
    const char *text;
    int kind;
} RESERVED[] = {
    {"and", AND},   {"assert", ASSERT}, {"else", ELSE}, {"false", FALSE_},  {"fn", FN},
    {"for", FOR},   {"if", IF},         {"in", IN},     {"let", LET},       {"module", MODULE},
    {"none", NONE}, {"not", NOT},       {"or", OR},     {"return", RETURN}, {"true", TRUE_},
};

// Words that are keywords at the start of a statement before certain tokens.
static const struct {
    const char *text;
    int kind;
    int before;
} STARTERS[] = {
    {"advances", ADVANCES, BEFORE_NAME | BEFORE_TEXT | BEFORE_VALUE | BEFORE_LIST},
    {"alias", ALIAS, BEFORE_TEXT},
    {"buffer", BUFFER, BEFORE_NAME},
    {"config", CONFIG, BEFORE_NAME},
    {"data", DATA, BEFORE_TEXT},
    {"decoder", DECODER, BEFORE_NAME},
    {"dim", DIM, BEFORE_NAME},
    {"draw", DRAW, BEFORE_NAME},
    {"entry", ENTRY, BEFORE_NAME},
    {"import", IMPORT, BEFORE_TEXT},
    {"load", LOAD, BEFORE_TEXT},
    {"loss", LOSS, BEFORE_NAME},
    {"metric", METRIC, BEFORE_NAME},
    {"minimise", MINIMISE, BEFORE_NAME | BEFORE_TEXT | BEFORE_VALUE | BEFORE_LIST},
    {"no_decay", NO_DECAY, BEFORE_NAME | BEFORE_LIST},
    {"optimizer", OPTIMIZER, BEFORE_NAME},
    {"output", OUTPUT, BEFORE_NAME},
    {"param", PARAM, BEFORE_NAME},
    {"probability", PROBABILITY, BEFORE_NAME | BEFORE_TEXT | BEFORE_VALUE | BEFORE_LIST},
    {"set", SET, BEFORE_NAME},
    {"source", SOURCE, BEFORE_TEXT},
    {"task", TASK, BEFORE_NAME},
};

// What kind of thing the token starts, as one of the BEFORE_ bits; 0 for anything else.
static int start_of(const Token *token)
{
    static const char *const joining[] = {"and", "else", "for", "if", "in", "or"};
    static const char *const values[] = {"false", "none", "not", "true"};
    switch (token->kind) {
    case STRING: return BEFORE_TEXT;
    case '[': return BEFORE_LIST;
    case INTEGER:
    case FLOAT:
    case '(':
    case '-': return BEFORE_VALUE;
    case NAME: break;
    default: return 0;
    }
    for (size_t i = 0; i < sizeof joining / sizeof *joining; i++) {
        if (is_word(token, joining[i])) {
            return 0;
        }
    }
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (is_word(token, values[i])) {
            return BEFORE_VALUE;
        }
    }
    return BEFORE_NAME;
}

static int word_kind(Tokens *tokens, Sym text)
{
    if (tokens->last == '.') {
        return NAME;
    }
    for (size_t i = 0; i < sizeof RESERVED / sizeof *RESERVED; i++) {
        if (strcmp(RESERVED[i].text, text) == 0) {
            return tokens->is_start && peek(tokens)->kind == ':' ? NAME : RESERVED[i].kind;
        }
    }
    for (size_t i = 0; tokens->is_start && i < sizeof STARTERS / sizeof *STARTERS; i++) {
        if (strcmp(STARTERS[i].text, text) == 0) {
            return start_of(peek(tokens)) & STARTERS[i].before ? STARTERS[i].kind : NAME;
        }
    }
    if (strcmp(text, "as") == 0 && (tokens->last == NAME || tokens->last == ']') &&
        peek(tokens)->kind == STRING) {
        return AS;
    }
    bool is_init = strcmp(text, "init") == 0 && !tokens->is_start && start_of(peek(tokens)) == BEFORE_NAME;
    return is_init ? INIT : NAME;
}

// Brackets --------------------------------------------------------------------------------------------------

static bool in_bracket(const Tokens *tokens)
{
    return tokens->n_open > 0 && first_byte(tokens->open[tokens->n_open - 1]) != '{';
}

// Brackets cannot stay open across braces or the start of certain statements: their closing one was
// forgotten.
static void forget_brackets(Tokens *tokens)
{
    while (in_bracket(tokens)) {
        tokens->n_open--;
        tokens->forgotten = tokens->open[tokens->n_open];
    }
}

static void push_open(Tokens *tokens, Span span)
{
    if (tokens->n_open == MAX_OPEN) {
        diag_error(tokens->parser->context->diag, span, "brackets are nested more than %d deep",
                   (int)MAX_OPEN);
        tokens->parser->is_stopped = true;
        return;
    }
    tokens->open[tokens->n_open++] = span;
    tokens->n_braces += first_byte(span) == '{';
}

// A bracket of the wrong kind closes too, but the one it closes is kept for the message.
static void close_bracket(Tokens *tokens, int kind)
{
    if (in_bracket(tokens)) {
        tokens->n_open--;
        Span open = tokens->open[tokens->n_open];
        tokens->forgotten = (first_byte(open) == '(') == (kind == ')') ? tokens->forgotten : open;
    }
}

void tokens_note_open(const Tokens *tokens, bool is_end)
{
    Diag *diag = tokens->parser->context->diag;
    Span open = tokens->forgotten;
    if (!open.source && tokens->n_open > 0 && (is_end || in_bracket(tokens))) {
        open = tokens->open[tokens->n_open - 1];
    }
    bool is_stray = is_end && tokens->stray.source;
    if (is_stray) {
        open = tokens->stray_open;
    }
    if (open.source && open.begin != tokens->given.span.begin) {
        diag_note(diag, open, "'%c' is opened here", first_byte(open));
    }
    if (is_stray) {
        diag_note(diag, tokens->stray, "and not closed before this declaration");
    }
}

// Modules, tasks and imports stand in no braces: one that does tells where a '}' was forgotten.
static void watch(Tokens *tokens, const Token *token)
{
    bool stands_alone =
        token->kind == MODULE || token->kind == TASK || token->kind == IMPORT || token->kind == CONFIG;
    if (stands_alone && tokens->n_braces > 0 && !tokens->stray.source) {
        tokens->stray = token->span;
        tokens->stray_open = tokens->open[tokens->n_open - 1];
    }
}

// Separators ------------------------------------------------------------------------------------------------

// A newline behind one of these does not end a statement; two separators in a row are one.
static bool goes_on(int kind)
{
    switch (kind) {
    case 0:
    case SEPARATOR:
    case '{':
    case ',':
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '@':
    case '<':
    case '>':
    case POWER:
    case FLOOR_DIVIDE:
    case EQUAL:
    case UNEQUAL:
    case AT_MOST:
    case AT_LEAST:
    case AND:
    case OR:
    case DOTS: return true;
    default: return false;
    }
}

static void drop_newlines(Tokens *tokens)
{
    while (peek(tokens)->kind == SEPARATOR) {
        take(tokens);
    }
}

// Is this separator one for the grammar?
static bool separates(Tokens *tokens, const Token *token)
{
    bool is_newline = first_byte(token->span) == '\n';
    if (tokens->last == 0 || tokens->last == SEPARATOR || tokens->last == '{' ||
        (is_newline && goes_on(tokens->last))) {
        return false;
    }
    if (!is_newline) {
        forget_brackets(tokens);
        return true;
    }
    drop_newlines(tokens);
    const Token *next = peek(tokens);
    if (in_bracket(tokens)) {
        bool is_forgotten =
            is_word(next, "let") || is_word(next, "module") || is_word(next, "fn") || is_word(next, "return");
        if (is_forgotten) {
            forget_brackets(tokens);
        }
        return is_forgotten;
    }
    return !is_word(next, "else");
}

// The grammar's tokens ------------------------------------------------------------------------------------

static Token separator_before(Tokens *tokens, Token token)
{
    put_back(tokens, token);
    token.kind = SEPARATOR;
    return token;
}

static Token closed(Tokens *tokens, Token token)
{
    forget_brackets(tokens);
    if (tokens->last != SEPARATOR && tokens->last != '{') {
        return separator_before(tokens, token);
    }
    if (tokens->n_open > 0) {
        tokens->n_open--;
        tokens->n_braces--;
    }
    return token;
}

static Token filtered(Tokens *tokens)
{
    for (;;) {
        Token token = take(tokens);
        switch (token.kind) {
        case SEPARATOR:
            if (separates(tokens, &token)) {
                return token;
            }
            break;
        case '{':
            forget_brackets(tokens);
            push_open(tokens, token.span);
            return token;
        case '(':
        case '[': push_open(tokens, token.span); return token;
        case ')':
        case ']': close_bracket(tokens, token.kind); return token;
        case '}': return closed(tokens, token);
        case END:
            if (tokens->last != 0 && tokens->last != SEPARATOR && tokens->last != '{') {
                return separator_before(tokens, token);
            }
            return token;
        case NAME: token.kind = word_kind(tokens, token.value.name); return token;
        default: return token;
        }
    }
}

static Token next_token(Tokens *tokens)
{
    if (tokens->parser->is_stopped) {
        return (Token){.kind = END, .span = tokens->given.span};
    }
    tokens->was_start = tokens->is_start;
    tokens->is_start = tokens->last == 0 || tokens->last == SEPARATOR || tokens->last == '{';
    if (tokens->is_start) {
        tokens->forgotten = (Span){0};
    }
    Token token = filtered(tokens);
    watch(tokens, &token);
    tokens->before = tokens->given;
    tokens->given = token;
    tokens->last = token.kind;
    return token;
}

void tokens_skip_statement(Tokens *tokens)
{
    if (tokens->last != SEPARATOR && tokens->last != END) {
        tokens->parser->is_skipping = true;
        tokens->skip_braces = tokens->n_braces - (tokens->last == '{');
    }
}

static Token after_skipping(Tokens *tokens, Token token)
{
    while (token.kind != END && (token.kind != SEPARATOR || tokens->n_braces > tokens->skip_braces)) {
        token = next_token(tokens);
    }
    tokens->parser->is_skipping = false;
    return token;
}

Sym tokens_starter(const Tokens *tokens, Span *span)
{
    if (!tokens->was_start || tokens->before.kind != NAME) {
        return NULL;
    }
    *span = tokens->before.span;
    return tokens->before.value.name;
}

int tokens_words(const char **words, int capacity)
{
    int n_words = 0;
    for (size_t i = 0; i < sizeof RESERVED / sizeof *RESERVED && n_words < capacity; i++) {
        words[n_words++] = RESERVED[i].text;
    }
    for (size_t i = 0; i < sizeof STARTERS / sizeof *STARTERS && n_words < capacity; i++) {
        words[n_words++] = STARTERS[i].text;
    }
    return n_words;
}

int dsl_lex(DSL_STYPE *value, Span *span, Parser *parser)
{
    Tokens *tokens = parser->tokens;
    Token token = next_token(tokens);
    if (parser->is_skipping) {
        token = after_skipping(tokens, token);
    }
    if (token.kind == DSL_error) {
        tokens_skip_statement(tokens);
    }
    *value = token.value;
    *span = token.span;
    return token.kind;
}
