// The formatter's pen: text with columns, line breaks, comments in their places, and the printing of
// expressions. Used by ast_print.c (items) and print_expr.c (expressions, types, parameters). Internal to
// dsl/.
//
// What does not fit the line is broken at the outermost list that helps: a newline behind its opening
// bracket, the elements filled into lines four columns deeper, the closing bracket behind the last one.
// Operations break behind the operator. A list with comments inside is always broken. Comments that stand
// where nothing can be broken move to the end of the line.
#pragma once

#include "dsl/parse.h"

enum { PRINT_WIDTH = 100, PRINT_INDENT = 4 };

typedef struct Printer {
    Out *out;
    const Source *source;        // of the tree; NULL: no comments
    const AstComment *comments;  // those not printed yet
    int width;                   // columns of a line
    int indent;                  // of the next line
    int column;                  // already on this line
    bool is_measuring;           // nothing is written, only `column` counts
    bool is_over;                // measuring: does not fit
    uint32_t printed;            // end of what stands on paper, as an offset in the source
} Printer;

// Words and lines.
void print_text(Printer *printer, const char *text);
void print_span(Printer *printer, Span span);           // the source's own text
void print_string(Printer *printer, const char *text);  // quoted
void print_newline(Printer *printer);

// Comments (comments.c). Is one waiting inside begin..end-1?
bool comment_within(const Printer *printer, uint32_t begin, uint32_t end);
// Inside a broken list: those before `limit`, each ends its line.
void comments_in_list(Printer *printer, uint32_t limit);
// Ends the line, with the comments that were passed over and the one behind `end` on the source's line.
void comments_end_line(Printer *printer, uint32_t end);
// Lines of their own before an item or the end of a block at `limit`; with single blank lines where the
// source has some. `is_first`: at the start of a block, where no blank line is kept. Returns whether the next
// line is still the first.
bool comments_before(Printer *printer, uint32_t limit, bool is_first);
// A blank line before the item at `begin` where the source has one.
void blank_before(Printer *printer, uint32_t begin, bool is_first);

// Expressions. `after` columns must fit behind on the same line.
void print_expr(Printer *printer, const AstExpr *expr, int after);
void print_bare(Printer *printer, const AstExpr *expr, int after);  // a tuple without its parentheses
void print_range(Printer *printer, const AstExpr *from, const AstExpr *to, int after);
void print_type(Printer *printer, const AstType *type, int after);
void print_params(Printer *printer, const AstParam *params, Span around, int after);
int print_type_width(const Printer *printer, const AstType *type);
