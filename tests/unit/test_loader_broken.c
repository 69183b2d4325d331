// The loader and what can be wrong: records, pictures, options.
#include "data_golden.h"
#include "data_loader_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Warnings {
    char text[64][1024];
    int count;
} Warnings;

static void collect(void *context, const char *message)
{
    Warnings *warnings = context;
    if (warnings->count < 64) {
        snprintf(warnings->text[warnings->count++], sizeof *warnings->text, "%s", message);
    }
}

enum { BATCHES = 8 };

// Five lines of which the second and fourth are good.
static const char *write_broken(const char *folder, char path[4096])
{
    char text[8192], image[2048];
    char *here = realpath("tests/data/mini_coco/images", NULL);
    snprintf(image, sizeof image, "%.2000s/000000183709.jpg", here);
    free(here);
    snprintf(text, sizeof text,
             "{\"image\": broken}\n"
             "{\"image\": \"%s\", \"caption\": \"a good line\"}\n"
             "{\"image\": \"missing.jpg\", \"caption\": \"no picture\"}\n"
             "{\"image\": \"%s\", \"caption\": \"another good line\"}\n"
             "{\"image\": \"%s\", \"caption\": \"?!\"}\n",
             image, image, image);
    snprintf(path, 4096, "%s/broken.jsonl", folder);
    golden_write(path, text);
    return path;
}

static bool has_warning(const Warnings *warnings, const char *place, const char *reason)
{
    for (int i = 0; i < warnings->count; i++) {
        if (strstr(warnings->text[i], place) && strstr(warnings->text[i], reason)) {
            return true;
        }
    }
    return false;
}

static void test_broken(void **state)
{
    (void)state;
    char *folder = golden_folder();
    char path[4096];
    const char *paths[] = {write_broken(folder, path)};
    uint32_t expected[BATCHES], found[BATCHES];
    static Warnings warnings[2];
    int64_t skipped[2];
    for (int threads = 0; threads < 2; threads++) {
        XvLoaderOptions options = pair_options();
        options.paths = paths;
        options.threads = 3 * threads;
        options.warn = collect;
        options.warn_context = &warnings[threads];
        XvLoader *loader = open_loader(&options);
        checksums(loader, BATCHES, threads ? found : expected);
        XvBatch batch = next_batch(loader);
        for (int b = 0; b < B; b++) {
            assert_true(batch.records[b] == 1 || batch.records[b] == 3);
        }
        skipped[threads] = xv_loader_skipped(loader);
        xv_loader_close(loader);
    }
    assert_memory_equal(found, expected, sizeof found);
    assert_int_equal(skipped[0], skipped[1]);
    assert_true(skipped[0] > 10);
    assert_int_equal(warnings[0].count, 3);  // each named once
    assert_memory_equal(&warnings[0], &warnings[1], sizeof warnings[0]);
    assert_true(has_warning(&warnings[0], "broken.jsonl:1: ", "column 11"));
    assert_true(has_warning(&warnings[0], "broken.jsonl:3: ", "missing.jpg"));
    assert_true(has_warning(&warnings[0], "broken.jsonl:5: ", "no word left"));
    golden_remove(folder);
    free(folder);
}

static void test_broken_eval(void **state)
{
    (void)state;
    char *folder = golden_folder();
    char path[4096];
    const char *paths[] = {write_broken(folder, path)};
    static Warnings warnings;
    XvLoaderOptions options = pair_options();
    options.paths = paths;
    options.mode = XV_LOADER_EVAL;
    options.warn = collect;
    options.warn_context = &warnings;
    options.max_warnings = 1;
    XvLoader *loader = open_loader(&options);
    XvBatch batch = next_batch(loader);
    assert_int_equal(batch.valid, 2);
    assert_int_equal(batch.records[0], 1);
    assert_int_equal(batch.records[1], 3);
    assert_text(&batch, 1, "another good line");
    assert_picture((const float *)batch_tensor(&batch, "image") + 3 * R * R, "images/000000183709.jpg");
    assert_int_equal(next_batch(loader).valid, 0);
    assert_true(next_batch(loader).is_end);
    assert_int_equal(xv_loader_skipped(loader), 3);
    assert_int_equal(warnings.count, 2);  // one record, and the end of the list
    xv_loader_close(loader);
    golden_remove(folder);
    free(folder);
}

static void test_all_broken(void **state)
{
    (void)state;
    char *folder = golden_folder();
    char path[4096];
    snprintf(path, sizeof path, "%s/all.jsonl", folder);
    golden_write(path, "{}\n[]\n");
    const char *paths[] = {path};
    for (int threads = 0; threads <= 2; threads += 2) {
        XvLoaderOptions options = pair_options();
        options.paths = paths;
        options.threads = threads;
        XvLoader *loader = open_loader(&options);
        XvBatch batch;
        XvError error = {""};
        assert_false(xv_loader_next(loader, &batch, &error));
        assert_non_null(strstr(error.text, "all.jsonl"));
        assert_false(xv_loader_next(loader, &batch, &error));
        xv_loader_close(loader);
    }
    golden_remove(folder);
    free(folder);
}

// ---- errors

