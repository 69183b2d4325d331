// The optimizer step: AdamW as transformers defines it (Loshchilov and Hutter 2019), one pass over all
// parameters that have a gradient, as a kernel of the same intermediate form as every other.
//
//   m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
//   p <- p - step_size m / (sqrt(v) + epsilon);  then  p <- p - decay_size p   with the p just updated
//
// where g is the clipped gradient; where products read a copy of the parameter in two bytes, it gets p rounded.
// step_size and decay_size come from the runtime (XvUpdate).
#include "codegen/emit_internal.h"

static const ScalarExpr *number(Arena *arena, double value)
{
    ScalarExpr *expr = arena_alloc(arena, sizeof *expr);
    *expr = (ScalarExpr){.kind = SCALAR_CONST, .dtype = DTYPE_F32, .number = value};
    return expr;
}

static const ScalarExpr *op2(Arena *arena, Op op, const ScalarExpr *a, const ScalarExpr *b)
{
    ScalarExpr *expr = arena_alloc(arena, sizeof *expr);
    *expr =
        (ScalarExpr){.kind = SCALAR_OP, .dtype = DTYPE_F32, .op = op, .args = {a, b}, .n_args = b ? 2 : 1};
    return expr;
}

static const ScalarExpr *rounded(Arena *arena, const ScalarExpr *x, Dtype dtype)
{
    ScalarExpr *expr = arena_alloc(arena, sizeof *expr);
    *expr = (ScalarExpr){.kind = SCALAR_OP, .dtype = dtype, .op = OP_CAST, .args = {x}, .n_args = 1};
    return expr;
}

// Values of the kernel by name: the names stand in a small graph so that the renderer can find them.
typedef struct UpdateKernel {
    Arena *arena;
    Graph *graph;
    Statement statements[12];
    int n_statements;
    const IndexExpr *lane;
    Dtype copy_type;  // F32: no copy is written
} UpdateKernel;

enum {
    BUFFER_PARAMETER,
    BUFFER_MOMENT1,
    BUFFER_MOMENT2,
    BUFFER_GRADIENT,
    BUFFER_SCALARS,
    BUFFER_COPY,
    N_BUFFERS
};
enum { SCALAR_STEP_SIZE, SCALAR_DECAY_SIZE, SCALAR_GRADIENT_SCALE };

static const IndexExpr *constant_index(Arena *arena, int64_t value)
{
    IndexExpr *index = arena_alloc(arena, sizeof *index);
    *index = (IndexExpr){.kind = INDEX_CONST, .value = value, .low = value, .high = value};
    return index;
}

static const ScalarExpr *load(UpdateKernel *kernel, int buffer, const IndexExpr *index)
{
    ScalarExpr *expr = arena_alloc(kernel->arena, sizeof *expr);
    *expr = (ScalarExpr){.kind = SCALAR_LOAD, .dtype = DTYPE_F32, .buffer = buffer, .index = index};
    return expr;
}

static const ScalarExpr *scalar(UpdateKernel *kernel, int which)
{
    return load(kernel, BUFFER_SCALARS, constant_index(kernel->arena, which));
}

static NodeId named_node(UpdateKernel *kernel, const char *name)
{
    Shape shape = shape_scalar();
    Origin origin = {.path = "", .name = name};
    Attr attr = {0};
    return graph_add(kernel->graph, OP_CONST, DTYPE_F32, &shape, NULL, 0, &attr, &origin);
}

static const ScalarExpr *let(UpdateKernel *kernel, const char *name, const ScalarExpr *value)
{
    int id = kernel->n_statements;
    kernel->statements[kernel->n_statements++] =
        (Statement){.kind = STATEMENT_LET, .id = id, .value = value, .node = named_node(kernel, name)};
    ScalarExpr *expr = arena_alloc(kernel->arena, sizeof *expr);
    *expr = (ScalarExpr){.kind = SCALAR_LET, .dtype = DTYPE_F32, .let = id};
    return expr;
}

