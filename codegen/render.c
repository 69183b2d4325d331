// Kernel IR to text; see render.h. A value used once is written in place by whoever built the kernel (the expression
// trees), a value used twice is a LET and gets a name, loads are never duplicated by the renderer.
#include "codegen/render.h"

#include "codegen/dialect.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *render_format(Rendering *rendering, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char text[4096];
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length < (int)sizeof text) {
        char *copy = arena_alloc(rendering->arena, (size_t)length + 1);
        memcpy(copy, text, (size_t)length + 1);
        return copy;
    }
    char *copy = arena_alloc(rendering->arena, (size_t)length + 1);
    va_start(args, format);
    vsnprintf(copy, (size_t)length + 1, format, args);
    va_end(args);
    return copy;
}

int64_t kernel_rows(const Kernel *kernel)
{
    int64_t rows = 1;
    for (int i = 0; i < kernel->n_row_dims; i++) {
        rows *= kernel->row_dims[i];
    }
    return rows;
}

static const char *parenthesised(Rendering *rendering, const char *text, int own, int needed)
{
    return own < needed ? render_format(rendering, "(%s)", text) : text;
}

// Index expressions ---------------------------------------------------------------------------------------------

const char *render_index(Rendering *rendering, const IndexExpr *index, int precedence)
{
    switch (index->kind) {
    case INDEX_CONST: return render_format(rendering, "%lld", (long long)index->value);
    case INDEX_ROW:
        return rendering->kernel->n_row_dims == 1 ? "row" : render_format(rendering, "i%d", index->variable);
    case INDEX_REDUCE: return render_format(rendering, "k%d", index->variable);
    case INDEX_LANE: return "c";
    case INDEX_ADD: {
        const char *left = render_index(rendering, index->a, PRECEDENCE_ADD);
        if (index->b->kind == INDEX_CONST && index->b->value < 0) {
            left = render_format(rendering, "%s - %lld", left, -(long long)index->b->value);
        } else {
            left =
                render_format(rendering, "%s + %s", left, render_index(rendering, index->b, PRECEDENCE_ADD));
        }
        return parenthesised(rendering, left, PRECEDENCE_ADD, precedence);
    }
    case INDEX_MUL:
    case INDEX_DIV:
    case INDEX_MOD: {
        const char *sign = index->kind == INDEX_MUL ? "*" : index->kind == INDEX_DIV ? "/" : "%";
        const char *left = render_index(rendering, index->a, PRECEDENCE_MULTIPLY);
        const char *text = render_format(rendering, "%s %s %lld", left, sign, (long long)index->value);
        return parenthesised(rendering, text, PRECEDENCE_MULTIPLY, precedence);
    }
    case INDEX_VALUE:
        return render_format(rendering, "(%s)%s", rendering->index_type,
                             render_scalar(rendering, index->scalar, PRECEDENCE_CALL));
    }
    return "0";
}

static bool scalar_uses_lane(const Rendering *rendering, const ScalarExpr *expr);

static bool index_uses_lane(const Rendering *rendering, const IndexExpr *index)
{
    if (!index) {
        return false;
    }
    if (index->kind == INDEX_LANE) {
        return true;
    }
    if (index->kind == INDEX_VALUE) {
        return scalar_uses_lane(rendering, index->scalar);
    }
    return index_uses_lane(rendering, index->a) || index_uses_lane(rendering, index->b);
}

static bool scalar_uses_lane(const Rendering *rendering, const ScalarExpr *expr)
{
    if (expr->kind == SCALAR_LET || expr->kind == SCALAR_ACC) {
        return rendering->is_lane_id[expr->let];
    }
    if (index_uses_lane(rendering, expr->index)) {
        return true;
    }
    for (const Guard *guard = expr->guard; guard; guard = guard->next) {
        if (index_uses_lane(rendering, guard->index)) {
            return true;
        }
    }
    for (int i = 0; i < expr->n_args; i++) {
        if (scalar_uses_lane(rendering, expr->args[i])) {
            return true;
        }
    }
    return false;
}

static bool index_gathers(const IndexExpr *index)
{
    return index && (index->kind == INDEX_VALUE || index_gathers(index->a) || index_gathers(index->b));
}

