// A stand-in for cuBLASLt, for tests: products in the order of the sum, queued on the stand-in driver's streams. It has
// no algorithm for results of less than four columns, so that the caller's own way is tested as well.
#include "tests/driver/standin.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { INVALID = 7, UNSUPPORTED = 15, LEAST_ROWS = 4 };

typedef struct Layout {
    uint64_t rows, columns;
    int64_t stride, batch_stride;
    int32_t batch;
} Layout;

typedef struct Desc {
    int32_t transpose[2];
} Desc;

typedef struct Product {
    Desc desc;
    Layout a, b, c;
    const float *a_at, *b_at;
    float *c_at;
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
    *desc = calloc(1, sizeof(Desc));
    return compute == 68 && scale == 0 ? 0 : INVALID;
}

int cublasLtMatmulDescDestroy(void *desc)
{
    free(desc);
    return 0;
}

int cublasLtMatmulDescSetAttribute(void *desc, int attribute, const void *value, size_t size)
{
    if ((attribute != 3 && attribute != 4) || size != sizeof(int32_t)) {
        return INVALID;
    }
    memcpy(&((Desc *)desc)->transpose[attribute - 3], value, size);
    return 0;
}

int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t columns, int64_t stride)
{
    Layout *created = calloc(1, sizeof *created);
    *created = (Layout){.rows = rows, .columns = columns, .stride = stride, .batch = 1};
    *layout = created;
    return type == 0 && stride >= (int64_t)rows ? 0 : INVALID;
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

int cublasLtMatmulPreferenceCreate(void **preference)
{
    *preference = malloc(1);
    return 0;
}

int cublasLtMatmulPreferenceDestroy(void *preference)
{
    free(preference);
    return 0;
}

int cublasLtMatmulPreferenceSetAttribute(void *preference, int attribute, const void *value, size_t size)
{
    return preference && value && (attribute == 1 ? size == 8 : attribute == 3 && size == 4) ? 0 : INVALID;
}

static int fits(const Desc *desc, const Layout *a, const Layout *b, const Layout *c)
{
    uint64_t m = desc->transpose[0] ? a->columns : a->rows, k = desc->transpose[0] ? a->rows : a->columns;
    uint64_t n = desc->transpose[1] ? b->rows : b->columns, j = desc->transpose[1] ? b->columns : b->rows;
    return m == c->rows && n == c->columns && k == j && a->batch == c->batch && b->batch == c->batch;
}

int cublasLtMatmulAlgoGetHeuristic(void *handle, const Desc *desc, const Layout *a, const Layout *b,
                                   const Layout *c, const Layout *d, void *preference, int wanted,
                                   void *choices, int *found)
{
    (void)handle, (void)d, (void)preference, (void)choices;
    *found = wanted == 1 && c->rows >= LEAST_ROWS;
    return !fits(desc, a, b, c) ? INVALID : *found ? 0 : UNSUPPORTED;
}

static float element(const float *at, const Layout *layout, int transpose, uint64_t row, uint64_t column)
{
    return transpose ? at[column + row * (uint64_t)layout->stride]
                     : at[row + column * (uint64_t)layout->stride];
}

static void multiply(const void *data)
{
    const Product *p = data;
    uint64_t terms = p->desc.transpose[0] ? p->a.rows : p->a.columns;
    for (int32_t i = 0; i < p->c.batch; i++) {
        const float *a = p->a_at + i * p->a.batch_stride, *b = p->b_at + i * p->b.batch_stride;
        float *c = p->c_at + i * p->c.batch_stride;
        for (uint64_t column = 0; column < p->c.columns; column++) {
            for (uint64_t row = 0; row < p->c.rows; row++) {
                float sum = 0;
                for (uint64_t k = 0; k < terms; k++) {
                    sum += element(a, &p->a, p->desc.transpose[0], row, k) *
                           element(b, &p->b, p->desc.transpose[1], k, column);
                }
                float *to = &c[row + column * (uint64_t)p->c.stride];
                *to = p->alpha * sum + (p->beta > 0 ? p->beta * *to : 0);
            }
        }
    }
}

int cublasLtMatmul(void *handle, const Desc *desc, const float *alpha, const float *a, const Layout *a_layout,
                   const float *b, const Layout *b_layout, const float *beta, const float *c,
                   const Layout *c_layout, float *d, const Layout *d_layout, const void *algorithm,
                   void *workspace, size_t bytes, void *stream)
{
    int planted = standin_planted("cublasLtMatmul");
    if (planted || !handle || c != d || c_layout != d_layout || !algorithm || !workspace || !bytes ||
        !fits(desc, a_layout, b_layout, c_layout)) {
        return planted ? planted : INVALID;
    }
    Product product = {*desc, *a_layout, *b_layout, *c_layout, a, b, d, *alpha, *beta};
    return standin_call(stream, multiply, &product, sizeof product) ? 14 : 0;
}
