// runtime/device/gemm.h against a plain double-precision product: every kernel, every transposition, odd
// sizes, strides, batches, epilogues, any number of threads.
#include "runtime/device/gemm.h"

#include "runtime/device/elements.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

typedef struct Size {
    int64_t m, n, k;
} Size;

static const Size SIZES[] = {
    {1, 1, 1},      {5, 3, 2},      {6, 16, 8},     {7, 17, 9},    {13, 33, 65},
    {3, 300, 128},  {16, 64, 100},  {40, 48, 32},   {97, 31, 300}, {130, 130, 70},
    {260, 530, 40}, {33, 20, 2100}, {64, 64, 5000}, {1, 100, 257}, {300, 24, 600},
};
enum { N_SIZES = sizeof SIZES / sizeof SIZES[0], PAD = 5 };

static const XvGemmKernel KERNELS[] = {XV_GEMM_DOT, XV_GEMM_PACKED, XV_GEMM_BLAS, XV_GEMM_SPLIT};

typedef struct Problem {
    XvGemm gemm;
    float *a, *b, *c, *start;  // start: c before the call
    int64_t n_c;
} Problem;

// Uniform in [-1, 1); a plain congruential generator, for there are many numbers.
static float *random_floats(int64_t count, uint32_t key)
{
    float *values = malloc((size_t)count * sizeof *values);
    uint32_t state = key;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) * 0x1p-23f - 1.0f;
    }
    return values;
}

// Row strides and batch strides are longer than needed, and what lies between is checked to stay.
static Problem make_problem(Size size, bool trans_a, bool trans_b, int64_t batch)
{
    int64_t rows_a = trans_a ? size.k : size.m, lda = (trans_a ? size.m : size.k) + PAD;
    int64_t rows_b = trans_b ? size.n : size.k, ldb = (trans_b ? size.k : size.n) + PAD;
    int64_t ldc = size.n + PAD;
    Problem problem = {.n_c = batch * (size.m * ldc + PAD)};
    problem.a = random_floats(batch * (rows_a * lda + PAD), 1);
    problem.b = random_floats(batch * (rows_b * ldb + PAD), 2);
    problem.c = random_floats(problem.n_c, 3);
    problem.start = random_floats(problem.n_c, 3);
    problem.gemm = (XvGemm){.m = size.m,
                            .n = size.n,
                            .k = size.k,
                            .trans_a = trans_a,
                            .trans_b = trans_b,
                            .alpha = 0.5f,
                            .batch = batch,
                            .a = problem.a,
                            .b = problem.b,
                            .c = problem.c,
                            .lda = lda,
                            .ldb = ldb,
                            .ldc = ldc,
                            .batch_a = rows_a * lda + PAD,
                            .batch_b = rows_b * ldb + PAD,
                            .batch_c = size.m * ldc + PAD};
    return problem;
}

static void free_problem(Problem *problem)
{
    free(problem->a);
    free(problem->b);
    free(problem->c);
    free(problem->start);
}

static double element(const XvGemm *gemm, int64_t p, int64_t i, int64_t j, double *size)
{
    const float *a = (const float *)gemm->a + p * gemm->batch_a;
    const float *b = (const float *)gemm->b + p * gemm->batch_b;
    double sum = 0.0;
    *size = 0.0;
    for (int64_t k = 0; k < gemm->k; k++) {
        double x = (double)(gemm->trans_a ? a[k * gemm->lda + i] : a[i * gemm->lda + k]);
        double y = (double)(gemm->trans_b ? b[j * gemm->ldb + k] : b[k * gemm->ldb + j]);
        sum += x * y;
        *size += fabs(x * y);
    }
    *size += 1.0;
    return sum * (double)gemm->alpha;
}

