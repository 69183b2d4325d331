// The loader: contents of batches, their independence of threads and restarts, sharding.
#include "data_golden.h"
#include "data_loader_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

// ---- contents

// Masks and labels belong to the ids, in every row.
static void assert_masks(const XvBatch *batch)
{
    const int32_t *ids = batch_tensor(batch, "text_ids"), *masked = batch_tensor(batch, "text_ids_masked");
    const int32_t *positions = batch_tensor(batch, "masked_pos"), *labels = batch_tensor(batch, "masked_ids");
    for (int b = 0; b < B; b++) {
        bool is_masked[T] = {false};
        assert_int_not_equal(labels[b * M], -100);
        for (int i = b * M; i < (b + 1) * M; i++) {
            if (labels[i] == -100) {
                assert_int_equal(positions[i], 0);
                continue;
            }
            assert_in_range(positions[i], 1, T - 1);
            assert_int_equal(labels[i], ids[b * T + positions[i]]);
            is_masked[positions[i]] = true;
        }
        for (int i = 0; i < T; i++) {
            assert_true(is_masked[i] || masked[b * T + i] == ids[b * T + i]);
        }
    }
}

static const char *first_caption(const cJSON *record)
{
    const cJSON *caption = golden_get(record, "caption");
    return cJSON_IsArray(caption) ? caption->child->valuestring : caption->valuestring;
}

static void test_eval_pairs(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines(PAIR_RECORDS);
    XvLoaderOptions options = pair_options();
    options.mode = XV_LOADER_EVAL;
    options.threads = 2;
    XvLoader *loader = open_loader(&options);
    assert_int_equal(xv_loader_records(loader), N);
    assert_int_equal(xv_loader_batches(loader), 3);
    assert_int_equal(xv_loader_batch_size(loader), B);
    for (int index = 0; index < 3; index++) {
        XvBatch batch = next_batch(loader);
        assert_int_equal(batch.valid, index < 2 ? B : N - 2 * B);
        assert_masks(&batch);
        for (int b = 0; b < B; b++) {
            int record = index * B + (b < batch.valid ? b : 0);  // rows that do not count repeat the first
            assert_int_equal(batch.records[b], record);
            assert_text(&batch, b, first_caption(lines.items[record]));
            const float *image = (const float *)batch_tensor(&batch, "image") + (size_t)b * 3 * R * R;
            assert_picture(image, golden_string(lines.items[record], "image"));
        }
    }
    assert_true(next_batch(loader).is_end);
    assert_true(next_batch(loader).is_end);
    xv_loader_seek(loader, 1);
    assert_int_equal(next_batch(loader).records[0], B);
    xv_loader_close(loader);
    golden_lines_free(&lines);
}

static void test_eval_regions(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines(REGION_RECORDS);
    XvLoaderOptions options = region_options();
    options.mode = XV_LOADER_EVAL;
    options.max_regions = 4;
    XvLoader *loader = open_loader(&options);
    assert_int_equal(xv_loader_batches(loader), N);  // four samples each: one picture per batch of four
    for (int index = 0; index < N; index++) {
        const cJSON *record = lines.items[index];
        const cJSON *element = golden_get(record, "elems")->child;
        bool has_caption = cJSON_GetObjectItemCaseSensitive(record, "caption") != NULL;
        XvBatch batch = next_batch(loader);
        int available = cJSON_GetArraySize(golden_get(record, "elems")) + has_caption;
        assert_int_equal(batch.valid, available < 4 ? available : 4);
        assert_int_equal(((const int32_t *)batch_tensor(&batch, "is_image"))[0], has_caption);
        assert_text(&batch, 0, has_caption ? first_caption(record) : golden_string(element, "caption"));
        assert_picture(batch_tensor(&batch, "image"), golden_string(record, "image"));
        for (int b = 0; b < B; b++) {
            assert_int_equal(((const int32_t *)batch_tensor(&batch, "idx_to_group_img"))[b], 0);
        }
    }
    xv_loader_close(loader);
    golden_lines_free(&lines);
}

