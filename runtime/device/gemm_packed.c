// Own matrix product: C is cut into a grid of blocks that threads take one by one; a block walks the depth in
// slices of DEPTH, and in a slice runs down each panel of TILE_COLS columns of B, which stays in the
// first-level cache while the block's rows of A come from the second.
//
// The grid may depend on the number of threads, the result may not: every element of C is summed over k in
// order by one thread, in slices that depend on k alone.
#include "runtime/device/gemm_packed.h"
#include "runtime/device/gemm_tile.h"
#include "runtime/device/scratch.h"

#include <omp.h>

enum {
    DEPTH = 256,                    // a panel slice is DEPTH * TILE_COLS floats: 16 or 32 kB
    BLOCK_STRIPS = 96 / TILE_ROWS,  // strips of TILE_ROWS rows in a block: A slice of 96 kB
    COPY_STRIPS = 4,                // a slice of B is copied for at least so many strips
    SMALL_FLOPS = 400000,           // below this, starting threads costs more than it saves
};

typedef struct Packing {
    const XvGemm *gemm;
    const float *a, *b;  // of the current problem
    float *c;
    int64_t first_row;       // of the current problem, for the epilogue
    int64_t panels, strips;  // of the whole C
    int64_t block_panels, block_strips;
    int64_t panel_blocks, strip_blocks;
    float *transposed;    // copies of the panels of a transposed B, [panels][k][TILE_COLS]
    float *panel_slice;   // own to each thread: [DEPTH][TILE_COLS]
    float *strip_slices;  // own to each thread: [BLOCK_STRIPS][DEPTH][TILE_ROWS]; NULL: A is read in place
} Packing;

static inline int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

// One slice of the depth, for strips [first, end) of C: strip s starts at row s * TILE_ROWS.
typedef struct Slice {
    int64_t k, depth;
    int64_t first, end;
} Slice;

// A whole panel of a transposed B, [n, k], zero-filled to TILE_COLS.
static void transpose_panel(const Packing *packing, int64_t panel)
{
    const XvGemm *gemm = packing->gemm;
    const float *b = packing->b + panel * TILE_COLS * gemm->ldb;
    float *to = packing->transposed + panel * gemm->k * TILE_COLS;
    int64_t cols = smaller(TILE_COLS, gemm->n - panel * TILE_COLS);
    int64_t whole_cols = cols / 4 * 4, whole_k = gemm->k / 4 * 4;
    for (int64_t k = 0; k < whole_k; k += 4) {
        for (int64_t j = 0; j < whole_cols; j += 4) {
            xv_transpose_quad(to + k * TILE_COLS + j, TILE_COLS, b + j * gemm->ldb + k, gemm->ldb);
        }
    }
    for (int64_t j = 0; j < TILE_COLS; j++) {
        for (int64_t k = j < whole_cols ? whole_k : 0; k < gemm->k; k++) {
            to[k * TILE_COLS + j] = j < cols ? b[j * gemm->ldb + k] : 0.0f;
        }
    }
}

// The slice of a panel of a row-major B into the thread's own buffer, zero-filled to TILE_COLS.
static void copy_panel(const Packing *packing, const Slice *slice, const float *b, int64_t cols)
{
    for (int64_t k = 0; k < slice->depth; k++) {
        const float *from = b + k * packing->gemm->ldb;
        float *to = packing->panel_slice + k * TILE_COLS;
        if (cols == TILE_COLS) {
            xv_vec_store(to, xv_vec_load(from));
            xv_vec_store(to + XV_LANES, xv_vec_load(from + XV_LANES));
        } else {
            for (int64_t j = 0; j < TILE_COLS; j++) {
                to[j] = j < cols ? from[j] : 0.0f;
            }
        }
    }
}

// Where the tiles read panel `panel`, whose rows are then *b_step apart. A row-major B is copied when enough
// strips will use the copy: rows a large power of two apart would share a few sets of the cache.
static const float *find_panel(const Packing *packing, const Slice *slice, int64_t panel, int64_t *b_step)
{
    const XvGemm *gemm = packing->gemm;
    int64_t first = panel * TILE_COLS, cols = smaller(TILE_COLS, gemm->n - first);
    *b_step = TILE_COLS;
    if (gemm->trans_b) {
        return packing->transposed + (panel * gemm->k + slice->k) * TILE_COLS;
    }
    const float *b = packing->b + slice->k * gemm->ldb + first;
    if (cols < TILE_COLS || slice->end - slice->first >= COPY_STRIPS) {
        copy_panel(packing, slice, b, cols);
        return packing->panel_slice;
    }
    *b_step = gemm->ldb;
    return b;
}