static void check_problem(const Problem *problem, const char *kernel)
{
    const XvGemm *gemm = &problem->gemm;
    int64_t checked = 0;
    for (int64_t p = 0; p < gemm->batch; p++) {
        for (int64_t i = 0; i < gemm->m; i++) {
            for (int64_t j = 0; j < gemm->ldc; j++) {
                int64_t at = p * gemm->batch_c + i * gemm->ldc + j;
                if (j >= gemm->n) {
                    assert_true(problem->c[at] == problem->start[at]);
                    continue;
                }
                if ((i * 31 + j * 17 + p) % 7 > 0 && i > 20 && i < gemm->m - 20) {
                    continue;  // a seventh of the inner elements will do
                }
                double size, expected = element(gemm, p, i, j, &size);
                expected += gemm->accumulate ? (double)problem->start[at] : 0.0;
                if (!(fabs((double)problem->c[at] - expected) < 4e-7 * size)) {
                    fail_msg("%s %lldx%lldx%lld c[%lld,%lld] = %g, expected %g", kernel, (long long)gemm->m,
                             (long long)gemm->n, (long long)gemm->k, (long long)i, (long long)j,
                             (double)problem->c[at], expected);
                }
                checked++;
            }
        }
    }
    assert_true(checked > 0);
}

static bool applies(XvGemmKernel kernel, bool trans_a, bool trans_b)
{
    return kernel != XV_GEMM_DOT || (trans_b && !trans_a);
}

static void check_kernel(Size size, XvGemmKernel kernel, int64_t batch, bool accumulate)
{
    const char *const names[] = {"dot", "packed", "blas", "split"};
    for (int mode = 0; mode < 4; mode++) {
        bool trans_a = mode & 1, trans_b = mode & 2;
        if (!applies(kernel, trans_a, trans_b)) {
            continue;
        }
        Problem problem = make_problem(size, trans_a, trans_b, batch);
        problem.gemm.accumulate = accumulate;
        xv_gemm_with(&problem.gemm, kernel);
        check_problem(&problem, names[kernel]);
        free_problem(&problem);
    }
}

static void test_kernels(void **state)
{
    (void)state;
    for (int s = 0; s < N_SIZES; s++) {
        for (int k = 0; k < 4; k++) {
            check_kernel(SIZES[s], KERNELS[k], 1, s % 2 == 0);
        }
    }
}

static void test_batches(void **state)
{
    (void)state;
    const Size sizes[] = {{9, 20, 11}, {49, 49, 32}, {70, 65, 300}};
    for (int s = 0; s < 3; s++) {
        for (int k = 0; k < 4; k++) {
            check_kernel(sizes[s], KERNELS[k], s == 2 ? 2 : 5, s % 2 == 0);
        }
    }
}

static void test_rule(void **state)
{
    (void)state;
    for (int s = 0; s < N_SIZES; s++) {
        for (int mode = 0; mode < 4; mode++) {
            Problem problem = make_problem(SIZES[s], mode & 1, mode & 2, 1);
            xv_gemm(&problem.gemm);
            check_problem(&problem, "rule");
            free_problem(&problem);
        }
    }
}

// k = 0: zeros, or C as it was; empty C: nothing.
static void test_empty(void **state)
{
    (void)state;
    for (int mode = 0; mode < 2; mode++) {
        Problem problem = make_problem((Size){6, 20, 0}, false, mode == 1, 1);
        xv_gemm(&problem.gemm);
        check_problem(&problem, "empty");
        problem.gemm.accumulate = true;
        memcpy(problem.c, problem.start, (size_t)problem.n_c * sizeof(float));
        xv_gemm(&problem.gemm);
        assert_memory_equal(problem.c, problem.start, (size_t)problem.n_c * sizeof(float));
        problem.gemm.m = 0;
        xv_gemm(&problem.gemm);
        free_problem(&problem);
    }
}

static void test_thread_count(void **state)
{
    (void)state;
    int before = omp_get_max_threads();
    for (int s = 0; s < N_SIZES * 12; s++) {
        int mode = s % 3, which = s / 3 % 4;
        Size size = SIZES[s / 12];
        if (!applies(KERNELS[which], mode == 1, mode == 2)) {
            continue;
        }
        omp_set_num_threads(1);
        Problem one = make_problem(size, mode == 1, mode == 2, 1);
        xv_gemm_with(&one.gemm, KERNELS[which]);
        for (int threads = 2; threads <= 3; threads++) {
            omp_set_num_threads(threads);
            Problem many = make_problem(size, mode == 1, mode == 2, 1);
            xv_gemm_with(&many.gemm, KERNELS[which]);
            assert_memory_equal(one.c, many.c, (size_t)one.n_c * sizeof(float));
            free_problem(&many);
        }
        free_problem(&one);
    }
    omp_set_num_threads(before);
}

