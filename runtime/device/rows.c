// Gather, scatter, sampling and norms of rows; see rows.h.
#include "runtime/device/rows.h"

#include "runtime/base/random.h"
#include "runtime/device/elements.h"

#include <omp.h>
#include <string.h>

enum {
    LINE = 16,            // floats in a cache line: threads never share one
    SMALL_COUNT = 20000,  // elements below which starting threads costs more than it saves
    NORM_PARTS = 256,     // partial sums of a norm
    PIECE = 512,          // two-byte elements that are widened at a time
};

void xv_gather_rows(const XvRows *rows)
{
    size_t bytes = (size_t)rows->width * sizeof(float);
#pragma omp parallel for schedule(static) if (rows->count * rows->width > SMALL_COUNT)
    for (int64_t i = 0; i < rows->count; i++) {
        float *to = (float *)rows->rows + i * rows->width;
        int64_t from = rows->index[i];
        if (from < 0 || from >= rows->n_rows) {
            memset(to, 0, bytes);
        } else {
            memcpy(to, rows->table + from * rows->width, bytes);
        }
    }
}

static void clear_table(const XvRows *rows)
{
    int64_t count = rows->n_rows * rows->width, part = (int64_t)1 << 18;
#pragma omp parallel for schedule(static) if (count > SMALL_COUNT)
    for (int64_t first = 0; first < count; first += part) {
        int64_t size = first + part < count ? part : count - first;
        memset(rows->table + first, 0, (size_t)size * sizeof(float));
    }
}

// Columns of a row that lie side by side, as floats: where they are, or in `piece`.
static const float *piece_of(const XvRows *rows, int64_t at, int64_t count, float *piece)
{
    const void *from = xv_element(rows->rows, rows->type_rows, at);
    if (rows->type_rows == XV_F32) {
        return from;
    }
    xv_load_floats(piece, from, (XvReading){.type = rows->type_rows}, count);
    return piece;
}

// The columns [first, end) of one row.
static void add_row(float *to, const XvRows *rows, int64_t at, int64_t first, int64_t end)
{
    float piece[PIECE];
    int64_t step = rows->row_stride == 0 ? 1 : rows->column_stride;
    for (int64_t j = first; j < end && step != 1; j++) {
        to[j] += *piece_of(rows, at + j * step, 1, piece);
    }
    for (int64_t j = first; j < end && step == 1; j += PIECE) {
        int64_t count = end - j < PIECE ? end - j : PIECE;
        const float *from = piece_of(rows, at + j, count, piece);
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            to[j + i] += from[i];
        }
    }
}

// The columns [first, end) of all rows.
static void scatter_columns(const XvRows *rows, int64_t first, int64_t end)
{
    int64_t row_stride = rows->row_stride == 0 ? rows->width : rows->row_stride;
    for (int64_t i = 0; i < rows->count; i++) {
        int64_t row = rows->index[i];
        if (row >= 0 && row < rows->n_rows) {
            add_row(rows->table + row * rows->width, rows, i * row_stride, first, end);
        }
    }
}

// Threads share the columns, not the rows: a table of words has one row (the pad token) that half of a batch
// adds to.
void xv_scatter_add_rows(const XvRows *rows, bool is_cleared)
{
    if (is_cleared) {
        clear_table(rows);
    }
    int64_t threads = rows->count * rows->width > SMALL_COUNT ? omp_get_max_threads() : 1;
    int64_t lines = (rows->width + LINE - 1) / LINE, part = (lines + threads - 1) / threads * LINE;
#pragma omp parallel for schedule(static) num_threads((int)threads) if (threads > 1)
    for (int64_t first = 0; first < rows->width; first += part) {
        scatter_columns(rows, first, first + part < rows->width ? first + part : rows->width);
    }
}

static double positive(float weight)
{
    return weight > 0.0f ? (double)weight : 0.0;
}

