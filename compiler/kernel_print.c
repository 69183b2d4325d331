// Kernels as text; see kernel_print.h.
#include "compiler/kernel_print.h"

#include "compiler/index_expr.h"

typedef struct Print {
    Out *out;
    Arena *arena;
    const Kernel *kernel;
    bool *is_kept;  // per id: one value per lane, kept between stages
} Print;

static const char *scalar_text(const Print *print, const ScalarExpr *expr);

// index_text, with the gathered values written out.
static const char *at_text(const Print *print, const IndexExpr *index)
{
    switch (index->kind) {
    case INDEX_ADD:
        return arena_format(print->arena, "%s + %s", at_text(print, index->a), at_text(print, index->b));
    case INDEX_MUL:
    case INDEX_DIV:
    case INDEX_MOD: {
        char sign = index->kind == INDEX_MUL ? '*' : index->kind == INDEX_DIV ? '/' : '%';
        const char *format = index->a->kind == INDEX_ADD ? "(%s)%c%lld" : "%s%c%lld";
        return arena_format(print->arena, format, at_text(print, index->a), sign, (long long)index->value);
    }
    case INDEX_VALUE: return scalar_text(print, index->scalar);
    default: return index_text(print->arena, index);
    }
}

static const char *load_text(const Print *print, const ScalarExpr *expr)
{
    NodeId node = print->kernel->buffers[expr->buffer].node;
    const char *text = arena_format(print->arena, "%%%d[%s]", node, at_text(print, expr->index));
    for (const Guard *guard = expr->guard; guard; guard = guard->next) {
        text =
            arena_format(print->arena, "%s%s%lld <= %s < %lld", text, guard == expr->guard ? " if " : " and ",
                         (long long)guard->low, at_text(print, guard->index), (long long)guard->high);
    }
    return expr->guard ? arena_format(print->arena, "(%s else %g)", text, expr->number) : text;
}

static const char *operation_text(const Print *print, const ScalarExpr *expr)
{
    const char *text = arena_format(print->arena, "%s(", op_info(expr->op)->name);
    for (int i = 0; i < expr->n_args; i++) {
        text = arena_format(print->arena, "%s%s%s", text, i ? ", " : "", scalar_text(print, expr->args[i]));
    }
    return arena_format(print->arena, "%s)", text);
}

static const char *scalar_text(const Print *print, const ScalarExpr *expr)
{
    switch (expr->kind) {
    case SCALAR_CONST: return arena_format(print->arena, "%.10g", expr->number);
    case SCALAR_INDEX: return arena_format(print->arena, "(%s)", at_text(print, expr->index));
    case SCALAR_LOAD: return load_text(print, expr);
    case SCALAR_OP: return operation_text(print, expr);
    case SCALAR_LET:
    case SCALAR_ACC: {
        const char *letter = expr->kind == SCALAR_LET ? "v" : "a";
        return arena_format(print->arena, "%s%d%s", letter, expr->let,
                            print->is_kept[expr->let] ? "[c]" : "");
    }
    case SCALAR_KEEP:
        return arena_format(print->arena, "keep%d[%s]", expr->draw, at_text(print, expr->index));
    }
    return "";
}

static void print_statement(const Print *print, const Statement *statement)
{
    const char *value = scalar_text(print, statement->value);
    bool is_write = statement->kind == STATEMENT_STORE || statement->kind == STATEMENT_COLUMN_ACCUMULATE;
    const char *kept = !is_write && print->is_kept[statement->id] ? "[c]" : "";
    NodeId node = is_write ? print->kernel->buffers[statement->buffer].node : NO_NODE;
    switch (statement->kind) {
    case STATEMENT_LET: out_line(print->out, "    v%d%s = %s", statement->id, kept, value); break;
    case STATEMENT_ACCUMULATE:
    case STATEMENT_LANE_ACCUMULATE:
        out_line(print->out, "    a%d%s %s= %s", statement->id, kept, op_info(statement->op)->name, value);
        break;
    case STATEMENT_COLUMN_ACCUMULATE:
        out_line(print->out, "    %%%d[%s] sum over rows %s", node, at_text(print, statement->index), value);
        break;
    case STATEMENT_STORE:
        out_line(print->out, "    %%%d[%s] = %s", node, at_text(print, statement->index), value);
        break;
    }
}

static const char *dims_text(Arena *arena, const int64_t *dims, int n_dims)
{
    Shape shape = shape_of(n_dims, dims);
    return shape_text(arena, &shape);
}

static void find_kept(Print *print)
{
    const Kernel *kernel = print->kernel;
    print->is_kept = arena_alloc(print->arena, (size_t)kernel->n_ids + 1);
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            const Statement *statement = &kernel->stages[s].statements[i];
            if (statement->is_buffered || statement->kind == STATEMENT_LANE_ACCUMULATE) {
                print->is_kept[statement->id] = true;
            }
        }
    }
}

void kernel_print(Out *out, Arena *arena, const Kernel *kernel)
{
    Print print = {out, arena, kernel, NULL};
    find_kept(&print);
    const char *loops =
        kernel->n_reduce_dims > 0 ? dims_text(arena, kernel->reduce_dims, kernel->n_reduce_dims) : "";
    out_line(out, "kernel %s, rows %s, lanes %lld%s%s", kernel->name,
             dims_text(arena, kernel->row_dims, kernel->n_row_dims), (long long)kernel->lanes,
             *loops ? ", loops " : "", loops);
    for (int s = 0; s < kernel->n_stages; s++) {
        const Stage *stage = &kernel->stages[s];
        out_line(out, "  %s%s", stage->kind == STAGE_LANES ? "lanes" : "row",
                 stage->in_reduce ? ", in the loops" : "");
        for (int i = 0; i < stage->n_statements; i++) {
            print_statement(&print, &stage->statements[i]);
        }
    }
}
