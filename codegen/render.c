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
    case INDEX_CONST:
        return render_format(rendering, "%lld", (long long)index->value);
    case INDEX_ROW:
        return rendering->kernel->n_row_dims == 1 ? "row" : render_format(rendering, "i%d", index->variable);
    case INDEX_REDUCE:
        return render_format(rendering, "k%d", index->variable);
    case INDEX_LANE:
        return "c";
    case INDEX_ADD: {
        const char *left = render_index(rendering, index->a, PRECEDENCE_ADD);
        if (index->b->kind == INDEX_CONST && index->b->value < 0) {
            left = render_format(rendering, "%s - %lld", left, -(long long)index->b->value);
        } else {
            left = render_format(rendering, "%s + %s", left, render_index(rendering, index->b, PRECEDENCE_ADD));
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
        return render_format(rendering, "(long)%s", render_scalar(rendering, index->scalar, PRECEDENCE_CALL));
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
static void split_lane_terms(Rendering *rendering, const IndexExpr *index, const char **lane, const char **rest)
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

static const char *number_text(Rendering *rendering, double number, Dtype dtype)
{
    if (dtype != DTYPE_F32) {
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
        if (from == expr->dtype || (from == DTYPE_BOOL && expr->dtype == DTYPE_I32)) {
            return render_scalar(rendering, expr->args[0], precedence);
        }
        if (expr->dtype == DTYPE_BOOL) {
            const char *tested = render_scalar(rendering, expr->args[0], PRECEDENCE_ADD);
            return parenthesised(rendering, render_format(rendering, "%s != 0", tested), PRECEDENCE_COMPARE, precedence);
        }
        const char *text = render_format(rendering, "(%s)%s", rendering->dialect->type[expr->dtype],
                                         render_scalar(rendering, expr->args[0], PRECEDENCE_CALL));
        return parenthesised(rendering, text, PRECEDENCE_UNARY, precedence);
    }
    const Spelling *spelling = &rendering->dialect->spelling[expr->op];
    bool is_integer = expr->args[0]->dtype != DTYPE_F32 && spelling->integer;
    const char *pattern = is_integer ? spelling->integer : spelling->text;
    if (!pattern) {
        XV_BUG("op %s has no spelling for target %s", op_info(expr->op)->name, rendering->dialect->name);
    }
    bool is_call = strchr(pattern, '(') != NULL && pattern[0] != '$' && pattern[0] != '-' && pattern[0] != '!';
    const char *text = "";
    for (const char *p = pattern; *p; p++) {
        if (*p != '$') {
            text = render_format(rendering, "%s%c", text, *p);
            continue;
        }
        int i = *++p - '0';
        int needed = is_call ? PRECEDENCE_SELECT : (int)spelling->precedence;
        bool is_right = i > 0 && (expr->op == OP_SUB || expr->op == OP_DIV || expr->op == OP_MOD || expr->op == OP_IDIV);
        bool is_compare = spelling->precedence == PRECEDENCE_COMPARE || spelling->precedence == PRECEDENCE_SELECT
            || spelling->precedence == PRECEDENCE_AND || spelling->precedence == PRECEDENCE_OR;
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
    return render_format(rendering, is_per_lane ? "keep%d_%d[c]" : "keep%d_%d", expr->draw, number);
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
    case SCALAR_LOAD:
        return load_text(rendering, expr, precedence);
    case SCALAR_OP:
        return op_text(rendering, expr, precedence);
    case SCALAR_LET:
    case SCALAR_ACC:
        return rendering->is_array_id[expr->let] ? render_format(rendering, "%s[c]", rendering->id_names[expr->let])
                                                 : rendering->id_names[expr->let];
    case SCALAR_KEEP:
        return keep_text(rendering, expr);
    }
    return "0";
}

// Statements and stages -----------------------------------------------------------------------------------------

static const char *accumulate_text(Rendering *rendering, const Statement *statement)
{
    const char *name = rendering->id_names[statement->id];
    if (rendering->is_array_id[statement->id]) {
        name = render_format(rendering, "%s[c]", name);
    }
    if (statement->op == OP_SUM) {
        return render_format(rendering, "%s += %s;", name, render_scalar(rendering, statement->value, PRECEDENCE_SELECT));
    }
    const char *value = render_scalar(rendering, statement->value, PRECEDENCE_COMPARE + 1);
    if (statement->op == OP_ARGMAX) {
        return render_format(rendering, "if (%s > best_%s) { best_%s = %s; %s = (int32_t)c; }", value, name, name, value,
                             name);
    }
    return render_format(rendering, "%s = %s > %s ? %s : %s;", name, value, name, value, name);
}

static const char *statement_text(Rendering *rendering, const Statement *statement)
{
    const Dialect *dialect = rendering->dialect;
    switch (statement->kind) {
    case STATEMENT_LET: {
        const char *value = render_scalar(rendering, statement->value, PRECEDENCE_SELECT);
        const char *name = rendering->id_names[statement->id];
        if (statement->is_buffered) {
            return render_format(rendering, "%s[c] = %s;", name, value);
        }
        return render_format(rendering, "const %s %s = %s;", dialect->type[statement->value->dtype], name, value);
    }
    case STATEMENT_ACCUMULATE:
    case STATEMENT_LANE_ACCUMULATE:
        return accumulate_text(rendering, statement);
    case STATEMENT_COLUMN_ACCUMULATE: {
        const char *value = render_scalar(rendering, statement->value, PRECEDENCE_SELECT);
        return render_format(rendering, "part_%s[c] += %s;", rendering->buffer_names[statement->buffer], value);
    }
    case STATEMENT_STORE: {
        const char *value = render_scalar(rendering, statement->value, PRECEDENCE_SELECT);
        return render_format(rendering, "%s[%s] = %s;", rendering->buffer_names[statement->buffer],
                             subscript(rendering, statement->index), value);
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
            } else if (statement->kind == STATEMENT_LANE_ACCUMULATE
                       || (statement->kind == STATEMENT_LET && statement->is_buffered)) {
                rendering->dialect->declare_lane_buffer(rendering, statement);
            }
        }
    }
}

static void emit_prepared(Rendering *rendering)
{
    for (int i = 0; i < rendering->n_hoists; i++) {
        out_line(rendering->out, "const long %s = %s;", rendering->hoists[i].name, rendering->hoists[i].text);
    }
    for (int i = 0; i < rendering->n_keeps; i++) {
        rendering->dialect->declare_keep(rendering, rendering->keeps[i].expr, i, rendering->keeps[i].is_per_lane);
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
        out_line(rendering->out, "%s", lines[i]);
    }
    if (is_lanes) {
        rendering->dialect->close_lanes(rendering, stage);
        if (rendering->n_keeps > 0) {
            out_close(rendering->out, "");
        }
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
        out_open(rendering->out, "for (long k%d = 0; k%d < %lld; k%d++)", i, i, (long long)kernel->reduce_dims[i], i);
    }
    for (int s = first; s <= last; s++) {
        render_stage(rendering, &kernel->stages[s]);
    }
    for (int i = 0; i < kernel->n_reduce_dims; i++) {
        out_close(rendering->out, "");
    }
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
        s++;
    }
}

