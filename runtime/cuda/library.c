// Problems of the library as parameter structures and launch shapes; see library.h. The counts of spans are the tight
// extents of the operands, so that the emulator notices an index beyond them.
#include "runtime/cuda/library.h"

#include "runtime/cuda/library_internal.h"

#include <math.h>
#include <stdlib.h>

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
        .a = xv_operand(g->a, g->type_a,
                        g->trans_a ? extent(g->batch, g->batch_a, g->k, g->lda, g->m)
                                   : extent(g->batch, g->batch_a, g->m, g->lda, g->k)),
        .b = xv_operand(g->b, g->type_b,
                        g->trans_b ? extent(g->batch, g->batch_b, g->n, g->ldb, g->k)
                                   : extent(g->batch, g->batch_b, g->k, g->ldb, g->n)),
        .c = xv_result(g->c, g->type_c, extent(g->batch, g->batch_c, g->m, g->ldc, g->n)),
        .bias = xv_operand(g->bias, g->type_bias, g->n),
        .has_bias = g->bias != NULL,
        .sums = xv_span_of(g->sums, g->m),
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

// Without `has_product` only what is summed beside it: the task has no columns then, and its blocks read no B.
static void launch_matmul(const XvRun *run, const XvGemm *gemm, bool has_product)
{
    XvMatmulTask task = matmul_task(gemm);
    task.n = has_product ? task.n : 0;
    XvKernelLaunch request = {
        .kernel = (int)matmul_kernel(gemm),
        .grid = {(uint32_t)xv_pieces(gemm->m, XV_MATMUL_TILE),
                 has_product ? (uint32_t)xv_pieces(gemm->n, XV_MATMUL_TILE) : 1, (uint32_t)gemm->batch},
        .threads = XV_MATMUL_THREADS,
        .arguments = (void *[]){&task},
    };
    xv_device_launch(run->device, &request);
}

// A library that cannot leave sums beside a product still makes the product.
static bool launch_apart(const XvRun *run, const XvGemm *gemm)
{
    XvGemm product = *gemm;
    product.sums = NULL;
    bool is_done = gemm->sums && xv_device_gemm(run->device, &product);
    if (is_done) {
        launch_matmul(run, gemm, false);
    }
    return is_done;
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
    if (!xv_device_gemm(run->device, gemm) && !launch_apart(run, gemm)) {
        launch_matmul(run, gemm, true);
    }
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
        task.tables[i] = (XvScatterTask){.table = xv_span_of(t->table, t->n_rows * t->width),
                                         .index = xv_span_of(t->index, t->count),
                                         .rows = xv_operand(t->rows, t->type_rows, extent_of_rows),
                                         .n_rows = t->n_rows,
                                         .width = t->width,
                                         .count = t->count,
                                         .row_stride = row_stride,
                                         .column_stride = column_stride,
                                         .first_block = blocks,
                                         .column_blocks = xv_pieces(t->width, XV_SCATTER_COLUMNS)};
        blocks += t->n_rows * task.tables[i].column_blocks;
    }
    xv_launch_library(run, XV_KERNEL_SCATTER_ADD, blocks, XV_ROWS_THREADS, (void *[]){&task});
}

void xv_cuda_scatter_add_rows(const XvRun *run, const XvRows *rows, bool is_cleared)
{
    xv_cuda_scatter_add_tables(run, rows, 1, is_cleared);
}

void xv_cuda_sample_categorical(const XvRun *run, const float *weights, int64_t n_rows, int64_t n,
                                const XvDraw *draw, int32_t *index)
{
    XvSampleTask task = {.weights = xv_span_of(weights, n_rows * n),
                         .index = xv_span_of(index, n_rows),
                         .draw = xv_span_of(draw, 1),
                         .n_rows = n_rows,
                         .n = n};
    xv_launch_library(run, XV_KERNEL_SAMPLE, xv_pieces(n_rows, XV_ROWS_THREADS), XV_ROWS_THREADS,
                      (void *[]){&task});
}

void xv_cuda_top_k(const XvRun *run, const float *values, int64_t n_rows, int64_t n, int64_t k,
                   int32_t *index)
{
    XvTopTask task = {
        .values = xv_span_of(values, n_rows * n), .index = xv_span_of(index, n_rows * k), .n = n, .k = k};
    xv_launch_library(run, XV_KERNEL_TOP_K, n_rows, XV_ROWS_THREADS, (void *[]){&task});
}

void xv_cuda_add_columns(const XvRun *run, const XvCudaColumns *sums, int n_sums)
{
    XvColumnsTask task = {.n_sums = n_sums};
    int64_t blocks = 0;
    for (int i = 0; i < n_sums; i++) {
        int64_t lanes = sums[i].lanes;
        task.sums[i] = (XvColumns){.parts = xv_span_of(sums[i].parts, sums[i].chunks * lanes),
                                   .out = xv_span_of(sums[i].out, lanes),
                                   .chunks = (int32_t)sums[i].chunks,
                                   .lanes = (int32_t)lanes,
                                   .first_block = (int32_t)blocks};
        blocks += xv_pieces(lanes, XV_COLUMNS_LANES);
    }
    xv_launch_library(run, XV_KERNEL_ADD_COLUMNS, blocks, XV_ROWS_THREADS, (void *[]){&task});
}
