// The C dialect: rows are an OpenMP loop, lanes a simd loop. Column accumulators use a fixed number of row chunks, each
// with its own partial vector in scratch memory, added in order at the end.
#include "codegen/dialect.h"

#include <stdio.h>

// Below this many elements a thread team costs more than it saves (fork and join: 1-2 us).
enum { PARALLEL_ELEMENTS = 1 << 14 };

static bool has_argmax(const Stage *stage)
{
    for (int i = 0; i < stage->n_statements; i++) {
        if (stage->statements[i].kind == STATEMENT_ACCUMULATE && stage->statements[i].op == OP_ARGMAX) {
            return true;
        }
    }
    return false;
}

// A kernel of one row whose lanes do not talk to each other: the lanes are what runs in parallel.
static bool is_flat(const Kernel *kernel)
{
    if (kernel_rows(kernel) != 1 || kernel->n_stages != 1 || kernel->lanes < PARALLEL_ELEMENTS) {
        return false;
    }
    const Stage *stage = &kernel->stages[0];
    for (int i = 0; i < stage->n_statements; i++) {
        StatementKind kind = stage->statements[i].kind;
        if (kind == STATEMENT_ACCUMULATE || kind == STATEMENT_LANE_ACCUMULATE ||
            kind == STATEMENT_COLUMN_ACCUMULATE) {
            return false;
        }
    }
    return !stage->in_reduce;
}

static bool is_parallel(const Kernel *kernel)
{
    int64_t elements = kernel_rows(kernel) * kernel->lanes;
    for (int i = 0; i < kernel->n_reduce_dims; i++) {
        elements *= kernel->reduce_dims[i];
    }
    return elements >= PARALLEL_ELEMENTS && kernel_rows(kernel) > 1;
}

static const char *parameter_list(Rendering *rendering)
{
    const Kernel *kernel = rendering->kernel;
    const char *text = "";
    for (int i = 0; i < kernel->n_buffers; i++) {
        const KernelBuffer *buffer = &kernel->buffers[i];
        const char *qualifier = buffer->kind == BUFFER_READ ? "const " : "";

        text = render_format(rendering, "%s%s%s%s *%s", text, i ? ", " : "", qualifier,
                             rendering->dialect->stored_type[buffer->dtype], rendering->buffer_names[i]);
    }
    int draws[MAX_KERNEL_DRAWS];
    int n_draws = render_draws(kernel, draws, MAX_KERNEL_DRAWS);
    for (int i = 0; i < n_draws; i++) {
        text = render_format(rendering, "%s%sconst XvDraw *draw%d", text, *text ? ", " : "", i);
    }
    if (kernel_columns(kernel) > 0) {
        text = render_format(rendering, "%s%sfloat *scratch", text, *text ? ", " : "");
    }
    return *text ? text : "void";
}

static void open_chunks(Rendering *rendering)
{
    const Kernel *kernel = rendering->kernel;
    Out *out = rendering->out;
    int column = 0;
    if (is_parallel(kernel)) {
        out_line(out, "#pragma omp parallel for schedule(static)");
    }
    out_open(out, "for (long chunk = 0; chunk < %d; chunk++)", kernel->row_chunks);
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            const Statement *statement = &kernel->stages[s].statements[i];
            if (statement->kind == STATEMENT_COLUMN_ACCUMULATE) {
                const char *name = rendering->buffer_names[statement->buffer];
                out_line(out, "float *restrict part_%s = scratch + (%dL * %d + chunk) * %lld;", name,
                         column++, kernel->row_chunks, (long long)kernel->lanes);
                out_line(out, "memset(part_%s, 0, %lld * sizeof(float));", name, (long long)kernel->lanes);
            }
        }
    }
    long long rows = (long long)kernel_rows(kernel);
    out_open(out, "for (long row = chunk * %lld / %d; row < (chunk + 1) * %lld / %d; row++)", rows,
             kernel->row_chunks, rows, kernel->row_chunks);
}

static void add_chunks(Rendering *rendering)
{
    const Kernel *kernel = rendering->kernel;
    int column = 0;
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            const Statement *statement = &kernel->stages[s].statements[i];
            if (statement->kind == STATEMENT_COLUMN_ACCUMULATE) {
                out_line(rendering->out, "xv_add_chunks(%s, scratch + %dL * %lld, %d, %lld);",
                         rendering->buffer_names[statement->buffer], column++,
                         (long long)kernel->row_chunks * (long long)kernel->lanes, kernel->row_chunks,
                         (long long)kernel->lanes);
            }
        }
    }
}

