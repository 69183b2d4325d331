// Batches for a generated program: records in, filled input tensors out, in an order that can be repeated.
//
// Training reads an endless stream. Epoch e is a seeded permutation of all records; batch b of rank r takes
// the stream positions (b * n + slot) * world + r, n being the samples, or pictures of regions, of a batch.
// Everything random about a slot is drawn from a stream keyed by (seed, kind, position), so a batch is a pure
// function of (options, b): threads, prefetching and restarts change nothing.
//
// Kinds of pre-training can also be streamed (`stream`): then the records are the lines of stream.h, whose order is a
// function of (seed, epoch, rank), batch after batch takes the next n of them, and everything random about a sample is
// keyed by its line's position. Nothing is indexed, and memory does not grow with the data.
//
// A record that cannot be used (broken line, unreadable picture, empty caption, box outside the picture) is
// skipped: its slot takes the record that the same slot of the following batches would take, until one is
// good. Skipped records are counted and named once each.
//
// Evaluation reads each record once, in file order, with the whole picture resized, no flip, the first
// caption and a mask that depends on the record alone. Broken records are left out; the last batches may be
// partly filled. With several ranks every rank delivers as many batches, the last of which may hold no sample.
#pragma once

#include "runtime/base/error.h"
#include "runtime/base/tensor.h"
#include "runtime/data/augment.h"
#include "runtime/data/file.h"
#include "runtime/data/masking.h"
#include "runtime/data/references.h"
#include "runtime/program.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    XV_BATCH_TENSORS = 10,  // the most any kind fills
    XV_REFERENCES = 5,      // captions of a picture that kind "self_critical" draws
};

// A setting that the published configurations may leave open.
typedef enum XvChoice { XV_UNSET, XV_NO, XV_YES } XvChoice;

typedef enum XvLoaderMode { XV_LOADER_TRAIN, XV_LOADER_EVAL } XvLoaderMode;

typedef struct XvLoaderOptions {
    const char *kind;          // XvEntry.data: a row of loader_kind.c
    const char *const *paths;  // files of records or folders (records.h)
    int n_paths;
    XvChoice stream;        // unset: where a path is remote or the files have more than a gibibyte
    int64_t dataset_size;   // samples of all files, which a stream cannot count: what an epoch is
    const XvValue *inputs;  // the tensors to fill; their shapes give the batch size (see below)
    int n_inputs;
    XvLoaderMode mode;

    const char *image_key;           // pre-training: the field of the picture; NULL: "binary"
    const char *caption_key;         // pre-training: "caption"
    bool is_image_rpath;             // the image field is a path, else base64 of the file
    bool tokenized;                  // captions are word pieces joined by spaces
    const char *image_root;          // fine-tuning: the folder that paths of pictures start from; NULL: none
    const char *vqa_root, *vg_root;  // "vqa": the same for records of these data sets
    const char *references;  // "grounding_bbox": boxes by ref_id (references.h); NULL: the records have them
    const char *prompt;      // "captions", "self_critical": words before every caption

    const char
        *vocab_path;     // vocab.txt (BERT), vocab.json with merges.txt beside it (RoBERTa), or their folder
    int max_words;       // 40; only where the kind has no limit of its own
    int max_tokens;      // T, [CLS] included; 0: what the inputs say
    int answer_tokens;   // L; 0: what the inputs say
    int prompt_tokens;   // P; 0: what the inputs say
    XvMaskOptions mask;  // mask.max is M; 0: what the inputs say

    int image_res;   // R; 0: what the inputs say
    int patch_size;  // pixels per side of a cell of image_atts: S = 1 + (R / patch_size)^2
    double scale_low,
        scale_high;            // share of the picture that a random crop covers; low 0: what the kind says; 1
    XvAugmentOptions augment;  // training: 2 ops at level 7, of ten for whole pictures, of five with boxes

    int max_images;            // "regions": I; 0: what the inputs say
    int max_regions;           // "regions": samples per picture, 5
    double min_perc_in_image;  // "regions": share of a box that must lie in the crop, 0.5
    double min_margin;         // "regions": share of the margins around an element that every crop keeps, 0
    XvChoice careful_hflip;    // do not mirror where captions say left or right; unset: regions no, boxes yes

    uint64_t seed;
    int threads;  // workers besides the caller; 0 works inside xv_loader_next
    int rank, world;
    bool by_batch;  // evaluation: a rank takes every world-th batch of one process, not every world-th record

    void (*warn)(void *context, const char *message);  // called from xv_loader_next only; NULL: silent
    void *warn_context;
    int max_warnings;  // messages about records; the rest are only counted
} XvLoaderOptions;

