// Batches for a generated program: records in, filled input tensors out, in an order that can be repeated.
//
// Training reads an endless stream. Epoch e is a seeded permutation of all records; batch b of rank r takes
// the stream positions (b * n + slot) * world + r, n being the samples (kind "image_text") or pictures
// ("regions") of a batch. Everything random about a slot is drawn from a stream keyed by (seed, kind,
// position), so a batch is a pure function of (options, b): threads, prefetching and restarts change nothing.
//
// A record that cannot be used (broken line, unreadable picture, empty caption, box outside the picture) is
// skipped: its slot takes the record that the same slot of the following batches would take, until one is
// good. Skipped records are counted and named once each.
//
// Evaluation reads each record once, in file order, with the whole picture resized, no flip, the first
// caption and a mask that depends on the record alone. Broken records are left out; the last batches may be
// partly filled.
#pragma once

#include "runtime/base/error.h"
#include "runtime/base/tensor.h"
#include "runtime/data/augment.h"
#include "runtime/data/masking.h"
#include "runtime/program.h"

#include <stdbool.h>
#include <stdint.h>

enum { XV_BATCH_TENSORS = 10 };  // the most any kind fills

typedef enum XvLoaderMode { XV_LOADER_TRAIN, XV_LOADER_EVAL } XvLoaderMode;

typedef struct XvLoaderOptions {
    const char *kind;          // "image_text" or "regions": XvEntry.data
    const char *const *paths;  // JSON-lines files or folders (records.h)
    int n_paths;
    const XvValue *inputs;  // the tensors to fill; their shapes give the batch size (see below)
    int n_inputs;
    XvLoaderMode mode;

    const char *image_key;    // "binary"
    const char *caption_key;  // "caption"
    bool is_image_rpath;      // the image field is a path, else base64 of the file
    bool tokenized;           // captions are word pieces joined by spaces

    const char *vocab_path;  // vocab.txt of BERT
    int max_words;           // 40
    int max_tokens;          // T, [CLS] included; 0: what the inputs say
    XvMaskOptions mask;      // mask.max is M; 0: what the inputs say

    int image_res;                 // R; 0: what the inputs say
    int patch_size;                // pixels per side of a cell of image_atts: S = 1 + (R / patch_size)^2
    double scale_low, scale_high;  // share of the picture that a random crop covers: 0.2, 1
    XvAugmentOptions augment;      // training: 2 ops at level 7, of ten for whole pictures, of five where there are boxes

    int max_images;            // "regions": I; 0: what the inputs say
    int max_regions;           // "regions": samples per picture, 5
    double min_perc_in_image;  // "regions": share of a box that must lie in the crop, 0.5
    bool careful_hflip;        // "regions": do not mirror pictures whose captions say left or right

    uint64_t seed;
    int threads;  // workers besides the caller; 0 works inside xv_loader_next
    int rank, world;

    void (*warn)(void *context, const char *message);  // called from xv_loader_next only; NULL: silent
    void *warn_context;
    int max_warnings;  // messages about records; the rest are only counted
} XvLoaderOptions;

// A filled batch. Its memory belongs to the loader and is valid until the next batch, seek or close.
typedef struct XvBatch {
    XvTensor tensors[XV_BATCH_TENSORS];  // one per option input, in that order and with its name
    int n_tensors;
    int64_t index;           // number of this batch
    int valid;               // samples that count: B in training; in evaluation the others repeat
    const int64_t *records;  // record number of each sample, B entries
    bool is_end;             // evaluation: all records have been delivered; nothing else is set
} XvBatch;

typedef struct XvLoader XvLoader;

// The published 4M settings, with all sizes left to the inputs; kind, paths, inputs and vocab_path are the
// caller's.
XvLoaderOptions xv_loader_defaults(void);

// Reads the vocabulary, indexes the record files, starts the threads. Strings and arrays of the options must
// outlive the loader. NULL with a message for a missing file, an empty data set, a vocabulary without its
// special tokens, an input that the kind does not have or whose shape contradicts the options.
//
// Inputs by kind, any subset (B is taken from the shapes):
//   both        text_ids, text_atts, text_ids_masked i32 [B,T]; masked_pos, masked_ids i32 [B,M]
//   image_text  image f32 [B,3,R,R]
//   regions     image f32 [I,3,R,R]; idx_to_group_img i32 [B]; image_atts i32 [B,S]; target_bbox f32 [B,4];
//               is_image i32 [B]
//
// Evaluation of regions puts min(I, max(1, B / max_regions)) pictures into a batch: with max_regions <= B no
// sample is lost.
//
// Memory: three batches with threads (one with the caller, one ready, one in the making), one without.
XvLoader *xv_loader_open(const XvLoaderOptions *options, XvError *error);

// The next batch. False only when no usable record is found or memory runs out; a loader that failed stays
// failed.
bool xv_loader_next(XvLoader *loader, XvBatch *batch, XvError *error);

// Index of the batch that xv_loader_next will deliver; all that a checkpoint must keep.
int64_t xv_loader_position(const XvLoader *loader);

// Continues with batch `position` >= 0. Batches already prefetched are dropped.
void xv_loader_seek(XvLoader *loader, int64_t position);

// Records in all files, before sharding.
int64_t xv_loader_records(const XvLoader *loader);

// Batches that one pass over all records takes, rounded up; the same on every rank.
int64_t xv_loader_batches(const XvLoader *loader);

// B.
int xv_loader_batch_size(const XvLoader *loader);

// How often a record was skipped in the batches delivered so far.
int64_t xv_loader_skipped(const XvLoader *loader);

// Stops the threads and frees everything; NULL is allowed.
void xv_loader_close(XvLoader *loader);