// A strip of A in the order the tile reads it, [depth][TILE_ROWS]; rows that do not exist repeat the first.
static void copy_strip(float *to, const Tile *tile, int64_t rows)
{
    int64_t k = 0;
    if (rows == TILE_ROWS && tile->a_step == 1) {
        for (; k + 4 <= tile->depth; k += 4) {
#pragma GCC unroll 4
            for (int64_t i = 0; i < TILE_ROWS; i += 4) {
                int64_t row =
                    i + 4 <= TILE_ROWS ? i : TILE_ROWS - 4;  // the last four overlap their neighbours
                xv_transpose_quad(to + k * TILE_ROWS + row, TILE_ROWS, tile->a + row * tile->a_row + k,
                                  tile->a_row);
            }
        }
    }
    if (rows == TILE_ROWS && tile->a_row == 1) {
        for (; k < tile->depth; k++) {
            memcpy(to + k * TILE_ROWS, tile->a + k * tile->a_step, TILE_ROWS * sizeof(float));
        }
    }
    for (; k < tile->depth; k++) {
        for (int64_t i = 0; i < TILE_ROWS; i++) {
            to[k * TILE_ROWS + i] = tile->a[(i < rows ? i : 0) * tile->a_row + k * tile->a_step];
        }
    }
}

static Tile strip_tile(const Packing *packing, const Slice *slice, int64_t strip)
{
    const XvGemm *gemm = packing->gemm;
    int64_t row = strip * TILE_ROWS;
    Tile tile = {.depth = slice->depth,
                 .c_row = gemm->ldc,
                 .alpha = gemm->alpha,
                 .c = packing->c + row * gemm->ldc,
                 .accumulate = gemm->accumulate || slice->k > 0};
    tile.a_row = gemm->trans_a ? 1 : gemm->lda;
    tile.a_step = gemm->trans_a ? gemm->lda : 1;
    tile.a = packing->a + row * tile.a_row + slice->k * tile.a_step;
    return tile;
}

static void copy_strips(const Packing *packing, const Slice *slice)
{
    for (int64_t s = slice->first; s < slice->end; s++) {
        Tile tile = strip_tile(packing, slice, s);
        copy_strip(packing->strip_slices + (s - slice->first) * DEPTH * TILE_ROWS, &tile,
                   smaller(TILE_ROWS, packing->gemm->m - s * TILE_ROWS));
    }
}

static void run_panel(const Packing *packing, const Slice *slice, int64_t panel)
{
    const XvGemm *gemm = packing->gemm;
    int64_t b_step;
    const float *b = find_panel(packing, slice, panel, &b_step);
    for (int64_t s = slice->first; s < slice->end; s++) {
        Tile tile = strip_tile(packing, slice, s);
        tile.b = b;
        tile.b_step = b_step;
        tile.c += panel * TILE_COLS;
        tile.cols = (int)smaller(TILE_COLS, gemm->n - panel * TILE_COLS);
        if (packing->strip_slices != NULL) {
            tile.a = packing->strip_slices + (s - slice->first) * DEPTH * TILE_ROWS;
            tile.a_row = 1;
            tile.a_step = TILE_ROWS;
        }
        tile_run(&tile, smaller(TILE_ROWS, gemm->m - s * TILE_ROWS));
    }
}

static void run_block(const Packing *packing, int64_t block)
{
    const XvGemm *gemm = packing->gemm;
    int64_t panel = block % packing->panel_blocks * packing->block_panels;
    int64_t panel_end = smaller(panel + packing->block_panels, packing->panels);
    Slice slice = {.first = block / packing->panel_blocks * packing->block_strips};
    slice.end = smaller(slice.first + packing->block_strips, packing->strips);
    for (slice.k = 0; slice.k == 0 || slice.k < gemm->k; slice.k += DEPTH) {
        slice.depth = smaller(DEPTH, gemm->k - slice.k);
        if (packing->strip_slices != NULL) {
            copy_strips(packing, &slice);
        }
        for (int64_t p = panel; p < panel_end; p++) {
            run_panel(packing, &slice, p);
        }
    }
}

static void run_epilogue(const Packing *packing, int64_t strip_block)
{
    const XvGemm *gemm = packing->gemm;
    int64_t rows = packing->block_strips * TILE_ROWS, first = strip_block * rows;
    gemm->epilogue(gemm->epilogue_args, packing->first_row + first,
                   packing->first_row + smaller(first + rows, gemm->m));
}