static void assert_refused(const XvLoaderOptions *options, const char *message)
{
    XvError error = {""};
    XvLoader *loader = xv_loader_open(options, &error);
    assert_null(loader);
    if (!strstr(error.text, message)) {
        fail_msg("\"%s\" does not say \"%s\"", error.text, message);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const missing[] = {"tests/data/nothing.jsonl"};
    XvLoaderOptions options = pair_options();
    options.paths = missing;
    assert_refused(&options, "nothing.jsonl");
    options = pair_options();
    options.kind = "videos";
    assert_refused(&options, "videos");
    options = pair_options();
    options.vocab_path = PAIR_RECORDS;
    assert_refused(&options, "[PAD]");
    options = pair_options();
    options.max_tokens = 40;
    assert_refused(&options, "text_ids");
    options = pair_options();
    options.rank = 1;
    assert_refused(&options, "rank");
    options = pair_options();
    options.inputs = REGION_INPUTS;
    options.n_inputs = 2;
    assert_refused(&options, "idx_to_group_img");
    options = region_options();
    options.patch_size = 16;
    assert_refused(&options, "image_atts");
    options = region_options();
    options.max_images = 5;
    assert_refused(&options, "image");

    XvValue inputs[] = {PAIR_INPUTS[0], PAIR_INPUTS[1]};
    inputs[1].shape[0] = B + 1;
    options = pair_options();
    options.inputs = inputs;
    options.n_inputs = 2;
    assert_refused(&options, "text_ids");
    inputs[1] = PAIR_INPUTS[1];
    inputs[1].dtype = XV_F32;
    assert_refused(&options, "I32");
}

// Pictures that are cut off are used, counted, and warned of once.
static void test_partial(void **state)
{
    (void)state;
    char *folder = golden_folder();
    char path[4096], text[9000];
    char *half = realpath("tests/data/images/corrupt/truncated_half.jpg", NULL);
    char *whole = realpath("tests/data/images/tiny_17x13_420.jpg", NULL);
    snprintf(path, sizeof path, "%s/half.jsonl", folder);
    snprintf(text, sizeof text,
             "{\"image\": \"%s\", \"caption\": \"half\"}\n{\"image\": \"%s\", \"caption\": \"whole\"}\n",
             half, whole);
    golden_write(path, text);
    free(half);
    free(whole);
    const char *paths[] = {path};
    static Warnings warnings;
    XvLoaderOptions options = pair_options();
    options.paths = paths;
    options.mode = XV_LOADER_EVAL;  // all rows are asked for
    options.warn = collect;
    options.warn_context = &warnings;
    XvLoader *loader = open_loader(&options);
    assert_int_equal(next_batch(loader).valid, 2);
    assert_int_equal(xv_loader_partial(loader), 1);
    assert_int_equal(xv_loader_skipped(loader), 0);
    xv_loader_seek(loader, 0);
    next_batch(loader);
    assert_int_equal(xv_loader_partial(loader), 2);
    assert_int_equal(warnings.count, 1);
    assert_true(has_warning(&warnings, "cut off", "as far as they go"));
    xv_loader_close(loader);
    golden_remove(folder);
    free(folder);
}

// Good and broken records without end take no more memory than the first ones: 100,000 of them, in a few sizes.
static void test_flat_memory(void **state)
{
    (void)state;
    enum { SIDE = 8, RECORDS = 100000 };
    const char *const pictures[] = {"tiny_17x13_420.jpg", "tiny_1x1.jpg", "corrupt/soi_eoi.jpg",
                                    "corrupt/signature_only.png", "thin_3x401.jpg"};
    char *folder = golden_folder();
    char path[4096], text[9000];
    size_t used = 0;
    snprintf(path, sizeof path, "%s/flat.jsonl", folder);
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++) {
        used += (size_t)snprintf(
            text + used, sizeof text - used,
            "{\"image\": \"tests/data/images/%s\", \"caption\": [\"a\", \"word or two\"]}\n{]\n",
            pictures[i]);
    }
    golden_write(path, text);
    const char *paths[] = {path};
    const XvValue inputs[] = {{.name = "image", .dtype = XV_F32, .rank = 4, .shape = {50, 3, SIDE, SIDE}},
                              {.name = "text_ids", .dtype = XV_I32, .rank = 2, .shape = {50, T}}};
    XvLoaderOptions options = pair_options();
    options.paths = paths;
    options.inputs = inputs;
    options.n_inputs = 2;
    options.patch_size = SIDE;
    options.threads = 2;
    XvLoader *loader = open_loader(&options);
    int64_t seen = 0;
    long before = 0;
    while (seen < RECORDS) {
        next_batch(loader);
        seen = xv_loader_position(loader) * 50 + xv_loader_skipped(loader);
        before = before == 0 && seen > RECORDS / 10 ? golden_resident_pages() : before;
    }
    assert_true(xv_loader_skipped(loader) > RECORDS / 4);
    long grown = golden_resident_pages() - before;
    if (grown > 256) {
        fail_msg("%ld more pages after %lld records", grown, (long long)seen);
    }
    xv_loader_close(loader);
    golden_remove(folder);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken),     cmocka_unit_test(test_broken_eval),
        cmocka_unit_test(test_all_broken), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_partial),    cmocka_unit_test(test_flat_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
