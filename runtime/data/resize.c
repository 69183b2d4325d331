// Bicubic resize in two passes; see resize.h.
//
// The horizontal pass turns blocks of rows so that the same pixel of many rows lies side by side: then one
// weight meets contiguous bytes and the compiler's vectors do the rest. The vertical pass has that order
// anyway.
#include "runtime/data/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

enum {
    PRECISION = 22,
    HALF = 1 << (PRECISION - 1),
    LANES = 16,          // rows per block
    COLUMN = 3 * LANES,  // bytes of one pixel column of a block
    CHUNK = 64,          // bytes of a row that the vertical pass works on
};

typedef struct XvResizeTable Table;
// A picture's rows as bytes: `bytes` of each count, they lie `stride` apart.
typedef struct Rows {
    const uint8_t *at;
    size_t stride, bytes;
} Rows;

// As many sums as one vector register holds.
#if defined(__AVX2__)
enum { WIDTH = 8 };
#else
enum { WIDTH = 4 };
#endif
typedef int32_t Ints __attribute__((vector_size(WIDTH * 4)));
typedef uint8_t Lane __attribute__((vector_size(LANES)));  // one byte of each row of a block

static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) {
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    }
    if (x < 2.0) {
        return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    }
    return 0.0;
}

static int fixed_point(double weight)
{
    return (int)(weight * (1 << PRECISION) + (weight < 0 ? -0.5 : 0.5));
}

static void fill_row(Table *table, int at, double scale, double *weights)
{
    double filter_scale = scale < 1.0 ? 1.0 : scale;
    double support = 2.0 * filter_scale;
    double center = (at + 0.5) * scale;
    double inverse = 1.0 / filter_scale;
    int first = (int)(center - support + 0.5);
    int last = (int)(center + support + 0.5);
    first = first < 0 ? 0 : first;
    last = last > table->in ? table->in : last;

    double sum = 0.0;
    for (int i = first; i < last; i++) {
        weights[i - first] = bicubic((i - center + 0.5) * inverse);
        sum += weights[i - first];
    }
    table->first[at] = first;
    table->count[at] = last - first;
    for (int i = 0; i < last - first; i++) {
        table->weights[at * table->taps + i] = fixed_point(sum != 0.0 ? weights[i] / sum : weights[i]);
    }
}

static void table_free(Table *table)
{
    free(table->first);
    free(table->count);
    free(table->weights);
    *table = (Table){0};
}

static bool table_make(Table *table, int in, int out, XvError *error)
{
    if (table->in == in && table->out == out) {
        return true;
    }
    table_free(table);
    double scale = (double)in / out;
    int taps = (int)ceil(2.0 * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;
    double *weights = malloc((size_t)taps * sizeof *weights);
    table->first = malloc((size_t)out * sizeof *table->first);
    table->count = malloc((size_t)out * sizeof *table->count);
    table->weights = calloc((size_t)out * (size_t)taps, sizeof *table->weights);
    if (!weights || !table->first || !table->count || !table->weights) {
        free(weights);
        table_free(table);
        return xv_fail(error, "no memory to resize %d pixels to %d", in, out);
    }
    table->in = in;
    table->out = out;
    table->taps = taps;
    for (int i = 0; i < out; i++) {
        fill_row(table, i, scale, weights);
    }
    free(weights);
    return true;
}

static inline uint8_t to_byte(int sum)
{
    int value = sum >> PRECISION;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

// WIDTH bytes as integers, and sums (which start at one half) rounded down and clipped to bytes.
#if defined(__AVX2__)
static inline Ints load_bytes(const uint8_t *from)
{
    return (Ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)from));
}

static inline void store_bytes(uint8_t *to, Ints sums)
{
    __m256i values = (__m256i)(sums >> PRECISION);
    __m128i shorts = _mm_packs_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
    _mm_storel_epi64((__m128i *)(void *)to, _mm_packus_epi16(shorts, shorts));
}
#else
static inline Ints load_bytes(const uint8_t *from)
{
    return (Ints){from[0], from[1], from[2], from[3]};
}

static inline void store_bytes(uint8_t *to, Ints sums)
{
    for (int i = 0; i < WIDTH; i++) {
        to[i] = to_byte(sums[i]);
    }
}
#endif

