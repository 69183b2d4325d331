// The two-stage retrieval of a program (two_stage.h) on the tensors of a replay file.
#pragma once

#include "runtime/checkpoint/safetensors.h"
#include "runtime/loop/two_stage.h"

// The entry points it needs, if the program has it and the file holds the inputs of both encoders, with any number of
// rows; else none.
XvEntrySet xv_replay_ranking_entries(const XvProgram *program, const XvSafetensors *inputs);

// "eval.score_i2t" and "eval.score_t2i", then the recalls as scalars, "eval.txt_r1" ... "eval.r_mean". The
// tensors' data belongs to the result.
enum { XV_RANKING_TENSORS = 2 + XV_RECALL_ROWS };
typedef struct XvReplayRanking {
    XvTensor tensors[XV_RANKING_TENSORS];
    XvTwoStageResult result;
    float recalls[XV_RECALL_ROWS];
    char names[XV_RECALL_ROWS][24];
} XvReplayRanking;

// Runs it and prints the recalls on stderr; for a program and a file with such entries. Free the ranking also after a
// failure.
bool xv_replay_ranking(XvHost *host, const XvSafetensors *inputs, XvReplayRanking *ranking, XvError *error);
void xv_replay_ranking_free(XvReplayRanking *ranking);
