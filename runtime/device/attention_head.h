// One (batch, head) pair of attention in local buffers; shared by the forward and the backward kernel,
// internal to them. Products run on the register tiles of gemm_tile.h.
//
// Rows of scores are padded to whole vectors with -inf, so that softmax runs on full vectors. Rows of q, k, v
// are copied together: in a [tokens, 3, heads, dim] buffer they often lie a multiple of 4 kB apart, all in
// one cache set.
#pragma once

#include "runtime/device/attention.h"
#include "runtime/device/elements.h"
#include "runtime/device/gemm_tile.h"

typedef struct Head {
    const XvAttention *attention;
    int64_t b, h;
    int64_t key_lanes;     // n_key in whole vectors: row stride of scores
    int64_t query_strips;  // n_query in strips of at most TILE_ROWS, as equal as possible
    int64_t block_strips;  // strips whose scores are held at once
    float *queries;        // [n_query][head_dim], times scale
    float *keys;           // transposed: [head_dim][key_lanes]
    float *scores;         // [block rows][key_lanes]
    float *row_values;     // [2][block rows]: largest score and sum of exponentials of each row
    float *keep;           // [block rows][n_key], one vector of slack; NULL without dropout
    float *loaded;  // [rows][dim] of the view being read, the longest; NULL where views are plain floats
} Head;

// rows[i][:] of a product: A [n_rows, depth] times B [depth, cols].
typedef struct Product {
    const float *a;
    int64_t a_row, a_step;
    const float *b;
    int64_t b_step;
    float *c;
    int64_t c_row;
    int64_t n_rows, cols, depth;
    float alpha;
    bool accumulate;
} Product;

// Rows of one pair in a view.
typedef struct Rows {
    const void *at;
    XvReading reading;
    int64_t stride;  // from one row to the next
    int64_t count, dim;
} Rows;

typedef struct Extent {
    int64_t count, dim;
} Extent;

static inline Rows rows_of(const XvAttention *attention, const XvHeads *view, int64_t b, int64_t h,
                           Extent extent)
{
    return (Rows){.at = xv_element(view->at, attention->type, b * view->batch + h * view->head),
                  .reading = {attention->type, attention->is_tf32},
                  .stride = view->row,
                  .count = extent.count,
                  .dim = extent.dim};
}

static inline int64_t whole_vectors(int64_t n)
{
    return (n + XV_LANES - 1) / XV_LANES * XV_LANES;
}

static inline int64_t strips_of(int64_t rows)
{
    return (rows + TILE_ROWS - 1) / TILE_ROWS;
}

// First row of strip s when `rows` rows are cut into `strips` nearly equal strips.
static inline int64_t strip_row(int64_t s, int64_t rows, int64_t strips)
{
    return s * rows / strips;
}

// Sets sizes; the caller provides the buffers. `block_floats`: how many scores to hold at once, about.
void xv_head_init(Head *head, const XvAttention *attention, int64_t block_floats);

int64_t xv_head_block_rows(const Head *head);

// Work memory of the buffers above, in floats; and its division among them.
int64_t xv_head_floats(const Head *head);
void xv_head_place(Head *head, float *memory);

// Asks for the rows of a pair that will be loaded next: pieces of a row are too short for the hardware to
// foresee.
void xv_head_prefetch(const Rows *rows);

// Moves to pair (b, h): fills queries and keys.
void xv_head_load(Head *head, int64_t b, int64_t h);

// scores[r] = softmax of row first + r, zero in the padding; lse[r] where lse is not NULL. rows <= block
// rows.
void xv_head_softmax(const Head *head, int64_t first, int64_t rows, float *lse);

// keep[r * n_key + j] of the same rows; the head must have dropout.
void xv_head_keep(const Head *head, int64_t first, int64_t rows);

// The same rows as plain floats: in place, or in head->loaded until the next call.
Rows xv_head_rows(const Head *head, const Rows *from);

// Of plain floats: to[d][r] = from[r][d], zero for r in count..padded-1; to has row stride `padded`.
void xv_head_transpose(float *to, int64_t padded, const Rows *from);

// Of plain floats: to[r][d] = factor * from[r][d], rows `padded` apart, zero in the padding.
void xv_head_copy(float *to, int64_t padded, const Rows *from, float factor);

void xv_head_multiply(const Product *product);

// Rows of plain floats, `stride` apart, into the rows of pair (b, h) of a view, from row `first` on.
typedef struct Results {
    const float *at;
    int64_t stride;
    int64_t first, count, dim;
} Results;

void xv_head_store(const Head *head, const XvHeadsOut *view, const Results *results);
