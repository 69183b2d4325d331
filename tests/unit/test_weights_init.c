// Fresh values of parameters: their distributions, the row that starts as zeros, and that they depend on the seed and
// the name alone.
#include "runtime/checkpoint/weights.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 300, WIDTH = 40, COUNT = ROWS * WIDTH, ZERO_ROW = 7 };

static XvParameter table(const char *name, XvInitKind kind, double a, double b)
{
    return (XvParameter){.name = name,
                         .rank = 2,
                         .shape = {ROWS, WIDTH},
                         .count = COUNT,
                         .init = kind,
                         .init_a = a,
                         .init_b = b,
                         .is_trainable = true};
}

static void draw(XvParameter parameter, uint64_t seed, float *values)
{
    XvProgram program = {.parameters = &parameter, .n_parameters = 1, .parameter_count = COUNT};
    xv_weights_init(&program, seed, values);
}

static void moments(const float *values, double *mean, double *deviation)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < COUNT; i++) {
        sum += values[i];
        squares += (double)values[i] * values[i];
    }
    *mean = sum / COUNT;
    *deviation = sqrt(squares / COUNT - *mean * *mean);
}

static void test_distributions(void **state)
{
    static float values[COUNT];
    double mean, deviation;
    (void)state;
    draw(table("normal", XV_INIT_NORMAL, 0.5, 0.02), 1, values);
    moments(values, &mean, &deviation);
    assert_true(fabs(mean - 0.5) < 0.001 && fabs(deviation - 0.02) < 0.001);
    draw(table("uniform", XV_INIT_UNIFORM, -0.1, 0.3), 1, values);
    moments(values, &mean, &deviation);
    assert_true(fabs(mean - 0.1) < 0.005 && fabs(deviation - 0.4 / sqrt(12)) < 0.003);
    draw(table("truncated", XV_INIT_TRUNCATED, 0, 1.5), 1, values);
    for (int i = 0; i < COUNT; i++) {
        assert_true(fabsf(values[i]) <= 2.0f);
    }
    draw(table("constant", XV_INIT_CONSTANT, 0.07, 0), 1, values);
    assert_true(values[0] == 0.07f && values[COUNT - 1] == 0.07f);
}

// Sines and cosines along x, then along y; row 17 of a 12 x 12 grid is at (5, 1).
static void test_sincos(void **state)
{
    enum { SIDE = 12, CHANNELS = 8 };
    static float values[SIDE * SIDE * CHANNELS];
    (void)state;
    XvParameter parameter = table("positions", XV_INIT_SINCOS_2D, 0.5, 100);
    parameter.rank = 3;
    parameter.shape[0] = 1;
    parameter.shape[1] = SIDE * SIDE;
    parameter.shape[2] = CHANNELS;
    parameter.count = SIDE * SIDE * CHANNELS;
    draw(parameter, 1, values);
    const double expected[CHANNELS] = {sin(5), sin(0.5), cos(5), cos(0.5),
                                       sin(1), sin(0.1), cos(1), cos(0.1)};
    for (int k = 0; k < CHANNELS; k++) {
        assert_true(fabs(values[17 * CHANNELS + k] - 0.5 * expected[k]) < 1e-6);
    }
}

static void test_zero_row(void **state)
{
    static float whole[COUNT], values[COUNT];
    (void)state;
    XvParameter parameter = table("table", XV_INIT_NORMAL, 0, 0.02);
    draw(parameter, 1, whole);
    parameter.has_zero_row = true;
    parameter.zero_row = ZERO_ROW;
    draw(parameter, 1, values);
    for (int i = 0; i < COUNT; i++) {
        assert_true(values[i] == (i / WIDTH == ZERO_ROW ? 0.0f : whole[i]));
    }
}

static void test_seed_and_name(void **state)
{
    static float first[COUNT], values[COUNT];
    (void)state;
    draw(table("a", XV_INIT_NORMAL, 0, 1), 1, first);
    draw(table("a", XV_INIT_NORMAL, 0, 1), 1, values);
    assert_memory_equal(first, values, sizeof values);
    draw(table("b", XV_INIT_NORMAL, 0, 1), 1, values);
    assert_memory_not_equal(first, values, sizeof values);
    draw(table("a", XV_INIT_NORMAL, 0, 1), 2, values);
    assert_memory_not_equal(first, values, sizeof values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_sincos),
        cmocka_unit_test(test_zero_row),
        cmocka_unit_test(test_seed_and_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
