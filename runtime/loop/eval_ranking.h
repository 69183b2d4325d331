// The two-stage retrieval of a program (two_stage.h) on held-out records: `eval` of a retrieval task.
#pragma once

#include "runtime/loop/source.h"
#include "runtime/loop/two_stage.h"

typedef struct XvEvalRanking {
    XvHost *host;  // with an arena for the entry points of `stages`; its ranks share the work
    const XvTwoStage *stages;
    const XvSourceKind *sources;
    const char *path, *vocab;    // as in XvSourceRequest
    const XvSettings *settings;  // k_test among them
} XvEvalRanking;

// Reads the records once for the images and once for their captions, and adds the nine recalls to `result` under their
// official names, in percent. `pairs`: how many were scored.
bool xv_eval_ranking(const XvEvalRanking *request, cJSON *result, int64_t *pairs, XvError *error);