static void store(UpdateKernel *kernel, int buffer, const ScalarExpr *value)
{
    kernel->statements[kernel->n_statements++] = (Statement){
        .kind = STATEMENT_STORE, .value = value, .buffer = buffer, .index = kernel->lane, .node = 0};
}

static void build_statements(UpdateKernel *k, const Optimizer *optimizer)
{
    Arena *a = k->arena;
    const ScalarExpr *g =
        let(k, "g", op2(a, OP_MUL, load(k, BUFFER_GRADIENT, k->lane), scalar(k, SCALAR_GRADIENT_SCALE)));
    const ScalarExpr *m =
        let(k, "m",
            op2(a, OP_ADD, op2(a, OP_MUL, number(a, optimizer->beta1), load(k, BUFFER_MOMENT1, k->lane)),
                op2(a, OP_MUL, number(a, 1 - optimizer->beta1), g)));
    const ScalarExpr *square = op2(a, OP_MUL, op2(a, OP_MUL, number(a, 1 - optimizer->beta2), g), g);
    const ScalarExpr *v =
        let(k, "v",
            op2(a, OP_ADD, op2(a, OP_MUL, number(a, optimizer->beta2), load(k, BUFFER_MOMENT2, k->lane)),
                square));
    const ScalarExpr *root = op2(a, OP_ADD, op2(a, OP_SQRT, v, NULL), number(a, optimizer->epsilon));
    const ScalarExpr *step = op2(a, OP_DIV, op2(a, OP_MUL, scalar(k, SCALAR_STEP_SIZE), m), root);
    const ScalarExpr *p = let(k, "p", op2(a, OP_SUB, load(k, BUFFER_PARAMETER, k->lane), step));
    store(k, BUFFER_MOMENT1, m);
    store(k, BUFFER_MOMENT2, v);
    const ScalarExpr *decayed = op2(a, OP_SUB, p, op2(a, OP_MUL, scalar(k, SCALAR_DECAY_SIZE), p));
    if (k->copy_type == DTYPE_F32) {
        store(k, BUFFER_PARAMETER, decayed);
        return;
    }
    decayed = let(k, "decayed", decayed);
    store(k, BUFFER_PARAMETER, decayed);
    store(k, BUFFER_COPY, rounded(a, decayed, k->copy_type));
}

// Elements per call: large enough to stream, small enough to spread over threads.
enum { BLOCK = 4096 };

static const Kernel *update_kernel(UpdateKernel *k, const Optimizer *optimizer, int64_t lanes)
{
    static const char *const names[N_BUFFERS] = {"parameter", "moment1", "moment2",
                                                 "gradient",  "scalars", "copy"};
    IndexExpr *lane = arena_alloc(k->arena, sizeof *lane);
    *lane = (IndexExpr){.kind = INDEX_LANE, .low = 0, .high = lanes - 1};
    k->lane = lane;
    build_statements(k, optimizer);
    KernelBuffer *buffers = arena_alloc(k->arena, N_BUFFERS * sizeof *buffers);
    for (int i = 0; i < N_BUFFERS; i++) {
        bool is_written = i <= BUFFER_MOMENT2;
        buffers[i] = (KernelBuffer){named_node(k, names[i]), DTYPE_F32, shape_of(1, &lanes),
                                    is_written ? BUFFER_READ_WRITE : BUFFER_READ};
    }
    buffers[BUFFER_COPY].dtype = k->copy_type;
    buffers[BUFFER_COPY].kind = BUFFER_WRITE;
    Stage *stage = arena_alloc(k->arena, sizeof *stage);
    *stage = (Stage){.kind = STAGE_LANES, .statements = k->statements, .n_statements = k->n_statements};
    Kernel *kernel = arena_alloc(k->arena, sizeof *kernel);
    *kernel = (Kernel){.name = "adamw",
                       .lanes = lanes,
                       .buffers = buffers,
                       .n_buffers = k->copy_type == DTYPE_F32 ? BUFFER_COPY : N_BUFFERS,
                       .stages = stage,
                       .n_stages = 1,
                       .n_ids = k->n_statements};
    return kernel;
}

