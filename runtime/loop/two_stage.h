// Retrieval in two stages (Retrieval.py): features of all images and texts, then a dear score for the pairs
// that the features find most alike. What is computed is the program's affair; this file calls its entry
// points.
//
// A program has it when it has entry points of these names, with a dimension of rows first in every tensor:
//   encode_image   an output ...image_feat f32 [Bi, E]; other outputs are states of an image
//   encode_text    an output ...text_feat f32 [Bt, E], an output ...image_of_text i32 [Bt]; other outputs are states
//   match          inputs that have the names of states or inputs of the encoders, one row each; an output
//                  ...match_score f32 [Bp]
// where ... is any prefix. The configuration's k_test says how many candidates are scored; more than there are
// means all.
#pragma once

#include "runtime/loop/host.h"
#include "runtime/metrics/ranking.h"

typedef struct XvTwoStage {
    const XvEntry *encode_image, *encode_text, *match;
} XvTwoStage;

// Whether the program has it. A program with the entry points but not the tensors has not; `error` then says what is
// missing, and is empty where there is no entry point called match.
bool xv_two_stage_find(const XvProgram *program, XvTwoStage *stages, XvError *error);
XvEntrySet xv_two_stage_entries(const XvProgram *program, const XvTwoStage *stages);

// Fills the inputs of an encoder's graph in the arena with the next rows. `rows`: how many are valid, which may be
// none; XV_ROWS_END at the end. Rows behind them may hold anything that the graph can be run on. Of several ranks each
// gets every world-th batch of what one process would get, and the end after as many batches.
enum { XV_ROWS_END = -1 };

typedef struct XvRows {
    void *context;
    bool (*next)(void *context, XvHost *host, const XvGraph *graph, int64_t *rows, XvError *error);
} XvRows;

typedef struct XvTwoStageResult {
    float *image_to_text,
        *text_to_image;  // [images, texts], [texts, images]; -100 where no score was computed
    int32_t *image_of_text;
    int64_t images, texts;
    int64_t pairs;  // scored
} XvTwoStageResult;

typedef struct XvTwoStageData {
    XvRows images, texts;
    int64_t k;  // k_test
} XvTwoStageData;

// Runs all of it. The ranks of host->comm share the work, and each gets the result of one process, bit for bit. Free
// the result also after a failure.
bool xv_two_stage_run(XvHost *host, const XvTwoStage *stages, const XvTwoStageData *data,
                      XvTwoStageResult *result, XvError *error);
void xv_two_stage_free(XvTwoStageResult *result);
XvScores xv_two_stage_scores(const XvTwoStageResult *result);