// Splits a sum into the part that changes with the lane and the rest; either may come back NULL.
static void split_lane_terms(Rendering *rendering, const IndexExpr *index, const char **lane,
                             const char **rest)
{
    if (index->kind == INDEX_ADD) {
        split_lane_terms(rendering, index->a, lane, rest);
        split_lane_terms(rendering, index->b, lane, rest);
        return;
    }
    const char **part = index_uses_lane(rendering, index) ? lane : rest;
    const char *text = render_index(rendering, index, PRECEDENCE_ADD);
    if (!*part) {
        *part = text;
    } else if (index->kind == INDEX_CONST && index->value < 0) {
        *part = render_format(rendering, "%s - %lld", *part, -(long long)index->value);
    } else {
        *part = render_format(rendering, "%s + %s", *part, text);
    }
}

static const char *hoisted(Rendering *rendering, const char *text)
{
    for (int i = 0; i < rendering->n_hoists; i++) {
        if (strcmp(rendering->hoists[i].text, text) == 0) {
            return rendering->hoists[i].name;
        }
    }
    if (rendering->n_hoists == rendering->hoist_capacity) {
        int capacity = rendering->hoist_capacity ? 2 * rendering->hoist_capacity : 16;
        Hoist *grown = arena_alloc(rendering->arena, (size_t)capacity * sizeof *grown);
        if (rendering->n_hoists > 0) {
            memcpy(grown, rendering->hoists, (size_t)rendering->n_hoists * sizeof *grown);
        }
        rendering->hoists = grown;
        rendering->hoist_capacity = capacity;
    }
    const char *name = render_format(rendering, "at%d", rendering->hoist_names++);
    rendering->hoists[rendering->n_hoists++] = (Hoist){name, text};
    return name;
}

// The subscript of a load or store. Inside a lane loop the part that does not depend on the lane gets a name.
static const char *subscript(Rendering *rendering, const IndexExpr *index)
{
    bool is_read_late = rendering->is_conditional && index_gathers(index);
    if (!rendering->is_lane_loop || is_read_late) {
        return render_index(rendering, index, PRECEDENCE_SELECT);
    }
    const char *lane = NULL;
    const char *rest = NULL;
    split_lane_terms(rendering, index, &lane, &rest);
    if (!rest) {
        return lane;
    }
    bool is_plain = strpbrk(rest, " (") == NULL;
    const char *base = is_plain ? rest : hoisted(rendering, rest);
    return lane ? render_format(rendering, "%s + %s", base, lane) : base;
}

// Scalar expressions --------------------------------------------------------------------------------------------

static bool is_float(Dtype dtype)
{
    return dtype == DTYPE_F32 || dtype_is_low(dtype);
}

static const char *number_text(Rendering *rendering, double number, Dtype dtype)
{
    if (!is_float(dtype)) {
        return render_format(rendering, "%lld", (long long)number);
    }
    if (isinf(number)) {
        return number > 0 ? "INFINITY" : "-INFINITY";
    }
    char digits[64];
    snprintf(digits, sizeof digits, "%.9g", (double)(float)number);
    bool is_integer = strpbrk(digits, ".en") == NULL;
    return render_format(rendering, "%s%sf", digits, is_integer ? ".0" : "");
}

static const char *guard_text(Rendering *rendering, const Guard *guard)
{
    const char *text = NULL;
    for (; guard; guard = guard->next) {
        const char *index = render_index(rendering, guard->index, PRECEDENCE_ADD);
        const char *part = NULL;
        if (guard->index->low < guard->low) {
            part = render_format(rendering, "%s >= %lld", index, (long long)guard->low);
        }
        if (guard->index->high >= guard->high) {
            const char *upper = render_format(rendering, "%s < %lld", index, (long long)guard->high);
            part = part ? render_format(rendering, "%s && %s", part, upper) : upper;
        }
        if (part) {
            text = text ? render_format(rendering, "%s && %s", text, part) : part;
        }
    }
    return text;
}

static const char *load_text(Rendering *rendering, const ScalarExpr *expr, int precedence)
{
    const char *name = rendering->buffer_names[expr->buffer];
    const char *guard = guard_text(rendering, expr->guard);
    const char *load = render_format(rendering, "%s[%s]", name, subscript(rendering, expr->index));
    const char *widened = rendering->dialect->widened[expr->dtype];
    load = widened ? render_format(rendering, "%s(%s)", widened, load) : load;
    if (!guard) {
        return load;
    }
    const char *text = render_format(rendering, "%s ? %s : %s", guard, load,
                                     number_text(rendering, expr->number, expr->dtype));
    return parenthesised(rendering, text, PRECEDENCE_SELECT, precedence);
}

