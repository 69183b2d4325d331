// Decoding of pictures against what the official loader sees, and files that must be refused.
#include "data_golden.h"

#include "runtime/data/base64.h"
#include "runtime/data/file.h"
#include "runtime/data/image.h"

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

static XvBytes read_picture(const char *name)
{
    char path[4096];
    XvBytes bytes = {0};
    XvError error;
    snprintf(path, sizeof path, "tests/data/%s", name);
    if (!xv_file_read(path, &bytes, &error)) {
        fail_msg("%s", error.text);
    }
    return bytes;
}

static bool same_size(const XvBytes *file, const cJSON *line)
{
    XvImageSize size;
    XvError error;
    return xv_image_size(file->data, file->count, &size, &error) && size.width == golden_int(line, "width") &&
           size.height == golden_int(line, "height");
}

// A picture whose pixels are exact has a checksum; one that only the tolerant official setting reads may be
// refused.
static bool check_line(const cJSON *line, XvImage *image)
{
    XvBytes file = read_picture(golden_string(line, "file"));
    XvError error = {""};
    bool ok = xv_image_decode(file.data, file.count, INT_MAX, image, &error);
    bool good = true;
    if (!cJSON_IsTrue(golden_get(line, "ok"))) {
        good = !ok && error.text[0];
    } else if (!cJSON_GetObjectItemCaseSensitive(line, "may_fail")) {
        good = ok && same_size(&file, line) &&
               image->is_partial == cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line, "is_partial")) &&
               crc32(0, image->pixels, (unsigned)image_bytes(image)) == (uint32_t)golden_number(line, "crc");
    }
    if (!good) {
        print_error("%s: %s\n", golden_string(line, "file"), ok ? "other pixels" : error.text);
    }
    xv_bytes_free(&file);
    return good;
}

static void test_pictures(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/images/expected.jsonl");
    XvImage image = {0};
    int wrong = 0;
    for (int i = 0; i < lines.count; i++) {
        wrong += !check_line(lines.items[i], &image);
    }
    assert_int_equal(wrong, 0);
    assert_true(lines.count > 40);
    xv_image_free(&image);
    golden_lines_free(&lines);
}

// Decoding stops below the last row that is asked for, without touching the rows above.
static void test_first_rows(void **state)
{
    (void)state;
    XvBytes file = read_picture("images/rocket_420_odd.jpg");
    XvImage whole = {0}, part = {0};
    XvError error;
    assert_true(xv_image_decode(file.data, file.count, INT_MAX, &whole, &error));
    for (int rows = 1; rows <= whole.height + 1; rows += 31) {
        assert_true(xv_image_decode(file.data, file.count, rows, &part, &error));
        assert_int_equal(part.height, whole.height);
        int compared = rows < whole.height ? rows : whole.height;
        assert_memory_equal(part.pixels, whole.pixels, (size_t)compared * (size_t)whole.width * 3);
    }
    xv_bytes_free(&file);
    xv_image_free(&whole);
    xv_image_free(&part);
}

static void put_big_endian(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

// Sizes that no file of this length can have, in a header that is whole.
static void test_claims(void **state)
{
    (void)state;
    const struct {
        uint32_t width, height;
        const char *message;
    } cases[] = {{12000, 12000, "cannot be in"},
                 {30000, 30000, "the limit"},
                 {0x7FFFFFFF, 0x7FFFFFFF, "the limit"},
                 {0, 10, "0x10 pixels"},
                 {0xFFFFFFFF, 1, "the limit"}};
    XvBytes file = read_picture("images/cat_gray1.png");
    XvBytes jpeg = read_picture("images/tiny_17x13_420.jpg");
    XvImage image = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        XvError error = {""};
        XvImageSize size;
        put_big_endian(file.data + 16, cases[i].width);
        put_big_endian(file.data + 20, cases[i].height);
        put_big_endian(file.data + 29, (uint32_t)crc32(0, file.data + 12, 17));
        assert_false(xv_image_decode(file.data, file.count, INT_MAX, &image, &error));
        assert_non_null(strstr(error.text, cases[i].message));
        assert_false(xv_image_size(file.data, file.count, &size, &error));
    }
    for (size_t at = 0; at + 9 < jpeg.count; at++) {
        if (jpeg.data[at] == 0xFF && jpeg.data[at + 1] == 0xC0) {
            jpeg.data[at + 5] = jpeg.data[at + 7] = 0x2E;  // 11,789 x 11,793
        }
    }
    XvError error = {""};
    assert_false(xv_image_decode(jpeg.data, jpeg.count, INT_MAX, &image, &error));
    assert_non_null(strstr(error.text, "cannot be in"));
    xv_bytes_free(&file);
    xv_bytes_free(&jpeg);
    xv_image_free(&image);
}

// Every prefix of a picture is either decoded or refused with a reason; nothing else happens.
static void test_truncation(void **state)
{
    (void)state;
    const char *const names[] = {"images/hopper_16bit_qtables.jpg", "images/tiny_17x13_420.jpg",
                                 "images/cat_gray1.png", "images/cat_palette4_adam7.png"};
    XvImage image = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        XvBytes file = read_picture(names[i]);
        for (size_t count = 0; count < file.count; count += 7) {
            uint8_t *copy = malloc(count + 1);  // exactly as long, so that reading on is noticed
            memcpy(copy, file.data, count);
            XvError error = {""};
            XvImageSize size;
            bool ok = xv_image_decode(copy, count, INT_MAX, &image, &error);
            assert_true(ok || error.text[0]);
            assert_true(!ok || xv_image_size(copy, count, &size, &error));
            free(copy);
        }
        xv_bytes_free(&file);
    }
    xv_image_free(&image);
}

// Damage anywhere must not crash.
static void test_damage(void **state)
{
    (void)state;
    const char *const names[] = {"images/tiny_17x13_420.jpg", "images/cat_gray1.png"};
    XvImage image = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        XvBytes file = read_picture(names[i]);
        for (size_t at = 0; at < file.count; at++) {
            uint8_t before = file.data[at];
            file.data[at] = (uint8_t)(before ^ (at * 37 % 255 + 1));
            XvError error = {""};
            bool ok = xv_image_decode(file.data, file.count, INT_MAX, &image, &error);
            assert_true(ok || error.text[0]);
            file.data[at] = before;
        }
        xv_bytes_free(&file);
    }
    xv_image_free(&image);
}

static void test_base64(void **state)
{
    (void)state;
    const struct {
        const char *text, *bytes;
    } cases[] = {{"", ""},           {"Zg==", "f"},           {"Zm8=", "fo"},
                 {"Zm9v", "foo"},    {"Zm9vYg==", "foob"},    {"Zm9v\nYm Fy", "foobar"},
                 {"Zm9vYg", "foob"}, {"+/+/", "\xFB\xFF\xBF"}};
    XvBytes bytes = {0};
    XvError error;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(xv_base64_decode(cases[i].text, &bytes, &error));
        assert_int_equal(bytes.count, strlen(cases[i].bytes));
        assert_memory_equal(bytes.data, cases[i].bytes, bytes.count);
    }
    assert_false(xv_base64_decode("Zm9vY", &bytes, &error));
    xv_bytes_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pictures),   cmocka_unit_test(test_first_rows), cmocka_unit_test(test_claims),
        cmocka_unit_test(test_truncation), cmocka_unit_test(test_damage),     cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