static void test_train_regions(void **state)
{
    (void)state;
    XvLoaderOptions options = region_options();
    XvLoader *loader = open_loader(&options);
    int used[I] = {0};
    for (int index = 0; index < 10; index++) {
        XvBatch batch = next_batch(loader);
        assert_int_equal(batch.valid, B);
        assert_masks(&batch);
        const int32_t *atts = batch_tensor(&batch, "image_atts"),
                      *is_image = batch_tensor(&batch, "is_image");
        const int32_t *group = batch_tensor(&batch, "idx_to_group_img");
        const float *box = batch_tensor(&batch, "target_bbox");
        for (int b = 0; b < B; b++) {
            int sum = 0;
            for (int i = 0; i < S; i++) {
                sum += atts[b * S + i];
            }
            assert_int_equal(atts[b * S], 1);
            assert_in_range(sum, 2, S);
            assert_true(!is_image[b] || sum == S);
            assert_in_range(group[b], 0, I - 1);
            used[group[b]]++;
            assert_true(box[4 * b + 2] > 0 && box[4 * b + 3] > 0);
            for (int i = 0; i < 2; i++) {
                float low = box[4 * b + i] - box[4 * b + 2 + i] / 2,
                      high = box[4 * b + i] + box[4 * b + 2 + i] / 2;
                assert_true(low > -1e-5f && high < 1 + 1e-5f);
            }
        }
    }
    for (int i = 0; i < I; i++) {
        assert_true(used[i] > 0);
    }
    xv_loader_close(loader);
}

static void test_base64(void **state)
{
    (void)state;
    static const char *const paths[] = {"tests/data/mini_coco/pretrain_images_base64.jsonl"};
    XvLoaderOptions options = pair_options();
    options.paths = paths;
    options.image_key = "binary";
    options.is_image_rpath = false;
    options.mode = XV_LOADER_EVAL;
    XvLoader *loader = open_loader(&options);
    XvBatch batch = next_batch(loader);
    assert_int_equal(batch.valid, 3);
    assert_picture(batch_tensor(&batch, "image"), "images/000000183709.jpg");
    xv_loader_close(loader);
}

// Inputs without the picture: no picture is opened.
static void test_text_only(void **state)
{
    (void)state;
    char *folder = golden_folder();
    char path[4096];
    snprintf(path, sizeof path, "%s/text.jsonl", folder);
    golden_write(path, "{\"image\": \"nowhere.jpg\", \"caption\": \"surf ##board\"}\n");
    const char *paths[] = {path};
    XvLoaderOptions options = pair_options();
    options.paths = paths;
    options.inputs = PAIR_INPUTS + 1;
    options.n_inputs = 2;
    options.tokenized = true;
    XvLoader *loader = open_loader(&options);
    XvBatch batch = next_batch(loader);
    const int32_t expected[T] = {101, 14175, 6277};
    for (int b = 0; b < B; b++) {
        assert_memory_equal((const int32_t *)batch_tensor(&batch, "text_ids") + b * T, expected,
                            sizeof expected);
    }
    xv_loader_close(loader);
    golden_remove(folder);
    free(folder);
}

// ---- order

enum { BATCHES = 8 };

static void test_threads(void **state)
{
    (void)state;
    XvLoaderOptions kinds[] = {pair_options(), region_options()};
    for (int kind = 0; kind < 2; kind++) {
        uint32_t expected[BATCHES], found[BATCHES];
        XvLoader *loader = open_loader(&kinds[kind]);
        checksums(loader, BATCHES, expected);
        xv_loader_close(loader);
        for (int i = 1; i < BATCHES; i++) {
            assert_int_not_equal(expected[i], expected[0]);
        }
        for (int threads = 1; threads <= 7; threads += 2) {
            kinds[kind].threads = threads;
            loader = open_loader(&kinds[kind]);
            checksums(loader, BATCHES, found);
            xv_loader_close(loader);
            assert_memory_equal(found, expected, sizeof expected);
        }
    }
}

static void test_resume(void **state)
{
    (void)state;
    XvLoaderOptions options = region_options();
    for (int threads = 0; threads <= 3; threads += 3) {
        uint32_t expected[BATCHES], found[BATCHES];
        options.threads = threads;
        XvLoader *loader = open_loader(&options);
        checksums(loader, 3, expected);
        int64_t position = xv_loader_position(loader);
        assert_int_equal(position, 3);
        checksums(loader, BATCHES - 3, expected + 3);
        xv_loader_seek(loader, 1);  // back, with batches under way
        checksums(loader, 2, found);
        assert_memory_equal(found, expected + 1, 2 * sizeof *found);
        xv_loader_close(loader);

        loader = open_loader(&options);
        xv_loader_seek(loader, position);
        checksums(loader, BATCHES - 3, found);
        assert_memory_equal(found, expected + 3, (BATCHES - 3) * sizeof *found);
        assert_int_equal(xv_loader_position(loader), BATCHES);
        xv_loader_close(loader);
    }
}

static void test_seed(void **state)
{
    (void)state;
    XvLoaderOptions options = pair_options();
    uint32_t first[2], second[2];
    XvLoader *loader = open_loader(&options);
    checksums(loader, 2, first);
    xv_loader_close(loader);
    options.seed++;
    loader = open_loader(&options);
    checksums(loader, 2, second);
    xv_loader_close(loader);
    assert_int_not_equal(first[0], second[0]);
}

