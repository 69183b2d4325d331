// Expressions, types and parameter lists in canonical form, flat or broken over lines; see print.h.
#include "dsl/print.h"

#include <string.h>

// Precedence ------------------------------------------------------------------------------------------------

// ORDER as in parser.y.
enum {
    LEVEL_ANY = 1,
    LEVEL_OR,
    LEVEL_AND,
    LEVEL_NOT,
    LEVEL_COMPARE,
    LEVEL_SUM,
    LEVEL_PRODUCT,
    LEVEL_NEGATION,
    LEVEL_POWER,
    LEVEL_POSTFIX
};

static const struct {
    const char *sign;        // with the blanks around it
    int level, left, right;  // of itself; that its operands need to stand without parentheses
} OPERATORS[] = {
    [AST_OR] = {" or", LEVEL_OR, LEVEL_OR, LEVEL_AND},
    [AST_AND] = {" and", LEVEL_AND, LEVEL_AND, LEVEL_NOT},
    [AST_NOT] = {"not ", LEVEL_NOT, 0, LEVEL_NOT},
    [AST_EQ] = {" ==", LEVEL_COMPARE, LEVEL_SUM, LEVEL_SUM},
    [AST_NE] = {" !=", LEVEL_COMPARE, LEVEL_SUM, LEVEL_SUM},
    [AST_LT] = {" <", LEVEL_COMPARE, LEVEL_SUM, LEVEL_SUM},
    [AST_LE] = {" <=", LEVEL_COMPARE, LEVEL_SUM, LEVEL_SUM},
    [AST_GT] = {" >", LEVEL_COMPARE, LEVEL_SUM, LEVEL_SUM},
    [AST_GE] = {" >=", LEVEL_COMPARE, LEVEL_SUM, LEVEL_SUM},
    [AST_ADD] = {" +", LEVEL_SUM, LEVEL_SUM, LEVEL_PRODUCT},
    [AST_SUB] = {" -", LEVEL_SUM, LEVEL_SUM, LEVEL_PRODUCT},
    [AST_MUL] = {" *", LEVEL_PRODUCT, LEVEL_PRODUCT, LEVEL_NEGATION},
    [AST_DIV] = {" /", LEVEL_PRODUCT, LEVEL_PRODUCT, LEVEL_NEGATION},
    [AST_FLOOR_DIV] = {" //", LEVEL_PRODUCT, LEVEL_PRODUCT, LEVEL_NEGATION},
    [AST_MOD] = {" %", LEVEL_PRODUCT, LEVEL_PRODUCT, LEVEL_NEGATION},
    [AST_MATMUL] = {" @", LEVEL_PRODUCT, LEVEL_PRODUCT, LEVEL_NEGATION},
    [AST_NEG] = {"-", LEVEL_NEGATION, 0, LEVEL_NEGATION},
    // A sign may stand behind ** without parentheses: nothing that follows can bind tighter.
    [AST_POW] = {" **", LEVEL_POWER, LEVEL_POSTFIX, LEVEL_NEGATION},
};

static int level_of(const AstExpr *expr)
{
    switch (expr->kind) {
    case AST_SELECT: return LEVEL_ANY;
    case AST_UNARY:
    case AST_BINARY: return OPERATORS[expr->sign].level;
    default: return LEVEL_POSTFIX;
    }
}

// Elements of lists -----------------------------------------------------------------------------------------

// An element of a bracketed list, of whatever sort: exactly one pointer is set, none behind the last one.
typedef struct Piece {
    const AstArg *arg;  // argument, element, subscript, dimension
    const AstParam *param;
    const AstType *type;           // part of a tuple type
    const AstType *ellipsis;       // "..." at the start of this type's dimensions
    const AstExpr *comprehension;  // the element of a comprehension,
    const AstExpr *clause;         // and its `for x in range`
} Piece;

typedef struct List {
    const char *open, *close;
    uint32_t begin, end;  // in the source, brackets included
    Piece first;
    bool has_commas;
} List;

static bool is_none(Piece piece)
{
    return !piece.arg && !piece.param && !piece.type && !piece.ellipsis && !piece.comprehension &&
           !piece.clause;
}

