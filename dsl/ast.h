// The syntax tree: what a file says, before any name is looked up. Immutable once parsed. Nodes live in the
// arena given to the parser; every node carries the span of its text.
//
//   file        list of declarations
//   AstItem     one declaration, module member, statement or task item (they share forms and one list type)
//   AstExpr     expression
//   AstType     type of a parameter, result, input: dtype and dimensions
#pragma once

#include "compiler/base/diag.h"
#include "compiler/base/intern.h"

typedef struct AstExpr AstExpr;
typedef struct AstItem AstItem;
typedef struct AstType AstType;

// Trees are never deeper than this, so that recursive walks need no guard of their own.
enum { AST_MAX_DEPTH = 256 };

// Lists are linked in source order.
typedef struct AstItems {
    AstItem *first, *last;
    int depth;  // of the deepest item, see AstItem
} AstItems;

typedef struct AstName {
    Sym text;
    Span span;
} AstName;

// Expressions -----------------------------------------------------------------------------------------------

typedef enum AstOperator {
    AST_OR,
    AST_AND,
    AST_NOT,
    AST_EQ,
    AST_NE,
    AST_LT,
    AST_LE,
    AST_GT,
    AST_GE,
    AST_ADD,
    AST_SUB,
    AST_MUL,
    AST_DIV,
    AST_FLOOR_DIV,
    AST_MOD,
    AST_MATMUL,
    AST_NEG,
    AST_POW,
} AstOperator;

typedef enum AstExprKind {
    AST_INT,     // integer
    AST_FLOAT,   // number
    AST_STRING,  // text
    AST_TRUE,
    AST_FALSE,
    AST_NONE,
    AST_NAME,    // text
    AST_UNARY,   // sign, a
    AST_BINARY,  // sign, a, b
    AST_SELECT,  // a if b else c: b is the condition
    AST_CALL,    // a(args)
    AST_MEMBER,  // a.text
    AST_INDEX,   // a[subscripts]
    AST_LIST,    // [args]
    AST_TUPLE,   // (args) with at least one comma; also `return a, b`
    AST_FOR,     // [a for text in b], [a for text in b..c] (c is NULL in the first form)
} AstExprKind;

typedef enum AstSubscriptKind { AST_AT, AST_SLICE, AST_NEW_AXIS, AST_ELLIPSIS } AstSubscriptKind;

// An argument of a call, an element of a list, or a subscript.
typedef struct AstArg {
    struct AstArg *next;
    Span span;
    Sym name;                      // `name = value`, else NULL
    AstExpr *value;                // argument, element, AT
    AstSubscriptKind subscript;    // of subscripts
    AstExpr *start, *stop, *step;  // SLICE, each may be NULL
} AstArg;

struct AstExpr {
    AstExprKind kind;
    Span span;
    AstOperator sign;
    Span operator_span;  // of the operator, member name or opening bracket
    AstExpr *a, *b, *c;
    AstArg *args;     // CALL, LIST, TUPLE, INDEX
    Sym text;         // NAME, STRING, MEMBER, FOR
    int64_t integer;  // INT
    double number;    // FLOAT
    int depth;        // height of the tree: 1 for a leaf, at most AST_MAX_DEPTH
};

// Types -----------------------------------------------------------------------------------------------------

typedef enum AstTypeKind { AST_TENSOR, AST_TUPLE_TYPE } AstTypeKind;
typedef enum AstDtype { AST_DTYPE_FLOAT, AST_DTYPE_INT, AST_DTYPE_BOOL } AstDtype;

struct AstType {
    AstTypeKind kind;
    Span span;
    AstDtype dtype;
    bool has_ellipsis;  // [..., dims]: any leading dimensions
    Span ellipsis;      // of the `...`
    AstArg *dims;       // expressions
    AstType *parts;     // TUPLE_TYPE: linked by next
    AstType *next;
};

