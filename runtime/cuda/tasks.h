// What the library's kernels are asked to do: structures passed by value from the host (C) to kernels (CUDA C++), of
// equal layout on both sides. All sizes and strides count elements.
#pragma once

#ifdef XV_KERNEL
#define XV_SPAN(T) XvSpan<T>
#else
#include "runtime/program.h"

// A piece of device memory; `at` may be NULL.
typedef struct XvSpan {
    const void *at;
    int64_t count;
} XvSpan;
#define XV_SPAN(T) XvSpan
#endif

// A buffer of elements of some type: floats, or bits of bf16 or f16.
typedef struct XvOperand {
    XV_SPAN(const float) f32;
    XV_SPAN(const uint16_t) half;
    int64_t is_f16;
} XvOperand;

typedef struct XvResult {
    XV_SPAN(float) f32;
    XV_SPAN(uint16_t) half;
    int64_t is_f16;
} XvResult;

// C[p,i,j] = sum over k of A[p,i,k] B[p,k,j] (+ C[p,i,j]) (+ bias[j]), p < batch; sums[i] = sum over k of A[0,i,k].
typedef struct XvMatmulTask {
    XvOperand a, b, bias;
    XvResult c;
    XV_SPAN(float) sums;  // m, or none
    int64_t m, n, k;
    int64_t a_batch, a_row, a_step;
    int64_t b_batch, b_step, b_column;
    int64_t c_batch, c_row;
    int32_t is_added, has_bias;
    int32_t is_tf32;  // operands are rounded when they are read; the kernel xv_matmul_tf32 rounds by itself
    int32_t a_is_wide, b_is_wide;  // of the kernel's own type, every row on 16 bytes
    int32_t unused;
} XvMatmulTask;

enum { XV_MATMUL_TILE = 64, XV_MATMUL_THREADS = 128 };

// A view [batch, head, row, :] whose rows are contiguous.
typedef struct XvHeadsTask {
    XvResult data;
    int64_t batch, head, row;
    int64_t is_wide;  // every row starts on 16 bytes
} XvHeadsTask;

// Added to the scores: element [b / divisor % modulus, h, i, j]; stride zero broadcasts.
typedef struct XvBiasTask {
    XV_SPAN(const float) data;
    int64_t batch, head, query, key;
    int64_t divisor, modulus;
} XvBiasTask;

// Attention and its gradient as in runtime/device/attention.h. The gradient reads lse; sizes are the kernel's own.
typedef struct XvAttentionTask {
    int64_t batch, heads;
    XvHeadsTask q, k, v, out;
    XvBiasTask bias[2];
    XV_SPAN(float) lse;             // [batch, heads, n_query], or NULL
    XV_SPAN(const XvDraw) keep;     // one draw, or NULL
    XvHeadsTask d_out, dq, dk, dv;  // gradient only
    // Gradient of biases only: what the scores' gradients of a block add up to, [chunk, head, n_query, n_key].
    XV_SPAN(float) parts;
    int64_t per_chunk;  // batch entries of a block
    float scale;
    int32_t unused;
} XvAttentionTask;

#if defined(XV_KERNEL) && !defined(XV_SIMT)
#define XV_SHAPE_FN static constexpr __device__
#elif defined(XV_KERNEL)
#define XV_SHAPE_FN static constexpr
#else
#define XV_SHAPE_FN static inline
#endif

// How many rows a tile of attention may have so that those of the gradient fit into 48 kB of shared memory: queries and
// d_out, keys and values, scores, and two numbers per query. 0 when none fits. The forward pass has no such numbers,
// n_query is 0 there.
XV_SHAPE_FN int xv_attention_limit(int element_bytes, int dim, int value_dim, int n_query)
{
    int limit = 64, bytes = 0;
    do {
        int width = (dim + 15) / 16 * 16 + (value_dim + 15) / 16 * 16;
        bytes = 2 * limit * (width * element_bytes + 32) + limit * (limit * element_bytes + 16);
        bytes += (n_query + 2 * limit) * 8;
    } while (bytes > 49152 && (limit = limit > 16 ? limit / 2 : 0) > 0);
    return limit;
}

// Rows of a tile when `n` are cut into as few and as equal tiles as the limit allows.
XV_SHAPE_FN int xv_attention_rows(int n, int limit)
{
    int tiles = limit > 0 ? (n + limit - 1) / limit : 1;
    return ((n + tiles - 1) / tiles + 15) / 16 * 16;
}

enum { XV_ATTENTION_MAX_DIM = 128 };