// A filled batch. Its memory belongs to the loader and is valid until the next batch, seek or close.
typedef struct XvBatch {
    XvTensor tensors[XV_BATCH_TENSORS];  // one per input that is filled, in that order and with its name
    int n_tensors;
    int64_t index;                  // number of this batch
    int valid;                      // samples that count: B in training; in evaluation the others repeat
    const int64_t *records;         // record number of each sample, B entries (A for vqa_answers)
    const char *const *references;  // "self_critical": B times XV_REFERENCES captions, NULL behind the last
    bool is_end;                    // evaluation: all records have been delivered; nothing else is set
} XvBatch;

typedef struct XvLoader XvLoader;

// The published 4M settings, with all sizes left to the inputs; kind, paths, inputs and vocab_path are the
// caller's.
XvLoaderOptions xv_loader_defaults(void);

// Reads the vocabulary, indexes the record files, starts the threads. Strings and arrays of the options must
// outlive the loader. NULL with a message for a missing file, an empty data set, a vocabulary without its
// special tokens, an input that the kind does not have or whose shape contradicts the options.
//
// Inputs by kind, any subset (B is taken from the shapes; integers are i32):
//   image_text  image [B,3,R,R]; text_ids, text_atts, text_ids_masked [B,T]; masked_pos, masked_ids [B,M]
//   regions     image [I,3,R,R]; the texts of image_text; idx_to_group_img, is_image [B]; image_atts [B,S];
//               target_bbox f32 [B,4]
//   grounding_bbox_pretrain   regions without masks
//   nlvr_pretrain, caption_pretrain   image_text without masks; captions get the end token
//   retrieval, grounding_weak   image, text_ids, text_atts; idx [B]: equal numbers for equal pictures
//   grounding_bbox   image, text_ids, text_atts; target_bbox
//   nlvr        image [2 B,3,R,R], all first pictures, then all second ones; text_ids, text_atts; targets [B]
//   vqa         image; question_ids, question_atts [B,T]; answer_ids, answer_atts [A,L]; weights f32 [A];
//               answer_question [A]: the question of each answer row; k [B]: answers of each question
//   vqa_answers answer_ids, answer_atts [A,L] of an answer list, A to a batch
//   captions    image; text_ids, text_atts, the prompt in front; prompt_ids [B,P]
//   self_critical   image; prompt_ids; and XvBatch.references; inputs that it does not know are left to the caller
// A name may start with "eval."; "txt2img" is another name of idx.
//
// The different answers of a batch's questions stand one after the other. When they are more than A, those that weigh
// least are dropped; rows that are left weigh nothing and belong to question 0.
//
// Evaluation of "retrieval" without image makes a sample of every caption of every record; its "idx" is the number of
// the picture. Evaluation of regions puts min(I, max(1, B / max_regions)) pictures into a batch: with
// max_regions <= B no sample is lost.
//
// Memory: three batches with threads (one with the caller, one ready, one in the making), one without.
XvLoader *xv_loader_open(const XvLoaderOptions *options, XvError *error);

// The next batch. False only when no usable record is found or memory runs out; a loader that failed stays
// failed.
bool xv_loader_next(XvLoader *loader, XvBatch *batch, XvError *error);

// Index of the batch that xv_loader_next will deliver, in a stream the position of its first line; all that a
// checkpoint must keep. -1 when a stream cannot be read.
int64_t xv_loader_position(const XvLoader *loader);

// Continues at a `position` of xv_loader_position, 0 being the beginning. In a stream every rank has its own. Batches
// already prefetched are dropped.
void xv_loader_seek(XvLoader *loader, int64_t position);

// Records (or items of the kind) in all files, before sharding; in a stream what the options say.
int64_t xv_loader_records(const XvLoader *loader);

// Batches that one pass over all records takes, rounded up; the same on every rank.
int64_t xv_loader_batches(const XvLoader *loader);

// Seconds that xv_loader_next has waited for batches to be made: how much the loop is bound by its input.
double xv_loader_waited(const XvLoader *loader);

// The text of a record, as it stands in its file, for what evaluation has to know of it (ids, sizes); thread-safe.
bool xv_loader_record(const XvLoader *loader, int64_t record, XvBytes *text, XvError *error);

// The boxes of `references`; NULL without such a file. Borrowed.
const XvReferences *xv_loader_references(const XvLoader *loader);

// B, A for vqa_answers.
int xv_loader_batch_size(const XvLoader *loader);

// How often a record was skipped in the batches delivered so far.
int64_t xv_loader_skipped(const XvLoader *loader);

// How many pictures of the batches delivered so far were cut off or damaged, and used as far as they go. The
// first one is warned of.
int64_t xv_loader_partial(const XvLoader *loader);

// Stops the threads and frees everything; NULL is allowed.
void xv_loader_close(XvLoader *loader);