// Parameters of modules, functions and entries.
typedef struct AstParam {
    struct AstParam *next;
    AstName name;
    Sym text;  // name of an entry's input outside (`image as "eval.image"`), or NULL
    Span text_span;
    AstType *type;   // NULL: anything
    AstExpr *value;  // default, or NULL
} AstParam;

// Items -----------------------------------------------------------------------------------------------------

typedef enum AstItemKind {
    AST_IMPORT,      // import "text"
    AST_CONFIG,      // config name = value   |   config name { items: CONFIG }
    AST_SET,         // set path = value (path in target)
    AST_LET,         // let name = value
    AST_MODULE,      // module name(params) { items }
    AST_FUNCTION,    // fn name?(params) -> type { items }; is_loss
    AST_TASK,        // task name { items }
    AST_PARAMETER,   // param name as "path": type attributes
    AST_BUFFER,      // buffer name: type attributes
    AST_CHILD,       // name as "path": value attributes   |   name[index]: value attributes
    AST_ALIAS,       // alias "text" = value
    AST_IF,          // if value { items } else { otherwise }
    AST_LOOP,        // for name in value (or value..end) { items }
    AST_ASSIGN,      // names = value
    AST_DRAW,        // draw name = value
    AST_RETURN,      // return value (NULL: nothing)
    AST_ASSERT,      // assert value, "text"
    AST_EXPRESSION,  // value
    AST_DIM,         // dim name = value
    AST_OPTIMIZER,   // optimizer name { items: CONFIG }
    AST_DECODER,     // decoder name { items: CONFIG }
    AST_NO_DECAY,    // no_decay value
    AST_SOURCE,      // source "text" { items }: where parameters come from in a kind of checkpoint
    AST_LOAD,   // load "text" = value: parameters of that name from the tensors of this one (none: not there)
    AST_ENTRY,  // entry name(params) { items }
    AST_DATA,   // data "text" { items: CONFIG }
    AST_PROBABILITY,  // probability value
    AST_ADVANCES,     // advances value
    AST_OUTPUT,       // output name = value   |   output name as "text" = value
    AST_METRIC,       // metric name = value (a tuple)
    AST_MINIMISE,     // minimise value
} AstItemKind;

// `init normal(0, 0.02)`, `fresh`, `no_decay`, `frozen`, `clamp(a, b)`.
typedef struct AstAttribute {
    struct AstAttribute *next;
    AstName name;
    AstExpr *value;  // init: the call or name; clamp: a call; else NULL
} AstAttribute;

struct AstItem {
    AstItem *next;
    AstItemKind kind;
    Span span;  // whole item
    Span head;  // keyword or name that introduces it
    AstName name;
    AstArg *names;  // ASSIGN to several: names in args (value NAME); else NULL
    Sym text;       // IMPORT, ALIAS, DATA, SOURCE, LOAD, ASSERT; `as` of members and OUTPUT, or NULL
    Span text_span;
    AstExpr *target;  // SET: the path; CHILD: index expression or NULL
    AstExpr *value;
    AstExpr *end;  // LOOP: upper bound of a range, or NULL
    AstParam *params;
    AstType *type;  // result, parameter, buffer
    AstAttribute *attributes;
    AstItems items, otherwise;
    Span body, otherwise_body;  // `{ ... }` of items and otherwise; of `else if` the span of that item
    bool is_loss;               // FUNCTION
    bool is_group;              // CONFIG with items
    int depth;                  // height of the tree of items, at most AST_MAX_DEPTH
};

// Comments are no part of the tree; the printer weaves them in by their place.
typedef struct AstComment {
    struct AstComment *next;
    Span span;      // from '#' to the last byte that is not blank
    bool is_alone;  // nothing but blanks before it on its line
} AstComment;

typedef struct AstFile {
    struct AstFile *next;
    const Source *source;
    AstItems items;
    AstComment *comments;  // in source order
} AstFile;

// Do the trees say the same? Spans and comments do not count.
bool ast_same(const AstItems *a, const AstItems *b);
