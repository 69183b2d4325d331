// The resampler, crops, flips and the normalisation against Pillow and torchvision.
#include "data_golden.h"

#include "runtime/data/file.h"
#include "runtime/data/resize.h"
#include "runtime/data/transform.h"

#include <limits.h>
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

static size_t image_bytes(const XvImage *image)
{
    return (size_t)image->width * (size_t)image->height * 3;
}

// An image over the memory of a tensor.
static XvImage image_of(const XvTensor *tensor)
{
    return (XvImage){.width = (int)tensor->shape[1], .height = (int)tensor->shape[0], .pixels = tensor->data};
}

static void test_resample(void **state)
{
    (void)state;
    GoldenTensors tensors = golden_tensors("tests/data/images/resample_bicubic.safetensors");
    XvResizer resizer = {0};
    XvImage out = {0};
    int compared = 0, wrong = 0;
    for (int i = 0; i < tensors.count; i++) {
        const XvTensor *expected = &tensors.items[i];
        char name[100];
        if (sscanf(expected->name, "out/%90[^/]/", name + 3) != 1) {
            continue;
        }
        memcpy(name, "in/", 3);
        XvImage in = image_of(golden_find(&tensors, name)), wanted = image_of(expected);
        XvError error;
        assert_true(xv_image_resize(&out, wanted.width, wanted.height, &error));
        assert_true(xv_resize(&resizer, &in, (XvCrop){0, 0, in.width, in.height}, &out, &error));
        if (memcmp(out.pixels, wanted.pixels, image_bytes(&out)) != 0) {
            print_error("%s differs\n", expected->name);
            wrong++;
        }
        compared++;
    }
    assert_int_equal(wrong, 0);
    assert_true(compared > 50);
    xv_resizer_free(&resizer);
    xv_image_free(&out);
    golden_tensors_free(&tensors);
}

static void decode(const char *name, XvImage *image)
{
    char path[4096];
    XvBytes file = {0};
    XvError error;
    snprintf(path, sizeof path, "tests/data/%s", name);
    if (!xv_file_read(path, &file, &error) ||
        !xv_image_decode(file.data, file.count, INT_MAX, image, &error)) {
        fail_msg("%s", error.text);
    }
    xv_bytes_free(&file);
}

static bool same_resized(const cJSON *line, const char *key, const XvImage *image, XvCrop crop, XvImage *out)
{
    XvResizer resizer = {0};
    XvError error;
    assert_true(xv_resize(&resizer, image, crop, out, &error));
    const cJSON *flip = cJSON_GetObjectItemCaseSensitive(line, "hflip");
    if (cJSON_IsTrue(flip)) {
        xv_flip(out);
    }
    xv_resizer_free(&resizer);
    bool same = crc32(0, out->pixels, (unsigned)image_bytes(out)) == (uint32_t)golden_number(line, key);
    if (!same) {
        print_error("%s: %s differs\n", golden_string(line, "file"), key);
    }
    return same;
}

// Whole pictures to 224 and 384.
static void test_pictures(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/images/expected.jsonl");
    XvImage image = {0}, out = {0};
    XvError error;
    int wrong = 0;
    for (int i = 0; i < lines.count; i++) {
        if (!cJSON_GetObjectItemCaseSensitive(lines.items[i], "crc224")) {
            continue;
        }
        decode(golden_string(lines.items[i], "file"), &image);
        XvCrop whole = {0, 0, image.width, image.height};
        assert_true(xv_image_resize(&out, 224, 224, &error));
        wrong += !same_resized(lines.items[i], "crc224", &image, whole, &out);
        assert_true(xv_image_resize(&out, 384, 384, &error));
        wrong += !same_resized(lines.items[i], "crc384", &image, whole, &out);
    }
    assert_int_equal(wrong, 0);
    xv_image_free(&image);
    xv_image_free(&out);
    golden_lines_free(&lines);
}

static void test_crops(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/images/crop_flip.jsonl");
    XvImage image = {0}, out = {0};
    XvError error;
    int wrong = 0;
    for (int i = 0; i < lines.count; i++) {
        const cJSON *line = lines.items[i];
        decode(golden_string(line, "file"), &image);
        XvCrop crop = {golden_int(line, "left"), golden_int(line, "top"), golden_int(line, "width"),
                       golden_int(line, "height")};
        assert_true(xv_image_resize(&out, golden_int(line, "size"), golden_int(line, "size"), &error));
        wrong += !same_resized(line, "crc", &image, crop, &out);
    }
    assert_int_equal(wrong, 0);
    assert_true(lines.count >= 18);
    xv_image_free(&image);
    xv_image_free(&out);
    golden_lines_free(&lines);
}

