// Libraries that the bundle does without: the one function of OpenBLAS that programs call, plain and slow, since a
// program for the target cuda multiplies on the GPU; and libcurl, which with all that it wants would be most of the
// bundle: there is no HTTP there, and no handle for it.
#include <stddef.h>
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

// libcurl ---------------------------------------------------------------------------------------------------------

void *curl_easy_init(void);
void curl_easy_cleanup(void *handle);
int curl_easy_setopt(void *handle, int option, ...);
void curl_easy_reset(void *handle);
int curl_easy_perform(void *handle);
int curl_easy_getinfo(void *handle, int info, ...);
const char *curl_easy_strerror(int code);
void *curl_slist_append(void *list, const char *text);
void curl_slist_free_all(void *list);
char *curl_easy_escape(void *handle, const char *text, int length);
void curl_free(void *memory);

void *curl_easy_init(void)
{
    return NULL;
}

void curl_easy_cleanup(void *handle)
{
    (void)handle;
}

int curl_easy_setopt(void *handle, int option, ...)
{
    (void)handle;
    return option ? 1 : 0;
}

void curl_easy_reset(void *handle)
{
    (void)handle;
}

int curl_easy_perform(void *handle)
{
    return handle ? 1 : 2;
}

int curl_easy_getinfo(void *handle, int info, ...)
{
    (void)handle;
    return info ? 1 : 0;
}

const char *curl_easy_strerror(int code)
{
    return code ? "there is no libcurl in this bundle" : "";
}

void *curl_slist_append(void *list, const char *text)
{
    (void)text;
    return list;
}

void curl_slist_free_all(void *list)
{
    (void)list;
}

char *curl_easy_escape(void *handle, const char *text, int length)
{
    (void)handle;
    (void)text;
    (void)length;
    return NULL;
}

void curl_free(void *memory)
{
    (void)memory;
}
