// Drawing, PNG files, galleries and curves of runtime/metrics: pixels where they belong, files that read
// back.
#include "runtime/metrics/curve.h"
#include "runtime/metrics/gallery.h"
#include "runtime/metrics/picture_font.h"

#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const XvColor WHITE = {255, 255, 255}, BLACK = {0, 0, 0}, RED = {200, 10, 20};

static XvPicture blank(int width, int height)
{
    XvPicture picture;
    XvError error;
    assert_true(xv_picture_create(&picture, width, height, WHITE, &error));
    return picture;
}

static XvColor pixel(const XvPicture *picture, int x, int y)
{
    const uint8_t *bytes = picture->pixels + 3 * (y * picture->width + x);
    return (XvColor){bytes[0], bytes[1], bytes[2]};
}

static void assert_color(XvColor found, XvColor expected)
{
    assert_int_equal(found.r, expected.r);
    assert_int_equal(found.g, expected.g);
    assert_int_equal(found.b, expected.b);
}

// Pixels that are not white inside a rectangle.
static int count_ink(const XvPicture *picture, int x, int y, int w, int h)
{
    int count = 0;
    for (int row = y; row < y + h; row++) {
        for (int column = x; column < x + w; column++) {
            XvColor color = pixel(picture, column, row);
            count += color.r < 255 || color.g < 255 || color.b < 255;
        }
    }
    return count;
}

static int count_all_ink(const XvPicture *picture)
{
    return count_ink(picture, 0, 0, picture->width, picture->height);
}

// ---- drawing

static void test_create_refuses_bad_sizes(void **state)
{
    (void)state;
    XvPicture picture;
    XvError error = {""};
    assert_false(xv_picture_create(&picture, 0, 5, WHITE, &error));
    assert_non_null(strstr(error.text, "0 x 5"));
    assert_false(xv_picture_create(&picture, 5, 40000, WHITE, &error));
}

static void test_fill_is_exact_and_cut(void **state)
{
    (void)state;
    XvPicture picture = blank(10, 8);
    xv_picture_fill(&picture, (XvRect){2, 3, 4, 2}, RED);
    assert_int_equal(count_all_ink(&picture), 8);
    assert_color(pixel(&picture, 2, 3), RED);
    assert_color(pixel(&picture, 5, 4), RED);
    xv_picture_fill(&picture, (XvRect){-5, -5, 100, 100}, BLACK);
    assert_int_equal(count_all_ink(&picture), 80);
    xv_picture_fill(&picture, (XvRect){20, 20, 5, 5}, RED);  // wholly outside
    assert_color(pixel(&picture, 9, 7), BLACK);
    xv_picture_free(&picture);
}

static void test_fractions_of_pixels_blend(void **state)
{
    (void)state;
    XvPicture picture = blank(4, 4);
    xv_picture_fill(&picture, (XvRect){1.5, 1, 1, 1}, BLACK);
    assert_color(pixel(&picture, 1, 1), (XvColor){128, 128, 128});
    assert_color(pixel(&picture, 2, 1), (XvColor){128, 128, 128});
    assert_int_equal(count_all_ink(&picture), 2);
    xv_picture_free(&picture);
}

static void test_outline_leaves_the_inside(void **state)
{
    (void)state;
    XvPicture picture = blank(20, 20);
    xv_picture_outline(&picture, (XvRect){5, 5, 10, 8}, 2, RED);
    assert_color(pixel(&picture, 4, 4), RED);
    assert_color(pixel(&picture, 15, 13), RED);
    assert_int_equal(count_ink(&picture, 6, 6, 8, 6), 0);
    assert_int_equal(count_all_ink(&picture), 12 * 10 - 8 * 6);
    xv_picture_free(&picture);
}

static void test_line_reaches_both_ends(void **state)
{
    (void)state;
    XvPicture picture = blank(40, 30);
    const double from[2] = {5.5, 4.5}, to[2] = {34.5, 24.5};
    xv_picture_line(&picture, from, to, 3, BLACK);
    assert_color(pixel(&picture, 5, 4), BLACK);
    assert_color(pixel(&picture, 34, 24), BLACK);
    assert_color(pixel(&picture, 20, 14), BLACK);
    assert_color(pixel(&picture, 34, 4), WHITE);
    xv_picture_free(&picture);
}

