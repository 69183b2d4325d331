// RandAugment against the official pixels, and the order in which it draws.
#include "data_golden.h"

#include "runtime/data/augment.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

static XvAugment op_of(const char *name)
{
    for (int op = 0; op < XV_AUGMENT_COUNT; op++) {
        if (strcmp(xv_augment_name((XvAugment)op), name) == 0) {
            return (XvAugment)op;
        }
    }
    fail_msg("no op %s", name);
    return XV_AUGMENT_COUNT;
}

static void load(const XvTensor *tensor, XvImage *image)
{
    XvError error;
    assert_true(xv_image_resize(image, (int)tensor->shape[1], (int)tensor->shape[0], &error));
    memcpy(image->pixels, tensor->data, xv_tensor_bytes(tensor));
}

// Every op, level and sign, pixel for pixel.
static void test_ops(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/augment/randaugment.jsonl");
    GoldenTensors inputs = golden_tensors("tests/data/augment/inputs.safetensors");
    XvImage image = {0}, scratch = {0};
    bool is_covered[XV_AUGMENT_COUNT] = {false};
    int wrong = 0;
    for (int i = 0; i < lines.count; i++) {
        const cJSON *line = lines.items[i];
        XvAugment op = op_of(golden_string(line, "op"));
        int sign = golden_int(line, "sign");
        double value = xv_augment_value(op, golden_int(line, "level")) * (sign < 0 ? -1 : 1);
        const cJSON *expected = golden_get(line, "args")->child;
        assert_true(xv_augment_is_signed(op) == (sign != 0));
        assert_true(value == (expected ? expected->valuedouble : 0));
        load(golden_find(&inputs, golden_string(line, "input")), &image);
        assert_true(xv_augment(op, value, (XvAugmentFixes){false, false}, &image, &scratch));
        unsigned bytes = (unsigned)(image.width * image.height * 3);
        if (crc32(0, image.pixels, bytes) != (uint32_t)golden_number(line, "crc")) {
            print_error("%s %g of %s: other pixels\n", xv_augment_name(op), value,
                        golden_string(line, "input"));
            wrong++;
        }
        is_covered[op] = true;
    }
    assert_int_equal(wrong, 0);
    for (int op = 0; op < XV_AUGMENT_COUNT; op++) {
        assert_true(is_covered[op]);
    }
    xv_image_free(&image);
    xv_image_free(&scratch);
    golden_tensors_free(&inputs);
    golden_lines_free(&lines);
}

static void fill(XvImage *image, int width, int height, const uint8_t *row)
{
    XvError error;
    assert_true(xv_image_resize(image, width, height, &error));
    for (int y = 0; y < height; y++) {
        memcpy(image->pixels + y * width * 3, row, (size_t)width * 3);
    }
}

// As shipped, a channel without black turns white and sharp edges wrap; fixed, neither does.
static void test_fixes(void **state)
{
    (void)state;
    const uint8_t greys[9] = {20, 20, 20, 110, 110, 110, 200, 200, 200};
    XvImage image = {0}, scratch = {0};
    fill(&image, 3, 1, greys);
    assert_true(xv_augment(XV_AUGMENT_AUTO_CONTRAST, 0, (XvAugmentFixes){false, false}, &image, &scratch));
    for (int i = 0; i < 9; i++) {
        assert_int_equal(image.pixels[i], 255);
    }
    fill(&image, 3, 1, greys);
    assert_true(xv_augment(XV_AUGMENT_AUTO_CONTRAST, 0, (XvAugmentFixes){true, false}, &image, &scratch));
    assert_int_equal(image.pixels[0], 0);
    assert_int_equal(image.pixels[3], 127);
    assert_int_equal(image.pixels[6], 255);

    const uint8_t edge[9] = {0, 0, 0, 255, 255, 255, 255, 255, 255};
    fill(&image, 3, 3, edge);
    assert_true(xv_augment(XV_AUGMENT_SHARPNESS, 1.9, (XvAugmentFixes){false, false}, &image, &scratch));
    assert_int_equal(image.pixels[12], (int)(196 + 1.9 * 59) - 256);  // 308 wraps
    fill(&image, 3, 3, edge);
    assert_true(xv_augment(XV_AUGMENT_SHARPNESS, 1.9, (XvAugmentFixes){false, true}, &image, &scratch));
    assert_int_equal(image.pixels[12], 255);
    assert_int_equal(image.pixels[9], 0);  // the border stays
    xv_image_free(&image);
    xv_image_free(&scratch);
}