// d[c, h, i, j] of one bias, dense and row-major, 1 for dimensions that the bias broadcasts: the sum of all parts that
// share an element.
typedef struct XvBiasGradTask {
    XV_SPAN(float) d;
    int64_t entries, heads, queries, keys;
    int64_t divisor, modulus;
    int64_t blocks;  // 0: not wanted
} XvBiasGradTask;

typedef struct XvAttentionBiasTask {
    XV_SPAN(const float)
    parts;  // [chunks, heads, n_query, n_key]; a chunk is one batch entry where entries > 1
    int64_t chunks, heads, n_query, n_key;
    XvBiasGradTask bias[2];
} XvAttentionBiasTask;

enum { XV_ATTENTION_BIAS_THREADS = 128 };

enum { XV_ROWS_THREADS = 128 };  // of the kernels of rows.cuh

// table[index[i],:] += rows[i,:] in the order of i, indices outside 0..n_rows-1 skipped; a table that is not added to
// starts as zeros. Blocks own a row and some columns.
typedef struct XvScatterTask {
    XV_SPAN(float) table;
    XV_SPAN(const int32_t) index;
    XvOperand rows;
    int64_t n_rows, width, count;
    int64_t row_stride, column_stride;  // of rows
    int64_t first_block, column_blocks;
} XvScatterTask;

enum { XV_SCATTER_COLUMNS = 1024, XV_SCATTER_MAX = 16 };  // columns of a block, tables of a launch

typedef struct XvScatterTablesTask {
    XvScatterTask tables[XV_SCATTER_MAX];
    int32_t n_tables, is_added;
} XvScatterTablesTask;

// index[r] drawn from row r of weights [n_rows, n].
typedef struct XvSampleTask {
    XV_SPAN(const float) weights;
    XV_SPAN(int32_t) index;
    XV_SPAN(const XvDraw) draw;
    int64_t n_rows, n;
} XvSampleTask;

// index[r, 0..k-1]: where the k largest of row r of values [., n] are, largest first, of equal ones the first.
typedef struct XvTopTask {
    XV_SPAN(const float) values;
    XV_SPAN(int32_t) index;
    int64_t n, k;
} XvTopTask;

// out[c] = sum over chunks of parts[chunk * lanes + c], in an order that depends on their number alone.
typedef struct XvColumns {
    XV_SPAN(const float) parts;
    XV_SPAN(float) out;
    int32_t chunks, lanes;
    int32_t first_block;
    int32_t unused;
} XvColumns;

enum { XV_COLUMNS_LANES = 32, XV_COLUMNS_MAX = 64 };  // lanes of a block, sums of a launch

typedef struct XvColumnsTask {
    XvColumns sums[XV_COLUMNS_MAX];
    int32_t n_sums;
    int32_t unused;
} XvColumnsTask;

// A run of elements of one parameter.
typedef struct XvPiece {
    int64_t first;
    int32_t count;  // at most XV_PIECE
    int32_t is_fresh, has_decay;
    int32_t has_copy;
} XvPiece;

enum { XV_PIECE = 4096, XV_UPDATE_THREADS = 256 };

// What an update found, in device memory: read by the update itself and, later, by the host.
typedef struct XvUpdateState {
    XvScaler scaler;     // for the next update; the scale is read by the backward pass before it
    double norm;         // of all gradients of the loss itself
    float step_size[2];  // corrected rates, plain and fresh
    float scale;         // of gradients: takes the scale of the loss off and clips
    int32_t is_made;     // 0: nothing was updated
    int32_t
        has_stopped;  // with losses: something that no smaller scale helps was not finite; no update is made any more
    int32_t unused;
} XvUpdateState;

// values[i] = min(max(values[i], low), high).
typedef struct XvClampTask {
    XV_SPAN(float) values;
    float low, high;
} XvClampTask;

typedef struct XvUpdateTask {
    XV_SPAN(float) parameters;
    XV_SPAN(uint16_t) copies;  // of parameters, rounded to bf16 or f16; or none
    XV_SPAN(const float) gradients;
    XV_SPAN(float) moment1;
    XV_SPAN(float) moment2;
    XV_SPAN(const XvPiece) pieces;
    XV_SPAN(double) squares;       // one per piece
    XV_SPAN(const XvRates) rates;  // one
    XV_SPAN(XvUpdateState) state;  // one
    XV_SPAN(const float) losses;   // must be finite as well; none: updates do not stop for good
    double clip;                   // 0 or less: none
    double beta1, beta2;
    float epsilon;
    int32_t is_f16;
} XvUpdateTask;