static int32_t sample_row(const float *weights, int64_t n, double uniform)
{
    double total = 0.0;
    for (int64_t i = 0; i < n; i++) {
        total += positive(weights[i]);
    }
    double left = uniform * total;
    int32_t last = 0;  // rounding may exhaust the row before `left`: then the last positive weight is meant
    for (int64_t i = 0; i < n; i++) {
        double weight = positive(weights[i]);
        if (weight <= 0.0) {
            continue;
        }
        last = (int32_t)i;
        if (left < weight) {
            return last;
        }
        left -= weight;
    }
    return last;
}

void xv_sample_categorical(const float *weights, int64_t n_rows, int64_t n, const XvDraw *draw,
                           int32_t *index)
{
    if (draw->given_index != NULL) {
        memcpy(index, draw->given_index, (size_t)n_rows * sizeof *index);
        return;
    }
#pragma omp parallel for schedule(static) if (n_rows * n > SMALL_COUNT)
    for (int64_t r = 0; r < n_rows; r++) {
        XvPhilox words = xv_philox(draw->key, 0, (uint64_t)r);
        uint64_t bits = (uint64_t)(words.word[0] >> 5) << 26 | words.word[1] >> 6;
        index[r] = sample_row(weights + r * n, n, (double)bits * 0x1p-53);
    }
}

// Whether element a of the row comes before element b.
static bool is_above(const float *row, int32_t a, int32_t b)
{
    bool is_a_less = row[a] < row[b] || (row[a] != row[a] && row[b] == row[b]);
    bool is_b_less = row[b] < row[a] || (row[b] != row[b] && row[a] == row[a]);
    return is_b_less || (!is_a_less && a < b);
}

// Restores a heap whose root is the last in order, below position `at`.
static void sink(const float *row, int32_t *heap, int64_t size, int64_t at)
{
    for (int64_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
        child += child + 1 < size && is_above(row, heap[child], heap[child + 1]);
        if (!is_above(row, heap[at], heap[child])) {
            return;
        }
        int32_t held = heap[at];
        heap[at] = heap[child];
        heap[child] = held;
        at = child;
    }
}

// A heap of the best k so far, the worst of them on top; sorted at the end.
static void top_of_row(const float *row, int64_t n, int64_t k, int32_t *index)
{
    for (int64_t i = 0; i < k; i++) {
        index[i] = (int32_t)i;
    }
    for (int64_t i = k / 2 - 1; i >= 0; i--) {
        sink(row, index, k, i);
    }
    for (int64_t i = k; i < n; i++) {
        if (is_above(row, (int32_t)i, index[0])) {
            index[0] = (int32_t)i;
            sink(row, index, k, 0);
        }
    }
    for (int64_t size = k - 1; size > 0; size--) {
        int32_t worst = index[0];
        index[0] = index[size];
        index[size] = worst;
        sink(row, index, size, 0);
    }
}

void xv_top_k(const float *values, int64_t n_rows, int64_t n, int64_t k, int32_t *index)
{
#pragma omp parallel for schedule(static) if (n_rows * n > SMALL_COUNT)
    for (int64_t r = 0; r < n_rows; r++) {
        top_of_row(values + r * n, n, k, index + r * k);
    }
}

double xv_sum_squares(const float *values, int64_t n)
{
    double parts[NORM_PARTS];
    int64_t part = (n + NORM_PARTS - 1) / NORM_PARTS;
    part = (part + LINE - 1) / LINE * LINE;
#pragma omp parallel for schedule(static) if (n > SMALL_COUNT)
    for (int64_t p = 0; p < NORM_PARTS; p++) {
        int64_t end = (p + 1) * part < n ? (p + 1) * part : n;
        double sum = 0.0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = p * part; i < end; i++) {
            sum += (double)values[i] * (double)values[i];
        }
        parts[p] = sum;
    }
    double total = 0.0;
    for (int p = 0; p < NORM_PARTS; p++) {
        total += parts[p];
    }
    return total;
}