// Transposes 16 x 16 bytes: each round interleaves the vectors of the lower and the upper half.
static inline void transpose(Lane lanes[LANES])
{
    for (int round = 0; round < 4; round++) {
        Lane mixed[LANES];
        for (int i = 0; i < LANES / 2; i++) {
            Lane a = lanes[i], b = lanes[i + LANES / 2];
            mixed[2 * i] =
                __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            mixed[2 * i + 1] =
                __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        memcpy(lanes, mixed, sizeof mixed);
    }
}

// Turns 16 bytes, or `count` of them, of LANES rows. Missing rows repeat the last one. Inlined, so that a
// constant count makes each copy one instruction.
__attribute__((always_inline)) static inline void turn_lanes(Rows rows, int n_rows, size_t count,
                                                             uint8_t *block)
{
    Lane lanes[LANES] = {{0}};
    for (int r = 0; r < LANES; r++) {
        memcpy(&lanes[r], rows.at + (size_t)(r < n_rows ? r : n_rows - 1) * rows.stride, count);
    }
    transpose(lanes);
    memcpy(block, lanes, count * LANES);
}

__attribute__((always_inline)) static inline void turn_lanes_back(const uint8_t *block, size_t count,
                                                                  int n_rows, uint8_t *out, size_t stride)
{
    Lane lanes[LANES] = {{0}};
    memcpy(lanes, block, count * LANES);
    transpose(lanes);
    for (int r = 0; r < n_rows; r++) {
        memcpy(out + (size_t)r * stride, &lanes[r], count);
    }
}

// Turns rows so that byte [i][r] of the block is byte i of row r. The last 16 bytes may overlap those before.
static void turn_rows(Rows rows, int n_rows, uint8_t *block)
{
    if (rows.bytes < LANES) {
        turn_lanes(rows, n_rows, rows.bytes, block);
        return;
    }
    for (size_t begin = 0; begin < rows.bytes; begin += LANES) {
        size_t at = begin + LANES <= rows.bytes ? begin : rows.bytes - LANES;
        turn_lanes((Rows){rows.at + at, rows.stride, LANES}, n_rows, LANES, block + at * LANES);
    }
}

// The way back, into n_rows rows of `bytes` bytes.
static void turn_back(const uint8_t *block, int n_rows, uint8_t *out, size_t bytes)
{
    if (bytes < LANES) {
        turn_lanes_back(block, bytes, n_rows, out, bytes);
        return;
    }
    for (size_t begin = 0; begin < bytes; begin += LANES) {
        size_t at = begin + LANES <= bytes ? begin : bytes - LANES;
        turn_lanes_back(block + at * LANES, LANES, n_rows, out + at, bytes);
    }
}

// From [in, 3, LANES] to [out, 3, LANES].
static void resize_block(const Table *table, const uint8_t *block, uint8_t *out)
{
    for (int x = 0; x < table->out; x++) {
        const uint8_t *column = block + (size_t)table->first[x] * COLUMN;
        const int *weights = table->weights + (size_t)x * (size_t)table->taps;
        Ints sums[COLUMN / WIDTH];
        for (int i = 0; i < COLUMN / WIDTH; i++) {
            sums[i] = (Ints){0} + HALF;
        }
        for (int k = 0; k < table->count[x]; k++, column += COLUMN) {
            for (int i = 0; i < COLUMN / WIDTH; i++) {
                sums[i] += weights[k] * load_bytes(column + WIDTH * i);
            }
        }
        for (int i = 0; i < COLUMN / WIDTH; i++) {
            store_bytes(out + (size_t)x * COLUMN + WIDTH * i, sums[i]);
        }
    }
}

static void resize_rows(const Table *table, Rows rows, int n_rows, uint8_t *block, uint8_t *out)
{
    uint8_t *turned = block + (size_t)table->in * COLUMN;
    size_t out_bytes = (size_t)table->out * 3;
    for (int row = 0; row < n_rows; row += LANES) {
        Rows below = {rows.at + (size_t)row * rows.stride, rows.stride, rows.bytes};
        int n_block = n_rows - row < LANES ? n_rows - row : LANES;
        turn_rows(below, n_block, block);
        resize_block(table, block, turned);
        turn_back(turned, n_block, out + (size_t)row * out_bytes, out_bytes);
    }
}

// CHUNK bytes of one output row, each the weighted sum of `count` bytes below each other, `stride` apart.
static void resize_chunk(const int *weights, int count, const uint8_t *rows, size_t stride, uint8_t *out)
{
    Ints sums[CHUNK / WIDTH];
    for (int i = 0; i < CHUNK / WIDTH; i++) {
        sums[i] = (Ints){0} + HALF;
    }
    for (int k = 0; k < count; k++, rows += stride) {
        for (int i = 0; i < CHUNK / WIDTH; i++) {
            sums[i] += weights[k] * load_bytes(rows + WIDTH * i);
        }
    }
    for (int i = 0; i < CHUNK / WIDTH; i++) {
        store_bytes(out + WIDTH * i, sums[i]);
    }
}

// The same for a row that is shorter than a chunk.
static void resize_short(const int *weights, int count, Rows rows, uint8_t *out)
{
    for (size_t i = 0; i < rows.bytes; i++) {
        int sum = HALF;
        for (int k = 0; k < count; k++) {
            sum += weights[k] * rows.at[(size_t)k * rows.stride + i];
        }
        out[i] = to_byte(sum);
    }
}

// The last chunk of a row overlaps the one before instead of hanging over.
static void resize_columns(const Table *table, Rows rows, uint8_t *out)
{
    for (int y = 0; y < table->out; y++, out += rows.bytes) {
        const int *weights = table->weights + (size_t)y * (size_t)table->taps;
        Rows below = {rows.at + (size_t)table->first[y] * rows.stride, rows.stride, rows.bytes};
        int count = table->count[y];
        if (rows.bytes < CHUNK) {
            resize_short(weights, count, below, out);
            continue;
        }
        for (size_t begin = 0; begin < rows.bytes; begin += CHUNK) {
            size_t at = begin + CHUNK <= rows.bytes ? begin : rows.bytes - CHUNK;
            resize_chunk(weights, count, below.at + at, rows.stride, out + at);
        }
    }
}

static void copy_rows(Rows rows, int n_rows, uint8_t *out)
{
    for (int y = 0; y < n_rows; y++) {
        memcpy(out + (size_t)y * rows.bytes, rows.at + (size_t)y * rows.stride, rows.bytes);
    }
}

static bool reserve(uint8_t **memory, size_t *capacity, size_t bytes, XvError *error)
{
    if (bytes <= *capacity) {
        return true;
    }
    free(*memory);
    *memory = malloc(bytes);
    *capacity = *memory ? bytes : 0;
    return *memory || xv_fail(error, "no memory to resize a picture (%zu bytes)", bytes);
}

bool xv_resize(XvResizer *resizer, const XvImage *image, XvCrop crop, XvImage *out, XvError *error)
{
    bool is_wide = crop.width != out->width, is_tall = crop.height != out->height;
    Table *horizontal = &resizer->tables[0], *vertical = &resizer->tables[1];
    size_t stride = (size_t)image->width * 3, out_bytes = (size_t)out->width * 3;
    size_t rows_bytes = is_wide && is_tall ? out_bytes * (size_t)crop.height : 0;
    size_t block_bytes = is_wide ? (size_t)(crop.width + out->width) * COLUMN : 0;
    if ((is_wide && !table_make(horizontal, crop.width, out->width, error)) ||
        (is_tall && !table_make(vertical, crop.height, out->height, error)) ||
        !reserve(&resizer->rows, &resizer->rows_capacity, rows_bytes, error) ||
        !reserve(&resizer->block, &resizer->block_capacity, block_bytes, error)) {
        return false;
    }
    const uint8_t *first = image->pixels + (size_t)crop.top * stride + (size_t)crop.left * 3;
    Rows rows = {first, stride, (size_t)crop.width * 3};
    if (!is_wide && !is_tall) {
        copy_rows(rows, crop.height, out->pixels);
    } else if (!is_tall) {
        resize_rows(horizontal, rows, crop.height, resizer->block, out->pixels);
    } else if (!is_wide) {
        resize_columns(vertical, rows, out->pixels);
    } else {
        resize_rows(horizontal, rows, crop.height, resizer->block, resizer->rows);
        resize_columns(vertical, (Rows){resizer->rows, out_bytes, out_bytes}, out->pixels);
    }
    return true;
}

void xv_resizer_free(XvResizer *resizer)
{
    table_free(&resizer->tables[0]);
    table_free(&resizer->tables[1]);
    free(resizer->rows);
    free(resizer->block);
    *resizer = (XvResizer){0};
}