typedef struct Finish {
    const XvGemm *gemm;
    int *calls;  // per row
} Finish;

// Doubles finished rows and counts how often each was handed over.
static void finish(const void *args, int64_t row_begin, int64_t row_end)
{
    const Finish *finish_args = args;
    const XvGemm *gemm = finish_args->gemm;
    for (int64_t r = row_begin; r < row_end; r++) {
        finish_args->calls[r]++;
        for (int64_t j = 0; j < gemm->n; j++) {
            float *c = gemm->c;
            c[r / gemm->m * gemm->batch_c + r % gemm->m * gemm->ldc + j] *= 2.0f;
        }
    }
}

static void check_epilogue(Size size, XvGemmKernel kernel, int64_t batch)
{
    bool trans_b = kernel == XV_GEMM_DOT;
    Problem plain = make_problem(size, false, trans_b, batch),
            with = make_problem(size, false, trans_b, batch);
    int *calls = calloc((size_t)(batch * size.m), sizeof *calls);
    xv_gemm_with(&plain.gemm, kernel);
    Finish args = {&with.gemm, calls};
    with.gemm.epilogue = finish;
    with.gemm.epilogue_args = &args;
    xv_gemm_with(&with.gemm, kernel);
    for (int64_t r = 0; r < batch * size.m; r++) {
        assert_int_equal(calls[r], 1);
        int64_t at = r / size.m * plain.gemm.batch_c + r % size.m * plain.gemm.ldc;
        for (int64_t j = 0; j < size.n; j++) {
            assert_true(with.c[at + j] == 2.0f * plain.c[at + j]);
        }
    }
    free(calls);
    free_problem(&plain);
    free_problem(&with);
}

static void test_epilogue(void **state)
{
    (void)state;
    for (int s = 0; s < N_SIZES; s++) {
        for (int k = 0; k < 4; k++) {
            check_epilogue(SIZES[s], KERNELS[k], s < 5 ? 3 : 1);
        }
    }
}

// A bias, of either kind of element, reaches every row once and before the epilogue; sums are those of op(A).
static void check_vectors(Size size, XvGemmKernel kernel, int mode, XvDtype type)
{
    bool trans_a = mode & 1, trans_b = mode & 2;
    Problem plain = make_problem(size, trans_a, trans_b, 1), with = make_problem(size, trans_a, trans_b, 1);
    float *bias = random_floats(size.n, 4), *sums = random_floats(size.m, 5);
    uint16_t *narrow = calloc((size_t)size.n, sizeof *narrow);
    int *calls = calloc((size_t)size.m, sizeof *calls);
    Finish args = {&with.gemm, calls};
    if (type != XV_F32) {
        xv_store_floats(narrow, type, bias, size.n);
        xv_load_floats(bias, narrow, (XvReading){.type = type}, size.n);
    }
    xv_gemm_with(&plain.gemm, kernel);
    with.gemm.type_bias = type;
    with.gemm.bias = type == XV_F32 ? (const void *)bias : narrow;
    with.gemm.sums = sums;
    with.gemm.epilogue = finish;
    with.gemm.epilogue_args = &args;
    xv_gemm_with(&with.gemm, kernel);
    for (int64_t i = 0; i < size.m; i++) {
        double sum = 0.0, absolute = 1.0;
        for (int64_t k = 0; k < size.k; k++) {
            double a = (double)(trans_a ? plain.a[k * plain.gemm.lda + i] : plain.a[i * plain.gemm.lda + k]);
            sum += a;
            absolute += fabs(a);
        }
        assert_true(fabs((double)sums[i] - sum) < 4e-7 * absolute);
        for (int64_t j = 0; j < size.n; j++) {
            int64_t at = i * plain.gemm.ldc + j;
            assert_true(with.c[at] == 2.0f * (plain.c[at] + bias[j]));
        }
    }
    free(bias);
    free(sums);
    free(narrow);
    free(calls);
    free_problem(&plain);
    free_problem(&with);
}

