// Loading, scores and softmax of one (batch, head) pair; see attention_head.h.
#include "runtime/device/attention_head.h"

#include "runtime/device/random_rows.h"

static int64_t in_cache_lines(int64_t floats)
{
    return (floats + 15) / 16 * 16;
}

void xv_head_init(Head *head, const XvAttention *attention, int64_t block_floats)
{
    *head = (Head){.attention = attention, .key_lanes = whole_vectors(attention->n_key)};
    head->query_strips = strips_of(attention->n_query);
    int64_t strips = block_floats / (head->key_lanes * TILE_ROWS);
    strips = strips < 1 ? 1 : strips;
    head->block_strips = strips < head->query_strips ? strips : head->query_strips;
}

int64_t xv_head_block_rows(const Head *head)
{
    return head->block_strips * TILE_ROWS;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t loaded_floats(const XvAttention *attention)
{
    if (xv_reads_floats((XvReading){attention->type, attention->is_tf32})) {
        return 0;
    }
    return larger(attention->n_query, attention->n_key) * larger(attention->head_dim, attention->value_dim);
}

int64_t xv_head_floats(const Head *head)
{
    const XvAttention *attention = head->attention;
    int64_t rows = xv_head_block_rows(head);
    int64_t keep = xv_keep_is_active(attention->keep) ? rows * attention->n_key + XV_LANES : 0;
    return in_cache_lines(attention->n_query * attention->head_dim) +
           in_cache_lines(loaded_floats(attention)) + in_cache_lines(attention->head_dim * head->key_lanes) +
           in_cache_lines(rows * head->key_lanes) + in_cache_lines(2 * rows) + in_cache_lines(keep);
}

void xv_head_place(Head *head, float *memory)
{
    const XvAttention *attention = head->attention;
    head->queries = memory;
    head->keys = head->queries + in_cache_lines(attention->n_query * attention->head_dim);
    head->scores = head->keys + in_cache_lines(attention->head_dim * head->key_lanes);
    head->row_values = head->scores + in_cache_lines(xv_head_block_rows(head) * head->key_lanes);
    float *keep = head->row_values + in_cache_lines(2 * xv_head_block_rows(head));
    bool has_keep = xv_keep_is_active(attention->keep);
    head->keep = has_keep ? keep : NULL;
    int64_t keep_floats = has_keep ? xv_head_block_rows(head) * attention->n_key + XV_LANES : 0;
    head->loaded = loaded_floats(attention) > 0 ? keep + in_cache_lines(keep_floats) : NULL;
}

Rows xv_head_rows(const Head *head, const Rows *from)
{
    Rows rows = *from;
    if (head->loaded == NULL) {
        return rows;
    }
    for (int64_t r = 0; r < from->count; r++) {
        const void *row = xv_element(from->at, from->reading.type, r * from->stride);
        xv_load_floats(head->loaded + r * from->dim, row, from->reading, from->dim);
    }
    rows.at = head->loaded;
    rows.stride = from->dim;
    return rows;
}

void xv_head_transpose(float *to, int64_t padded, const Rows *from)
{
    const float *at = from->at;
    int64_t whole_rows = from->count / 4 * 4, whole_dim = from->dim / 4 * 4;
    for (int64_t r = 0; r < whole_rows; r += 4) {
        for (int64_t d = 0; d < whole_dim; d += 4) {
            xv_transpose_quad(to + d * padded + r, padded, at + r * from->stride + d, from->stride);
        }
    }
    for (int64_t d = 0; d < from->dim; d++) {
        for (int64_t r = d < whole_dim ? whole_rows : 0; r < padded; r++) {
            to[d * padded + r] = r < from->count ? at[r * from->stride + d] : 0.0f;
        }
    }
}

void xv_head_copy(float *to, int64_t padded, const Rows *from, float factor)
{
    for (int64_t r = 0; r < from->count; r++) {
        const float *row = (const float *)from->at + r * from->stride;
#pragma omp simd
        for (int64_t d = 0; d < from->dim; d++) {
            to[r * padded + d] = factor * row[d];
        }
        for (int64_t d = from->dim; d < padded; d++) {
            to[r * padded + d] = 0.0f;
        }
    }
}

void xv_head_prefetch(const Rows *rows)
{
    for (int64_t r = 0; r < rows->count; r++) {
        for (int64_t d = 0; d < rows->dim; d += 16) {
            __builtin_prefetch(xv_element(rows->at, rows->reading.type, r * rows->stride + d));
        }
    }
}

void xv_head_load(Head *head, int64_t b, int64_t h)
{
    const XvAttention *attention = head->attention;
    head->b = b;
    head->h = h;
    Rows q = rows_of(attention, &attention->q, b, h, (Extent){attention->n_query, attention->head_dim});
    Rows k = rows_of(attention, &attention->k, b, h, (Extent){attention->n_key, attention->head_dim});
    q = xv_head_rows(head, &q);
    xv_head_copy(head->queries, attention->head_dim, &q, attention->scale);
    k = xv_head_rows(head, &k);
    xv_head_transpose(head->keys, head->key_lanes, &k);
}

void xv_head_multiply(const Product *product)
{
    int64_t strips = strips_of(product->n_rows);
    for (int64_t col = 0; col < product->cols; col += TILE_COLS) {
        int64_t cols = product->cols - col;
        Tile tile = {.a_row = product->a_row,
                     .a_step = product->a_step,
                     .b = product->b + col,
                     .c_row = product->c_row,
                     .b_step = product->b_step,
                     .depth = product->depth,
                     .alpha = product->alpha,
                     .cols = (int)(cols < TILE_COLS ? cols : TILE_COLS),
                     .accumulate = product->accumulate};
        for (int64_t s = 0; s < strips; s++) {
            int64_t row = strip_row(s, product->n_rows, strips);
            tile.a = product->a + row * product->a_row;
            tile.c = product->c + row * product->c_row + col;
            tile_run(&tile, strip_row(s + 1, product->n_rows, strips) - row);
        }
    }
}

void xv_head_store(const Head *head, const XvHeadsOut *view, const Results *results)
{
    XvDtype type = head->attention->type;
    int64_t at = head->b * view->batch + head->h * view->head + results->first * view->row;
    for (int64_t r = 0; r < results->count; r++) {
        void *to = xv_element_out(view->at, type, at + r * view->row);
        xv_store_floats(to, type, results->at + r * results->stride, results->dim);
    }
}

// The last elements of a row of n >= XV_LANES in the first lanes, read without reaching beyond the row.
XV_INLINE XvVec load_tail(const float *row, int64_t n)
{
    return xv_vec_turn(xv_vec_load(row + n - XV_LANES), (int)(XV_LANES - n % XV_LANES));
}

// Adds a row of a bias to a row of scores; what lands in the padding does not matter.
static void add_bias(const float *bias, int64_t step, float *scores, int64_t n)
{
    int64_t j = 0;
    if (step == 1 && n >= XV_LANES) {
        for (; j + XV_LANES <= n; j += XV_LANES) {
            xv_vec_store(scores + j, xv_vec_load(scores + j) + xv_vec_load(bias + j));
        }
        if (j < n) {
            xv_vec_store(scores + j, xv_vec_load(scores + j) + load_tail(bias, n));
        }
        return;
    }
    for (; j < n; j++) {
        scores[j] += bias[j * step];
    }
}

static void add_biases(const Head *head, int64_t first, int64_t rows)
{
    const XvAttention *attention = head->attention;
    for (int i = 0; i < attention->n_biases; i++) {
        const XvAttentionBias *bias = &attention->bias[i];
        const float *at =
            bias->at + head->b / bias->divisor % bias->modulus * bias->batch + head->h * bias->head;
        for (int64_t r = 0; r < rows; r++) {
            add_bias(at + (first + r) * bias->query, bias->key, head->scores + r * head->key_lanes,
                     attention->n_key);
        }
    }
}

// The three passes of softmax over a block of rows. Each is free of chains from row to row, so that the
// latencies of several rows overlap. The first also fills the padding.
static void find_tops(const Head *head, int64_t rows, float *tops)
{
    int64_t lanes = head->key_lanes, last = lanes - XV_LANES;
    XvVec pad = {0};
    for (int64_t j = head->attention->n_key; j < lanes; j++) {
        pad[j - last] = -INFINITY;
    }
    XvVecInt is_pad = pad < xv_vec_all(0.0f);
    for (int64_t r = 0; r < rows; r++) {
        float *scores = head->scores + r * lanes;
        XvVec top = (XvVec)(((XvVecInt)xv_vec_load(scores + last) & ~is_pad) | (XvVecInt)pad);
        xv_vec_store(scores + last, top);
        for (int64_t j = 0; j < last; j += XV_LANES) {
            top = xv_vec_max(xv_vec_load(scores + j), top);
        }
        tops[r] = xv_vec_max_all(top)[0];
    }
}

static void exponentiate(const Head *head, int64_t rows, const float *tops, float *totals)
{
    int64_t lanes = head->key_lanes;
    for (int64_t r = 0; r < rows; r++) {
        float *scores = head->scores + r * lanes;
        XvVec top = xv_vec_all(tops[r]), sum = {0};
        for (int64_t j = 0; j < lanes; j += XV_LANES) {
            XvVec p = xv_vec_exp(xv_vec_load(scores + j) - top);
            xv_vec_store(scores + j, p);
            sum += p;
        }
        totals[r] = xv_vec_sum(sum);
    }
}

static void normalise(const Head *head, int64_t rows, const float *totals)
{
    int64_t lanes = head->key_lanes;
    for (int64_t r = 0; r < rows; r++) {
        float *scores = head->scores + r * lanes;
        XvVec inverse = xv_vec_all(1.0f / totals[r]);
        for (int64_t j = 0; j < lanes; j += XV_LANES) {
            xv_vec_store(scores + j, xv_vec_load(scores + j) * inverse);
        }
    }
}

void xv_head_softmax(const Head *head, int64_t first, int64_t rows, float *lse)
{
    const XvAttention *attention = head->attention;
    Product product = {.a = head->queries + first * attention->head_dim,
                       .a_row = attention->head_dim,
                       .a_step = 1,
                       .b = head->keys,
                       .b_step = head->key_lanes,
                       .c = head->scores,
                       .c_row = head->key_lanes,
                       .n_rows = rows,
                       .cols = head->key_lanes,
                       .depth = attention->head_dim,
                       .alpha = 1.0f};
    xv_head_multiply(&product);
    add_biases(head, first, rows);
    float *tops = head->row_values, *totals = tops + xv_head_block_rows(head);
    find_tops(head, rows, tops);
    exponentiate(head, rows, tops, totals);
    normalise(head, rows, totals);
    if (lse != NULL) {
#pragma omp simd
        for (int64_t r = 0; r < rows; r++) {
            lse[r] = tops[r] + xv_log(totals[r]);
        }
    }
}

void xv_head_keep(const Head *head, int64_t first, int64_t rows)
{
    const XvAttention *attention = head->attention;
    uint64_t row = (uint64_t)((head->b * attention->heads + head->h) * attention->n_query + first);
    xv_keep_row(attention->keep, row * (uint64_t)attention->n_key, rows * attention->n_key, head->keep);
    for (int64_t i = 0; i < XV_LANES; i++) {
        head->keep[rows * attention->n_key + i] = 0.0f;  // the last row is read in whole vectors
    }
}
