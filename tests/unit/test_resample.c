// Position tables of other sizes against the official implementation's numbers.
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/resample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DATA "tests/data/checkpoint/interpolation."

static XvTable table_of(const XvCheckpointTensor *tensor)
{
    return (XvTable){tensor->shape[tensor->rank - 2], tensor->shape[tensor->rank - 1]};
}

static float *values_of(const XvCheckpoint *file, const XvCheckpointTensor *tensor)
{
    XvError error = {{0}};
    float *values = malloc((size_t)tensor->count * sizeof *values);
    assert_true(xv_checkpoint_read_f32(file, tensor, values, &error));
    return values;
}

static void test_reference_tables(void **state)
{
    (void)state;
    XvCheckpoint inputs, outputs;
    XvError error = {{0}};
    assert_true(xv_checkpoint_open(&inputs, DATA "inputs.safetensors", &error));
    assert_true(xv_checkpoint_open(&outputs, DATA "outputs.safetensors", &error));
    assert_int_equal(inputs.n_tensors, 11);
    for (int i = 0; i < inputs.n_tensors; i++) {
        const XvCheckpointTensor *from = &inputs.tensors[i];
        const XvCheckpointTensor *to = xv_checkpoint_find(&outputs, from->name);
        assert_non_null(to);
        XvTable from_size = table_of(from), to_size = table_of(to);
        float *source = values_of(&inputs, from), *expected = values_of(&outputs, to);
        float *resized = malloc((size_t)to->count * sizeof *resized);
        XvResample kind = from->name[0] == 'r' ? XV_RESAMPLE_RELATIVE : XV_RESAMPLE_ABSOLUTE;
        if (from->count == to->count) {
            assert_memory_equal(source, expected, (size_t)to->count * sizeof *expected);
        } else {
            assert_true(xv_resample(kind, source, &from_size, resized, &to_size, &error));
            for (int64_t j = 0; j < to->count; j++) {
                if (!(fabsf(resized[j] - expected[j]) <= 2e-6f)) {
                    fail_msg("%s: element %lld is %g, expected %g", from->name, (long long)j,
                             (double)resized[j], (double)expected[j]);
                }
            }
        }
        free(source);
        free(expected);
        free(resized);
    }
    xv_checkpoint_close(&inputs);
    xv_checkpoint_close(&outputs);
}

// Ratios and last coordinates as the official interpolation of bias tables gives them.
static void test_geometry(void **state)
{
    (void)state;
    double x[64];
    assert_true(fabs(xv_resample_geometry(13, 23, x) - 1.240723972320556) < 1e-12);
    assert_true(fabs(x[12] - 11.000018595002512) < 1e-9);
    assert_true(fabs(x[0] + x[12]) < 1e-12);
    assert_true(fabs(xv_resample_geometry(13, 29, x) - 1.3375149726867677) < 1e-12);
    assert_true(fabs(xv_resample_geometry(23, 29, x) - 1.04719057) < 1e-8);
    assert_true(fabs(xv_resample_geometry(23, 13, x) - 1.0100009346008303) < 1e-12);
}

static void test_refusals(void **state)
{
    (void)state;
    static const float from[64];
    float to[64];
    XvError error = {{0}};
    assert_false(xv_resample(XV_RESAMPLE_RELATIVE, from, &(XvTable){9, 1}, to, &(XvTable){25, 1}, &error));
    assert_non_null(strstr(error.text, "window 2"));
    assert_false(xv_resample(XV_RESAMPLE_RELATIVE, from, &(XvTable){26, 1}, to, &(XvTable){25, 1}, &error));
    assert_false(xv_resample(XV_RESAMPLE_RELATIVE, from, &(XvTable){25, 1}, to, &(XvTable){49, 2}, &error));
    assert_false(xv_resample(XV_RESAMPLE_ABSOLUTE, from, &(XvTable){16, 1}, to, &(XvTable){5, 1}, &error));
    assert_int_equal(xv_resample_kind("vision_encoder.layers.0.blocks.0.attn.relative_position_bias_table"),
                     XV_RESAMPLE_RELATIVE);
    assert_int_equal(xv_resample_kind("vision_encoder.pos_embed"), XV_RESAMPLE_ABSOLUTE);
    assert_int_equal(xv_resample_kind("vision_encoder.pos_embed.weight"), XV_RESAMPLE_ABSOLUTE);
    assert_int_equal(xv_resample_kind("vision_encoder.norm.weight"), XV_RESAMPLE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_tables),
        cmocka_unit_test(test_geometry),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
