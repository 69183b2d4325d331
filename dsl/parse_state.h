// What the lexer, the token filter and the grammar share while one source is parsed, and the constructors
// that the grammar's actions call. Internal to dsl/.
#pragma once

#include "dsl/parse.h"

typedef struct Tokens Tokens;

typedef struct Parser {
    const ParseContext *context;
    const Source *source;
    AstFile *file;      // result
    Tokens *tokens;     // between lexer and grammar (tokens.c)
    uint32_t position;  // of the lexer's next byte
    bool has_code;      // something other than blanks stands before it on its line
    AstComment *last_comment;
    bool is_skipping;  // after an error, up to the end of the statement
    bool is_stopped;   // nested too deeply: reported once, then the text counts as ended
} Parser;

// Lists under construction.
typedef struct AstArgs {
    AstArg *first, *last;
} AstArgs;
typedef struct AstParams {
    AstParam *first, *last;
} AstParams;
typedef struct AstTypes {
    AstType *first, *last;
} AstTypes;
typedef struct AstAttributes {
    AstAttribute *first, *last;
} AstAttributes;

#define AST_APPEND(list, node)          \
    do {                                \
        if ((list).last) {              \
            (list).last->next = (node); \
        } else {                        \
            (list).first = (node);      \
        }                               \
        (list).last = (node);           \
    } while (0)

// Nodes of the given contents, in the parser's arena. Expressions and items get their depth here; a node that
// would make the tree deeper than AST_MAX_DEPTH is reported and loses its children.
AstExpr *ast_expr(Parser *parser, AstExpr expr);
AstItem *ast_item(Parser *parser, AstItem item);
AstArg *ast_arg(Parser *parser, AstArg arg);
AstParam *ast_param(Parser *parser, AstParam param);
AstType *ast_type(Parser *parser, AstType type);
AstAttribute *ast_attribute(Parser *parser, AstAttribute attribute);
AstItems ast_items(AstItems items, AstItem *item);

// The element type of `name[dims]`: int or bool, anything else is reported.
AstDtype ast_dtype(Parser *parser, AstName name);
// `targets = value`: the targets must be names. NULL after a message.
AstItem *ast_assignment(Parser *parser, Span span, AstExpr *targets, AstExpr *value);
// `target as "path": value attributes`: the target must be `name` or `name[index]`. NULL after a message.
AstItem *ast_child(Parser *parser, Span span, AstExpr *target, AstExpr *value);

// Tokens (tokens.c).
Tokens *tokens_new(Parser *parser, void *scanner);
// After an error: what is left of the current statement, blocks included, is passed over.
void tokens_skip_statement(Tokens *tokens);

// A token where it does not fit, as the grammar sees it (parse.c words it).
typedef struct SyntaxError {
    Span span;              // of the token
    const char *found;      // its kind: "name", "'+'"
    const char **expected;  // the kinds that would have fitted
    int n_expected;
} SyntaxError;
void parser_report(Parser *parser, const SyntaxError *error);
// Adds to a message at the token given last which bracket is still open; at the end of the text also which
// brace, and what stands in it as if it were closed.
void tokens_note_open(const Tokens *tokens, bool is_end);
// The name directly before the token given last if it starts a statement, else NULL.
Sym tokens_starter(const Tokens *tokens, Span *span);
// All keywords, for suggestions.
int tokens_words(const char **words, int capacity);

// Reports items that stand where their kind has no meaning (places.c).
void check_places(const ParseContext *context, const AstFile *file);
