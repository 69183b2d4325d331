// When the partial sums of column accumulators and of gradients of attention biases (cuda_shape.h) are added up. One
// launch adds those of many steps: a sum waits until a step touches its result, or the scratch memory or the launch is
// full, or the graph has ended.
#pragma once

#include "compiler/program.h"

typedef struct ColumnSum {
    int step;               // that leaves the partial sums
    NodeId node;            // whose storage the sums are
    int64_t offset;         // of the partial sums in the scratch memory, floats
    int64_t chunks, lanes;  // of the partial sums
} ColumnSum;

typedef struct ColumnPlan {
    ColumnSum *sums;  // in the order of the steps
    int n_sums;
    int *n_before;   // per step and once for the end: how many of the sums are complete before it
    int n_launches;  // that add sums
    int64_t *parts;  // per step: where the sums of an ATTENTION_GRAD lie in the scratch memory, while it runs
    int64_t floats;  // of scratch memory
} ColumnPlan;

// Whether sums of that step are added up later.
bool column_waits(const ColumnPlan *plan, int step);

ColumnPlan plan_columns(Arena *arena, const Program *program);