static void test_paste_keeps_pixels_and_averages(void **state)
{
    (void)state;
    uint8_t rgb[4 * 4 * 3];
    for (int i = 0; i < 16; i++) {
        memset(rgb + 3 * i, i % 2 ? 200 : 100, 3);  // columns of two greys
    }
    XvPicture picture = blank(8, 8);
    xv_picture_paste(&picture, (XvRect){2, 2, 4, 4}, rgb, 4, 4);
    assert_color(pixel(&picture, 2, 2), (XvColor){100, 100, 100});
    assert_color(pixel(&picture, 3, 5), (XvColor){200, 200, 200});
    assert_int_equal(count_all_ink(&picture), 16);
    xv_picture_paste(&picture, (XvRect){0, 0, 1, 1}, rgb, 4, 4);
    assert_in_range(pixel(&picture, 0, 0).r, 140, 160);
    xv_picture_free(&picture);
}

// ---- text

static void test_every_glyph_differs(void **state)
{
    (void)state;
    for (int a = 33; a < 128; a++) {
        assert_in_range(xv_glyph_width((unsigned char)a), 1, XV_GLYPH_COLUMNS);
        for (int b = 33; b < a; b++) {
            bool differs = false;
            for (int i = 0; i < XV_GLYPH_COLUMNS * XV_GLYPH_ROWS; i++) {
                differs |= xv_glyph_pixel((unsigned char)a, i % 5, i / 5) !=
                           xv_glyph_pixel((unsigned char)b, i % 5, i / 5);
            }
            assert_true(differs);
        }
    }
    assert_false(xv_glyph_pixel('A', -1, 0));
    assert_false(xv_glyph_pixel('A', 0, XV_GLYPH_ROWS));
    assert_true(xv_glyph_pixel(0xe9, 0, 0));  // not ASCII: the box
}

static void test_text_fills_its_width(void **state)
{
    (void)state;
    XvPicture picture = blank(60, 12);
    double end = xv_picture_text(&picture, 3, 1, "Hi j", (XvTextStyle){1, BLACK});
    // H 5, i 1, space 3, j 3 columns, each with a gap.
    assert_true(end == 3 + 5 + 1 + 3 + 3 + 4);
    assert_true(xv_text_width("Hi j", 1) == 15);
    assert_true(xv_text_width("", 2) == 0);
    assert_color(pixel(&picture, 3, 1), BLACK);
    assert_color(pixel(&picture, 3, 7), BLACK);
    assert_int_equal(count_ink(&picture, 0, 0, 3, 12) + count_ink(&picture, 19, 0, 41, 12), 0);
    xv_picture_free(&picture);
}

// A turned line has the same ink as the upright one, pixel for pixel.
static void test_text_upwards_is_turned(void **state)
{
    (void)state;
    XvPicture upright = blank(40, 40), turned = blank(40, 40);
    xv_picture_text(&upright, 4, 10, "loss", (XvTextStyle){1, BLACK});
    xv_picture_text_upwards(&turned, 10, 35, "loss", (XvTextStyle){1, BLACK});
    for (int u = 0; u < 30; u++) {
        for (int v = 0; v < 9; v++) {
            assert_color(pixel(&turned, 10 + v, 35 - u), pixel(&upright, 4 + u, 10 + v));
        }
    }
    assert_true(count_all_ink(&upright) > 20);
    xv_picture_free(&upright);
    xv_picture_free(&turned);
}

static void test_paragraph_breaks_between_words(void **state)
{
    (void)state;
    XvPicture picture = blank(200, 60);
    XvTextStyle style = {1, BLACK};
    XvRect where = {20, 5, 60, 40};
    assert_int_equal(xv_picture_paragraph(&picture, where, 3, "red circle above the blue square", style), 3);
    assert_int_equal(xv_picture_paragraph(&picture, where, 3, "red", style), 1);
    assert_int_equal(xv_picture_paragraph(&picture, where, 3, "", style), 0);
    assert_int_equal(xv_text_lines("red circle above the blue square", 60, 1), 3);
    assert_int_equal(
        xv_picture_paragraph(&picture, where, 2, "a text of far too many words to fit here", style), 2);
    assert_int_equal(xv_picture_paragraph(&picture, where, 9, "averyveryverylongsingleword", style), 3);
    assert_int_equal(count_ink(&picture, 0, 0, 19, 60) + count_ink(&picture, 81, 0, 119, 60), 0);
    xv_picture_free(&picture);
}

