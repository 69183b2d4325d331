// Matrix products on the CPU: library kernels for large shapes, own kernels for small ones; sums in single precision.
//
// Operands and results may be stored in two bytes: such elements are widened when read and rounded to nearest even when
// written. With is_tf32 operands of type F32 are rounded to tf32 (runtime/base/half.h) before they are multiplied.
//
// For each of `batch` problems: C[m,n] = alpha op(A)[m,k] op(B)[k,n] (+ C if `accumulate`) (+ `bias` in every row),
// all row-major with row strides lda, ldb, ldc >= the row length; op(X) is X or its transpose (then A is stored [k,m],
// B [n,k]). C overlaps neither input. Which kernel runs, and how it cuts the work, is a function of the shapes
// alone, so results repeat bit for bit on one machine with any number of threads. Not to be called from
// inside a parallel region.
#pragma once

#include "runtime/base/tensor.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct XvGemm {
    int64_t m, n, k;  // any of them may be 0: k = 0 gives zeros (or C unchanged)
    bool trans_a, trans_b;
    float alpha;
    bool accumulate;
    int64_t batch;                   // >= 1
    XvDtype type_a, type_b, type_c;  // F32, BF16 or F16; a, b and c point to elements of these
    bool is_tf32;
    const void *a, *b;
    void *c;
    int64_t lda, ldb, ldc;
    int64_t batch_a, batch_b, batch_c;  // elements from one problem to the next; 0 shares an input
    XvDtype type_bias;
    const void *bias;  // [n], or NULL
    float *sums;  // [m]: of op(A) over k, for a single problem; or NULL. With A = dy^T the gradient of a bias
    // Called once for every block of finished rows, soon after they were written, from any thread and
    // possibly several at once. Rows count through the batch: row r of problem p is p * m + r. NULL: none.
    void (*epilogue)(const void *args, int64_t row_begin, int64_t row_end);
    const void *epilogue_args;
} XvGemm;

typedef enum XvGemmKernel {
    XV_GEMM_DOT,     // few rows times a transposed B: dot products, nothing copied
    XV_GEMM_PACKED,  // own register tiles; B (and A where its stride is bad) copied into tile order
    XV_GEMM_BLAS,    // cblas_sgemm, one thread per block of C
    XV_GEMM_SPLIT,   // small C, long sum: cblas_sgemm on fixed parts of the sum, added in order
} XvGemmKernel;

// The rule that chooses; stated at its definition.
XvGemmKernel xv_gemm_kernel(const XvGemm *gemm);

void xv_gemm(const XvGemm *gemm);

// Runs a named kernel whatever the rule says; any kernel is correct for any shape except DOT, which needs
// trans_b and not trans_a. For tests and measurements.
void xv_gemm_with(const XvGemm *gemm, XvGemmKernel kernel);