static Piece next_of(Piece piece)
{
    return (Piece){
        .arg = piece.arg        ? piece.arg->next
               : piece.ellipsis ? piece.ellipsis->dims
                                : NULL,
        .param = piece.param ? piece.param->next : NULL,
        .type = piece.type ? piece.type->next : NULL,
        .clause = piece.comprehension,
    };
}

static uint32_t begin_of(Piece piece)
{
    return piece.arg             ? piece.arg->span.begin
           : piece.param         ? piece.param->name.span.begin
           : piece.type          ? piece.type->span.begin
           : piece.ellipsis      ? piece.ellipsis->ellipsis.begin
           : piece.comprehension ? piece.comprehension->a->span.begin
                                 : piece.clause->b->span.begin;
}

static void print_level(Printer *printer, const AstExpr *expr, int level, int after);

static void slice(Printer *printer, const AstArg *arg, int after)
{
    if (arg->start) {
        print_level(printer, arg->start, LEVEL_ANY, 1);
    }
    print_text(printer, ":");
    if (arg->stop) {
        print_level(printer, arg->stop, LEVEL_ANY, after);
    }
    if (arg->step) {
        print_text(printer, ":");
        print_level(printer, arg->step, LEVEL_ANY, after);
    }
}

static void argument(Printer *printer, const AstArg *arg, int after)
{
    if (arg->name) {
        print_text(printer, arg->name);
        print_text(printer, " = ");
    }
    if (arg->subscript == AST_SLICE) {
        slice(printer, arg, after);
    } else if (arg->subscript == AST_ELLIPSIS) {
        print_text(printer, "...");
    } else {
        print_level(printer, arg->value, LEVEL_ANY, after);
    }
}

static void parameter(Printer *printer, const AstParam *param, int after)
{
    print_text(printer, param->name.text);
    if (param->text) {
        print_text(printer, " as ");
        print_string(printer, param->text);
    }
    if (param->type) {
        print_text(printer, ": ");
        print_type(printer, param->type, after);
    }
    if (param->value) {
        print_text(printer, " = ");
        print_level(printer, param->value, LEVEL_ANY, after);
    }
}

static void clause(Printer *printer, const AstExpr *comprehension, int after)
{
    print_text(printer, "for ");
    print_text(printer, comprehension->text);
    print_text(printer, " in ");
    print_range(printer, comprehension->b, comprehension->c, after);
}

static void print_piece(Printer *printer, Piece piece, int after)
{
    if (piece.arg) {
        argument(printer, piece.arg, after);
    } else if (piece.param) {
        parameter(printer, piece.param, after);
    } else if (piece.type) {
        print_type(printer, piece.type, after);
    } else if (piece.ellipsis) {
        print_text(printer, "...");
    } else if (piece.comprehension) {
        print_level(printer, piece.comprehension->a, LEVEL_ANY, after);
    } else {
        clause(printer, piece.clause, after);
    }
}

// Lists -----------------------------------------------------------------------------------------------------

static Printer measuring_from(const Printer *printer, int column)
{
    Printer measuring = *printer;
    measuring.is_measuring = true;
    measuring.column = column;
    return measuring;
}

static bool has_room(const Printer *measuring, int after)
{
    return !measuring->is_over && measuring->column + after <= measuring->width;
}

static bool piece_fits(const Printer *printer, Piece piece, int column, int after)
{
    Printer measuring = measuring_from(printer, column);
    print_piece(&measuring, piece, 0);
    return has_room(&measuring, after);
}

static void flat_list(Printer *printer, const List *list)
{
    if (printer->is_measuring && comment_within(printer, list->begin, list->end)) {
        printer->is_over = true;
    }
    print_text(printer, list->open);
    for (Piece piece = list->first; !is_none(piece) && !printer->is_over;) {
        print_piece(printer, piece, 0);
        piece = next_of(piece);
        print_text(printer, is_none(piece) ? "" : list->has_commas ? ", " : " ");
    }
    print_text(printer, list->close);
}

