// The CUDA dialect: rows are teams of threads, lanes their threads; see cuda_shape.h. Kernels use nothing but what
// runtime/cuda/device.cuh offers. A lane belongs to the same thread in all stages, so lane buffers are registers and a
// kernel may overwrite an input element by element, as in C.
#include "codegen/cuda_shape.h"
#include "codegen/dialect.h"
#include "compiler/index_expr.h"

enum {
    UNROLLED = 32
};  // lanes of a thread up to which loops are unrolled, so that lane buffers stay in registers

// The kernel of a row that is loaded by all threads of a team and then overwritten by one of them.
static bool loads_per_row(const ScalarExpr *expr)
{
    if (expr->kind == SCALAR_LOAD && !index_uses(expr->index, INDEX_LANE)) {
        return true;
    }
    for (int i = 0; i < expr->n_args; i++) {
        if (loads_per_row(expr->args[i])) {
            return true;
        }
    }
    return false;
}

static bool has_loads_per_row(const Kernel *kernel)
{
    for (int s = 0; s < kernel->n_stages; s++) {
        for (int i = 0; i < kernel->stages[s].n_statements; i++) {
            if (loads_per_row(kernel->stages[s].statements[i].value)) {
                return true;
            }
        }
    }
    return false;
}

static bool statement_uses_lane(const Statement *statement)
{
    return scalar_uses(statement->value, INDEX_LANE) ||
           (statement->index && index_uses(statement->index, INDEX_LANE)) ||
           (statement->kind == STATEMENT_ACCUMULATE && statement->op == OP_ARGMAX);
}

static bool stage_uses_lane(const Stage *stage)
{
    for (int i = 0; i < stage->n_statements; i++) {
        if (statement_uses_lane(&stage->statements[i])) {
            return true;
        }
    }
    return false;
}

static bool kernel_uses_lane(const Kernel *kernel)
{
    for (int s = 0; s < kernel->n_stages; s++) {
        if (stage_uses_lane(&kernel->stages[s])) {
            return true;
        }
    }
    return false;
}

static bool uses_row(const Rendering *rendering)
{
    for (int i = 0; i < rendering->kernel->n_row_dims; i++) {
        if (rendering->row_used[i]) {
            return true;
        }
    }
    return false;
}

static bool has_lane_buffers(const Rendering *rendering)
{
    for (int i = 0; i < rendering->kernel->n_ids; i++) {
        if (rendering->is_array_id[i]) {
            return true;
        }
    }
    return false;
}

// Parameters ----------------------------------------------------------------------------------------------------

static const char *parameter_list(Rendering *rendering)
{
    const Kernel *kernel = rendering->kernel;
    const char *text = "";
    for (int i = 0; i < kernel->n_buffers; i++) {
        const KernelBuffer *buffer = &kernel->buffers[i];
        if (cuda_is_column(kernel, i)) {
            continue;
        }
        text = render_format(rendering, "%s%s%s(%s, %lld) %s", text, *text ? ", " : "",
                             buffer->kind == BUFFER_READ ? "XV_IN" : "XV_OUT",
                             rendering->dialect->stored_type[buffer->dtype],
                             (long long)shape_count(&buffer->shape), rendering->buffer_names[i]);
    }
    int draws[MAX_KERNEL_DRAWS];
    int n_draws = render_draws(kernel, draws, MAX_KERNEL_DRAWS);
    for (int i = 0; i < n_draws; i++) {
        text = render_format(rendering, "%s%sXV_IN(XvDraw, 1) draw%d", text, *text ? ", " : "", i);
    }
    if (kernel_columns(kernel) > 0) {
        text = render_format(rendering, "%s%sXV_OUT(float, %lld) scratch", text, *text ? ", " : "",
                             (long long)cuda_scratch_floats(kernel));
    }
    return text;
}

// Rows ----------------------------------------------------------------------------------------------------------

static void open_flat(Rendering *rendering, const CudaShape *shape)
{
    const Kernel *kernel = rendering->kernel;
    Out *out = rendering->out;
    const char *type = rendering->index_type;
    long long rows = (long long)kernel_rows(kernel);
    out_line(out, "const %s element = (%s)blockIdx.x * %d + threadIdx.x;", type, type, shape->threads);
    out_open(out, "if (element >= %lld)", rows * (long long)kernel->lanes);
    out_line(out, "return;");
    out_close(out, "");
    if (uses_row(rendering) && kernel->lanes > 1) {
        out_line(out, "const %s row = element / %lld;", type, (long long)kernel->lanes);
    } else if (uses_row(rendering)) {
        out_line(out, "const %s row = element;", type);
    }
    if (kernel_uses_lane(kernel)) {
        const char *lane = kernel->lanes == 1 ? "0"
                           : rows == 1
                               ? "element"
                               : render_format(rendering, "element %% %lld", (long long)kernel->lanes);
        out_line(out, "const %s c = %s;", type, lane);
    }
    if (has_lane_buffers(rendering)) {
        out_line(out, "const int u = 0;");
    }
}

