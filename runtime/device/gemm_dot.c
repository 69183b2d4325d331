// Few rows times a transposed B: both operands are read along k, in vectors, where they lie. Nothing is
// copied, so each weight is loaded once, and the speed is that of the memory it comes from.
//
// An element is XV_LANES interleaved sums over k, added in a fixed tree, then the rest of k in order.
#include "runtime/device/gemm_packed.h"
#include "runtime/device/vector.h"

enum {
    DOT_COLS = 4,  // columns of C per tile; with 3 rows, 12 sums
    DOT_ROWS = 3,
    CHUNK_COLS = 16,          // columns per work item
    SMALL_PRODUCTS = 200000,  // below this, starting threads costs more than it saves
};

// The tile of C at `c`, from the rows of A at `a` and the rows of B at `b`; only sizes are taken from gemm.
typedef struct DotTile {
    const float *a, *b;
    float *c;
} DotTile;

XV_INLINE void dot_tile(const XvGemm *gemm, const DotTile *tile, const int rows, const int cols)
{
    const float *a = tile->a, *b = tile->b;
    XvVec sum[DOT_ROWS][DOT_COLS];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++) {
            sum[i][j] = (XvVec){0};
        }
    }
    int64_t k = 0;
    for (; k + XV_LANES <= gemm->k; k += XV_LANES) {
        XvVec x[DOT_ROWS];
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            x[i] = xv_vec_load(a + i * gemm->lda + k);
        }
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++) {
            XvVec y = xv_vec_load(b + j * gemm->ldb + k);
#pragma GCC unroll 4
            for (int i = 0; i < rows; i++) {
                sum[i][j] = xv_vec_fma(x[i], y, sum[i][j]);
            }
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++) {
            float value = xv_vec_sum(sum[i][j]);
            for (int64_t rest = k; rest < gemm->k; rest++) {
                value = xv_fma(a[i * gemm->lda + rest], b[j * gemm->ldb + rest], value);
            }
            float *to = tile->c + i * gemm->ldc + j;
            *to = gemm->accumulate ? *to + gemm->alpha * value : gemm->alpha * value;
        }
    }
}

// All rows of the columns [first, end) of one problem.
static void dot_columns(const XvGemm *gemm, int64_t problem, int64_t first, int64_t end)
{
    const float *a = (const float *)gemm->a + problem * gemm->batch_a;
    const float *b = (const float *)gemm->b + problem * gemm->batch_b;
    float *c = (float *)gemm->c + problem * gemm->batch_c;
    int64_t j = first;
    for (; j + DOT_COLS <= end; j += DOT_COLS) {
        int64_t i = 0;
        for (; i + DOT_ROWS <= gemm->m; i += DOT_ROWS) {
            DotTile tile = {a + i * gemm->lda, b + j * gemm->ldb, c + i * gemm->ldc + j};
            dot_tile(gemm, &tile, DOT_ROWS, DOT_COLS);
        }
        for (; i < gemm->m; i++) {
            DotTile tile = {a + i * gemm->lda, b + j * gemm->ldb, c + i * gemm->ldc + j};
            dot_tile(gemm, &tile, 1, DOT_COLS);
        }
    }
    for (; j < end; j++) {
        for (int64_t i = 0; i < gemm->m; i++) {
            DotTile tile = {a + i * gemm->lda, b + j * gemm->ldb, c + i * gemm->ldc + j};
            dot_tile(gemm, &tile, 1, 1);
        }
    }
}

void xv_gemm_dot(const XvGemm *gemm)
{
    int64_t chunks = (gemm->n + CHUNK_COLS - 1) / CHUNK_COLS;
    bool is_small = gemm->m * gemm->n * gemm->k * gemm->batch < SMALL_PRODUCTS;
#pragma omp parallel for schedule(static) if (!is_small)
    for (int64_t item = 0; item < chunks * gemm->batch; item++) {
        int64_t first = item % chunks * CHUNK_COLS, end = first + CHUNK_COLS;
        dot_columns(gemm, item / chunks, first, end < gemm->n ? end : gemm->n);
    }
    if (gemm->epilogue == NULL) {
        return;
    }
#pragma omp parallel for schedule(static) if (gemm->batch > 1)
    for (int64_t i = 0; i < gemm->batch; i++) {
        gemm->epilogue(gemm->epilogue_args, i * gemm->m, (i + 1) * gemm->m);
    }
}
