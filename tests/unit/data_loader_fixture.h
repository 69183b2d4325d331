// What the tests of the loader share: options for a small set of real records, and checks of single rows.
#pragma once

#include "runtime/data/loader.h"

#include <stdint.h>

enum { B = 4, I = 3, R = 64, T = 12, M = 4, S = 5, N = 10 };

#define PAIR_RECORDS "tests/data/mini_coco/pretrain_images.jsonl"
#define REGION_RECORDS "tests/data/mini_coco/pretrain_regions.jsonl"

extern const XvValue PAIR_INPUTS[6];
extern const XvValue REGION_INPUTS[10];

XvLoaderOptions pair_options(void);
XvLoaderOptions region_options(void);

// Open and next, or fail the test with the message.
XvLoader *open_loader(const XvLoaderOptions *options);
XvBatch next_batch(XvLoader *loader);

const void *batch_tensor(const XvBatch *batch, const char *name);

// Of all tensors and record numbers of the next `count` batches.
void checksums(XvLoader *loader, int count, uint32_t *sums);

// The row holds the tokens of the caption.
void assert_text(const XvBatch *batch, int row, const char *caption);

// The f32 [3, R, R] picture is the whole file below tests/data/mini_coco, resized.
void assert_picture(const float *found, const char *name);