static const char *op_text(Rendering *rendering, const ScalarExpr *expr, int precedence)
{
    if (expr->op == OP_CAST) {
        Dtype from = expr->args[0]->dtype;
        bool is_exact = dtype_is_low(from) && expr->dtype == DTYPE_F32;
        if (from == expr->dtype || is_exact || (from == DTYPE_BOOL && expr->dtype == DTYPE_I32)) {
            return render_scalar(rendering, expr->args[0], precedence);
        }
        if (dtype_is_low(expr->dtype)) {
            const char *text = render_format(rendering, "%s(%s)", rendering->dialect->rounded[expr->dtype],
                                             render_scalar(rendering, expr->args[0], PRECEDENCE_SELECT));
            return parenthesised(rendering, text, PRECEDENCE_UNARY, precedence);
        }
        if (expr->dtype == DTYPE_BOOL) {
            const char *tested = render_scalar(rendering, expr->args[0], PRECEDENCE_ADD);
            return parenthesised(rendering, render_format(rendering, "%s != 0", tested), PRECEDENCE_COMPARE,
                                 precedence);
        }
        const char *text = render_format(rendering, "(%s)%s", rendering->dialect->type[expr->dtype],
                                         render_scalar(rendering, expr->args[0], PRECEDENCE_CALL));
        return parenthesised(rendering, text, PRECEDENCE_UNARY, precedence);
    }
    const Spelling *spelling = &rendering->dialect->spelling[expr->op];
    bool is_integer = !is_float(expr->args[0]->dtype) && spelling->integer;
    const char *pattern = is_integer ? spelling->integer : spelling->text;
    if (!pattern) {
        XV_BUG("op %s has no spelling for target %s", op_info(expr->op)->name, rendering->dialect->name);
    }
    bool is_call =
        strchr(pattern, '(') != NULL && pattern[0] != '$' && pattern[0] != '-' && pattern[0] != '!';
    const char *text = "";
    for (const char *p = pattern; *p; p++) {
        if (*p != '$') {
            text = render_format(rendering, "%s%c", text, *p);
            continue;
        }
        int i = *++p - '0';
        int needed = is_call ? PRECEDENCE_SELECT : (int)spelling->precedence;
        bool is_right =
            i > 0 && (expr->op == OP_SUB || expr->op == OP_DIV || expr->op == OP_MOD || expr->op == OP_IDIV);
        bool is_compare = spelling->precedence == PRECEDENCE_COMPARE ||
                          spelling->precedence == PRECEDENCE_SELECT ||
                          spelling->precedence == PRECEDENCE_AND || spelling->precedence == PRECEDENCE_OR;
        bool is_tight = is_right || is_compare || spelling->precedence == PRECEDENCE_UNARY;
        needed += !is_call && is_tight ? 1 : 0;
        bool was_conditional = rendering->is_conditional;
        rendering->is_conditional = was_conditional || (expr->op == OP_WHERE && i > 0);
        text = render_format(rendering, "%s%s", text, render_scalar(rendering, expr->args[i], needed));
        rendering->is_conditional = was_conditional;
    }
    return parenthesised(rendering, text, is_call ? PRECEDENCE_CALL : (int)spelling->precedence, precedence);
}

// A draw is prepared before the lane loop; here it is only named.
static const char *keep_text(Rendering *rendering, const ScalarExpr *expr)
{
    if (rendering->dialect->keep) {
        return rendering->dialect->keep(rendering, expr);
    }
    bool is_per_lane = index_uses_lane(rendering, expr->index);
    int number = rendering->n_keeps;
    for (int i = 0; i < rendering->n_keeps; i++) {
        if (rendering->keeps[i].expr->draw == expr->draw && rendering->keeps[i].expr->index == expr->index) {
            number = i;
        }
    }
    if (number == rendering->n_keeps) {
        if (number == rendering->keep_capacity) {
            int capacity = number ? 2 * number : 4;
            KeepUse *grown = arena_alloc(rendering->arena, (size_t)capacity * sizeof *grown);
            if (number > 0) {
                memcpy(grown, rendering->keeps, (size_t)number * sizeof *grown);
            }
            rendering->keeps = grown;
            rendering->keep_capacity = capacity;
        }
        rendering->keeps[rendering->n_keeps++] = (KeepUse){expr, is_per_lane};
    }
    return render_format(rendering, is_per_lane ? "keep%d[c]" : "keep%d", number);
}

static const char *lane_element(Rendering *rendering, const char *name)
{
    return render_format(rendering, "%s[%s]", name, rendering->dialect->lane_slot);
}

