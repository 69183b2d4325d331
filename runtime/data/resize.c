// Bicubic resize in two passes; see resize.h.
//
// The horizontal pass turns blocks of rows so that the same pixel of many rows lies side by side: then one weight
// meets contiguous bytes and the compiler's vectors do the rest. The vertical pass has that order anyway.
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

// Copies n_rows <= LANES rows of the crop so that byte [x][channel][row] of the block is pixel (row, x).
static void turn_rows(const XvImage *image, XvCrop crop, int first_row, int n_rows, uint8_t *block)
{
    size_t stride = (size_t)image->width * 3;
    for (int r = 0; r < n_rows; r++) {
        const uint8_t *row = image->pixels + (size_t)(crop.top + first_row + r) * stride + (size_t)crop.left * 3;
        for (int i = 0; i < 3 * crop.width; i++) {
            block[(size_t)i * LANES + (size_t)r] = row[i];
        }
    }
}

static void resize_block(const Table *table, const uint8_t *block, int n_rows, uint8_t *out)
{
    size_t stride = (size_t)table->out * 3;
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
        uint8_t bytes[COLUMN];
        for (int i = 0; i < COLUMN / WIDTH; i++) {
            store_bytes(bytes + WIDTH * i, sums[i]);
        }
        for (int r = 0; r < n_rows; r++) {
            for (int c = 0; c < 3; c++) {
                out[(size_t)r * stride + (size_t)(3 * x + c)] = bytes[c * LANES + r];
            }
        }
    }
}

static void resize_rows(const Table *table, const XvImage *image, XvCrop crop, uint8_t *block, uint8_t *out)
{
    for (int row = 0; row < crop.height; row += LANES) {
        int n_rows = crop.height - row < LANES ? crop.height - row : LANES;
        turn_rows(image, crop, row, n_rows, block);
        resize_block(table, block, n_rows, out + (size_t)row * (size_t)table->out * 3);
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

static void copy_crop(const XvImage *image, XvCrop crop, XvImage *out)
{
    size_t stride = (size_t)image->width * 3, bytes = (size_t)crop.width * 3;
    for (int y = 0; y < crop.height; y++) {
        memcpy(out->pixels + (size_t)y * bytes, image->pixels + (size_t)(crop.top + y) * stride + (size_t)crop.left * 3,
               bytes);
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
    size_t out_bytes = (size_t)out->width * 3;
    size_t rows_bytes = is_wide && is_tall ? out_bytes * (size_t)crop.height : 0;
    if ((is_wide && !table_make(horizontal, crop.width, out->width, error))
        || (is_tall && !table_make(vertical, crop.height, out->height, error))
        || !reserve(&resizer->rows, &resizer->rows_capacity, rows_bytes, error)
        || !reserve(&resizer->block, &resizer->block_capacity, (size_t)crop.width * COLUMN, error)) {
        return false;
    }
    if (!is_wide && !is_tall) {
        copy_crop(image, crop, out);
    } else if (!is_tall) {
        resize_rows(horizontal, image, crop, resizer->block, out->pixels);
    } else if (!is_wide) {
        size_t stride = (size_t)image->width * 3;
        const uint8_t *first = image->pixels + (size_t)crop.top * stride + (size_t)crop.left * 3;
        resize_columns(vertical, (Rows){first, stride, out_bytes}, out->pixels);
    } else {
        resize_rows(horizontal, image, crop, resizer->block, resizer->rows);
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