// Names ---------------------------------------------------------------------------------------------------------

// The last part of a dotted name as an identifier: "attn.qkv.weight" -> "weight".
static const char *short_name(Rendering *rendering, const char *name)
{
    const char *dot = strrchr(name, '.');
    const char *start = dot ? dot + 1 : name;
    char text[64];
    int length = 0;
    for (const char *p = start; *p && length < (int)sizeof text - 1; p++) {
        bool is_word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_';
        text[length++] = is_word ? *p : '_';
    }
    text[length] = 0;
    bool is_digit = text[0] >= '0' && text[0] <= '9';
    return render_format(rendering, "%s%s", is_digit || !length ? "x" : "", text);
}

static const char *node_short_name(Rendering *rendering, NodeId id)
{
    const Graph *graph = rendering->graph;
    const Node *node = &graph->nodes[id];
    if (node->op == OP_PARAM) {
        return short_name(rendering, graph->parameters[node->attr.index].name);
    }
    if (node->op == OP_INPUT) {
        return short_name(rendering, graph->inputs[node->attr.index].name);
    }
    return short_name(rendering, node->name ? node->name : op_info(node->op)->name);
}

static bool is_reserved(const char *name)
{
    static const char *const words[] = {"c", "row", "float", "long", "int", "double", "auto", "return", "if", "else",
        "for", "while", "do", "const", "static", "register", "volatile", "signed", "unsigned", "char", "short", "void",
        "switch", "case", "default", "break", "continue", "goto", "sizeof", "struct", "union", "enum", "typedef", "extern",
        "inline", "restrict", "exp", "log", "sqrt", "max", "min", "abs", "chunk", "scratch"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(name, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_name_taken(const Rendering *rendering, const char *name, int buffers, int ids)
{
    for (int i = 0; i < buffers; i++) {
        if (strcmp(rendering->buffer_names[i], name) == 0) {
            return true;
        }
    }
    for (int i = 0; i < ids; i++) {
        if (rendering->id_names[i] && strcmp(rendering->id_names[i], name) == 0) {
            return true;
        }
    }
    return is_reserved(name);
}

static const char *unique_name(Rendering *rendering, const char *base, int buffers, int ids)
{
    const char *name = base;
    for (int i = 2; is_name_taken(rendering, name, buffers, ids); i++) {
        name = render_format(rendering, "%s_%d", base, i);
    }
    return name;
}

static void name_ids(Rendering *rendering)
{
    const Kernel *kernel = rendering->kernel;
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            const Statement *statement = &kernel->stages[s].statements[i];
            bool is_named = statement->kind == STATEMENT_LET || statement->kind == STATEMENT_ACCUMULATE
                || statement->kind == STATEMENT_LANE_ACCUMULATE;
            if (!is_named) {
                continue;
            }
            bool is_sum = statement->kind != STATEMENT_LET;
            const char *base = is_sum ? op_info(statement->op)->name : node_short_name(rendering, statement->node);
            rendering->id_names[statement->id] = unique_name(rendering, base, kernel->n_buffers, kernel->n_ids);
            bool is_array = statement->kind == STATEMENT_LANE_ACCUMULATE
                || (statement->kind == STATEMENT_LET && statement->is_buffered);
            rendering->is_array_id[statement->id] = is_array;
            bool in_lanes = kernel->stages[s].kind == STAGE_LANES && statement->kind == STATEMENT_LET;
            rendering->is_lane_id[statement->id] = is_array || in_lanes;
        }
    }
}

static void name_everything(Rendering *rendering)
{
    const Kernel *kernel = rendering->kernel;
    size_t ids = (size_t)kernel->n_ids + 1;
    rendering->buffer_names = arena_alloc(rendering->arena, ((size_t)kernel->n_buffers + 1) * sizeof(char *));
    rendering->id_names = arena_alloc(rendering->arena, ids * sizeof(char *));
    rendering->is_lane_id = arena_alloc(rendering->arena, ids);
    rendering->is_array_id = arena_alloc(rendering->arena, ids);
    memset(rendering->id_names, 0, ids * sizeof(char *));
    memset(rendering->is_lane_id, 0, ids);
    memset(rendering->is_array_id, 0, ids);
    for (int i = 0; i < kernel->n_buffers; i++) {
        const char *base = node_short_name(rendering, kernel->buffers[i].node);
        rendering->buffer_names[i] = unique_name(rendering, base, i, 0);
    }
    name_ids(rendering);
}

// Which row coordinates, draws and columns a kernel uses ----------------------------------------------------------

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

int render_draws(const Kernel *kernel, int *draws, int capacity)
{
    int n_draws = 0;
    visit_kernel(kernel, NULL, draws, &n_draws, capacity);
    return n_draws;
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

void render_kernel(Out *out, const Dialect *dialect, const Graph *graph, const Kernel *kernel, const char *name)
{
    Arena *arena = graph->arena;
    Rendering rendering = {.out = out, .arena = arena, .dialect = dialect, .graph = graph, .kernel = kernel};
    visit_kernel(kernel, rendering.row_used, NULL, NULL, 0);
    name_everything(&rendering);
    dialect->open_kernel(&rendering, name);
    render_stages(&rendering);
    dialect->close_kernel(&rendering);
}