const char *render_scalar(Rendering *rendering, const ScalarExpr *expr, int precedence)
{
    switch (expr->kind) {
    case SCALAR_CONST: {
        const char *text = number_text(rendering, expr->number, expr->dtype);
        return text[0] == '-' ? parenthesised(rendering, text, PRECEDENCE_UNARY, precedence) : text;
    }
    case SCALAR_INDEX: {
        const char *text = render_format(rendering, "(%s)%s", rendering->dialect->type[DTYPE_I32],
                                         render_index(rendering, expr->index, PRECEDENCE_CALL));
        return parenthesised(rendering, text, PRECEDENCE_UNARY, precedence);
    }
    case SCALAR_LOAD: return load_text(rendering, expr, precedence);
    case SCALAR_OP: return op_text(rendering, expr, precedence);
    case SCALAR_LET:
    case SCALAR_ACC:
        return rendering->is_array_id[expr->let] ? lane_element(rendering, rendering->id_names[expr->let])
                                                 : rendering->id_names[expr->let];
    case SCALAR_KEEP: return keep_text(rendering, expr);
    }
    return "0";
}

// Statements and stages -----------------------------------------------------------------------------------------

static const char *accumulate_text(Rendering *rendering, const Statement *statement)
{
    const char *name = rendering->id_names[statement->id];
    if (rendering->is_array_id[statement->id]) {
        name = lane_element(rendering, name);
    }
    if (statement->op == OP_SUM) {
        return render_format(rendering, "%s += %s;", name,
                             render_scalar(rendering, statement->value, PRECEDENCE_SELECT));
    }
    const char *value = render_scalar(rendering, statement->value, PRECEDENCE_COMPARE + 1);
    if (statement->op == OP_ARGMAX) {
        return render_format(rendering, "if (%s > best_%s) { best_%s = %s; %s = (int32_t)c; }", value, name,
                             name, value, name);
    }
    return render_format(rendering, "%s = %s > %s ? %s : %s;", name, value, name, value, name);
}

// What is stored of a value. Rounding and writing two bytes are one.
static const char *stored_text(Rendering *rendering, const ScalarExpr *value)
{
    const char *narrowed = rendering->dialect->narrowed[value->dtype];
    bool is_rounding = narrowed && value->kind == SCALAR_OP && value->op == OP_CAST;
    const char *text = render_scalar(rendering, is_rounding ? value->args[0] : value, PRECEDENCE_SELECT);
    return narrowed ? render_format(rendering, "%s(%s)", narrowed, text) : text;
}

static const char *statement_text(Rendering *rendering, const Statement *statement)
{
    const Dialect *dialect = rendering->dialect;
    switch (statement->kind) {
    case STATEMENT_LET: {
        const char *value = render_scalar(rendering, statement->value, PRECEDENCE_SELECT);
        const char *name = rendering->id_names[statement->id];
        if (statement->is_buffered) {
            return render_format(rendering, "%s = %s;", lane_element(rendering, name), value);
        }
        return render_format(rendering, "const %s %s = %s;", dialect->type[statement->value->dtype], name,
                             value);
    }
    case STATEMENT_ACCUMULATE:
    case STATEMENT_LANE_ACCUMULATE: return accumulate_text(rendering, statement);
    case STATEMENT_COLUMN_ACCUMULATE: {
        const char *value = render_scalar(rendering, statement->value, PRECEDENCE_SELECT);
        return render_format(rendering, "part_%s[%s] += %s;", rendering->buffer_names[statement->buffer],
                             rendering->dialect->lane_slot, value);
    }
    case STATEMENT_STORE: {
        return render_format(rendering, "%s[%s] = %s;", rendering->buffer_names[statement->buffer],
                             subscript(rendering, statement->index),
                             stored_text(rendering, statement->value));
    }
    }
    return "";
}

static void declare_accumulator(Rendering *rendering, const Statement *statement)
{
    const char *name = rendering->id_names[statement->id];
    if (statement->op == OP_SUM) {
        const char *type = rendering->dialect->type[statement->value->dtype];
        out_line(rendering->out, "%s %s = 0;", type, name);
    } else if (statement->op == OP_ARGMAX) {
        out_line(rendering->out, "float best_%s = -INFINITY;", name);
        out_line(rendering->out, "int32_t %s = 0;", name);
    } else {
        out_line(rendering->out, "float %s = -INFINITY;", name);
    }
}

// Everything that must exist before the lane loops of `first`..`last` run: accumulators and lane buffers.
static void declare_for_stages(Rendering *rendering, int first, int last)
{
    for (int s = first; s <= last; s++) {
        const Stage *stage = &rendering->kernel->stages[s];
        for (int i = 0; i < stage->n_statements; i++) {
            const Statement *statement = &stage->statements[i];
            if (statement->kind == STATEMENT_ACCUMULATE) {
                declare_accumulator(rendering, statement);
            } else if (statement->kind == STATEMENT_LANE_ACCUMULATE ||
                       (statement->kind == STATEMENT_LET && statement->is_buffered)) {
                rendering->dialect->declare_lane_buffer(rendering, statement);
            }
        }
    }
}

