// The one function of OpenBLAS that programs call, for the bundle: a program for the target cuda multiplies on the GPU,
// and 26 MB for a function that it does not reach would be most of the bundle. Plain and slow.
#include <stdint.h>

enum { TRANSPOSED = 112 };

typedef struct Matrix {
    const float *at;
    int stride, is_transposed;
} Matrix;

static float element(Matrix matrix, int row, int column)
{
    int64_t outer = matrix.is_transposed ? column : row, inner = matrix.is_transposed ? row : column;
    return matrix.at[outer * matrix.stride + inner];
}

void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);

// Row-major, as the runtime calls it.
void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc)
{
    const Matrix left = {a, lda, transpose_a == TRANSPOSED}, right = {b, ldb, transpose_b == TRANSPOSED};
    (void)order;
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int t = 0; t < k; t++) {
                sum += element(left, i, t) * element(right, t, j);
            }
            float *to = &c[(int64_t)i * ldc + j];
            *to = alpha * sum + (beta > 0 || beta < 0 ? beta * *to : 0);
        }
    }
}