// copy_type: of the copies that the kernel writes, F32 for none.
static void emit_block_kernel(Emission *emission, Out *out, int64_t lanes, Dtype copy_type)
{
    UpdateKernel k = {
        .arena = emission->arena, .graph = graph_new(emission->arena, NULL), .copy_type = copy_type};
    const Kernel *kernel = update_kernel(&k, &emission->task->optimizer, lanes);
    const char *name = arena_format(emission->arena, "adamw_%s%s", copy_type == DTYPE_F32 ? "" : "copy_",
                                    lanes == BLOCK ? "block" : "tail");
    Out *text = out_new(emission->arena);
    render_kernel(text, &dialect_c, k.graph, kernel, name);
    out_raw(out, "static ");
    out_raw(out, out_text(text));
    out_line(out, "");
}

// The elements of a parameter from `first` on, `count` of them, with the kernels of a kind.
static void emit_call(Out *out, const char *kind, const char *copy)
{
    out_open(out, "if (block < count / %d)", (int)BLOCK);
    out_line(out, "adamw_%sblock(r->parameters + at, r->moment1 + at, r->moment2 + at, r->gradients + at,",
             kind);
    out_line(out, "    scalars%s);", *copy ? ", r->copies + at" : "");
    out_line(out, "continue;");
    out_close(out, "");
    out_open(out, "for (int64_t j = at; j < first + count; j += 16)");
    out_line(out, "adamw_%stail(r->parameters + j, r->moment1 + j, r->moment2 + j, r->gradients + j,", kind);
    out_line(out, "    scalars%s);", *copy ? ", r->copies + j" : "");
    out_close(out, "");
}

// Parameters are padded to 16 elements (place_parameters), and padding has zero gradient and moments: whole vectors.
void emit_update(Emission *emission, Out *out)
{
    Dtype copy_type = precision_dtype(emission->task->precision);
    bool has_copies = copy_type != DTYPE_F32;
    for (int i = 0; i < (has_copies ? 2 : 1); i++) {
        emit_block_kernel(emission, out, BLOCK, i ? copy_type : DTYPE_F32);
        emit_block_kernel(emission, out, 16, i ? copy_type : DTYPE_F32);
    }
    out_line(out,
             "void update(const XvUpdateRegions *r, const uint8_t *has_gradient, const XvUpdate *rates)");
    out_open(out, "");
    out_open(out, "for (int i = 0; i < xv_program.n_parameters; i++)");
    out_line(out, "const XvParameter *parameter = &xv_program.parameters[i];");
    out_open(out, "if (!has_gradient[i])");
    out_line(out, "continue;");
    out_close(out, "");
    out_line(out, "const float scalars[] = {rates->step_size[parameter->is_fresh],");
    out_line(
        out,
        "    parameter->has_decay ? rates->decay_size[parameter->is_fresh] : 0.0f, rates->gradient_scale};");
    out_line(out, "const int64_t first = parameter->offset;");
    out_line(out, "const int64_t count = (parameter->count + 15) / 16 * 16;");
    out_line(out, "#pragma omp parallel for schedule(static) if (count > 65536)");
    out_open(out, "for (int64_t block = 0; block < (count + %d - 1) / %d; block++)", (int)BLOCK, (int)BLOCK);
    out_line(out, "const int64_t at = first + block * %d;", (int)BLOCK);
    if (has_copies) {
        out_open(out, "if (parameter->has_copy)");
        emit_call(out, "copy_", "copies");
        out_line(out, "continue;");
        out_close(out, "");
    }
    emit_call(out, "", "");
    out_close(out, "");
    out_close(out, "");
    out_close(out, "");
}
