// The choice of a kernel, and the kernels that are made of library calls; see gemm.h.
//
// cblas_sgemm is called from inside parallel loops only, where it runs on the calling thread. Left to itself
// it cuts sums differently for different numbers of threads, and it is slow to cut small problems: on two Zen
// 3 cores 8192 x 64 x 64 ran at 79 GFLOP/s, in blocks of 128 rows at 84-115. Blocks here are a function of
// the shape.
#include "runtime/device/gemm.h"

#include "runtime/device/gemm_packed.h"
#include "runtime/device/gemm_vectors.h"
#include "runtime/device/scratch.h"

#include <cblas.h>
#include <string.h>

enum {
    BLOCK_ROWS = 256,  // largest block of C given to one library call
    BLOCK_COLS = 512,
    BLOCK_MIN = 128,     // smallest side that is still cut in two
    WANTED_BLOCKS = 8,   // cut further below this
    SPLIT_DEPTH = 1024,  // shortest part of a sum that is split
    SPLIT_PARTS = 16,    // most parts
};

// C of one problem as a grid of equal blocks (the last of a side may be shorter).
typedef struct Grid {
    int64_t rows, cols;  // of a block
    int64_t down, across;
} Grid;

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

// Measured on two Zen 3 cores (AVX2), medians in GFLOP/s, "own : library" with the library in the best of
// several blockings (tests/bench/bench_kernels.c prints such tables):
//   y = x W^T, dx = dy W   8192 rows, n = k = 32: 108-125 : 83-88;  64: 110 : 90;  128: 110 : 96;
//                          192: 116 : 118;  1568 x 2048 x 512: 100 : 120;
//                          25088 rows, n, k = 128, 512 or 512, 128: 118 : 123.
//   dots                   3 x 3072 x 768: 80 : 17;  12: 93 : 75;  24: 90 : 91;  49 x 4096 x 1024: 84 : 92.
//   dx of few rows         3: 49 : 19;  12: 99 : 71;  24: 86 : 93;  49: 40 : 98.
//   dW = dy^T x            in parts of the sum : in blocks of C: 64 x 64 x 8192: 110 : 56;
//                          192 x 192 x 8192: 110 : 103;  512 x 512 x 8192: 144 : 128;
//                          own tiles : library, 32-128 square with 512 rows: 85 : 65.
XvGemmKernel xv_gemm_kernel(const XvGemm *gemm)
{
    int64_t outputs = gemm->m * gemm->n;
    if (gemm->trans_a) {
        bool is_deep = gemm->k >= (outputs <= 128 * 128 ? 2 : 4) * SPLIT_DEPTH && outputs <= 512 * 512;
        return is_deep ? XV_GEMM_SPLIT : outputs <= 128 * 128 ? XV_GEMM_PACKED : XV_GEMM_BLAS;
    }
    if (gemm->trans_b && gemm->m <= 16 && gemm->k >= 64) {
        return XV_GEMM_DOT;
    }
    bool is_small = gemm->n * gemm->k <= 160 * 160 || (gemm->m <= 16 && !gemm->trans_b);
    return is_small ? XV_GEMM_PACKED : XV_GEMM_BLAS;
}

static void multiply_block(const XvGemm *gemm, int64_t problem, const Grid *grid, int64_t block)
{
    int64_t row = block / grid->across * grid->rows, col = block % grid->across * grid->cols;
    int64_t m = row + grid->rows < gemm->m ? grid->rows : gemm->m - row;
    int64_t n = col + grid->cols < gemm->n ? grid->cols : gemm->n - col;
    const float *a = (const float *)gemm->a + problem * gemm->batch_a + row * (gemm->trans_a ? 1 : gemm->lda);
    const float *b = (const float *)gemm->b + problem * gemm->batch_b + col * (gemm->trans_b ? gemm->ldb : 1);
    float *c = (float *)gemm->c + problem * gemm->batch_c + row * gemm->ldc + col;
    cblas_sgemm(CblasRowMajor, gemm->trans_a ? CblasTrans : CblasNoTrans,
                gemm->trans_b ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)gemm->k, gemm->alpha, a,
                (int)gemm->lda, b, (int)gemm->ldb, gemm->accumulate ? 1.0f : 0.0f, c, (int)gemm->ldc);
}

// Equal parts of at most `largest`, in whole vectors.
static int64_t part_size(int64_t size, int64_t largest)
{
    return ceil_div(ceil_div(size, ceil_div(size, largest)), 16) * 16;
}

static Grid make_grid(const XvGemm *gemm)
{
    Grid grid = {.rows = part_size(gemm->m, BLOCK_ROWS), .cols = part_size(gemm->n, BLOCK_COLS)};
    for (;;) {
        grid.down = ceil_div(gemm->m, grid.rows);
        grid.across = ceil_div(gemm->n, grid.cols);
        int64_t *longer = grid.rows > grid.cols ? &grid.rows : &grid.cols;
        if (grid.down * grid.across * gemm->batch >= WANTED_BLOCKS || *longer < 2 * BLOCK_MIN) {
            return grid;
        }
        *longer = part_size(*longer, *longer / 2);
    }
}