static uint32_t checksum_of(const XvBatch *batch, const char *name)
{
    for (int i = 0; i < batch->n_tensors; i++) {
        if (strcmp(batch->tensors[i].name, name) == 0) {
            return (uint32_t)crc32(0, batch->tensors[i].data, (unsigned)xv_tensor_bytes(&batch->tensors[i]));
        }
    }
    fail_msg("no tensor %s", name);
    return 0;
}

// RandAugment changes pixels and nothing else: not the crops behind the boxes, not the masks. Evaluation has none.
static void test_augment(void **state)
{
    (void)state;
    XvLoaderOptions options = region_options();
    assert_int_equal(options.augment.n_ops, 2);
    for (int mode = XV_LOADER_TRAIN; mode <= XV_LOADER_EVAL; mode++) {
        uint32_t boxes[2], pixels[2], words[2];
        for (int with = 0; with < 2; with++) {
            options.mode = (XvLoaderMode)mode;
            options.augment.n_ops = with ? 2 : 0;
            XvLoader *loader = open_loader(&options);
            XvBatch batch = next_batch(loader);
            boxes[with] = checksum_of(&batch, "target_bbox");
            pixels[with] = checksum_of(&batch, "image");
            words[with] = checksum_of(&batch, "text_ids_masked");
            xv_loader_close(loader);
        }
        assert_int_equal(boxes[0], boxes[1]);
        assert_int_equal(words[0], words[1]);
        assert_int_equal(pixels[0] != pixels[1], mode == XV_LOADER_TRAIN);
    }
}

// Over five batches of four on each of two ranks, the ten records come four times each; every epoch has them
// once.
static void test_epochs_and_ranks(void **state)
{
    (void)state;
    int64_t stream[5 * B * 2];
    for (int rank = 0; rank < 2; rank++) {
        XvLoaderOptions options = pair_options();
        options.inputs = PAIR_INPUTS + 1;
        options.n_inputs = 1;
        options.rank = rank;
        options.world = 2;
        XvLoader *loader = open_loader(&options);
        for (int index = 0; index < 5; index++) {
            XvBatch batch = next_batch(loader);
            for (int b = 0; b < B; b++) {
                stream[(index * B + b) * 2 + rank] = batch.records[b];
            }
        }
        xv_loader_close(loader);
    }
    bool orders_differ = false;
    for (int epoch = 0; epoch < 4; epoch++) {
        int seen[N] = {0};
        for (int i = 0; i < N; i++) {
            assert_int_equal(seen[stream[epoch * N + i]]++, 0);
            orders_differ |= stream[epoch * N + i] != stream[i];
        }
    }
    assert_true(orders_differ);
}

static void test_eval_ranks(void **state)
{
    (void)state;
    int seen[N] = {0};
    for (int rank = 0; rank < 3; rank++) {
        XvLoaderOptions options = pair_options();
        options.mode = XV_LOADER_EVAL;
        options.rank = rank;
        options.world = 3;
        XvLoader *loader = open_loader(&options);
        assert_int_equal(xv_loader_batches(loader), 1);  // the same on every rank
        XvBatch batch = next_batch(loader);
        assert_int_equal(batch.valid, rank == 0 ? 4 : 3);
        for (int b = 0; b < batch.valid; b++) {
            assert_int_equal(batch.records[b], 3 * b + rank);
            seen[batch.records[b]]++;
        }
        assert_true(next_batch(loader).is_end);
        xv_loader_close(loader);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(seen[i], 1);
    }
}

// A rank that no record is left for gets a batch it can run: the start token, and nothing valid.
static void test_eval_idle_rank(void **state)
{
    (void)state;
    XvLoaderOptions options = pair_options();
    options.mode = XV_LOADER_EVAL;
    options.rank = 11;
    options.world = 12;
    XvLoader *loader = open_loader(&options);
    XvBatch batch = next_batch(loader);
    assert_false(batch.is_end);
    assert_int_equal(batch.valid, 0);
    assert_int_equal(((const int32_t *)batch_tensor(&batch, "text_ids"))[T], 101);
    assert_int_equal(((const int32_t *)batch_tensor(&batch, "text_atts"))[T], 1);
    assert_int_equal(((const int32_t *)batch_tensor(&batch, "masked_ids"))[0], -100);
    xv_loader_close(loader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eval_pairs),    cmocka_unit_test(test_eval_regions),
        cmocka_unit_test(test_train_regions), cmocka_unit_test(test_base64),
        cmocka_unit_test(test_text_only),     cmocka_unit_test(test_threads),
        cmocka_unit_test(test_resume),        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_augment),       cmocka_unit_test(test_epochs_and_ranks),
        cmocka_unit_test(test_eval_ranks),    cmocka_unit_test(test_eval_idle_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