// Cuts C so that there are some blocks per thread, no block has more than BLOCK_STRIPS strips, and blocks are
// whole rows if possible (an epilogue then finds its rows in the cache).
static void cut_blocks(Packing *packing, int threads)
{
    int64_t wanted = threads == 1 ? 1 : (int64_t)threads * 4;
    packing->block_strips = smaller(BLOCK_STRIPS, ceil_div(packing->strips, wanted));
    packing->block_strips = packing->block_strips < 4 ? smaller(4, packing->strips) : packing->block_strips;
    packing->strip_blocks = ceil_div(packing->strips, packing->block_strips);
    int64_t per_strip_block = smaller(packing->panels, ceil_div(wanted, packing->strip_blocks));
    packing->block_panels = ceil_div(packing->panels, per_strip_block);
    packing->panel_blocks = ceil_div(packing->panels, packing->block_panels);
}

// One problem, by all threads of the current team: first the copies of B, then the blocks.
static void run_together(const Packing *packing)
{
    bool has_epilogue = packing->gemm->epilogue != NULL;
    if (packing->gemm->trans_b) {
#pragma omp for schedule(static)
        for (int64_t p = 0; p < packing->panels; p++) {
            transpose_panel(packing, p);
        }
    }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < packing->strip_blocks * packing->panel_blocks; i++) {
        run_block(packing, i);
        if (has_epilogue && packing->panel_blocks == 1) {
            run_epilogue(packing, i);
        }
    }
    if (has_epilogue && packing->panel_blocks > 1) {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < packing->strip_blocks; i++) {
            run_epilogue(packing, i);
        }
    }
}

// One problem, by the current thread.
static void run_alone(const Packing *packing)
{
    for (int64_t p = 0; packing->gemm->trans_b && p < packing->panels; p++) {
        transpose_panel(packing, p);
    }
    for (int64_t i = 0; i < packing->strip_blocks; i++) {
        for (int64_t j = 0; j < packing->panel_blocks; j++) {
            run_block(packing, i * packing->panel_blocks + j);
        }
        if (packing->gemm->epilogue != NULL) {
            run_epilogue(packing, i);
        }
    }
}

static void use_problem(Packing *packing, int64_t index)
{
    const XvGemm *gemm = packing->gemm;
    packing->a = (const float *)gemm->a + index * gemm->batch_a;
    packing->b = (const float *)gemm->b + index * gemm->batch_b;
    packing->c = (float *)gemm->c + index * gemm->batch_c;
    packing->first_row = index * gemm->m;
}

void xv_gemm_packed(const XvGemm *gemm, bool copy_a)
{
    Packing shared = {
        .gemm = gemm, .panels = ceil_div(gemm->n, TILE_COLS), .strips = ceil_div(gemm->m, TILE_ROWS)};
    double flops = 2.0 * (double)gemm->m * (double)gemm->n * (double)gemm->k;
    bool is_batch = flops < SMALL_FLOPS || gemm->batch >= omp_get_max_threads();  // a problem to each thread
    int threads = flops * (double)gemm->batch < SMALL_FLOPS ? 1 : omp_get_max_threads();
    cut_blocks(&shared, is_batch ? 1 : threads);

    int64_t transposed_floats = gemm->trans_b ? shared.panels * gemm->k * TILE_COLS : 0;
    int64_t strip_floats = copy_a ? shared.block_strips * DEPTH * TILE_ROWS : 0;
    int64_t shared_floats = is_batch ? 0 : transposed_floats;
    int64_t own_floats = DEPTH * TILE_COLS + strip_floats + transposed_floats - shared_floats;
    own_floats = (own_floats + 15) / 16 * 16;
    float *scratch = xv_scratch(shared_floats + threads * own_floats);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        Packing packing = shared;
        packing.panel_slice = scratch + shared_floats + omp_get_thread_num() * own_floats;
        packing.strip_slices = copy_a ? packing.panel_slice + DEPTH * TILE_COLS : NULL;
        packing.transposed = is_batch ? packing.panel_slice + DEPTH * TILE_COLS + strip_floats : scratch;
        if (is_batch) {
#pragma omp for schedule(static)
            for (int64_t i = 0; i < gemm->batch; i++) {
                use_problem(&packing, i);
                run_alone(&packing);
            }
        } else {
            for (int64_t i = 0; i < gemm->batch; i++) {
                use_problem(&packing, i);
                run_together(&packing);
            }
        }
    }
    xv_scratch_free(scratch);
}