// The number of the team, which is the row or, with column accumulators, the chunk.
static void open_team(Rendering *rendering, const CudaShape *shape, const char *number, int64_t count)
{
    Out *out = rendering->out;
    int teams = shape->threads / shape->team;
    if (shape->team > 1) {
        out_line(out, "const int lane = (int)threadIdx.x%s;",
                 teams > 1 ? render_format(rendering, " %% %d", shape->team) : "");
    }
    if (teams == 1) {
        out_line(out, "const %s %s = blockIdx.x;", rendering->index_type, number);
        return;
    }
    out_line(out, "const %s %s = (%s)blockIdx.x * %d + threadIdx.x / %d;", rendering->index_type, number,
             rendering->index_type, teams, shape->team);
    out_open(out, "if (%s >= %lld)", number, (long long)count);
    out_line(out, "return;");
    out_close(out, "");
}

static void open_chunk(Rendering *rendering, const CudaShape *shape)
{
    const Kernel *kernel = rendering->kernel;
    long long rows = (long long)kernel_rows(kernel);
    open_team(rendering, shape, "chunk", shape->chunks);
    for (int i = 0; i < kernel_columns(kernel); i++) {
        out_line(rendering->out, "float part_%s[%d] = {};",
                 rendering->buffer_names[cuda_column(kernel, i)->buffer], shape->per_thread);
    }
    const char *type = rendering->index_type;
    out_line(rendering->out, "const %s last = (%s)((int64_t)(chunk + 1) * %lld / %lld);", type, type, rows,
             (long long)shape->chunks);
    out_open(rendering->out, "for (%s row = (%s)((int64_t)chunk * %lld / %lld); row < last; row++)", type,
             type, rows, (long long)shape->chunks);
}

static void open_kernel(Rendering *rendering, const char *name)
{
    const Kernel *kernel = rendering->kernel;
    CudaShape shape = cuda_shape(kernel);
    out_line(rendering->out, "XV_KERNEL(%d) %s(%s)", shape.threads, name, parameter_list(rendering));
    out_open(rendering->out, "");
    if (shape.chunks > 0) {
        open_chunk(rendering, &shape);
    } else if (shape.is_flat) {
        open_flat(rendering, &shape);
    } else if (kernel_rows(kernel) > 1 || uses_row(rendering)) {
        open_team(rendering, &shape, "row", kernel_rows(kernel));
    } else if (shape.team < shape.threads) {  // one row: the block's first team
        out_line(rendering->out, "const int lane = (int)threadIdx.x;");
        out_open(rendering->out, "if (lane >= %d)", shape.team);
        out_line(rendering->out, "return;");
        out_close(rendering->out, "");
    } else {
        out_line(rendering->out, "const int lane = (int)threadIdx.x;");
    }
    if (uses_row(rendering)) {
        render_row_coordinates(rendering);
    }
}

// Lanes ---------------------------------------------------------------------------------------------------------

static void open_lane_loop(Rendering *rendering, const CudaShape *shape, bool uses_lane)
{
    const Kernel *kernel = rendering->kernel;
    bool is_ragged = kernel->lanes % shape->team != 0;
    if (shape->per_thread <= UNROLLED) {
        out_line(rendering->out, "#pragma unroll");
    }
    out_open(rendering->out, "for (int u = 0; u < %d; u++)", shape->per_thread);
    if (shape->team > 1 && (is_ragged || uses_lane)) {
        out_line(rendering->out, "const %s c = lane + u * %d;", rendering->index_type, shape->team);
    }
    if (is_ragged) {
        out_open(rendering->out, "if (c >= %lld)", (long long)kernel->lanes);
        out_line(rendering->out, "break;");
        out_close(rendering->out, "");
    }
}

static void open_lanes(Rendering *rendering, const Stage *stage)
{
    CudaShape shape = cuda_shape(rendering->kernel);
    if (shape.is_flat) {
        out_open(rendering->out, "");
    } else {
        open_lane_loop(rendering, &shape, stage_uses_lane(stage));
    }
}

static void close_lanes(Rendering *rendering, const Stage *stage)
{
    (void)stage;
    out_close(rendering->out, "");
}

static void declare_lane_buffer(Rendering *rendering, const Statement *statement)
{
    const char *name = rendering->id_names[statement->id];
    const char *type = rendering->dialect->type[statement->value->dtype];
    int count = cuda_shape(rendering->kernel).per_thread;
    bool is_maximum = statement->kind == STATEMENT_LANE_ACCUMULATE && statement->op != OP_SUM;
    bool is_started = statement->kind == STATEMENT_LANE_ACCUMULATE && !is_maximum;
    out_line(rendering->out, "%s %s[%d]%s;", type, name, count, is_started ? " = {}" : "");
    if (is_maximum) {
        out_open(rendering->out, "for (int slot = 0; slot < %d; slot++)", count);
        out_line(rendering->out, "%s[slot] = -INFINITY;", name);
        out_close(rendering->out, "");
    }
}