// The elements in as few lines as they need. Elements that fit no line start one and are broken themselves.
static void fill(Printer *printer, const List *list, int after)
{
    for (Piece piece = list->first; !is_none(piece);) {
        Piece next = next_of(piece);
        int behind = is_none(next) ? after + (int)strlen(list->close) : list->has_commas;
        bool is_first = begin_of(piece) == begin_of(list->first);
        if (printer->column > 0 && !is_first) {
            if (piece_fits(printer, piece, printer->column + 1, behind)) {
                print_text(printer, " ");
            } else {
                print_newline(printer);
            }
        }
        print_piece(printer, piece, behind);
        if (!is_none(next)) {
            print_text(printer, list->has_commas ? "," : "");
            comments_in_list(printer, begin_of(next));
        }
        piece = next;
    }
}

static void print_list(Printer *printer, const List *list, int after)
{
    Printer measuring = measuring_from(printer, printer->column);
    if (!printer->is_measuring) {
        flat_list(&measuring, list);
    }
    if (printer->is_measuring || has_room(&measuring, after) || is_none(list->first)) {
        flat_list(printer, list);
        return;
    }
    bool has_brackets = *list->open;
    print_text(printer, list->open);
    printer->indent += PRINT_INDENT;
    if (has_brackets) {
        comments_in_list(printer, begin_of(list->first));
        print_newline(printer);
    }
    fill(printer, list, after);
    comments_in_list(printer, has_brackets ? list->end - 1 : 0);
    printer->indent -= PRINT_INDENT;
    print_text(printer, list->close);
}

// Expressions -----------------------------------------------------------------------------------------------

static bool expr_fits(const Printer *printer, const AstExpr *expr, int level, int column, int after)
{
    Printer measuring = measuring_from(printer, column);
    print_level(&measuring, expr, level, 0);
    return has_room(&measuring, after);
}

// An operand behind an operator, on the next line if that helps.
static void operand(Printer *printer, const AstExpr *expr, int level, int after)
{
    int deeper = printer->indent + PRINT_INDENT;
    bool stays = printer->is_measuring || expr_fits(printer, expr, level, printer->column + 1, after) ||
                 !expr_fits(printer, expr, level, deeper, after) || printer->column <= deeper;
    if (stays) {
        print_text(printer, " ");
        print_level(printer, expr, level, after);
        return;
    }
    printer->indent = deeper;
    print_newline(printer);
    print_level(printer, expr, level, after);
    printer->indent -= PRINT_INDENT;
}

static void binary(Printer *printer, const AstExpr *expr, int after)
{
    const char *sign = OPERATORS[expr->sign].sign;
    print_level(printer, expr->a, OPERATORS[expr->sign].left, (int)strlen(sign));
    print_text(printer, sign);
    operand(printer, expr->b, OPERATORS[expr->sign].right, after);
}

static void select_expr(Printer *printer, const AstExpr *expr, int after)
{
    print_level(printer, expr->a, LEVEL_OR, 3);
    print_text(printer, " if");
    print_text(printer, " ");
    print_level(printer, expr->b, LEVEL_OR, 0);
    // A newline before `else` does not end a statement; elsewhere in a selection it would.
    int column = printer->column + (int)strlen(" else ");
    if (printer->is_measuring || expr_fits(printer, expr->c, LEVEL_ANY, column, after)) {
        print_text(printer, " else ");
        print_level(printer, expr->c, LEVEL_ANY, after);
        return;
    }
    printer->indent += PRINT_INDENT;
    print_newline(printer);
    print_text(printer, "else ");
    print_level(printer, expr->c, LEVEL_ANY, after);
    printer->indent -= PRINT_INDENT;
}

static void bracketed(Printer *printer, const AstExpr *expr, int after)
{
    List list = {.begin = expr->operator_span.begin,
                 .end = expr->span.end,
                 .has_commas = true,
                 .first.arg = expr->args};
    list.open = expr->kind == AST_CALL || expr->kind == AST_TUPLE ? "(" : "[";
    list.close = *list.open == '(' ? ")" : "]";
    if (expr->kind == AST_CALL || expr->kind == AST_INDEX) {
        print_level(printer, expr->a, LEVEL_POSTFIX, 1);
    } else {
        list.begin = expr->span.begin;
    }
    if (expr->kind == AST_TUPLE && !expr->args->next) {
        list.close = ",)";
    }
    if (expr->kind == AST_FOR) {
        list.has_commas = false;
        list.first = (Piece){.comprehension = expr};
    }
    print_list(printer, &list, after);
}

