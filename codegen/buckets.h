// When the gradients of a graph are averaged over the ranks: in buckets, each as soon as no later step touches any of
// its gradients, so that a target may send them while later steps compute.
#pragma once

#include "codegen/columns.h"
#include "compiler/task.h"

// Neighbours in the gradient region, padding between them included.
typedef struct GradientRange {
    int64_t first, count;  // elements
} GradientRange;

typedef struct Bucket {
    int before;  // the step before which it is complete; the number of steps: after the last
    GradientRange *ranges;
    int n_ranges;
} Bucket;

typedef struct BucketPlan {
    Bucket *buckets;  // in the order in which they are complete
    int n_buckets;
} BucketPlan;

// A bucket has at least a twelfth of the gradients or 16 MiB; the last what is left. A graph without gradients has no
// buckets. `columns` says when sums over rows are complete that are added up later; NULL: with their step.
BucketPlan plan_buckets(Arena *arena, const Task *task, const Program *program, const ColumnPlan *columns);