// All bytes in all channels, to the last bit.
static void test_normalise(void **state)
{
    (void)state;
    GoldenTensors tensors = golden_tensors("tests/data/images/normalised.safetensors");
    const XvTensor *expected = golden_find(&tensors, "lut_all_bytes");
    uint8_t pixels[256 * 3];
    float out[3 * 256];
    for (int v = 0; v < 256; v++) {
        memset(pixels + 3 * v, v, 3);
    }
    XvImage image = {.width = 256, .height = 1, .pixels = pixels};
    xv_normalise(&image, out);
    assert_memory_equal(out, expected->data, sizeof out);
    golden_tensors_free(&tensors);
}

static void test_fallback(const cJSON *statistics, XvImageSize size)
{
    // A scale far above the picture never fits, which leaves the fallback.
    XvStream stream = xv_stream(1);
    XvDraws draws = xv_stream_draws(&stream);
    XvCrop crop = xv_random_crop(size, 100, 200, &draws);
    const cJSON *box = golden_get(statistics, "fallback_box_top_left_h_w");
    const int found[] = {crop.top, crop.left, crop.height, crop.width};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(found[i], cJSON_GetArrayItem(box, i)->valueint);
    }
}

enum { CROPS = 4000 };

static void assert_close(double found, const cJSON *expected, const char *what)
{
    double mean = golden_number(expected, "mean"), deviation = golden_number(expected, "std");
    double tolerance = 5 * deviation / sqrt(CROPS) + 1e-9 + 0.005 * fabs(mean);
    if (fabs(found - mean) > tolerance) {
        fail_msg("%s: mean %g, not %g", what, found, mean);
    }
}

// The means of torchvision's crops over many draws.
static void test_random_crop(void **state)
{
    (void)state;
    XvBytes file = {0};
    XvError error;
    assert_true(xv_file_read("tests/data/images/random_resized_crop_statistics.json", &file, &error));
    cJSON *all = cJSON_Parse((const char *)file.data);
    assert_non_null(all);
    for (const cJSON *statistics = all->child; statistics; statistics = statistics->next) {
        XvImageSize size = {golden_int(statistics, "width"), golden_int(statistics, "height")};
        const cJSON *scale = golden_get(statistics, "scale");
        test_fallback(statistics, size);
        double sum_width = 0, sum_height = 0, sum_area = 0, sum_top = 0;
        XvStream stream = xv_stream(77);
        XvDraws draws = xv_stream_draws(&stream);
        for (int i = 0; i < CROPS; i++) {
            XvCrop crop =
                xv_random_crop(size, scale->child->valuedouble, scale->child->next->valuedouble, &draws);
            assert_true(crop.left >= 0 && crop.left + crop.width <= size.width);
            assert_true(crop.top >= 0 && crop.top + crop.height <= size.height);
            sum_width += crop.width;
            sum_height += crop.height;
            sum_area += (double)crop.width * crop.height / size.width / size.height;
            sum_top += (double)crop.top / size.height;
        }
        assert_close(sum_width / CROPS, golden_get(statistics, "crop_width"), "width");
        assert_close(sum_height / CROPS, golden_get(statistics, "crop_height"), "height");
        assert_close(sum_area / CROPS, golden_get(statistics, "area_fraction"), "area");
        assert_close(sum_top / CROPS, golden_get(statistics, "top_fraction"), "top");
    }
    cJSON_Delete(all);
    xv_bytes_free(&file);
}

static void test_limits(void **state)
{
    (void)state;
    XvImage image = {0};
    XvError error;
    assert_false(xv_image_resize(&image, 0, 5, &error));
    assert_false(xv_image_resize(&image, 65500, 65500, &error));
    assert_non_null(strstr(error.text, "65500x65500"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resample),  cmocka_unit_test(test_pictures),    cmocka_unit_test(test_crops),
        cmocka_unit_test(test_normalise), cmocka_unit_test(test_random_crop), cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
