// runtime/device/math.h against the double-precision library, over wide ranges, in vector loops and one by
// one.
#include "runtime/device/math.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { POINTS = 40001 };

static double phi(double x)
{
    return exp(-0.5 * x * x) / sqrt(2.0 * M_PI);
}

static double cumulative(double x)
{
    return 0.5 * erfc(-x / sqrt(2.0));
}

static double gelu(double x)
{
    return x * cumulative(x);
}

static double gelu_grad(double x)
{
    return cumulative(x) + x * phi(x);
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double quick_gelu(double x)
{
    return x * sigmoid(1.702 * x);
}

static double quick_gelu_grad(double x)
{
    double s = sigmoid(1.702 * x);
    return s + 1.702 * x * s * (1.0 - s);
}

static double reciprocal_root(double x)
{
    return 1.0 / sqrt(x);
}

static void check_point(const char *name, float x, float got, double exact, double bound)
{
    if (!(fabs((double)got - exact) <= bound)) {
        fail_msg("%s(%.9g) = %.9g, exact %.17g, allowed error %g", name, (double)x, (double)got, exact,
                 bound);
    }
}

// Checks one function over a range, |error| <= relative * |exact| + absolute, and that the vector loop gives
// the bits of single calls.
#define CHECK(function, reference, low, high, relative, absolute)                           \
    do {                                                                                    \
        static float x[POINTS], y[POINTS];                                                  \
        for (int i = 0; i < POINTS; i++) {                                                  \
            x[i] = (float)((low) + ((high) - (low)) * i / (POINTS - 1));                    \
        }                                                                                   \
        _Pragma("omp simd") for (int i = 0; i < POINTS; i++)                                \
        {                                                                                   \
            y[i] = function(x[i]);                                                          \
        }                                                                                   \
        for (int i = 0; i < POINTS; i++) {                                                  \
            double exact = reference((double)x[i]);                                         \
            check_point(#function, x[i], y[i], exact, (relative)*fabs(exact) + (absolute)); \
            volatile float alone = x[i];                                                    \
            float single = function(alone);                                                 \
            assert_memory_equal(&single, &y[i], sizeof single);                             \
        }                                                                                   \
    } while (0)

static void test_exp(void **state)
{
    (void)state;
    CHECK(xv_exp, exp, -87.0, 88.7, 1.2e-7, 0.0);
    CHECK(xv_exp, exp, -1.0, 1.0, 1.2e-7, 0.0);
    CHECK(xv_exp, exp, -103.9, -87.0, 0.0, 1.5e-45);
    assert_true(xv_exp(0.0f) == 1.0f);
    assert_true(xv_exp(88.8f) == INFINITY);
    assert_true(xv_exp(1e30f) == INFINITY);
    assert_true(xv_exp(-110.0f) == 0.0f);
    assert_true(xv_exp(-1e30f) == 0.0f);
    assert_true(xv_exp(-INFINITY) == 0.0f);
    assert_true(isnan(xv_exp(NAN)));
}

static void test_log(void **state)
{
    (void)state;
    CHECK(xv_log, log, 1e-6, 4.0, 1.2e-7, 0.0);
    CHECK(xv_log, log, 0.9, 1.1, 1.2e-7, 0.0);
    CHECK(xv_log, log, 1.0, 1e6, 1.2e-7, 0.0);
    CHECK(xv_log, log, 1e30, 3.4e38, 1.2e-7, 0.0);
    CHECK(xv_log, log, 1e-44, 1e-37, 1.2e-7, 0.0);
    assert_true(xv_log(1.0f) == 0.0f);
    assert_true(xv_log(0.0f) == -INFINITY);
    assert_true(xv_log(-0.0f) == -INFINITY);
    assert_true(xv_log(INFINITY) == INFINITY);
    assert_true(isnan(xv_log(-1.0f)));
    assert_true(isnan(xv_log(-INFINITY)));
    assert_true(isnan(xv_log(NAN)));
}

static void test_erf(void **state)
{
    (void)state;
    CHECK(xv_erf, erf, -5.0, 5.0, 4e-7, 0.0);
    CHECK(xv_erf, erf, -0.01, 0.01, 4e-7, 0.0);
    assert_true(xv_erf(INFINITY) == 1.0f);
    assert_true(xv_erf(-INFINITY) == -1.0f);
    assert_true(xv_erf(0.0f) == 0.0f);
    assert_true(isnan(xv_erf(NAN)));
    for (float x = 3.0f; x < 5.0f; x += 1e-4f) {
        assert_true(fabsf(xv_erf(x)) <= 1.0f);
    }
}

static void test_tanh(void **state)
{
    (void)state;
    CHECK(xv_tanh, tanh, -12.0, 12.0, 3e-7, 0.0);
    CHECK(xv_tanh, tanh, -1e-3, 1e-3, 3e-7, 0.0);
    assert_true(xv_tanh(INFINITY) == 1.0f);
    assert_true(xv_tanh(-INFINITY) == -1.0f);
    assert_true(isnan(xv_tanh(NAN)));
}

static void test_sigmoid(void **state)
{
    (void)state;
    CHECK(xv_sigmoid, sigmoid, -85.0, 30.0, 3e-7, 0.0);
    assert_true(xv_sigmoid(INFINITY) == 1.0f);
    assert_true(xv_sigmoid(-INFINITY) == 0.0f);
    assert_true(isnan(xv_sigmoid(NAN)));
}

static void test_gelu(void **state)
{
    (void)state;
    CHECK(xv_gelu, gelu, -6.0, 0.0, 3e-6, 0.0);
    CHECK(xv_gelu, gelu, -14.0, -6.0, 0.0, 1e-12);
    CHECK(xv_gelu, gelu, 0.0, 8.0, 4e-7, 0.0);
    CHECK(xv_gelu, gelu, -0.5, 0.5, 4e-7, 0.0);
    CHECK(xv_gelu, gelu, 8.0, 1e4, 2e-7, 0.0);
    CHECK(xv_gelu_grad, gelu_grad, -14.0, 14.0, 0.0, 4e-7);
    assert_true(xv_gelu(INFINITY) == INFINITY);
    assert_true(xv_gelu(-INFINITY) == 0.0f);
    assert_true(isnan(xv_gelu(NAN)));
    assert_true(xv_gelu_grad(INFINITY) == 1.0f);
    assert_true(xv_gelu_grad(-INFINITY) == 0.0f);
    assert_true(isnan(xv_gelu_grad(NAN)));
}

static void test_quick_gelu(void **state)
{
    (void)state;
    CHECK(xv_quick_gelu, quick_gelu, -20.0, 20.0, 4e-7, 1e-8);
    CHECK(xv_quick_gelu_grad, quick_gelu_grad, -20.0, 20.0, 0.0, 5e-7);
    assert_true(xv_quick_gelu(INFINITY) == INFINITY);
    assert_true(fabsf(xv_quick_gelu(-INFINITY)) < 1e-30f);
    assert_true(isnan(xv_quick_gelu(NAN)));
    assert_true(xv_quick_gelu_grad(INFINITY) == 1.0f);
    assert_true(fabsf(xv_quick_gelu_grad(-INFINITY)) < 1e-30f);
    assert_true(isnan(xv_quick_gelu_grad(NAN)));
}

static void test_simple(void **state)
{
    (void)state;
    CHECK(xv_rsqrt, reciprocal_root, 1e-12, 1e3, 2e-7, 0.0);
    assert_true(xv_max(1.0f, 2.0f) == 2.0f && xv_max(2.0f, 1.0f) == 2.0f);
    assert_true(xv_min(1.0f, 2.0f) == 1.0f && xv_min(2.0f, 1.0f) == 1.0f);
    assert_true(isnan(xv_max(NAN, 1.0f)) && isnan(xv_max(1.0f, NAN)));
    assert_true(isnan(xv_min(NAN, 1.0f)) && isnan(xv_min(1.0f, NAN)));
    assert_true(xv_sign(-3.0f) == -1.0f && xv_sign(3.0f) == 1.0f && xv_sign(0.0f) == 0.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),        cmocka_unit_test(test_log),     cmocka_unit_test(test_erf),
        cmocka_unit_test(test_tanh),       cmocka_unit_test(test_sigmoid), cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_quick_gelu), cmocka_unit_test(test_simple),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
