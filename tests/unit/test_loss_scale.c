// The scale of the loss with fp16 (runtime/device/scaler.h): when an update is left out, when the scale changes.
#include "runtime/loop/optimizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

enum { COUNT = 16 };

// p <- p - gradient_scale g.
static void update(const XvUpdateRegions *regions, const uint8_t *has_gradient, const XvUpdate *rates)
{
    assert_int_equal(has_gradient[0], 1);
    for (int i = 0; i < COUNT; i++) {
        regions->parameters[i] -= rates->gradient_scale * regions->gradients[i];
    }
}

typedef struct Run {
    XvParameter parameter;
    XvProgram program;
    XvHost host;
    XvEntry entry;
    uint8_t has_gradient[1];
    float parameters[COUNT], gradients[COUNT], moments[2][COUNT];
    XvOptimizer optimizer;
} Run;

static void start(Run *run, const char *precision)
{
    *run = (Run){.parameter = {.name = "w", .count = COUNT}, .has_gradient = {1}};
    run->program = (XvProgram){.precision = precision,
                               .parameters = &run->parameter,
                               .n_parameters = 1,
                               .parameter_count = COUNT,
                               .update = update};
    run->host = (XvHost){.program = &run->program,
                         .parameters = {.data = run->parameters},
                         .gradients = {.data = run->gradients},
                         .moment1 = {.data = run->moments[0]},
                         .moment2 = {.data = run->moments[1]}};
    run->entry = (XvEntry){.has_gradient = run->has_gradient};
    run->optimizer = (XvOptimizer){.scaler.loss_scale = xv_first_loss_scale(&run->program), .clip = 1};
}

// A step with gradients of `value`, before they are scaled.
static double step(Run *run, float value)
{
    float scale = xv_loss_factor(run->optimizer.scaler);
    for (int i = 0; i < COUNT; i++) {
        run->gradients[i] = value * scale;
    }
    return xv_optimizer_step(&run->optimizer, &run->host, &run->entry);
}

static void test_other_precisions(void **state)
{
    (void)state;
    const char *const names[] = {"fp32", "tf32", "bf16"};
    for (int i = 0; i < 3; i++) {
        Run run;
        start(&run, names[i]);
        assert_true(run.optimizer.scaler.loss_scale == 0);
        assert_true(step(&run, 0.125f) == 0.5);
        assert_true(isinf(step(&run, INFINITY)));
        assert_true(run.optimizer.scaler.loss_scale == 0 && run.optimizer.scaler.updates == 1);
        assert_true(run.parameters[0] == -0.125f);
    }
}

// Norm, clipping and update are those of the loss itself.
static void test_scale_is_taken_off(void **state)
{
    (void)state;
    Run run;
    start(&run, "fp16");
    assert_true(run.optimizer.scaler.loss_scale == 1024);
    assert_true(step(&run, 0.125f) == 0.5);
    assert_true(run.parameters[0] == -0.125f);
    run.parameters[0] = 0;
    assert_true(step(&run, 1.0f) == 4.0);
    assert_true(fabsf(run.parameters[0] + 0.25f) < 1e-6f);
}

static void test_not_finite(void **state)
{
    (void)state;
    Run run;
    start(&run, "fp16");
    for (float scale = 1024; scale >= 2; scale /= 2) {
        assert_true(run.optimizer.scaler.loss_scale == scale);
        bool is_made = isfinite(step(&run, scale > 16 ? INFINITY : NAN));
        assert_false(is_made);
    }
    assert_true(run.optimizer.scaler.loss_scale == 1);
    bool is_made = isfinite(step(&run, INFINITY));
    assert_false(is_made);
    assert_true(run.optimizer.scaler.loss_scale == 1);
    assert_true(run.optimizer.scaler.updates == 0);
    for (int i = 0; i < COUNT; i++) {
        assert_true(run.parameters[i] == 0);
    }
}

static void test_grows(void **state)
{
    (void)state;
    Run run;
    start(&run, "fp16");
    step(&run, INFINITY);
    step(&run, INFINITY);
    for (int i = 0; i < 1999; i++) {
        step(&run, 0.001f);
    }
    assert_true(run.optimizer.scaler.loss_scale == 256);
    step(&run, 0.001f);
    assert_true(run.optimizer.scaler.loss_scale == 512 && run.optimizer.scaler.age == 0);
    for (int i = 0; i < 1000; i++) {
        step(&run, 0.001f);
    }
    step(&run, INFINITY);
    assert_true(run.optimizer.scaler.loss_scale == 256);
    for (int i = 0; i < 3 * 2000; i++) {
        step(&run, 0.001f);
    }
    assert_true(run.optimizer.scaler.loss_scale == 1024);
    assert_int_equal(run.optimizer.scaler.updates, 1999 + 1 + 1000 + 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_precisions),
        cmocka_unit_test(test_scale_is_taken_off),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
