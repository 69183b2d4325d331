// Problems of the library as parameter structures and launch shapes; see library.h. The counts of spans are the tight
// extents of the operands, so that the emulator notices an index beyond them.
#include "runtime/cuda/library.h"

#include "runtime/cuda/tasks.h"

#include <math.h>
#include <stdlib.h>

static XvSpan span(const void *at, int64_t count)
{
    return (XvSpan){at, at ? count : 0};
}

static void launch(const XvRun *run, XvLibraryKernel kernel, int64_t blocks, uint32_t threads,
                   void **arguments)
{
    XvKernelLaunch request = {
        .kernel = (int)kernel, .grid = {(uint32_t)blocks, 1, 1}, .threads = threads, .arguments = arguments};
    xv_device_launch(run->device, &request);
}

static int64_t pieces(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

static void fail_type(const XvRun *run, const char *what)
{
    run->device->has_failed =
        !xv_fail(&run->device->failure, "%s of elements that no kernel of this device reads", what);
}

// Matrix products -----------------------------------------------------------------------------------------------

// Elements between the first and the last of a [batch, rows, columns] operand, both included.
static int64_t extent(int64_t batch, int64_t batch_stride, int64_t rows, int64_t row_stride, int64_t columns)
{
    return (batch - 1) * batch_stride + (rows - 1) * row_stride + columns;
}

static XvOperand operand(const void *at, XvDtype type, int64_t count)
{
    XvOperand operand = {.is_f16 = type == XV_F16};
    *(type == XV_F32 ? &operand.f32 : &operand.half) = span(at, count);
    return operand;
}

static XvResult result(void *at, XvDtype type, int64_t count)
{
    XvOperand same = operand(at, type, count);
    return (XvResult){same.f32, same.half, same.is_f16};
}

// Whether rows `stride` elements apart, and problems `batch` apart, all start on 16 bytes.
static bool is_wide(const void *at, XvDtype type, int64_t stride, int64_t batch)
{
    int64_t bytes = type == XV_F32 ? 4 : 2;
    return ((uintptr_t)at | (uintptr_t)(stride * bytes) | (uintptr_t)(batch * bytes)) % 16 == 0;
}

// Tensor cores take two operands of one type; the exact kernel takes anything.
static XvLibraryKernel matmul_kernel(const XvGemm *g)
{
    if (g->type_a != g->type_b || (g->type_a == XV_F32 && !g->is_tf32)) {
        return XV_KERNEL_MATMUL;
    }
    return g->type_a == XV_BF16  ? XV_KERNEL_MATMUL_BF16
           : g->type_a == XV_F16 ? XV_KERNEL_MATMUL_F16
                                 : XV_KERNEL_MATMUL_TF32;
}

static XvMatmulTask matmul_task(const XvGemm *g)
{
    bool is_exact = matmul_kernel(g) == XV_KERNEL_MATMUL;
    return (XvMatmulTask){
        .a = operand(g->a, g->type_a,
                     g->trans_a ? extent(g->batch, g->batch_a, g->k, g->lda, g->m)
                                : extent(g->batch, g->batch_a, g->m, g->lda, g->k)),
        .b = operand(g->b, g->type_b,
                     g->trans_b ? extent(g->batch, g->batch_b, g->n, g->ldb, g->k)
                                : extent(g->batch, g->batch_b, g->k, g->ldb, g->n)),
        .c = result(g->c, g->type_c, extent(g->batch, g->batch_c, g->m, g->ldc, g->n)),
        .bias = operand(g->bias, g->type_bias, g->n),
        .has_bias = g->bias != NULL,
        .sums = span(g->sums, g->m),
        .m = g->m,
        .n = g->n,
        .k = g->k,
        .a_batch = g->batch_a,
        .a_row = g->trans_a ? 1 : g->lda,
        .a_step = g->trans_a ? g->lda : 1,
        .b_batch = g->batch_b,
        .b_step = g->trans_b ? 1 : g->ldb,
        .b_column = g->trans_b ? g->ldb : 1,
        .c_batch = g->batch_c,
        .c_row = g->ldc,
        .is_added = g->accumulate,
        .is_tf32 = is_exact && g->is_tf32,
        .a_is_wide = (!is_exact || g->type_a == XV_F32) && is_wide(g->a, g->type_a, g->lda, g->batch_a) &&
                     !(is_exact && g->is_tf32),
        .b_is_wide = (!is_exact || g->type_b == XV_F32) && is_wide(g->b, g->type_b, g->ldb, g->batch_b) &&
                     !(is_exact && g->is_tf32),
    };
}

static bool is_real(XvDtype type)
{
    return type == XV_F32 || type == XV_BF16 || type == XV_F16;
}

void xv_cuda_gemm(const XvRun *run, const XvGemm *gemm)
{
    if (gemm->alpha != 1 || gemm->epilogue) {
        run->device->has_failed = !xv_fail(&run->device->failure, "a product with a factor or an epilogue");
        return;
    }
    if (!is_real(gemm->type_a) || !is_real(gemm->type_b) || !is_real(gemm->type_c) ||
        !is_real(gemm->type_bias)) {
        fail_type(run, "a product");
        return;
    }
    if (xv_device_gemm(run->device, gemm)) {
        return;
    }
    XvMatmulTask task = matmul_task(gemm);
    void *arguments[] = {&task};
    XvKernelLaunch request = {
        .kernel = (int)matmul_kernel(gemm),
        .grid = {(uint32_t)pieces(gemm->m, XV_MATMUL_TILE), (uint32_t)pieces(gemm->n, XV_MATMUL_TILE),
                 (uint32_t)gemm->batch},
        .threads = XV_MATMUL_THREADS,
        .arguments = arguments,
    };
    xv_device_launch(run->device, &request);
}

// Attention -----------------------------------------------------------------------------------------------------

static XvHeadsTask heads_task(const void *at, int64_t batch, int64_t head, int64_t row, const int64_t size[4])
{
    int64_t count = (size[0] - 1) * batch + (size[1] - 1) * head + (size[2] - 1) * row + size[3];
    return (XvHeadsTask){span(at, count), batch, head, row};
}

static XvHeadsTask input_heads(const XvHeads *view, const XvAttention *a, int64_t rows, int64_t dim)
{
    return heads_task(view->at, view->batch, view->head, view->row,
                      (int64_t[]){a->batch, a->heads, rows, dim});
}

static XvHeadsTask output_heads(const XvHeadsOut *view, const XvAttention *a, int64_t rows, int64_t dim)
{
    return heads_task(view->at, view->batch, view->head, view->row,
                      (int64_t[]){a->batch, a->heads, rows, dim});
}

static XvBiasTask bias_task(const XvAttentionBias *bias, const XvAttention *a)
{
    int64_t entries =
        pieces(a->batch, bias->divisor) < bias->modulus ? pieces(a->batch, bias->divisor) : bias->modulus;
    int64_t count = (entries - 1) * bias->batch + (a->heads - 1) * bias->head +
                    (a->n_query - 1) * bias->query + (a->n_key - 1) * bias->key + 1;
    return (XvBiasTask){span(bias->at, count), bias->batch,  bias->head, bias->query, bias->key,
                        bias->divisor,         bias->modulus};
}

static XvAttentionTask attention_task(const XvAttention *a)
{
    XvAttentionTask task = {
        .batch = a->batch,
        .heads = a->heads,
        .n_query = a->n_query,
        .n_key = a->n_key,
        .head_dim = a->head_dim,
        .value_dim = a->value_dim,
        .scale = a->scale,
        .n_biases = a->n_biases,
        .q = input_heads(&a->q, a, a->n_query, a->head_dim),
        .k = input_heads(&a->k, a, a->n_key, a->head_dim),
        .v = input_heads(&a->v, a, a->n_key, a->value_dim),
        .out = output_heads(&a->out, a, a->n_query, a->value_dim),
        .lse = span(a->lse, a->batch * a->heads * a->n_query),
        .keep = span(a->keep, 1),
    };
    for (int i = 0; i < a->n_biases; i++) {
        task.bias[i] = bias_task(&a->bias[i], a);
    }
    return task;
}

static bool has_room(const XvRun *run, const XvAttention *a)
{
    if (a->type != XV_F32 || a->is_tf32) {
        fail_type(run, "attention");
        return false;
    }
    if (a->head_dim <= XV_ATTENTION_MAX_DIM && a->value_dim <= XV_ATTENTION_MAX_DIM) {
        return true;
    }
    run->device->has_failed =
        !xv_fail(&run->device->failure, "attention over heads of %lld and %lld values; at most %d",
                 (long long)a->head_dim, (long long)a->value_dim, XV_ATTENTION_MAX_DIM);
    return false;
}

void xv_cuda_attention(const XvRun *run, const XvAttention *attention)
{
    const XvAttention *a = attention;
    if (has_room(run, a)) {
        XvAttentionTask task = attention_task(a);
        int64_t blocks = a->batch * a->heads * pieces(a->n_query, XV_ATTENTION_ROWS);
        launch(run, XV_KERNEL_ATTENTION, blocks, XV_ATTENTION_THREADS, (void *[]){&task});
    }
}

static XvBiasGradTask bias_gradient(const XvAttentionGrad *grad, int which)
{
    const XvAttention *a = grad->forward;
    const XvAttentionBias *bias = &a->bias[which];
    XvBiasGradTask task = {.entries = bias->batch ? bias->modulus : 1,
                           .heads = bias->head ? a->heads : 1,
                           .queries = bias->query ? a->n_query : 1,
                           .keys = bias->key ? a->n_key : 1};
    int64_t count = task.entries * task.heads * task.queries * task.keys;
    task.d = span(grad->d_bias[which], count);
    task.blocks = grad->d_bias[which] ? pieces(count, XV_ATTENTION_ROWS) : 0;
    return task;
}

void xv_cuda_attention_grad(const XvRun *run, const XvAttentionGrad *grad)
{
    const XvAttention *a = grad->forward;
    if (!has_room(run, a)) {
        return;
    }
    XvAttentionTask task = attention_task(a);
    task.d_out = input_heads(&grad->d_out, a, a->n_query, a->value_dim);
    task.dq = output_heads(&grad->dq, a, a->n_query, a->head_dim);
    task.dk = output_heads(&grad->dk, a, a->n_key, a->head_dim);
    task.dv = output_heads(&grad->dv, a, a->n_key, a->value_dim);
    int64_t pairs = a->batch * a->heads;
    XvAttentionGradTask parts = {.query_blocks = pairs * pieces(a->n_query, XV_ATTENTION_ROWS),
                                 .key_blocks = pairs * pieces(a->n_key, XV_ATTENTION_ROWS)};
    int64_t blocks = parts.query_blocks + parts.key_blocks;
    for (int i = 0; i < a->n_biases; i++) {
        parts.bias[i] = bias_gradient(grad, i);
        blocks += parts.bias[i].blocks;
    }
    launch(run, XV_KERNEL_ATTENTION_GRAD, blocks, XV_ATTENTION_THREADS, (void *[]){&task, &parts});
}

// Rows ----------------------------------------------------------------------------------------------------------

void xv_cuda_scatter_add_tables(const XvRun *run, const XvRows *tables, int n_tables, bool is_cleared)
{
    XvScatterTablesTask task = {.n_tables = n_tables, .is_added = !is_cleared};
    int64_t blocks = 0;
    for (int i = 0; i < n_tables; i++) {
        const XvRows *t = &tables[i];
        bool is_dense = t->row_stride == 0;
        int64_t row_stride = is_dense ? t->width : t->row_stride;
        int64_t column_stride = is_dense ? 1 : t->column_stride;
        int64_t extent_of_rows = (t->count - 1) * row_stride + (t->width - 1) * column_stride + 1;
        task.tables[i] = (XvScatterTask){.table = span(t->table, t->n_rows * t->width),
                                         .index = span(t->index, t->count),
                                         .rows = span(t->rows, extent_of_rows),
                                         .n_rows = t->n_rows,
                                         .width = t->width,
                                         .count = t->count,
                                         .row_stride = row_stride,
                                         .column_stride = column_stride,
                                         .first_block = blocks,
                                         .column_blocks = pieces(t->width, XV_SCATTER_COLUMNS)};
        blocks += t->n_rows * task.tables[i].column_blocks;
    }
    launch(run, XV_KERNEL_SCATTER_ADD, blocks, XV_ROWS_THREADS, (void *[]){&task});
}

void xv_cuda_scatter_add_rows(const XvRun *run, const XvRows *rows, bool is_cleared)
{
    xv_cuda_scatter_add_tables(run, rows, 1, is_cleared);
}

void xv_cuda_sample_categorical(const XvRun *run, const float *weights, int64_t n_rows, int64_t n,
                                const XvDraw *draw, int32_t *index)
{
    XvSampleTask task = {.weights = span(weights, n_rows * n),
                         .index = span(index, n_rows),
                         .draw = span(draw, 1),
                         .n_rows = n_rows,
                         .n = n};
    launch(run, XV_KERNEL_SAMPLE, pieces(n_rows, XV_ROWS_THREADS), XV_ROWS_THREADS, (void *[]){&task});
}

void xv_cuda_top_k(const XvRun *run, const float *values, int64_t n_rows, int64_t n, int64_t k,
                   int32_t *index)
{
    XvTopTask task = {.values = span(values, n_rows * n), .index = span(index, n_rows * k), .n = n, .k = k};
    launch(run, XV_KERNEL_TOP_K, n_rows, XV_ROWS_THREADS, (void *[]){&task});
}

void xv_cuda_add_columns(const XvRun *run, const XvCudaColumns *sums, int n_sums)
{
    XvColumnsTask task = {.n_sums = n_sums};
    int64_t blocks = 0;
    for (int i = 0; i < n_sums; i++) {
        int64_t lanes = sums[i].lanes;
        task.sums[i] = (XvColumns){.parts = span(sums[i].parts, sums[i].chunks * lanes),
                                   .out = span(sums[i].out, lanes),
                                   .chunks = (int32_t)sums[i].chunks,
                                   .lanes = (int32_t)lanes,
                                   .first_block = (int32_t)blocks};
        blocks += pieces(lanes, XV_COLUMNS_LANES);
    }
    launch(run, XV_KERNEL_ADD_COLUMNS, blocks, XV_ROWS_THREADS, (void *[]){&task});
}
