// The step of a graph as a straight list of calls, and the table of its values. See runtime/device/*.h for the calls.
#include "codegen/batches.h"
#include "codegen/buckets.h"
#include "codegen/columns.h"
#include "codegen/cuda_shape.h"
#include "codegen/emit_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct StepWriter {
    Emission *emission;
    Out *out;
    const Program *program;
    ValueNames names;
    ColumnPlan columns;  // target cuda
    int n_added;         // of its sums
    BucketPlan buckets;  // of gradients that ranks average; none for one process
    int n_averaged;      // of them
} StepWriter;

static const char *text_of(StepWriter *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static const char *text_of(StepWriter *writer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = arena_alloc(writer->emission->arena, (size_t)length + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

// The start of a call of the target's library: "xv_gemm(" or "xv_cuda_gemm(run, ".
static const char *call_text(StepWriter *writer, const char *function)
{
    const Target *target = writer->emission->target;
    return text_of(writer, "%s%s(%s", target->library, function, target->context);
}

// The C expression of a value's storage.
static const char *storage_text(StepWriter *writer, NodeId node)
{
    NodeId root = storage_root(writer->program, node);
    const Storage *storage = &writer->program->storage[root];
    if (storage->region == REGION_ARENA) {
        return writer->names.name[root];
    }
    const Parameter *parameter = &writer->emission->task->parameters[storage->parameter];
    const char *name = name_identifier(writer->emission->arena, parameter->name, false);
    static const char *const prefixes[] = {
        [REGION_PARAMETER] = "p", [REGION_COPY] = "c", [REGION_GRADIENT] = "g"};
    return text_of(writer, "%s_%s", prefixes[storage->region], name);
}

static Dtype view_dtype(const StepWriter *writer, const View *view)
{
    return writer->program->graph->nodes[view->node].dtype;
}

static const char *type_text(Dtype dtype)
{
    return dtype == DTYPE_BF16 ? "XV_BF16" : dtype == DTYPE_F16 ? "XV_F16" : "XV_F32";
}

static const char *view_text(StepWriter *writer, const View *view)
{
    const char *base = storage_text(writer, view->node);
    return view->offset ? text_of(writer, "%s + %lld", base, (long long)view->offset) : base;
}

// Where a step comes from in the DSL; on CUDA the program knows it as well.
static void note_place(StepWriter *writer, NodeId id)
{
    const Node *node = &writer->program->graph->nodes[id];
    const char *path = node->path ? node->path : "";
    const char *place =
        text_of(writer, "%s%s%s", diag_place(writer->emission->arena, node->span), *path ? "  " : "", path);
    if (writer->emission->target == &target_cuda && !strpbrk(place, "\"\\")) {
        out_line(writer->out, "xv_cuda_place(run, \"%s\");", place);
    } else {
        out_line(writer->out, "// %s", place);
    }
}

// Where a kernel leaves partial sums. On CUDA they wait for others, see columns.h.
static const char *scratch_text(StepWriter *writer, const Step *step)
{
    int index = (int)(step - writer->program->steps);
    for (int i = 0; i < writer->columns.n_sums; i++) {
        const ColumnSum *sum = &writer->columns.sums[i];
        if (sum->step == index && sum->offset > 0) {
            return text_of(writer, "scratch + %lldL", (long long)sum->offset);
        }
        if (sum->step == index) {
            break;
        }
    }
    return "scratch";
}

// The sums that must be complete before a step.
static void add_columns(StepWriter *writer, int step)
{
    int last = writer->columns.n_before[step], first = writer->n_added;
    if (last == first) {
        return;
    }
    out_line(writer->out, "xv_cuda_add_columns(run, (XvCudaColumns[]){");
    for (; writer->n_added < last; writer->n_added++) {
        const ColumnSum *sum = &writer->columns.sums[writer->n_added];
        out_line(writer->out, "    {scratch + %lldL, %s, %lld, %lld},", (long long)sum->offset,
                 storage_text(writer, sum->node), (long long)sum->chunks, (long long)sum->lanes);
    }
    out_line(writer->out, "}, %d);", last - first);
}

// The buckets of gradients that are complete before a step.
static void average_buckets(StepWriter *writer, int step)
{
    for (; writer->n_averaged < writer->buckets.n_buckets; writer->n_averaged++) {
        const Bucket *bucket = &writer->buckets.buckets[writer->n_averaged];
        if (bucket->before > step) {
            return;
        }
        out_line(writer->out, "%saverage_ranks(run, (const XvRange[]){", writer->emission->target->library);
        for (int i = 0; i < bucket->n_ranges; i++) {
            const GradientRange *range = &bucket->ranges[i];
            out_line(writer->out, "    {%lld, %lld},", (long long)range->first, (long long)range->count);
        }
        out_line(writer->out, "}, %d);", bucket->n_ranges);
    }
}

static void kernel_step(StepWriter *writer, const Step *step)
{
    const Kernel *kernel = step->kernel;
    const char *name = emitted_kernel(writer->emission, writer->program, step);
    const char *args = "";
    bool is_cuda = writer->emission->target == &target_cuda;
    for (int i = 0; i < kernel->n_buffers; i++) {
        if (!is_cuda || !cuda_is_column(kernel, i)) {
            args = text_of(writer, "%s%s%s", args, *args ? ", " : "",
                           storage_text(writer, kernel->buffers[i].node));
        }
    }
    int draws[MAX_KERNEL_DRAWS];
    int n_draws = render_draws(kernel, draws, MAX_KERNEL_DRAWS);
    for (int i = 0; i < n_draws; i++) {
        args = text_of(writer, "%s%s&run->draws[%d]", args, *args ? ", " : "", draws[i]);
    }
    if (kernel_columns(kernel) > 0) {
        args = text_of(writer, "%s%s%s", args, *args ? ", " : "", scratch_text(writer, step));
    }
    out_line(writer->out, "%s(%s%s);", name, writer->emission->target->context, args);
}

// How a [batch, rows, columns] view is handed to a matrix product.
typedef struct Operand {
    const char *pointer;
    bool is_transposed;
    long long stride, batch_stride;
} Operand;

static Operand operand_of(StepWriter *writer, const View *view)
{
    Operand operand = {.pointer = view_text(writer, view)};
    int last = view->rank - 1;
    bool is_row_major = view->stride[last] == 1 || view->dim[last] == 1;
    operand.is_transposed = !is_row_major;
    int64_t stride = is_row_major ? view->stride[last - 1] : view->stride[last];
    int64_t length = is_row_major ? view->dim[last] : view->dim[last - 1];
    operand.stride = stride > length ? stride : length;
    operand.batch_stride = view->rank > 2 ? view->stride[0] : 0;
    return operand;
}

// ", .bias = ..., .sums = ..." of a product that has them.
static const char *matmul_vectors(StepWriter *writer, const Step *step)
{
    const char *text = "";
    if (step->n_reads > 2) {
        Dtype dtype = view_dtype(writer, &step->reads[2]);
        const char *type = dtype_is_low(dtype) ? text_of(writer, ", .type_bias = %s", type_text(dtype)) : "";
        text = text_of(writer, ", .bias = %s%s", view_text(writer, &step->reads[2]), type);
    }
    if (step->n_writes > 1) {
        text = text_of(writer, "%s, .sums = %s", text, view_text(writer, &step->writes[1]));
    }
    return text;
}

static void matmul_step(StepWriter *writer, const Step *step)
{
    const View *a_view = &step->reads[0];
    Operand a = operand_of(writer, a_view);
    Operand b = operand_of(writer, &step->reads[1]);
    Operand c = operand_of(writer, &step->writes[0]);
    int last = a_view->rank - 1;
    long long batch = a_view->rank > 2 ? (long long)a_view->dim[0] : 1;
    const View *result = &step->writes[0];
    Out *out = writer->out;
    out_line(out, "%s&(XvGemm){.m = %lld, .n = %lld, .k = %lld, .trans_a = %s, .trans_b = %s, .alpha = 1,",
             call_text(writer, "gemm"), (long long)result->dim[last - 1], (long long)result->dim[last],
             (long long)a_view->dim[last], a.is_transposed ? "true" : "false",
             b.is_transposed ? "true" : "false");
    Dtype types[3] = {view_dtype(writer, a_view), view_dtype(writer, &step->reads[1]),
                      view_dtype(writer, result)};
    if (dtype_is_low(types[0]) || dtype_is_low(types[1]) || dtype_is_low(types[2])) {
        out_line(out, "    .type_a = %s, .type_b = %s, .type_c = %s,", type_text(types[0]),
                 type_text(types[1]), type_text(types[2]));
    }
    if (writer->program->graph->nodes[step->node].attr.is_tf32) {
        out_line(out, "    .is_tf32 = true,");
    }
    out_line(out, "    .accumulate = %s, .batch = %lld, .a = %s, .b = %s,",
             step->accumulates ? "true" : "false", batch, a.pointer, b.pointer);
    out_line(
        out,
        "    .c = %s, .lda = %lld, .ldb = %lld, .ldc = %lld, .batch_a = %lld, .batch_b = %lld, .batch_c = %lld%s});",
        c.pointer, a.stride, b.stride, c.stride, a.batch_stride, b.batch_stride, c.batch_stride,
        matmul_vectors(writer, step));
}

static const char *heads_text(StepWriter *writer, const View *view)
{
    return text_of(writer, "{%s, %lld, %lld, %lld}", view_text(writer, view), (long long)view->stride[0],
                   (long long)view->stride[1], (long long)view->stride[2]);
}

static void attention_biases(StepWriter *writer, const Step *step, int first)
{
    for (int i = first; i < step->n_reads; i++) {
        const View *bias = &step->reads[i];
        long long stride[4];
        for (int j = 0; j < 4; j++) {
            stride[j] = bias->dim[j] == 1 ? 0 : (long long)bias->stride[j];
        }
        out_line(writer->out, "    .bias[%d] = {%s, %lld, %lld, %lld, %lld, .divisor = 1, .modulus = %lld},",
                 i - first, view_text(writer, bias), stride[0], stride[1], stride[2], stride[3],
                 (long long)bias->dim[0]);
    }
}

// What forward and backward share; `biases` is the position of the first bias among the reads.
static void attention_problem(StepWriter *writer, const Step *step, int biases)
{
    const Node *node = &writer->program->graph->nodes[step->node];
    const View *q = &step->reads[0];
    Out *out = writer->out;
    out_line(
        out,
        "    .batch = %lld, .heads = %lld, .n_query = %lld, .n_key = %lld, .head_dim = %lld, .value_dim = %lld,",
        (long long)q->dim[0], (long long)q->dim[1], (long long)q->dim[2], (long long)step->reads[1].dim[2],
        (long long)q->dim[3], (long long)step->reads[2].dim[3]);
    const char *keep = node->attr.index >= 0 ? text_of(writer, "&run->draws[%d]", node->attr.index) : "NULL";
    out_line(out, "    .scale = (float)%.9g, .keep = %s, .n_biases = %d,", node->attr.number, keep,
             step->n_reads - biases);
    if (dtype_is_low(view_dtype(writer, q))) {
        out_line(out, "    .type = %s,", type_text(view_dtype(writer, q)));
    }
    if (node->attr.is_tf32) {
        out_line(out, "    .is_tf32 = true,");
    }
    attention_biases(writer, step, biases);
    out_line(out, "    .q = %s,", heads_text(writer, q));
    out_line(out, "    .k = %s,", heads_text(writer, &step->reads[1]));
    out_line(out, "    .v = %s,", heads_text(writer, &step->reads[2]));
}

static void attention_step(StepWriter *writer, const Step *step)
{
    if (writer->emission->target == &target_cuda) {
        emit_cuda_attention(writer->emission, writer->program, step);
    }
    out_line(writer->out, "%s&(XvAttention){", call_text(writer, "attention"));
    attention_problem(writer, step, 3);
    const char *lse = step->n_writes > 1 ? view_text(writer, &step->writes[1]) : "NULL";
    out_line(writer->out, "    .out = %s, .lse = %s});", heads_text(writer, &step->writes[0]), lse);
}

static void attention_grad_step(StepWriter *writer, const Step *step)
{
    const Node *node = &writer->program->graph->nodes[step->node];
    Out *out = writer->out;
    out_line(out, "%s&(XvAttentionGrad){.forward = &(XvAttention){", call_text(writer, "attention_grad"));
    attention_problem(writer, step, 6);
    bool is_cuda = writer->emission->target == &target_cuda;
    if (is_cuda) {  // reads what the forward pass left instead of computing it again
        emit_cuda_attention(writer->emission, writer->program, step);
        out_line(out, "    .lse = %s,", view_text(writer, &step->reads[4]));
    }
    out_line(out, "    },");
    int write = 3;
    int index = (int)(step - writer->program->steps);
    bool waits = is_cuda && column_waits(&writer->columns, index);
    for (int i = 0; i < step->n_reads - 6; i++) {
        if (!waits && (node->attr.axes >> i & 1u)) {
            out_line(out, "    .d_bias[%d] = %s,", i, view_text(writer, &step->writes[write++]));
        }
    }
    long long chunks = is_cuda ? (long long)cuda_attention_chunks(writer->program, step) : 0;
    if (chunks > 0) {
        long long parts = (long long)writer->columns.parts[index];
        out_line(out, "    .parts = scratch + %lldL, .n_chunks = %lld,", parts, chunks);
    }
    out_line(out, "    .d_out = %s,", heads_text(writer, &step->reads[5]));
    out_line(out, "    .dq = %s,", heads_text(writer, &step->writes[0]));
    out_line(out, "    .dk = %s,", heads_text(writer, &step->writes[1]));
    out_line(out, "    .dv = %s});", heads_text(writer, &step->writes[2]));
}

// The stride of all dimensions but the last, which fuse has made sure of.
static int64_t leading_stride(const View *view)
{
    for (int i = view->rank - 2; i >= 0; i--) {
        if (view->dim[i] > 1) {
            return view->stride[i];
        }
    }
    return 1;
}

// ".table = ..., ..." of XvRows.
static const char *rows_text(StepWriter *writer, const Step *step)
{
    const Graph *graph = writer->program->graph;
    const Node *node = &graph->nodes[step->node];
    const View *rows = &step->reads[1];
    int64_t count = shape_count(&graph->nodes[node->inputs[0]].shape);
    int64_t width = shape_count(&node->shape) / (node->shape.dim[0] ? node->shape.dim[0] : 1);
    bool is_matrix = node->shape.rank == 2;
    return text_of(writer,
                   ".table = %s, .n_rows = %lld, .width = %lld, .index = %s, .rows = %s, .count = %lld,\n"
                   "        .type_rows = %s, .row_stride = %lld, .column_stride = %lld",
                   view_text(writer, &step->writes[0]), (long long)node->shape.dim[0], (long long)width,
                   view_text(writer, &step->reads[0]), view_text(writer, rows), (long long)count,
                   type_text(view_dtype(writer, rows)), (long long)(is_matrix ? leading_stride(rows) : width),
                   (long long)(is_matrix && width > 1 ? rows->stride[rows->rank - 1] : 1));
}

static void scatter_add_step(StepWriter *writer, const Step *step)
{
    out_line(writer->out, "%s&(XvRows){%s}, %s);", call_text(writer, "scatter_add_rows"),
             rows_text(writer, step), step->accumulates ? "false" : "true");
}

static void scatter_add_steps(StepWriter *writer, const Step *steps, int n)
{
    out_line(writer->out, "xv_cuda_scatter_add_tables(run, (XvRows[]){");
    for (int i = 0; i < n; i++) {
        out_line(writer->out, "    {%s},", rows_text(writer, &steps[i]));
    }
    out_line(writer->out, "}, %d, true);", n);
}

static void sample_step(StepWriter *writer, const Step *step)
{
    const Graph *graph = writer->program->graph;
    const Node *node = &graph->nodes[step->node];
    const Shape *weights = &graph->nodes[node->inputs[0]].shape;
    out_line(writer->out, "%s%s, %lld, %lld, &run->draws[%d], %s);", call_text(writer, "sample_categorical"),
             view_text(writer, &step->reads[0]), (long long)weights->dim[0], (long long)weights->dim[1],
             node->attr.index, view_text(writer, &step->writes[0]));
}

static void top_k_step(StepWriter *writer, const Step *step)
{
    const Graph *graph = writer->program->graph;
    const Node *node = &graph->nodes[step->node];
    const Shape *shape = &graph->nodes[node->inputs[0]].shape;
    out_line(writer->out, "%s%s, %lld, %lld, %lld, %s);", call_text(writer, "top_k"),
             view_text(writer, &step->reads[0]), (long long)shape->dim[0], (long long)shape->dim[1],
             (long long)node->shape.dim[1], view_text(writer, &step->writes[0]));
}

// Collectives move 4-byte words, whatever they mean; what is one rank's is given in words.
static void collective_step(StepWriter *writer, const Step *step)
{
    bool is_gather = step->kind == STEP_ALL_GATHER;
    const Graph *graph = writer->program->graph;
    const Node *node = &graph->nodes[step->node];
    const Shape *own = is_gather ? &graph->nodes[node->inputs[0]].shape : &node->shape;
    out_line(writer->out, "%s%s(run, %s, %s, %lld);", writer->emission->target->library,
             is_gather ? "gather_ranks" : "own_rank", view_text(writer, &step->reads[0]),
             view_text(writer, &step->writes[0]), (long long)shape_count(own));
}

static void emit_step(StepWriter *writer, const Step *step)
{
    switch (step->kind) {
    case STEP_KERNEL: kernel_step(writer, step); break;
    case STEP_MATMUL: matmul_step(writer, step); break;
    case STEP_ATTENTION: attention_step(writer, step); break;
    case STEP_ATTENTION_GRAD: attention_grad_step(writer, step); break;
    case STEP_SCATTER_ADD: scatter_add_step(writer, step); break;
    case STEP_SAMPLE: sample_step(writer, step); break;
    case STEP_TOP_K: top_k_step(writer, step); break;
    case STEP_ALL_GATHER:
    case STEP_OWN_ROWS: collective_step(writer, step); break;
    }
}

static void emit_values(StepWriter *writer)
{
    static const char *const macros[] = {[DTYPE_F32] = "XV_AT_F32",
                                         [DTYPE_I32] = "XV_AT_I32",
                                         [DTYPE_BOOL] = "XV_AT_U8",
                                         [DTYPE_BF16] = "XV_AT_BF16",
                                         [DTYPE_F16] = "XV_AT_F16"};
    const Program *program = writer->program;
    out_line(writer->out, "// Values in the arena: bytes from its start, chosen by the memory plan.");
    for (NodeId id = 0; id < program->graph->n_nodes; id++) {
        const Storage *storage = &program->storage[id];
        if (writer->names.name[id] && storage->same_as == NO_NODE) {
            out_line(writer->out, "#define %s %s(%lld)  // %s", writer->names.name[id],
                     macros[program->graph->nodes[id].dtype], (long long)storage->offset,
                     shape_text(writer->emission->arena, &program->graph->nodes[id].shape));
        }
    }
    out_line(writer->out, "");
}

static bool uses_run(const Program *program)
{
    return program->n_steps > 0;
}

void emit_steps(Emission *emission, Out *out, const Program *program, const char *name)
{
    StepWriter writer = {.emission = emission, .out = out, .program = program};
    writer.names = name_values(emission->arena, program);
    bool is_cuda = emission->target == &target_cuda;
    if (is_cuda) {
        writer.columns = plan_columns(emission->arena, program);
    }
    if (emission->task->ranks != 1) {
        const ColumnPlan *columns = is_cuda ? &writer.columns : NULL;
        writer.buckets = plan_buckets(emission->arena, emission->task, program, columns);
    }
    emit_values(&writer);
    out_line(out, "void %s(const XvRun *run)", name);
    out_open(out, "");
    if (emission->target->scratch_floats(emission->arena, program) > 0) {
        out_line(out, "float *const scratch = XV_AT_F32(%lld);", (long long)program->arena_bytes);
    }
    if (!uses_run(program)) {
        out_line(out, "(void)run;");
    }
    for (int i = 0, n = 1; i < program->n_steps; i += n) {
        n = is_cuda ? batch_of_steps(program, i) : 1;
        if (is_cuda) {
            add_columns(&writer, i + n - 1);
        }
        average_buckets(&writer, i);
        note_place(&writer, program->steps[i].node);
        if (n > 1) {
            scatter_add_steps(&writer, &program->steps[i], n);
        } else {
            emit_step(&writer, &program->steps[i]);
        }
    }
    if (is_cuda) {
        add_columns(&writer, program->n_steps);
    }
    average_buckets(&writer, program->n_steps);
    if (is_cuda && writer.buckets.n_buckets > 0) {
        out_line(out, "xv_cuda_finish_averages(run);");
    }
    out_close(out, "");
}
