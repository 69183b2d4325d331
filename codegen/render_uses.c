// What a kernel uses: row coordinates, draws and column accumulators.
#include "codegen/render.h"

static void visit_scalar(const ScalarExpr *expr, bool *rows, int *draws, int *n_draws, int capacity);

static void visit_index(const IndexExpr *index, bool *rows, int *draws, int *n_draws, int capacity)
{
    if (!index) {
        return;
    }
    if (index->kind == INDEX_ROW && rows) {
        rows[index->variable] = true;
    }
    if (index->kind == INDEX_VALUE) {
        visit_scalar(index->scalar, rows, draws, n_draws, capacity);
    }
    visit_index(index->a, rows, draws, n_draws, capacity);
    visit_index(index->b, rows, draws, n_draws, capacity);
}

static void visit_scalar(const ScalarExpr *expr, bool *rows, int *draws, int *n_draws, int capacity)
{
    if (expr->kind == SCALAR_KEEP && draws) {
        bool is_known = false;
        for (int i = 0; i < *n_draws; i++) {
            is_known |= draws[i] == expr->draw;
        }
        if (!is_known && *n_draws < capacity) {
            draws[(*n_draws)++] = expr->draw;
        }
    }
    visit_index(expr->index, rows, draws, n_draws, capacity);
    for (const Guard *guard = expr->guard; guard; guard = guard->next) {
        visit_index(guard->index, rows, draws, n_draws, capacity);
    }
    for (int i = 0; i < expr->n_args; i++) {
        visit_scalar(expr->args[i], rows, draws, n_draws, capacity);
    }
}

static void visit_kernel(const Kernel *kernel, bool *rows, int *draws, int *n_draws, int capacity)
{
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            visit_index(kernel->stages[s].statements[i].index, rows, draws, n_draws, capacity);
            visit_scalar(kernel->stages[s].statements[i].value, rows, draws, n_draws, capacity);
        }
    }
}

void render_rows_used(const Kernel *kernel, bool *rows)
{
    visit_kernel(kernel, rows, NULL, NULL, 0);
}

int render_draws(const Kernel *kernel, int *draws, int capacity)
{
    int n_draws = 0;
    visit_kernel(kernel, NULL, draws, &n_draws, capacity);
    return n_draws;
}

int render_draw_place(const Kernel *kernel, int draw)
{
    int draws[MAX_KERNEL_DRAWS];
    int n_draws = render_draws(kernel, draws, MAX_KERNEL_DRAWS);
    for (int i = 0; i < n_draws; i++) {
        if (draws[i] == draw) {
            return i;
        }
    }
    XV_BUG("kernel '%s' uses more than %d draws", kernel->name, MAX_KERNEL_DRAWS);
}

int kernel_columns(const Kernel *kernel)
{
    int columns = 0;
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            columns += kernel->stages[s].statements[i].kind == STATEMENT_COLUMN_ACCUMULATE;
        }
    }
    return columns;
}

int64_t render_scratch_floats(const Kernel *kernel)
{
    return (int64_t)kernel_columns(kernel) * kernel->row_chunks * kernel->lanes;
}
