// Vectors beside a product; see gemm_vectors.h. The bias goes to rows of C that are still in the cache; the sums are a
// pass of their own over A.
#include "runtime/device/gemm_vectors.h"

#include "runtime/device/elements.h"
#include "runtime/device/scratch.h"

#include <string.h>

enum { PART_DEPTH = 256, MAX_PARTS = 64, PIECE = 1024 };

// Bias -------------------------------------------------------------------------------------------------------------

typedef struct Biased {
    const XvGemm *gemm;
    const float *bias;
} Biased;

static void add_bias(const void *args, int64_t row_begin, int64_t row_end)
{
    const Biased *biased = args;
    const XvGemm *gemm = biased->gemm;
    const float *bias = biased->bias;
    for (int64_t row = row_begin; row < row_end; row++) {
        float *c = (float *)gemm->c + row / gemm->m * gemm->batch_c + row % gemm->m * gemm->ldc;
#pragma omp simd
        for (int64_t j = 0; j < gemm->n; j++) {
            c[j] += bias[j];
        }
    }
    if (gemm->epilogue != NULL) {
        gemm->epilogue(gemm->epilogue_args, row_begin, row_end);
    }
}

void xv_gemm_biased(const XvGemm *gemm, XvGemmKernel kernel)
{
    float *bias = xv_scratch(gemm->n);
    Biased biased = {gemm, bias};
    XvGemm rest = *gemm;
    xv_load_floats(bias, gemm->bias, (XvReading){.type = gemm->type_bias}, gemm->n);
    rest.bias = NULL;
    rest.epilogue = add_bias;
    rest.epilogue_args = &biased;
    xv_gemm_with(&rest, kernel);
    xv_scratch_free(bias);
}

// Sums -------------------------------------------------------------------------------------------------------------

static const void *row_of_a(const XvGemm *gemm, int64_t row, int64_t first)
{
    return xv_element(gemm->a, gemm->type_a, row * gemm->lda + first);
}

// sum[i] += A[i] for a stored row of `n`.
static void add_row(float *sum, const void *a, XvDtype type, int64_t n)
{
    float piece[PIECE];
    for (int64_t first = 0; first < n; first += PIECE) {
        int64_t count = n - first < PIECE ? n - first : PIECE;
        const float *from = xv_element(a, type, first);
        if (type != XV_F32) {
            xv_load_floats(piece, from, (XvReading){.type = type}, count);
            from = piece;
        }
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            sum[first + i] += from[i];
        }
    }
}

// A is stored as [k, m]: each part adds up its rows.
static void sum_columns(const XvGemm *gemm)
{
    int64_t n_parts = gemm->k / PART_DEPTH;
    n_parts = n_parts < 1 ? 1 : n_parts > MAX_PARTS ? MAX_PARTS : n_parts;
    float *parts = xv_scratch(n_parts * gemm->m);
    memset(parts, 0, (size_t)(n_parts * gemm->m) * sizeof *parts);
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < n_parts; p++) {
        for (int64_t k = p * gemm->k / n_parts; k < (p + 1) * gemm->k / n_parts; k++) {
            add_row(parts + p * gemm->m, row_of_a(gemm, k, 0), gemm->type_a, gemm->m);
        }
    }
    memset(gemm->sums, 0, (size_t)gemm->m * sizeof *parts);
    for (int64_t p = 0; p < n_parts; p++) {
        add_row(gemm->sums, parts + p * gemm->m, XV_F32, gemm->m);
    }
    xv_scratch_free(parts);
}

static float sum_of_row(const XvGemm *gemm, int64_t row)
{
    float piece[PIECE], sum = 0;
    for (int64_t first = 0; first < gemm->k; first += PIECE) {
        int64_t count = gemm->k - first < PIECE ? gemm->k - first : PIECE;
        xv_load_floats(piece, row_of_a(gemm, row, first), (XvReading){.type = gemm->type_a}, count);
#pragma omp simd reduction(+ : sum)
        for (int64_t k = 0; k < count; k++) {
            sum += piece[k];
        }
    }
    return sum;
}

void xv_gemm_sums(const XvGemm *gemm)
{
    if (gemm->trans_a) {
        sum_columns(gemm);
        return;
    }
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < gemm->m; i++) {
        gemm->sums[i] = sum_of_row(gemm, i);
    }
}
