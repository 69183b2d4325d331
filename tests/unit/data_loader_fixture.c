// Shared parts of the loader's tests; see data_loader_fixture.h.
#include "data_loader_fixture.h"

#include "runtime/data/caption.h"
#include "runtime/data/file.h"
#include "runtime/data/resize.h"
#include "runtime/data/transform.h"
#include "runtime/data/wordpiece.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#define VOCABULARY "tests/data/vocab/bert-base-uncased-vocab.txt"

static const char *const PAIRS[] = {PAIR_RECORDS};
static const char *const REGIONS[] = {REGION_RECORDS};

const XvValue PAIR_INPUTS[] = {
    {"image", XV_F32, 4, {B, 3, R, R}, 0}, {"text_ids", XV_I32, 2, {B, T}, 0},
    {"text_atts", XV_I32, 2, {B, T}, 0},   {"text_ids_masked", XV_I32, 2, {B, T}, 0},
    {"masked_pos", XV_I32, 2, {B, M}, 0},  {"masked_ids", XV_I32, 2, {B, M}, 0},
};

const XvValue REGION_INPUTS[] = {
    {"image", XV_F32, 4, {I, 3, R, R}, 0},     {"idx_to_group_img", XV_I32, 1, {B}, 0},
    {"text_ids", XV_I32, 2, {B, T}, 0},        {"text_atts", XV_I32, 2, {B, T}, 0},
    {"text_ids_masked", XV_I32, 2, {B, T}, 0}, {"masked_pos", XV_I32, 2, {B, M}, 0},
    {"masked_ids", XV_I32, 2, {B, M}, 0},      {"image_atts", XV_I32, 2, {B, S}, 0},
    {"target_bbox", XV_F32, 2, {B, 4}, 0},     {"is_image", XV_I32, 1, {B}, 0},
};

XvLoaderOptions pair_options(void)
{
    XvLoaderOptions options = xv_loader_defaults();
    options.kind = "image_text";
    options.paths = PAIRS;
    options.n_paths = 1;
    options.inputs = PAIR_INPUTS;
    options.n_inputs = sizeof PAIR_INPUTS / sizeof *PAIR_INPUTS;
    options.image_key = "image";
    options.is_image_rpath = true;
    options.vocab_path = VOCABULARY;
    options.seed = 11;
    return options;
}

XvLoaderOptions region_options(void)
{
    XvLoaderOptions options = pair_options();
    options.kind = "regions";
    options.paths = REGIONS;
    options.inputs = REGION_INPUTS;
    options.n_inputs = sizeof REGION_INPUTS / sizeof *REGION_INPUTS;
    return options;
}

XvLoader *open_loader(const XvLoaderOptions *options)
{
    XvError error = {""};
    XvLoader *loader = xv_loader_open(options, &error);
    if (!loader) {
        fail_msg("%s", error.text);
    }
    return loader;
}

XvBatch next_batch(XvLoader *loader)
{
    XvBatch batch;
    XvError error = {""};
    if (!xv_loader_next(loader, &batch, &error)) {
        fail_msg("%s", error.text);
    }
    return batch;
}

const void *batch_tensor(const XvBatch *batch, const char *name)
{
    for (int i = 0; i < batch->n_tensors; i++) {
        if (strcmp(batch->tensors[i].name, name) == 0) {
            return batch->tensors[i].data;
        }
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

static uint32_t checksum(const XvBatch *batch)
{
    uint32_t sum = (uint32_t)batch->valid;
    for (int i = 0; i < batch->n_tensors; i++) {
        sum = (uint32_t)crc32(sum, batch->tensors[i].data, (unsigned)xv_tensor_bytes(&batch->tensors[i]));
    }
    return (uint32_t)crc32(sum, (const void *)batch->records, B * sizeof *batch->records);
}

void checksums(XvLoader *loader, int count, uint32_t *sums)
{
    for (int i = 0; i < count; i++) {
        XvBatch batch = next_batch(loader);
        sums[i] = checksum(&batch);
    }
}

void assert_text(const XvBatch *batch, int row, const char *caption)
{
    XvError error;
    XvVocabulary *vocabulary = xv_vocabulary_open(VOCABULARY, &error);
    XvTokens tokens = {0};
    char *clean = xv_pre_caption(caption, 40, &error);
    xv_tokens_add(&tokens, 101, false);
    xv_wordpiece(vocabulary, clean, &tokens, &error);
    int count = tokens.count < T ? tokens.count : T;
    const int32_t *ids = (const int32_t *)batch_tensor(batch, "text_ids") + row * T;
    const int32_t *atts = (const int32_t *)batch_tensor(batch, "text_atts") + row * T;
    for (int i = 0; i < T; i++) {
        assert_int_equal(ids[i], i < count ? tokens.ids[i] : 0);
        assert_int_equal(atts[i], i < count);
    }
    xv_vocabulary_close(vocabulary);
    xv_tokens_free(&tokens);
    free(clean);
}

void assert_picture(const float *found, const char *name)
{
    char path[4096];
    XvBytes file = {0};
    XvImage image = {0}, small = {0};
    XvResizer resizer = {0};
    XvError error;
    float *expected = malloc(3 * R * R * sizeof *expected);
    snprintf(path, sizeof path, "tests/data/mini_coco/%s", name);
    assert_true(xv_file_read(path, &file, &error));
    assert_true(xv_image_decode(file.data, file.count, INT_MAX, &image, &error));
    assert_true(xv_image_resize(&small, R, R, &error));
    assert_true(xv_resize(&resizer, &image, (XvCrop){0, 0, image.width, image.height}, &small, &error));
    xv_normalise(&small, expected);
    assert_memory_equal(found, expected, 3 * R * R * sizeof *expected);
    free(expected);
    xv_bytes_free(&file);
    xv_image_free(&image);
    xv_image_free(&small);
    xv_resizer_free(&resizer);
}
