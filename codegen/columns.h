// When the partial sums of column accumulators (cuda_shape.h) are added up. One launch adds those of many kernels: a
// sum waits until a step touches its result, or the scratch memory or the launch is full, or the graph has ended.
#pragma once

#include "compiler/program.h"

typedef struct ColumnSum {
    int step;        // whose kernel leaves the partial sums
    int column;      // of that kernel
    int64_t offset;  // of the partial sums in the scratch memory, floats
} ColumnSum;

typedef struct ColumnPlan {
    ColumnSum *sums;  // in the order of the steps
    int n_sums;
    int *n_before;   // per step and once for the end: how many of the sums are complete before it
    int n_launches;  // that add sums
    int64_t *parts;  // per step: where the sums of an ATTENTION_GRAD lie in the scratch memory, while it runs
    int64_t floats;  // of scratch memory
} ColumnPlan;

ColumnPlan plan_columns(Arena *arena, const Program *program);
