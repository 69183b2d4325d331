// A stand-in for cuBLASLt, for tests: products in the order of the sum, queued on the stand-in driver's streams. It has
// no algorithm for results of less than four columns nor for sums beside exact products of floats, so that the caller's
// own ways are tested as well. It chooses nothing while a stream is captured, as that of CUDA 13.3, and an algorithm is
// good for operands that lie as the preference says, on 256 bytes unless it says otherwise. STANDIN_BIASED names a file
// that gets a line, rows and columns of the result, for every product with a bias.
#include "tests/driver/standin.h"

#include "runtime/base/half.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    INVALID = 7,
    INTERNAL_ERROR = 14,
    UNSUPPORTED = 15,
    LEAST_ROWS = 4,
    REAL_32 = 0,
    REAL_16 = 2,
    BRAIN_16 = 14,
    COMPUTE_32 = 68,
    COMPUTE_TF32 = 77
};

typedef struct Layout {
    uint64_t rows, columns;
    int64_t stride, batch_stride;
    int32_t batch;
    int type;
} Layout;

enum { EPILOGUE_NONE = 1, EPILOGUE_BIAS = 4, EPILOGUE_SUMS = 512 };

typedef struct Desc {
    int32_t transpose[2];
    int compute;
    uint32_t epilogue;
    void *vector;
} Desc;

typedef struct Product {
    Desc desc;
    Layout a, b, c;
    const void *a_at, *b_at;
    void *c_at;
    float alpha, beta;
} Product;

int cublasLtCreate(void **handle)
{
    *handle = malloc(1);
    return standin_planted("cublasLtCreate");
}

int cublasLtDestroy(void *handle)
{
    free(handle);
    return 0;
}

int cublasLtMatmulDescCreate(void **desc, int compute, int scale)
{
    Desc *created = calloc(1, sizeof *created);
    created->compute = compute;
    *desc = created;
    return (compute == COMPUTE_32 || compute == COMPUTE_TF32) && scale == REAL_32 ? 0 : INVALID;
}

int cublasLtMatmulDescDestroy(void *desc)
{
    free(desc);
    return 0;
}

int cublasLtMatmulDescSetAttribute(void *desc, int attribute, const void *value, size_t size)
{
    Desc *d = desc;
    if (attribute == 7 && size == sizeof d->epilogue) {
        memcpy(&d->epilogue, value, size);
        bool is_known = d->epilogue == EPILOGUE_BIAS || d->epilogue == EPILOGUE_SUMS;
        return is_known || d->epilogue == EPILOGUE_NONE ? 0 : INVALID;
    }
    if (attribute == 8 && size == sizeof d->vector) {
        memcpy(&d->vector, value, size);
        return 0;
    }
    if ((attribute != 3 && attribute != 4) || size != sizeof(int32_t)) {
        return INVALID;
    }
    memcpy(&d->transpose[attribute - 3], value, size);
    return 0;
}

int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t columns, int64_t stride)
{
    Layout *created = calloc(1, sizeof *created);
    *created = (Layout){.rows = rows, .columns = columns, .stride = stride, .batch = 1, .type = type};
    *layout = created;
    bool is_known = type == REAL_32 || type == REAL_16 || type == BRAIN_16;
    return is_known && stride >= (int64_t)rows ? 0 : INVALID;
}

int cublasLtMatrixLayoutDestroy(void *layout)
{
    free(layout);
    return 0;
}

int cublasLtMatrixLayoutSetAttribute(void *layout, int attribute, const void *value, size_t size)
{
    Layout *l = layout;
    if (attribute == 5 && size == sizeof l->batch) {
        memcpy(&l->batch, value, size);
    } else if (attribute == 6 && size == sizeof l->batch_stride) {
        memcpy(&l->batch_stride, value, size);
    } else {
        return INVALID;
    }
    return 0;
}

typedef struct Preference {
    uint32_t alignment[4];  // of A, B, C, D
} Preference;

int cublasLtMatmulPreferenceCreate(void **preference)
{
    Preference *created = malloc(sizeof *created);
    *created = (Preference){{256, 256, 256, 256}};
    *preference = created;
    return 0;
}

int cublasLtMatmulPreferenceDestroy(void *preference)
{
    free(preference);
    return 0;
}

int cublasLtMatmulPreferenceSetAttribute(void *preference, int attribute, const void *value, size_t size)
{
    if (attribute >= 5 && attribute <= 8 && size == sizeof(uint32_t)) {
        memcpy(&((Preference *)preference)->alignment[attribute - 5], value, size);
        return 0;
    }
    return preference && value && (attribute == 1 ? size == 8 : attribute == 3 && size == 4) ? 0 : INVALID;
}

static int fits(const Desc *desc, const Layout *a, const Layout *b, const Layout *c)
{
    uint64_t m = desc->transpose[0] ? a->columns : a->rows, k = desc->transpose[0] ? a->rows : a->columns;
    uint64_t n = desc->transpose[1] ? b->rows : b->columns, j = desc->transpose[1] ? b->columns : b->rows;
    return m == c->rows && n == c->columns && k == j && a->batch == c->batch && b->batch == c->batch;
}