static const char *keep(Rendering *rendering, const ScalarExpr *expr)
{
    return render_format(rendering, "xv_keep(draw%d[0], (uint64_t)(%s))",
                         render_draw_place(rendering->kernel, expr->draw),
                         render_index(rendering, expr->index, PRECEDENCE_SELECT));
}

static void join_accumulators(Rendering *rendering, const Stage *stage)
{
    CudaShape shape = cuda_shape(rendering->kernel);
    for (int i = 0; i < stage->n_statements && shape.team > 1; i++) {
        const Statement *statement = &stage->statements[i];
        if (statement->kind != STATEMENT_ACCUMULATE) {
            continue;
        }
        const char *name = rendering->id_names[statement->id];
        if (statement->op == OP_ARGMAX) {
            out_line(rendering->out, "%s = xv_team_reduce<%d, XvArgmax>(XvPicked{best_%s, %s}).lane;", name,
                     shape.team, name, name);
        } else {
            out_line(rendering->out, "%s = xv_team_reduce<%d, %s>(%s);", name, shape.team,
                     statement->op == OP_SUM ? "XvSum" : "XvMaximum", name);
        }
    }
}

// The value may overwrite what the whole team has just read.
static void store_once(Rendering *rendering, const char *statement)
{
    CudaShape shape = cuda_shape(rendering->kernel);
    if (shape.team == 1) {
        out_line(rendering->out, "%s", statement);
        return;
    }
    if (has_loads_per_row(rendering->kernel)) {
        out_line(rendering->out, "xv_sync_team<%d>();", shape.team);
    }
    out_open(rendering->out, "if (lane == 0)");
    out_line(rendering->out, "%s", statement);
    out_close(rendering->out, "");
}

static void close_kernel(Rendering *rendering)
{
    const Kernel *kernel = rendering->kernel;
    CudaShape shape = cuda_shape(kernel);
    if (shape.chunks > 0) {
        out_close(rendering->out, "");
        open_lane_loop(rendering, &shape, true);
        for (int i = 0; i < kernel_columns(kernel); i++) {
            const char *at =
                i ? render_format(rendering, "(%lld + chunk)", (long long)(i * shape.chunks)) : "chunk";
            const char *element =
                kernel->lanes > 1 ? render_format(rendering, "%s * %lld + c", at, (long long)kernel->lanes)
                                  : at;
            out_line(rendering->out, "scratch[%s] = part_%s[u];", element,
                     rendering->buffer_names[cuda_column(kernel, i)->buffer]);
        }
        out_close(rendering->out, "");
    }
    out_close(rendering->out, "");
}

static const char *const RESERVED[] = {
    "lane",     "u",       "element",   "slot",      "last",      "threadIdx", "blockIdx", "bool",
    "true",     "false",   "class",     "new",       "delete",    "this",      "template", "typename",
    "operator", "private", "public",    "protected", "namespace", "using",     "and",      "or",
    "not",      "xor",     "catch",     "try",       "throw",     "friend",    "virtual",  "mutable",
    "explicit", "export",  "constexpr", "decltype",  "nullptr",   "requires",  "concept",  NULL};

const Dialect dialect_cuda = {
    .name = "cuda",
    .spelling = c_spelling,
    .type = {[DTYPE_F32] = "float",
             [DTYPE_I32] = "int32_t",
             [DTYPE_BOOL] = "int32_t",
             [DTYPE_BF16] = "float",
             [DTYPE_F16] = "float"},
    .stored_type = {[DTYPE_F32] = "float",
                    [DTYPE_I32] = "int32_t",
                    [DTYPE_BOOL] = "uint8_t",
                    [DTYPE_BF16] = "XvBf16",
                    [DTYPE_F16] = "XvF16"},
    .widened = {[DTYPE_BF16] = "float", [DTYPE_F16] = "float"},
    .narrowed = {[DTYPE_BF16] = "XvBf16", [DTYPE_F16] = "XvF16"},
    .rounded = {[DTYPE_BF16] = "(float)XvBf16", [DTYPE_F16] = "(float)XvF16"},
    .narrow_index = "int",
    .wide_index = "int64_t",
    .lane_slot = "u",
    .reserved = RESERVED,
    .open_kernel = open_kernel,
    .close_kernel = close_kernel,
    .open_lanes = open_lanes,
    .close_lanes = close_lanes,
    .declare_lane_buffer = declare_lane_buffer,
    .keep = keep,
    .join_accumulators = join_accumulators,
    .store_once = store_once,
};
