// Products whose elements are not plain floats: operands become floats in scratch memory, the kernels of floats
// multiply, and rows of C are rounded as they are finished.
//
// A product of two bf16, f16 or tf32 values is exact in single precision, so only the sums round, as on tensor cores.
#include "runtime/device/gemm_packed.h"

#include "runtime/device/elements.h"
#include "runtime/device/scratch.h"

// A copy of a [batch, rows, cols] operand, dense.
typedef struct Copy {
    const void *from;
    float *to;
    XvReading reading;
    int64_t batch, rows, cols;
    int64_t batch_stride, stride;  // of `from`
} Copy;

static void copy_rows(const Copy *copy)
{
    int64_t rows = copy->batch * copy->rows;
#pragma omp parallel for schedule(static) if (rows * copy->cols > 16384)
    for (int64_t row = 0; row < rows; row++) {
        int64_t at = row / copy->rows * copy->batch_stride + row % copy->rows * copy->stride;
        const void *from = xv_element(copy->from, copy->reading.type, at);
        xv_load_floats(copy->to + row * copy->cols, from, copy->reading, copy->cols);
    }
}

// The copy of an operand and how it lies; NULL where it is read in place.
static float *copied(Copy copy, int64_t *stride, int64_t *batch_stride)
{
    if (xv_reads_floats(copy.reading)) {
        return NULL;
    }
    copy.batch = copy.batch_stride == 0 ? 1 : copy.batch;
    copy.to = xv_scratch(copy.batch * copy.rows * copy.cols);
    copy_rows(&copy);
    *stride = copy.cols;
    *batch_stride = copy.batch_stride == 0 ? 0 : copy.rows * copy.cols;
    return copy.to;
}

typedef struct Rounding {
    const XvGemm *gemm;  // as asked for
    const float *sums;   // [batch, m, n]
} Rounding;

static void *row_of_c(const XvGemm *gemm, int64_t row)
{
    int64_t at = row / gemm->m * gemm->batch_c + row % gemm->m * gemm->ldc;
    return xv_element_out(gemm->c, gemm->type_c, at);
}

static void round_rows(const void *args, int64_t row_begin, int64_t row_end)
{
    const Rounding *rounding = args;
    const XvGemm *gemm = rounding->gemm;
    for (int64_t row = row_begin; row < row_end; row++) {
        xv_store_floats(row_of_c(gemm, row), gemm->type_c, rounding->sums + row * gemm->n, gemm->n);
    }
    if (gemm->epilogue != NULL) {
        gemm->epilogue(gemm->epilogue_args, row_begin, row_end);
    }
}

// C becomes a dense copy that is rounded row by row.
static float *redirect_c(XvGemm *plain, const XvGemm *gemm, Rounding *rounding)
{
    if (gemm->type_c == XV_F32) {
        return NULL;
    }
    float *sums = xv_scratch(gemm->batch * gemm->m * gemm->n);
    for (int64_t row = 0; gemm->accumulate && row < gemm->batch * gemm->m; row++) {
        xv_load_floats(sums + row * gemm->n, row_of_c(gemm, row), (XvReading){.type = gemm->type_c}, gemm->n);
    }
    *rounding = (Rounding){.gemm = gemm, .sums = sums};
    plain->c = sums;
    plain->ldc = gemm->n;
    plain->batch_c = gemm->m * gemm->n;
    plain->epilogue = round_rows;
    plain->epilogue_args = rounding;
    return sums;
}

bool xv_gemm_is_plain(const XvGemm *gemm)
{
    return gemm->type_a == XV_F32 && gemm->type_b == XV_F32 && gemm->type_c == XV_F32 && !gemm->is_tf32;
}

void xv_gemm_typed(const XvGemm *gemm, XvGemmKernel kernel)
{
    XvGemm plain = *gemm;
    plain.type_a = plain.type_b = plain.type_c = XV_F32;
    plain.is_tf32 = false;
    Copy a = {.from = gemm->a,
              .reading = {gemm->type_a, gemm->is_tf32},
              .batch = gemm->batch,
              .rows = gemm->trans_a ? gemm->k : gemm->m,
              .cols = gemm->trans_a ? gemm->m : gemm->k,
              .batch_stride = gemm->batch_a,
              .stride = gemm->lda};
    Copy b = {.from = gemm->b,
              .reading = {gemm->type_b, gemm->is_tf32},
              .batch = gemm->batch,
              .rows = gemm->trans_b ? gemm->n : gemm->k,
              .cols = gemm->trans_b ? gemm->k : gemm->n,
              .batch_stride = gemm->batch_b,
              .stride = gemm->ldb};
    Rounding rounding;
    float *copy_a = copied(a, &plain.lda, &plain.batch_a), *copy_b = copied(b, &plain.ldb, &plain.batch_b);
    float *copy_c = redirect_c(&plain, gemm, &rounding);
    plain.a = copy_a ? copy_a : plain.a;
    plain.b = copy_b ? copy_b : plain.b;
    xv_gemm_with(&plain, kernel);
    xv_scratch_free(copy_c);
    xv_scratch_free(copy_b);
    xv_scratch_free(copy_a);
}