// Which types go together; see the table of cublasLtMatmul().
static bool is_supported(const Desc *desc, const Layout *a, const Layout *b, const Layout *c)
{
    return a->type == b->type && (c->type == a->type || c->type == REAL_32) &&
           (desc->compute != COMPUTE_TF32 || a->type == REAL_32) &&
           (desc->epilogue != EPILOGUE_SUMS || desc->compute == COMPUTE_TF32 || a->type != REAL_32);
}

// Whether operands lie as the algorithm wants them.
static bool is_aligned(const void *algorithm, const void *const operands[4])
{
    Preference wanted;
    memcpy(&wanted, algorithm, sizeof wanted);
    bool is_good = true;
    for (int i = 0; i < 4; i++) {
        is_good = is_good && wanted.alignment[i] && (uintptr_t)operands[i] % wanted.alignment[i] == 0;
    }
    return is_good;
}

int cublasLtMatmulAlgoGetHeuristic(void *handle, const Desc *desc, const Layout *a, const Layout *b,
                                   const Layout *c, const Layout *d, void *preference, int wanted,
                                   void *choices, int *found)
{
    (void)handle, (void)d;
    if (standin_is_capturing()) {
        return INTERNAL_ERROR;
    }
    memcpy(choices, preference, sizeof(Preference));  // an algorithm begins the first choice
    *found = wanted == 1 && c->rows >= LEAST_ROWS && is_supported(desc, a, b, c);
    bool is_whole = fits(desc, a, b, c) && (desc->epilogue == EPILOGUE_NONE || desc->vector);
    return !is_whole ? INVALID : *found ? 0 : UNSUPPORTED;
}

static float load(const void *at, const Layout *layout, int64_t index)
{
    const uint16_t *half = at;
    const float *single = at;
    return layout->type == REAL_16    ? xv_f16_to_float(half[index])
           : layout->type == BRAIN_16 ? xv_bf16_to_float(half[index])
                                      : single[index];
}

static void store(void *at, const Layout *layout, int64_t index, float value)
{
    uint16_t *half = at;
    float *single = at;
    if (layout->type == REAL_32) {
        single[index] = value;
    } else {
        half[index] = layout->type == REAL_16 ? xv_f16_from_float(value) : xv_bf16_from_float(value);
    }
}

// Element of problem `batch` of an operand.
static float element(const Product *p, bool is_a, int32_t batch, int64_t row, int64_t column)
{
    const Layout *layout = is_a ? &p->a : &p->b;
    bool is_transposed = p->desc.transpose[is_a ? 0 : 1] != 0;
    int64_t at = is_transposed ? column + row * layout->stride : row + column * layout->stride;
    float value = load(is_a ? p->a_at : p->b_at, layout, batch * layout->batch_stride + at);
    return p->desc.compute == COMPUTE_TF32 ? xv_tf32_round(value) : value;
}

static void multiply(const void *data)
{
    const Product *p = data;
    int64_t terms = (int64_t)(p->desc.transpose[0] ? p->a.rows : p->a.columns);
    for (int32_t i = 0; i < p->c.batch; i++) {
        for (int64_t column = 0; column < (int64_t)p->c.columns; column++) {
            for (int64_t row = 0; row < (int64_t)p->c.rows; row++) {
                float sum = 0;
                for (int64_t k = 0; k < terms; k++) {
                    sum += element(p, true, i, row, k) * element(p, false, i, k, column);
                }
                int64_t at = i * p->c.batch_stride + row + column * p->c.stride;
                float old = p->beta > 0 ? p->beta * load(p->c_at, &p->c, at) : 0;
                float bias = p->desc.epilogue == EPILOGUE_BIAS ? load(p->desc.vector, &p->c, row) : 0;
                store(p->c_at, &p->c, at, p->alpha * sum + old + bias);
            }
        }
    }
    for (int64_t column = 0; p->desc.epilogue == EPILOGUE_SUMS && column < (int64_t)p->c.columns; column++) {
        float sum = 0;
        for (int64_t k = 0; k < terms; k++) {
            sum += element(p, false, 0, k, column);
        }
        store(p->desc.vector, &p->c, column, sum);
    }
}

static void note_bias(const Layout *c)
{
    const char *path = getenv("STANDIN_BIASED");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (path && (!file || fprintf(file, "%d %d\n", (int)c->columns, (int)c->rows) < 0 || fclose(file) != 0)) {
        abort();
    }
}

int cublasLtMatmul(void *handle, const Desc *desc, const float *alpha, const void *a, const Layout *a_layout,
                   const void *b, const Layout *b_layout, const float *beta, const void *c,
                   const Layout *c_layout, void *d, const Layout *d_layout, const void *algorithm,
                   void *workspace, size_t bytes, void *stream)
{
    int planted = standin_planted("cublasLtMatmul");
    if (planted || !handle || c != d || c_layout != d_layout || !algorithm || !workspace || !bytes ||
        !fits(desc, a_layout, b_layout, c_layout) || !is_supported(desc, a_layout, b_layout, c_layout) ||
        !is_aligned(algorithm, (const void *[4]){a, b, c, d})) {
        return planted ? planted : INVALID;
    }
    if (desc->epilogue == EPILOGUE_BIAS) {
        note_bias(c_layout);
    }
    Product product = {*desc, *a_layout, *b_layout, *c_layout, a, b, d, *alpha, *beta};
    return standin_call(stream, multiply, &product, sizeof product) ? 14 : 0;
}