// Draws in the order in which they are asked for, each with its kind.
typedef struct Script {
    const char *kinds;  // "b": between, "u": uniform
    const double *values;
    int at;
} Script;

static double next_value(Script *script, char kind)
{
    assert_int_equal(script->kinds[script->at], kind);
    return script->values[script->at++];
}

static double script_uniform(void *state)
{
    return next_value(state, 'u');
}

static int32_t script_between(void *state, int32_t low, int32_t high)
{
    assert_int_equal(low, 0);
    int32_t value = (int32_t)next_value(state, 'b');
    assert_in_range(value, low, high);
    return value;
}

static void check_order(const char *kinds, const double *values, const XvAugment *ops,
                        const double *arguments)
{
    uint8_t row[64 * 3];
    for (int i = 0; i < 64 * 3; i++) {
        row[i] = (uint8_t)(i * i % 251);
    }
    XvImage image = {0}, expected = {0}, scratch = {0};
    fill(&image, 64, 48, row);
    fill(&expected, 64, 48, row);
    Script script = {kinds, values, 0};
    XvDraws draws = {&script, script_uniform, script_between, NULL};
    XvAugmentOptions options = {.n_ops = 2, .level = 7};
    assert_true(xv_random_augment(&options, XV_AUGMENTS_ALL, &draws, &image, &scratch));
    assert_int_equal(script.at, (int)strlen(kinds));
    for (int i = 0; ops[i] != XV_AUGMENT_COUNT; i++) {
        assert_true(xv_augment(ops[i], arguments[i], options.fixes, &expected, &scratch));
    }
    assert_memory_equal(image.pixels, expected.pixels, 64 * 48 * 3);
    xv_image_free(&image);
    xv_image_free(&expected);
    xv_image_free(&scratch);
}

static void test_order(void **state)
{
    (void)state;
    const double rotate = xv_augment_value(XV_AUGMENT_ROTATE, 7),
                 shear = xv_augment_value(XV_AUGMENT_SHEAR_X, 7);
    check_order("bbuuuu", (double[]){XV_AUGMENT_ROTATE, XV_AUGMENT_SHEAR_X, 0.5, 0.49, 0.1, 0.51},
                (XvAugment[]){XV_AUGMENT_ROTATE, XV_AUGMENT_SHEAR_X, XV_AUGMENT_COUNT},
                (double[]){-rotate, -shear});
    check_order("bbuuuu", (double[]){XV_AUGMENT_ROTATE, XV_AUGMENT_SHEAR_X, 0, 0.5, 0, 0.5},
                (XvAugment[]){XV_AUGMENT_ROTATE, XV_AUGMENT_SHEAR_X, XV_AUGMENT_COUNT},
                (double[]){rotate, shear});
    check_order("bbuu", (double[]){XV_AUGMENT_ROTATE, XV_AUGMENT_EQUALIZE, 0.51, 0.2},
                (XvAugment[]){XV_AUGMENT_EQUALIZE, XV_AUGMENT_COUNT}, (double[]){0});
    check_order(
        "bbuu", (double[]){XV_AUGMENT_SHARPNESS, XV_AUGMENT_SHARPNESS, 0, 0},
        (XvAugment[]){XV_AUGMENT_SHARPNESS, XV_AUGMENT_SHARPNESS, XV_AUGMENT_COUNT},
        (double[]){xv_augment_value(XV_AUGMENT_SHARPNESS, 7), xv_augment_value(XV_AUGMENT_SHARPNESS, 7)});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_fixes),
        cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
