// One batch in the making: its slots are filled independently, in any order and on any thread; then the batch
// is put together.
#pragma once

#include "runtime/data/loader_bind.h"
#include "runtime/data/sample.h"

// What is the same for all batches.
typedef struct XvBatchPlan {
    XvSampler sampler;
    XvBinding binding;
    XvLoaderOptions options;  // sizes filled in
    int n_slots;              // records per batch and rank
    int samples_per_slot;     // at most
    int64_t n_items;          // records, or what the survey makes of them; 0 in a stream
    int64_t n_batches;        // in one pass over the items, rounded up
    const int32_t *prompt;    // [P] token ids, or NULL
} XvBatchPlan;

typedef struct XvSkip {
    int64_t record;
    char *reason;  // owned
} XvSkip;

typedef struct XvSlot {
    int64_t item;    // that filled it
    bool is_filled;  // always in training
    XvYield yield;
    XvSkip *skips;  // records that could not be used, in order; owned
    int n_skips, skips_room;
} XvSlot;

// One answer of a batch.
typedef struct XvAnswerRow {
    int32_t question;  // row of its question
    float weight;
    const int32_t *ids;  // [L], and its attention [L] behind
} XvAnswerRow;

typedef struct XvBatchBuffer {
    int64_t index;
    XvTensor tensors[XV_BATCH_TENSORS];  // data is owned
    XvSlot *slots;                       // [n_slots]
    XvSample *samples;                   // [n_slots, samples_per_slot], what the slots' yields point to
    int32_t *texts;                      // their text blocks, and an empty one behind them
    int32_t *answers;                    // their blocks of answers, where there are any
    XvAnswerRow *answer_rows;            // scratch: [B, XV_MAX_ANSWERS]
    const char **references;             // [B, XV_REFERENCES], where there are any
    const XvSample **flat;               // scratch: the samples there are
    int32_t *flat_slot, *order;          // scratch: slot of each; for the collation
    int32_t *chosen;                     // [B] index into flat
    int64_t *records;                    // [B]
    int valid;
} XvBatchBuffer;

bool xv_batch_buffer_init(const XvBatchPlan *plan, XvBatchBuffer *buffer, XvError *error);
void xv_batch_buffer_free(const XvBatchPlan *plan, XvBatchBuffer *buffer);

// Forgets the previous batch.
void xv_batch_begin(const XvBatchPlan *plan, XvBatchBuffer *buffer, int64_t index);

// Fills one slot, skipping records that cannot be used. False when there are too many of them in a row.
bool xv_batch_fill_slot(const XvBatchPlan *plan, XvBatchBuffer *buffer, int slot, XvWorkspace *workspace,
                        XvError *error);

// "path:line" of a record, by its number or its position in the stream, for messages.
void xv_batch_place(const XvBatchPlan *plan, int64_t record, char *out, size_t room);

// Writes the tensors of answers, for xv_batch_finish (loader_answers.c).
void xv_batch_answers(const XvBatchPlan *plan, XvBatchBuffer *buffer);

// Writes the tensors, once all slots are filled.
void xv_batch_finish(const XvBatchPlan *plan, XvBatchBuffer *buffer);
