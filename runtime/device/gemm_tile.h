// The register tile of the own matrix product: TILE_ROWS x TILE_COLS sums held in registers over the whole
// depth.
//
// 14 x 32 with 32 vector registers of 16 lanes, 6 x 16 with 16 registers of 8, 6 x 8 with 16 of 4: as many
// sums as fit beside two vectors of B and one broadcast element of A. Each element of C is one chain of fused
// multiply-adds in the order of k, whatever tile it falls into.
#pragma once

#include "runtime/device/vector.h"

#include <stdbool.h>

#if defined(__AVX512F__)
enum { TILE_ROWS = 14 };
#else
enum { TILE_ROWS = 6 };
#endif
enum { TILE_COLS = 2 * XV_LANES };

// One tile: element (i, k) of A at a[i * a_row + k * a_step], row k of B at b[k * b_step], TILE_COLS wide.
typedef struct Tile {
    const float *a, *b;
    int64_t a_row, a_step, b_step, depth;
    float *c;
    int64_t c_row;
    int cols;  // columns of C that exist, 1..TILE_COLS
    float alpha;
    bool accumulate;
} Tile;

// Scaled row i into C, all columns of it.
XV_INLINE void tile_store_row(const Tile *tile, int i, const XvVec *sum, const int vectors)
{
    float *c = tile->c + i * tile->c_row;
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++) {
        XvVec value = sum[j] * xv_vec_all(tile->alpha);
        xv_vec_store(c + j * XV_LANES, tile->accumulate ? value + xv_vec_load(c + j * XV_LANES) : value);
    }
}

// The same for a tile that reaches over the right edge of C; `sums` holds its rows.
static inline void tile_store_edge(const Tile *tile, int64_t rows, const float *sums)
{
    for (int64_t i = 0; i < rows; i++) {
        float *c = tile->c + i * tile->c_row;
        for (int j = 0; j < tile->cols; j++) {
            float value = tile->alpha * sums[i * TILE_COLS + j];
            c[j] = tile->accumulate ? c[j] + value : value;
        }
    }
}

XV_INLINE void tile_of(const Tile *tile, const int rows, const int vectors)
{
    XvVec sum[TILE_ROWS][2];
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) {
        sum[i][0] = sum[i][1] = (XvVec){0};
    }
    const float *a = tile->a, *b = tile->b;
    const int64_t a_row = tile->a_row, a_step = tile->a_step, b_step = tile->b_step;
    for (int64_t k = tile->depth; k > 0; k--) {
        XvVec low = xv_vec_load(b);
        XvVec high = vectors > 1 ? xv_vec_load(b + XV_LANES) : low;
#pragma GCC unroll 14
        for (int i = 0; i < rows; i++) {
            XvVec x = xv_vec_all(a[i * a_row]);
            sum[i][0] = xv_vec_fma(x, low, sum[i][0]);
            if (vectors > 1) {
                sum[i][1] = xv_vec_fma(x, high, sum[i][1]);
            }
        }
        a += a_step;
        b += b_step;
    }
    if (tile->cols == vectors * XV_LANES) {
#pragma GCC unroll 14
        for (int i = 0; i < rows; i++) {
            tile_store_row(tile, i, sum[i], vectors);
        }
        return;
    }
    float sums[TILE_ROWS * TILE_COLS];
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) {
        xv_vec_store(sums + i * TILE_COLS, sum[i][0]);
        xv_vec_store(sums + i * TILE_COLS + XV_LANES, sum[i][1]);
    }
    tile_store_edge(tile, rows, sums);
}

// Computes 1..TILE_ROWS rows, tile->cols columns. Reads B in whole vectors: one if cols <= XV_LANES, else
// two. Every shape has its own code, so that sums stay in registers.
static inline void tile_run(const Tile *tile, int64_t rows)
{
    // clang-format off
    switch (2 * rows + (tile->cols > XV_LANES ? 1 : 0)) {
#define ROWS(n)                                 \
    case 2 * n: tile_of(tile, n, 1); break;     \
    case 2 * n + 1: tile_of(tile, n, 2); break;
#if defined(__AVX512F__)
        ROWS(14)
        ROWS(13)
        ROWS(12)
        ROWS(11)
        ROWS(10)
        ROWS(9)
        ROWS(8)
        ROWS(7)
#endif
        ROWS(6)
        ROWS(5)
        ROWS(4)
        ROWS(3)
        ROWS(2)
        ROWS(1)
#undef ROWS
    default: break;
    }
    // clang-format on
}