static void open_kernel(Rendering *rendering, const char *name)
{
    const Kernel *kernel = rendering->kernel;
    out_line(rendering->out, "void %s(%s)", name, parameter_list(rendering));
    out_open(rendering->out, "");
    if (kernel_columns(kernel) > 0) {
        open_chunks(rendering);
    } else if (kernel_rows(kernel) > 1) {
        if (is_parallel(kernel)) {
            out_line(rendering->out, "#pragma omp parallel for schedule(static)");
        }
        out_open(rendering->out, "for (long row = 0; row < %lld; row++)", (long long)kernel_rows(kernel));
    } else if (kernel->n_row_dims > 0) {
        out_line(rendering->out, "const long row = 0;");
        out_line(rendering->out, "(void)row;");
    }
    render_row_coordinates(rendering);
}

static void close_kernel(Rendering *rendering)
{
    if (kernel_columns(rendering->kernel) > 0) {
        out_close(rendering->out, "");
        out_close(rendering->out, "");
        add_chunks(rendering);
    } else if (kernel_rows(rendering->kernel) > 1) {
        out_close(rendering->out, "");
    }
    out_close(rendering->out, "");
}

static const char *reduction_clause(Rendering *rendering, const Stage *stage, Op op, const char *symbol)
{
    const char *names = NULL;
    for (int i = 0; i < stage->n_statements; i++) {
        const Statement *statement = &stage->statements[i];
        if (statement->kind == STATEMENT_ACCUMULATE && statement->op == op) {
            const char *name = rendering->id_names[statement->id];
            names = names ? render_format(rendering, "%s, %s", names, name) : name;
        }
    }
    return names ? render_format(rendering, " reduction(%s : %s)", symbol, names) : "";
}

static void open_lanes(Rendering *rendering, const Stage *stage)
{
    const Kernel *kernel = rendering->kernel;
    if (!has_argmax(stage) && kernel->lanes > 1) {
        const char *sums = reduction_clause(rendering, stage, OP_SUM, "+");
        const char *maxima = reduction_clause(rendering, stage, OP_REDUCE_MAX, "max");
        out_line(rendering->out, "#pragma omp %ssimd%s%s", is_flat(kernel) ? "parallel for " : "", sums,
                 maxima);
    }
    out_open(rendering->out, "for (long c = 0; c < %lld; c++)", (long long)kernel->lanes);
}

static void close_lanes(Rendering *rendering, const Stage *stage)
{
    (void)stage;
    out_close(rendering->out, "");
}

static void declare_lane_buffer(Rendering *rendering, const Statement *statement)
{
    const char *name = rendering->id_names[statement->id];
    long long lanes = (long long)rendering->kernel->lanes;
    const char *type = rendering->dialect->type[statement->value->dtype];
    out_line(rendering->out, "_Alignas(64) %s %s[%lld];", type, name, lanes);
    if (statement->kind == STATEMENT_LANE_ACCUMULATE) {
        const char *start = statement->op == OP_SUM ? "0" : "-INFINITY";
        out_open(rendering->out, "for (long c = 0; c < %lld; c++)", lanes);
        out_line(rendering->out, "%s[c] = %s;", name, start);
        out_close(rendering->out, "");
    }
}

static void declare_keep(Rendering *rendering, const ScalarExpr *keep, int number, bool is_per_lane)
{
    Out *out = rendering->out;
    const char *index = render_index(rendering, keep->index, PRECEDENCE_SELECT);
    int draw = render_draw_place(rendering->kernel, keep->draw);
    if (!is_per_lane) {
        out_line(out, "float keep%d;", number);
        out_line(out, "xv_keep_row(draw%d, (uint64_t)(%s), 1, &keep%d);", draw, index, number);
        return;
    }
    long long lanes = (long long)rendering->kernel->lanes;
    out_line(out, "_Alignas(64) float keep%d[%lld];", number, lanes);
    bool is_contiguous = keep->index->kind == INDEX_LANE ||
                         (keep->index->kind == INDEX_ADD &&
                          (keep->index->a->kind == INDEX_LANE || keep->index->b->kind == INDEX_LANE));
    if (!is_contiguous) {
        out_open(out, "for (long c = 0; c < %lld; c++)", lanes);
        out_line(out, "xv_keep_row(draw%d, (uint64_t)(%s), 1, &keep%d[c]);", draw, index, number);
        out_close(out, "");
        return;
    }
    const IndexExpr *base = keep->index->kind == INDEX_LANE      ? NULL
                            : keep->index->a->kind == INDEX_LANE ? keep->index->b
                                                                 : keep->index->a;
    const char *first = base ? render_index(rendering, base, PRECEDENCE_SELECT) : "0";
    out_line(out, "xv_keep_row(draw%d, (uint64_t)(%s), %lld, keep%d);", draw, first, lanes, number);
}

