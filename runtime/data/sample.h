// From a record number to a normalised picture and its texts: what one slot of a batch holds.
//
// A function of (record, key) alone; each thread brings its own workspace, everything else is shared and
// constant.
#pragma once

#include "runtime/data/records.h"
#include "runtime/data/regions.h"
#include "runtime/data/resize.h"
#include "runtime/data/wordpiece.h"
#include "runtime/data/loader.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct XvSampler {
    const XvRecordFiles *files;
    const XvVocabulary *vocabulary;
    const XvLoaderOptions *options;  // with every size filled in
    bool is_regions;
} XvSampler;

// Scratch memory of one thread. Start from {0}.
typedef struct XvWorkspace {
    XvBytes line, file, text;
    XvImage decoded, resized, augmented;
    XvResizer resizer;
    XvTokens tokens;
} XvWorkspace;

void xv_workspace_free(XvWorkspace *workspace);

// The five text tensors of one sample, in the order text_ids, text_atts, text_ids_masked [T], masked_pos,
// masked_ids [M]: one block of 3 T + 2 M integers.
typedef struct XvSample {
    int32_t *text;    // [3 T + 2 M]
    XvRegion region;  // geometry; the strings are not valid any more
} XvSample;

typedef struct XvPick {
    int64_t record;
    uint64_t key;  // of all random numbers of the slot
} XvPick;

// What a pick yields. The caller provides the memory.
typedef struct XvYield {
    float *image;       // [3, R, R], or NULL to leave pictures of image-text records alone
    XvSample *samples;  // room for 1 (image-text) or max_regions
    int n_samples;      // out: at least 1
} XvYield;

// Integers of one text block.
int xv_sample_text_size(const XvLoaderOptions *options);

// A text block of the start token alone, masking nothing: what fills rows that no record is left for.
void xv_sample_empty_text(const XvSampler *sampler, int32_t *text);

// Fills the yield; false with the reason when the record cannot be used.
bool xv_sample_make(const XvSampler *sampler, XvWorkspace *workspace, XvPick pick, XvYield *yield,
                    XvError *error);