static void finish_rows(const XvGemm *gemm, int64_t problem, const Grid *grid, int64_t down)
{
    int64_t first = down * grid->rows, end = first + grid->rows < gemm->m ? first + grid->rows : gemm->m;
    gemm->epilogue(gemm->epilogue_args, problem * gemm->m + first, problem * gemm->m + end);
}

static void multiply_blocks(const XvGemm *gemm)
{
    Grid grid = make_grid(gemm);
    int64_t blocks = grid.down * grid.across;
    bool has_epilogue = gemm->epilogue != NULL;
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < gemm->batch * blocks; i++) {
            multiply_block(gemm, i / blocks, &grid, i % blocks);
            if (has_epilogue && grid.across == 1) {
                finish_rows(gemm, i / blocks, &grid, i % blocks);
            }
        }
        if (has_epilogue && grid.across > 1) {
#pragma omp for schedule(static)
            for (int64_t i = 0; i < gemm->batch * grid.down; i++) {
                finish_rows(gemm, i / grid.down, &grid, i % grid.down);
            }
        }
    }
}

// Adds the parts of row `row` in order and stores it: parts are [n_parts][m][n].
static void add_parts(const XvGemm *gemm, const float *parts, int64_t n_parts, int64_t row)
{
    float *c = (float *)gemm->c + row * gemm->ldc;
    if (!gemm->accumulate) {
        memset(c, 0, (size_t)gemm->n * sizeof *c);
    }
    for (int64_t p = 0; p < n_parts; p++) {
        const float *part = parts + (p * gemm->m + row) * gemm->n;
#pragma omp simd
        for (int64_t j = 0; j < gemm->n; j++) {
            c[j] += part[j];
        }
    }
}

// One problem with a small C and a long sum: parts of the sum in parallel, each one library call.
static void multiply_split(const XvGemm *gemm)
{
    int64_t n_parts = gemm->k / SPLIT_DEPTH;
    n_parts = n_parts < 1 ? 1 : n_parts > SPLIT_PARTS ? SPLIT_PARTS : n_parts;
    int64_t depth = ceil_div(gemm->k, n_parts);
    float *parts = xv_scratch(n_parts * gemm->m * gemm->n);
    Grid grid = {.rows = gemm->m, .cols = gemm->n, .down = 1, .across = 1};
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int64_t p = 0; p < n_parts; p++) {
            XvGemm part = *gemm;
            part.k = (p + 1) * depth < gemm->k ? depth : gemm->k - p * depth;
            part.a = (const float *)gemm->a + p * depth * (gemm->trans_a ? gemm->lda : 1);
            part.b = (const float *)gemm->b + p * depth * (gemm->trans_b ? 1 : gemm->ldb);
            part.c = parts + p * gemm->m * gemm->n;
            part.ldc = gemm->n;
            part.accumulate = false;
            multiply_block(&part, 0, &grid, 0);
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < gemm->m; i++) {
            add_parts(gemm, parts, n_parts, i);
        }
    }
    xv_scratch_free(parts);
}

static void multiply_split_batch(const XvGemm *gemm)
{
    for (int64_t i = 0; i < gemm->batch; i++) {
        XvGemm one = *gemm;
        one.a = (const float *)gemm->a + i * gemm->batch_a;
        one.b = (const float *)gemm->b + i * gemm->batch_b;
        one.c = (float *)gemm->c + i * gemm->batch_c;
        multiply_split(&one);
        if (gemm->epilogue != NULL) {
            gemm->epilogue(gemm->epilogue_args, i * gemm->m, (i + 1) * gemm->m);
        }
    }
}

void xv_gemm_with(const XvGemm *gemm, XvGemmKernel kernel)
{
    if (gemm->sums) {
        XvGemm rest = *gemm;
        rest.sums = NULL;
        xv_gemm_sums(gemm);
        xv_gemm_with(&rest, kernel);
        return;
    }
    if (gemm->m == 0 || gemm->n == 0) {
        return;
    }
    if (!xv_gemm_is_plain(gemm)) {
        xv_gemm_typed(gemm, kernel);
        return;
    }
    if (gemm->bias) {
        xv_gemm_biased(gemm, kernel);
        return;
    }
    bool is_strided = gemm->n >= 192 || (gemm->n >= 64 && gemm->lda % 512 == 0);
    switch (gemm->k == 0 ? XV_GEMM_PACKED : kernel) {
    case XV_GEMM_DOT: xv_gemm_dot(gemm); break;
    case XV_GEMM_PACKED: xv_gemm_packed(gemm, gemm->trans_a || is_strided); break;
    case XV_GEMM_BLAS: multiply_blocks(gemm); break;
    case XV_GEMM_SPLIT: multiply_split_batch(gemm); break;
    }
}

void xv_gemm(const XvGemm *gemm)
{
    xv_gemm_with(gemm, xv_gemm_kernel(gemm));
}