// ---- files

static void temporary_path(char path[512], const char *name)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, 512, "%s/xv_picture_%ld_%s", folder ? folder : P_tmpdir, (long)getpid(), name);
}

static void test_png_reads_back(void **state)
{
    (void)state;
    char path[512];
    temporary_path(path, "round.png");
    XvPicture picture = blank(13, 7);
    xv_picture_fill(&picture, (XvRect){3, 2, 4, 3}, RED);
    XvError error = {""};
    assert_true(xv_picture_write_png(&picture, path, &error));
    assert_true(xv_picture_write_png(&picture, path, &error));  // replaces
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&image, path));
    image.format = PNG_FORMAT_RGB;
    uint8_t pixels[13 * 7 * 3];
    assert_int_equal(image.width, 13);
    assert_int_equal(image.height, 7);
    assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));
    assert_memory_equal(pixels, picture.pixels, sizeof pixels);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    unlink(path);
    xv_picture_free(&picture);
}

static void test_png_failure_names_the_file(void **state)
{
    (void)state;
    XvPicture picture = blank(2, 2);
    XvError error = {""};
    assert_false(xv_picture_write_png(&picture, "/no/such/folder/a.png", &error));
    assert_non_null(strstr(error.text, "/no/such/folder/a.png"));
    xv_picture_free(&picture);
}

// ---- gallery

static bool is_near(XvColor color, XvColor wanted)
{
    return abs(color.r - wanted.r) + abs(color.g - wanted.g) + abs(color.b - wanted.b) < 30;
}

static int count_color(const XvPicture *picture, XvColor wanted)
{
    int count = 0;
    for (int i = 0; i < picture->width * picture->height; i++) {
        count += is_near(pixel(picture, i % picture->width, i / picture->width), wanted);
    }
    return count;
}

static void test_gallery_shows_pictures_and_boxes(void **state)
{
    (void)state;
    uint8_t rgb[32 * 16 * 3];
    memset(rgb, 130, sizeof rgb);
    const XvGalleryItem items[3] = {
        {rgb, 32, 16, {4, 4, 8, 8}, {6, 4, 8, 8}, "a phrase"},
        {.rgb = rgb, .width = 32, .height = 16},
        {rgb,
         16,
         32,
         {2, 2, 10, 20},
         {0, 0, 0, 0},
         "another phrase that is too long for a single line of text"},
    };
    XvGallery gallery = {"Title", items, 3, 2, 64};
    XvPicture page;
    XvError error = {""};
    assert_true(xv_gallery_draw(&gallery, &page, &error));
    int grey = count_color(&page, (XvColor){130, 130, 130});
    assert_in_range(grey, 2 * 64 * 32, 3 * 64 * 32);
    int green = count_color(&page, (XvColor){40, 200, 80}),
        pink = count_color(&page, (XvColor){255, 60, 120});
    assert_true(green > pink && pink > 60);

    gallery.columns = 0;
    XvPicture none;
    assert_false(xv_gallery_draw(&gallery, &none, &error));
    xv_picture_free(&page);
}

// ---- curves

static void test_ticks_cover_the_range(void **state)
{
    (void)state;
    const double ranges[][2] = {{0, 1}, {0.13, 0.97}, {-3, 12345}, {5, 5}, {0, 0}, {1e-7, 3e-7}, {-2, -1}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        XvTicks ticks = xv_ticks(ranges[i][0], ranges[i][1], 5);
        assert_in_range(ticks.count, 2, 9);
        assert_true(ticks.step > 0);
        assert_true(ticks.low <= ranges[i][0] + 1e-6 * ticks.step);
        assert_true(ticks.low + (ticks.count - 1) * ticks.step >= ranges[i][1] - 1e-6 * ticks.step);
    }
    XvTicks ticks = xv_ticks(0, 100, 5);
    assert_true(ticks.low == 0 && ticks.step == 20 && ticks.count == 6);
}