static void test_vectors(void **state)
{
    (void)state;
    for (int s = 0; s < N_SIZES * 16; s++) {
        XvGemmKernel kernel = KERNELS[s / 4 % 4];
        if (applies(kernel, s & 1, s & 2)) {
            check_vectors(SIZES[s / 16], kernel, s & 3, s % 3 == 0 ? XV_BF16 : XV_F32);
        }
    }
}

// The numbers in a storage type; `values` become what was stored.
static void *stored(float *values, int64_t count, XvReading reading)
{
    void *to = malloc((size_t)count * sizeof *values);
    xv_store_floats(to, reading.type, values, count);
    xv_load_floats(values, to, reading, count);
    return to;
}

static int64_t extent(const XvGemm *gemm, bool is_a)
{
    int64_t rows = is_a ? (gemm->trans_a ? gemm->k : gemm->m) : (gemm->trans_b ? gemm->n : gemm->k);
    return gemm->batch * (rows * (is_a ? gemm->lda : gemm->ldb) + PAD);
}

static double half_step(XvDtype type)
{
    return type == XV_BF16 ? 0x1p-8 : type == XV_F16 ? 0x1p-11 : 0.0;
}

// What lies between rows of C stays; the rest is the product of the rounded operands, rounded.
static void check_typed(const Problem *problem, const void *c, double step)
{
    const XvGemm *gemm = &problem->gemm;
    for (int64_t row = 0; row < gemm->batch * gemm->m; row++) {
        int64_t p = row / gemm->m, i = row % gemm->m, first = p * gemm->batch_c + i * gemm->ldc;
        for (int64_t j = 0; j < gemm->ldc; j++) {
            float got;
            xv_load_floats(&got, xv_element(c, gemm->type_c, first + j), (XvReading){.type = gemm->type_c},
                           1);
            if (j >= gemm->n) {
                assert_true(got == problem->start[first + j]);
                continue;
            }
            double size, expected = element(gemm, p, i, j, &size);
            expected += gemm->accumulate ? (double)problem->start[first + j] : 0.0;
            assert_true(fabs((double)got - expected) <= 4e-7 * size + step * fabs(expected) + 1e-7);
        }
    }
}

static void check_types(Size size, XvGemmKernel kernel, XvReading reading, int turn)
{
    bool trans_a = turn & 1 && kernel != XV_GEMM_DOT, trans_b = turn & 2 || kernel == XV_GEMM_DOT;
    bool is_c_float = turn % 3 == 0;
    Problem problem = make_problem(size, trans_a, trans_b, 1 + turn % 2);
    XvGemm *gemm = &problem.gemm, typed;
    if (reading.is_tf32) {
        is_c_float = true;
    }
    void *a = stored(problem.a, extent(gemm, true), reading),
         *b = stored(problem.b, extent(gemm, false), reading);
    gemm->type_c = is_c_float ? XV_F32 : reading.type;
    gemm->accumulate = turn % 4 == 3;
    void *c = stored(problem.start, problem.n_c, (XvReading){.type = gemm->type_c});
    typed = *gemm;
    typed.a = a, typed.b = b, typed.c = c;
    typed.type_a = typed.type_b = reading.type;
    typed.is_tf32 = reading.is_tf32;
    xv_gemm_with(&typed, kernel);
    check_typed(&problem, c, half_step(gemm->type_c));
    free(a);
    free(b);
    free(c);
    free_problem(&problem);
}

static void test_types(void **state)
{
    (void)state;
    static const XvReading readings[] = {{XV_BF16, false}, {XV_F16, false}, {XV_F32, true}};
    for (int s = 0; s < 12; s++) {
        for (int k = 0; k < 4; k++) {
            check_types(SIZES[s], KERNELS[k], readings[(s + k) % 3], s * 5 + k);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels), cmocka_unit_test(test_batches),      cmocka_unit_test(test_rule),
        cmocka_unit_test(test_empty),   cmocka_unit_test(test_thread_count), cmocka_unit_test(test_epilogue),
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