const Spelling c_spelling[OP_COUNT] = {
    [OP_NEG] = {"-$0", PRECEDENCE_UNARY, NULL},
    [OP_EXP] = {"xv_exp($0)", PRECEDENCE_CALL, NULL},
    [OP_LOG] = {"xv_log($0)", PRECEDENCE_CALL, NULL},
    [OP_SQRT] = {"sqrtf($0)", PRECEDENCE_CALL, NULL},
    [OP_RSQRT] = {"xv_rsqrt($0)", PRECEDENCE_CALL, NULL},
    [OP_ABS] = {"fabsf($0)", PRECEDENCE_CALL, "abs($0)"},
    [OP_SIGN] = {"xv_sign($0)", PRECEDENCE_CALL, NULL},
    [OP_TANH] = {"xv_tanh($0)", PRECEDENCE_CALL, NULL},
    [OP_ERF] = {"xv_erf($0)", PRECEDENCE_CALL, NULL},
    [OP_SIGMOID] = {"xv_sigmoid($0)", PRECEDENCE_CALL, NULL},
    [OP_GELU] = {"xv_gelu($0)", PRECEDENCE_CALL, NULL},
    [OP_GELU_GRAD] = {"xv_gelu_grad($0)", PRECEDENCE_CALL, NULL},
    [OP_NOT] = {"!$0", PRECEDENCE_UNARY, NULL},
    [OP_ADD] = {"$0 + $1", PRECEDENCE_ADD, NULL},
    [OP_SUB] = {"$0 - $1", PRECEDENCE_ADD, NULL},
    [OP_MUL] = {"$0 * $1", PRECEDENCE_MULTIPLY, NULL},
    [OP_DIV] = {"$0 / $1", PRECEDENCE_MULTIPLY, NULL},
    [OP_MAX] = {"xv_max($0, $1)", PRECEDENCE_CALL, "xv_max_i32($0, $1)"},
    [OP_MIN] = {"xv_min($0, $1)", PRECEDENCE_CALL, "xv_min_i32($0, $1)"},
    [OP_POW] = {"powf($0, $1)", PRECEDENCE_CALL, NULL},
    [OP_IDIV] = {"xv_floor_div($0, $1)", PRECEDENCE_CALL, NULL},
    [OP_MOD] = {"xv_floor_mod($0, $1)", PRECEDENCE_CALL, NULL},
    [OP_LT] = {"$0 < $1", PRECEDENCE_COMPARE, NULL},
    [OP_LE] = {"$0 <= $1", PRECEDENCE_COMPARE, NULL},
    [OP_EQ] = {"$0 == $1", PRECEDENCE_COMPARE, NULL},
    [OP_NE] = {"$0 != $1", PRECEDENCE_COMPARE, NULL},
    [OP_AND] = {"$0 && $1", PRECEDENCE_AND, NULL},
    [OP_OR] = {"$0 || $1", PRECEDENCE_OR, NULL},
    [OP_WHERE] = {"$0 ? $1 : $2", PRECEDENCE_SELECT, NULL},
};

const Dialect dialect_c = {
    .name = "c",
    .spelling = c_spelling,
    .type = {[DTYPE_F32] = "float",
             [DTYPE_I32] = "int32_t",
             [DTYPE_BOOL] = "int32_t",
             [DTYPE_BF16] = "float",
             [DTYPE_F16] = "float"},
    .stored_type = {[DTYPE_F32] = "float",
                    [DTYPE_I32] = "int32_t",
                    [DTYPE_BOOL] = "uint8_t",
                    [DTYPE_BF16] = "uint16_t",
                    [DTYPE_F16] = "uint16_t"},
    .widened = {[DTYPE_BF16] = "xv_bf16_to_float", [DTYPE_F16] = "xv_f16_to_float"},
    .narrowed = {[DTYPE_BF16] = "xv_bf16_from_float", [DTYPE_F16] = "xv_f16_from_float"},
    .rounded = {[DTYPE_BF16] = "xv_bf16_round", [DTYPE_F16] = "xv_f16_round"},
    .narrow_index = "long",
    .wide_index = "long",
    .lane_slot = "c",
    .open_kernel = open_kernel,
    .close_kernel = close_kernel,
    .open_lanes = open_lanes,
    .close_lanes = close_lanes,
    .declare_lane_buffer = declare_lane_buffer,
    .declare_keep = declare_keep,
};