// A falling curve starts high on the left and ends low on the right.
static void test_plot_follows_its_series(void **state)
{
    (void)state;
    double y[50];
    for (int i = 0; i < 50; i++) {
        y[i] = 100 - 2 * i;
    }
    const XvSeries series = {"loss", NULL, y, 50, 0};
    XvPlot plot = {"Title", "step", "loss", &series, 1, false};
    XvPicture picture;
    XvError error = {""};
    assert_true(xv_plot_draw(&plot, 400, 300, &picture, &error));
    double left = 0, right = 0;
    int n_left = 0, n_right = 0;
    for (int row = 70; row < 260; row++) {
        for (int column = 0; column < 20; column++) {
            if (is_near(pixel(&picture, 95 + column, row), XV_PALETTE[0])) {
                left += row;
                n_left++;
            }
            if (is_near(pixel(&picture, 350 + column, row), XV_PALETTE[0])) {
                right += row;
                n_right++;
            }
        }
    }
    assert_true(n_left > 10 && n_right > 10);
    assert_true(left / n_left < 120 && right / n_right > 180);
    xv_picture_free(&picture);
    assert_false(xv_plot_draw(&plot, 50, 50, &picture, &error));
}

static void test_plot_survives_odd_data(void **state)
{
    (void)state;
    const double odd[] = {NAN, 1, INFINITY, -2, 0, 3, NAN};
    const double once[] = {2};
    const XvSeries series[] = {
        {"odd", NULL, odd, 7, 0.5}, {"once", once, once, 1, 0}, {"none", NULL, NULL, 0, 0}};
    for (int n_series = 0; n_series <= 3; n_series++) {
        for (int logarithmic = 0; logarithmic < 2; logarithmic++) {
            XvPlot plot = {NULL, NULL, NULL, series, n_series, logarithmic == 1};
            XvPicture picture;
            XvError error;
            assert_true(xv_plot_draw(&plot, 220, 160, &picture, &error));
            xv_picture_free(&picture);
            FILE *file = tmpfile();
            assert_non_null(file);
            xv_plot_print(file, &plot, 20, 6);
            fclose(file);
        }
    }
}

static void test_printed_plot(void **state)
{
    (void)state;
    const double x[] = {0, 10, 20, 30, 40}, falling[] = {4, 3, 2, 1, 0}, flat[] = {0, 0, 0, 0, NAN};
    const XvSeries series[] = {{"itc", x, falling, 5, 0}, {"mlm", x, flat, 5, 0}};
    const XvPlot plot = {NULL, "step", NULL, series, 2, false};
    char text[2048];
    FILE *file = fmemopen(text, sizeof text, "w");
    assert_non_null(file);
    xv_plot_print(file, &plot, 21, 5);
    fclose(file);
    assert_string_equal(text, "        4 |*                    \n"
                              "          |     *               \n"
                              "          |          *          \n"
                              "          |               *     \n"
                              "        0 |+    +    +    +    *\n"
                              "          +---------------------\n"
                              "           0       step       40\n"
                              "           * itc  + mlm \n");
}

static void test_sparkline(void **state)
{
    (void)state;
    const double values[] = {0, 1, 2, 3, 4, 5, 6, 7, NAN, 8};
    char out[64];
    xv_sparkline(values, 10, 10, out);
    assert_string_equal(out, "▁▂▃▄▅▆▇█ █");
    xv_sparkline(values, 8, 2, out);
    assert_string_equal(out, "▁█");
    xv_sparkline(values, 0, 10, out);
    assert_string_equal(out, "");
    const double same[] = {3, 3, 3};
    xv_sparkline(same, 3, 10, out);
    assert_string_equal(out, "▁▁▁");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_refuses_bad_sizes),
        cmocka_unit_test(test_fill_is_exact_and_cut),
        cmocka_unit_test(test_fractions_of_pixels_blend),
        cmocka_unit_test(test_outline_leaves_the_inside),
        cmocka_unit_test(test_line_reaches_both_ends),
        cmocka_unit_test(test_paste_keeps_pixels_and_averages),
        cmocka_unit_test(test_every_glyph_differs),
        cmocka_unit_test(test_text_fills_its_width),
        cmocka_unit_test(test_text_upwards_is_turned),
        cmocka_unit_test(test_paragraph_breaks_between_words),
        cmocka_unit_test(test_png_reads_back),
        cmocka_unit_test(test_png_failure_names_the_file),
        cmocka_unit_test(test_gallery_shows_pictures_and_boxes),
        cmocka_unit_test(test_ticks_cover_the_range),
        cmocka_unit_test(test_plot_follows_its_series),
        cmocka_unit_test(test_plot_survives_odd_data),
        cmocka_unit_test(test_printed_plot),
        cmocka_unit_test(test_sparkline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