static void emit_prepared(Rendering *rendering)
{
    for (int i = 0; i < rendering->n_hoists; i++) {
        out_line(rendering->out, "const %s %s = %s;", rendering->index_type, rendering->hoists[i].name,
                 rendering->hoists[i].text);
    }
    for (int i = 0; i < rendering->n_keeps; i++) {
        rendering->dialect->declare_keep(rendering, rendering->keeps[i].expr, i,
                                         rendering->keeps[i].is_per_lane);
    }
    rendering->n_hoists = 0;
}

static void render_stage(Rendering *rendering, const Stage *stage)
{
    bool is_lanes = stage->kind == STAGE_LANES;
    const char **lines = arena_alloc(rendering->arena, ((size_t)stage->n_statements + 1) * sizeof *lines);
    rendering->n_keeps = 0;
    rendering->is_lane_loop = is_lanes;
    for (int i = 0; i < stage->n_statements; i++) {
        lines[i] = statement_text(rendering, &stage->statements[i]);
    }
    rendering->is_lane_loop = false;
    if (is_lanes && rendering->n_keeps > 0) {
        out_open(rendering->out, "");
    }
    emit_prepared(rendering);
    if (is_lanes) {
        rendering->dialect->open_lanes(rendering, stage);
    }
    for (int i = 0; i < stage->n_statements; i++) {
        bool is_once =
            !is_lanes && stage->statements[i].kind == STATEMENT_STORE && rendering->dialect->store_once;
        if (is_once) {
            rendering->dialect->store_once(rendering, lines[i]);
        } else {
            out_line(rendering->out, "%s", lines[i]);
        }
    }
    if (is_lanes) {
        rendering->dialect->close_lanes(rendering, stage);
        if (rendering->n_keeps > 0) {
            out_close(rendering->out, "");
        }
    }
}

static void join_accumulators(Rendering *rendering, int first, int last)
{
    for (int s = first; s <= last && rendering->dialect->join_accumulators; s++) {
        rendering->dialect->join_accumulators(rendering, &rendering->kernel->stages[s]);
    }
}

static int render_reduce_group(Rendering *rendering, int first)
{
    const Kernel *kernel = rendering->kernel;
    int last = first;
    while (last + 1 < kernel->n_stages && kernel->stages[last + 1].in_reduce) {
        last++;
    }
    declare_for_stages(rendering, first, last);
    for (int i = 0; i < kernel->n_reduce_dims; i++) {
        out_open(rendering->out, "for (%s k%d = 0; k%d < %lld; k%d++)", rendering->index_type, i, i,
                 (long long)kernel->reduce_dims[i], i);
    }
    for (int s = first; s <= last; s++) {
        render_stage(rendering, &kernel->stages[s]);
    }
    for (int i = 0; i < kernel->n_reduce_dims; i++) {
        out_close(rendering->out, "");
    }
    join_accumulators(rendering, first, last);
    return last + 1;
}

static void render_stages(Rendering *rendering)
{
    for (int s = 0; s < rendering->kernel->n_stages;) {
        if (rendering->kernel->stages[s].in_reduce) {
            s = render_reduce_group(rendering, s);
            continue;
        }
        declare_for_stages(rendering, s, s);
        render_stage(rendering, &rendering->kernel->stages[s]);
        join_accumulators(rendering, s, s);
        s++;
    }
}

// The kernel -----------------------------------------------------------------------------------------------------

static bool has_wide_index(const Kernel *kernel)
{
    int64_t largest = kernel_rows(kernel) * kernel->lanes;
    for (int i = 0; i < kernel->n_buffers; i++) {
        int64_t count = shape_count(&kernel->buffers[i].shape);
        largest = count > largest ? count : largest;
    }
    return largest >= INT32_MAX - 1024;  // the last block of a launch may start beyond the last element
}

void render_kernel(Out *out, const Dialect *dialect, const Graph *graph, const Kernel *kernel,
                   const char *name)
{
    Arena *arena = graph->arena;
    Rendering rendering = {.out = out, .arena = arena, .dialect = dialect, .graph = graph, .kernel = kernel};
    rendering.index_type = has_wide_index(kernel) ? dialect->wide_index : dialect->narrow_index;
    render_rows_used(kernel, rendering.row_used);
    render_names(&rendering);
    dialect->open_kernel(&rendering, name);
    render_stages(&rendering);
    dialect->close_kernel(&rendering);
}
