// From a record to normalised pictures, texts and labels: what one slot of a batch holds.
//
// A function of (record, key) alone; each thread brings its own workspace, everything else is shared and
// constant.
#pragma once

#include "runtime/data/loader.h"
#include "runtime/data/loader_kind.h"
#include "runtime/data/loader_survey.h"
#include "runtime/data/records.h"
#include "runtime/data/references.h"
#include "runtime/data/regions.h"
#include "runtime/data/resize.h"
#include "runtime/data/stream.h"
#include "runtime/data/wordpiece.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    XV_MAX_PICTURES = 2,  // of a record
    XV_MAX_ANSWERS = 10,  // different ones of a question
};

typedef struct XvSampler {
    const XvRecordFiles *files;  // NULL in a stream
    XvLineStream *stream;        // NULL where records are indexed
    const XvLoaderKind *kind;
    const XvVocabulary *vocabulary;
    const XvSurvey *survey;          // NULL where the kind needs none
    const XvReferences *references;  // NULL where no file of boxes was given
    const XvLoaderOptions *options;  // with every size filled in
    unsigned wants;                  // XV_FILLS_... of the inputs that there are
} XvSampler;

// Scratch memory of one thread. Start from {0}.
typedef struct XvWorkspace {
    XvBytes line, file, text;
    XvImage decoded, resized, augmented;
    XvResizer resizer;
    XvTokens tokens;
    int n_partial;  // pictures of the sample that are cut off or damaged
} XvWorkspace;

void xv_workspace_free(XvWorkspace *workspace);

// One sample. The loader provides the memory of the arrays.
typedef struct XvSample {
    int32_t *text;    // [3 T + 2 M]: text_ids, text_atts, text_ids_masked, then masked_pos, masked_ids
    XvRegion region;  // geometry; the strings are not valid any more
    int32_t label;    // idx or targets
    int n_answers;
    int32_t *answers;  // [XV_MAX_ANSWERS, 2 L]: ids and atts of each
    float weights[XV_MAX_ANSWERS];
    char *references[XV_REFERENCES];  // scst; owned, NULL behind the last
} XvSample;

typedef struct XvPick {
    int64_t item;  // record, item of the survey, or line of the stream
    uint64_t key;  // of all random numbers of the slot
} XvPick;

// What a pick yields. The caller provides the memory.
typedef struct XvYield {
    float *images[XV_MAX_PICTURES];  // [3, R, R] each; NULL to leave pictures alone
    XvSample *samples;               // room for 1, or max_regions
    int n_samples;                   // out: at least 1
    int n_partial;                   // out: pictures that are cut off or damaged, used as far as they go
} XvYield;

// Integers of one text block, of one block of answers.
int xv_sample_text_size(const XvLoaderOptions *options);
int xv_sample_answers_size(const XvLoaderOptions *options);

// A text block of the start token alone, masking nothing: what fills rows that no record is left for.
void xv_sample_empty_text(const XvSampler *sampler, int32_t *text);

// An answer row that weighs nothing: start token and end token.
void xv_sample_empty_answer(const XvSampler *sampler, int32_t *ids, int32_t *atts);

// The token ids of the prompt with its start token and without end token: [P].
bool xv_sample_prompt(const XvSampler *sampler, XvWorkspace *workspace, int32_t *ids, XvError *error);

// Fills the yield; false with the reason when the record cannot be used.
bool xv_sample_make(const XvSampler *sampler, XvWorkspace *workspace, XvPick pick, XvYield *yield,
                    XvError *error);