static void print_plain(Printer *printer, const AstExpr *expr, int after)
{
    switch (expr->kind) {
    case AST_INT:
    case AST_FLOAT: print_span(printer, expr->span); break;
    case AST_STRING: print_string(printer, expr->text); break;
    case AST_TRUE: print_text(printer, "true"); break;
    case AST_FALSE: print_text(printer, "false"); break;
    case AST_NONE: print_text(printer, "none"); break;
    case AST_NAME: print_text(printer, expr->text); break;
    case AST_UNARY:
        print_text(printer, OPERATORS[expr->sign].sign);
        print_level(printer, expr->a, OPERATORS[expr->sign].right, after);
        break;
    case AST_BINARY: binary(printer, expr, after); break;
    case AST_SELECT: select_expr(printer, expr, after); break;
    case AST_MEMBER:
        print_level(printer, expr->a, LEVEL_POSTFIX, 1 + (int)strlen(expr->text) + after);
        print_text(printer, ".");
        print_text(printer, expr->text);
        break;
    case AST_CALL:
    case AST_INDEX:
    case AST_LIST:
    case AST_TUPLE:
    case AST_FOR: bracketed(printer, expr, after); break;
    }
}

static void print_level(Printer *printer, const AstExpr *expr, int level, int after)
{
    if (printer->is_over) {
        return;
    }
    bool has_parentheses = level_of(expr) < level;
    print_text(printer, has_parentheses ? "(" : "");
    print_plain(printer, expr, after + has_parentheses);
    print_text(printer, has_parentheses ? ")" : "");
}

void print_expr(Printer *printer, const AstExpr *expr, int after)
{
    print_level(printer, expr, LEVEL_ANY, after);
}

void print_bare(Printer *printer, const AstExpr *expr, int after)
{
    if (expr->kind != AST_TUPLE || !expr->args->next) {
        print_expr(printer, expr, after);
        return;
    }
    List list = {
        .open = "", .close = "", .begin = expr->span.begin, .end = expr->span.end, .has_commas = true};
    list.first.arg = expr->args;
    print_list(printer, &list, after);
}

void print_range(Printer *printer, const AstExpr *from, const AstExpr *to, int after)
{
    print_expr(printer, from, to ? 2 : after);
    if (to) {
        print_text(printer, "..");
        print_expr(printer, to, after);
    }
}

// Types and parameters --------------------------------------------------------------------------------------

void print_type(Printer *printer, const AstType *type, int after)
{
    static const char *const dtypes[] = {
        [AST_DTYPE_FLOAT] = "", [AST_DTYPE_INT] = "int", [AST_DTYPE_BOOL] = "bool"};
    List list = {
        .open = "[", .close = "]", .begin = type->span.begin, .end = type->span.end, .has_commas = true};
    if (type->kind == AST_TUPLE_TYPE) {
        list.open = "(";
        list.close = ")";
        list.first.type = type->parts;
    } else {
        print_text(printer, dtypes[type->dtype]);
        list.first = type->has_ellipsis ? (Piece){.ellipsis = type} : (Piece){.arg = type->dims};
    }
    print_list(printer, &list, after);
}

int print_type_width(const Printer *printer, const AstType *type)
{
    Printer measuring = measuring_from(printer, 0);
    print_type(&measuring, type, 0);
    return measuring.column;
}

void print_params(Printer *printer, const AstParam *params, Span around, int after)
{
    List list = {.open = "(", .close = ")", .begin = around.begin, .end = around.end, .has_commas = true};
    list.first.param = params;
    print_list(printer, &list, after);
}

const char *expr_text(Arena *arena, const AstExpr *expr)
{
    Printer printer = {.out = out_new(arena), .width = 1 << 30};
    print_expr(&printer, expr, 0);
    return out_text(printer.out);
}
