// Buckets of gradients by the order in which they become final; see buckets.h.
#include "codegen/buckets.h"

#include "codegen/cuda_shape.h"
#include "codegen/names.h"

#include <stdlib.h>

enum { FEWEST_BUCKETS = 12, MOST_ELEMENTS = 16 << 18 };  // where there is enough; 16 MiB of F32

// A parameter whose gradient the graph computes.
typedef struct Gradient {
    int parameter;
    int place;   // of the parameter in the region, counted in parameters
    int before;  // the first step that does not touch it any more
} Gradient;

typedef struct Planner {
    Arena *arena;
    const Task *task;
    const Program *program;
    int *before;  // per parameter; -1: has no gradient
    Gradient *gradients;
    int n_gradients;
} Planner;

static void touch(Planner *planner, NodeId node, int before)
{
    const Storage *storage = &planner->program->storage[storage_root(planner->program, node)];
    if (storage->region != REGION_GRADIENT) {
        return;
    }
    const Parameter *parameter = &planner->task->parameters[storage->parameter];
    const int *touched = parameter->members ? parameter->members : &storage->parameter;
    for (int i = 0; i < (parameter->members ? parameter->n_members : 1); i++) {
        int *last = &planner->before[touched[i]];
        *last = before > *last ? before : *last;
    }
}

static void find_ends(Planner *planner)
{
    const Program *program = planner->program;
    for (int i = 0; i < program->n_steps; i++) {
        const Step *step = &program->steps[i];
        for (int j = 0; step->kernel && j < step->kernel->n_buffers; j++) {
            touch(planner, step->kernel->buffers[j].node, i + 1);
        }
        for (int j = 0; j < step->n_reads; j++) {
            touch(planner, step->reads[j].node, i + 1);
        }
        for (int j = 0; j < step->n_writes; j++) {
            touch(planner, step->writes[j].node, i + 1);
        }
    }
}

static void find_ends_of_sums(Planner *planner, const ColumnPlan *columns)
{
    int step = 0;
    for (int i = 0; i < columns->n_sums; i++) {
        while (columns->n_before[step] <= i) {
            step++;
        }
        touch(planner, columns->sums[i].node, step);
    }
}

static int by_offset(const void *a, const void *b, void *offsets)
{
    const int64_t *offset = offsets;
    int64_t x = offset[*(const int *)a], y = offset[*(const int *)b];
    return x < y ? -1 : x > y;
}

static int by_end(const void *a, const void *b)
{
    const Gradient *x = a, *y = b;
    return x->before != y->before ? x->before - y->before : x->place - y->place;
}

static int by_place(const void *a, const void *b)
{
    return ((const Gradient *)a)->place - ((const Gradient *)b)->place;
}

static int64_t count_of(const Planner *planner, const Gradient *gradient)
{
    return shape_count(&planner->task->parameters[gradient->parameter].shape);
}

// The gradients in the order of their ends; returns their elements.
static int64_t list_gradients(Planner *planner)
{
    const Task *task = planner->task;
    int n_parameters = task->n_parameters;
    int *order = arena_alloc(planner->arena, ((size_t)n_parameters + 1) * sizeof *order);
    int64_t elements = 0;
    for (int i = 0; i < n_parameters; i++) {
        order[i] = i;
    }
    qsort_r(order, (size_t)n_parameters, sizeof *order, by_offset, (void *)(uintptr_t)task->offsets);
    for (int place = 0; place < n_parameters; place++) {
        int before = planner->before[order[place]];
        if (before >= 0) {
            Gradient *gradient = &planner->gradients[planner->n_gradients++];
            *gradient = (Gradient){order[place], place, before};
            elements += count_of(planner, gradient);
        }
    }
    qsort(planner->gradients, (size_t)planner->n_gradients, sizeof *planner->gradients, by_end);
    return elements;
}

static Bucket bucket_of(const Planner *planner, Gradient *gradients, int n_gradients)
{
    Bucket bucket = {.before = gradients[n_gradients - 1].before,
                     .ranges = arena_alloc(planner->arena, (size_t)n_gradients * sizeof *bucket.ranges)};
    qsort(gradients, (size_t)n_gradients, sizeof *gradients, by_place);
    for (int i = 0; i < n_gradients; i++) {
        int64_t first = planner->task->offsets[gradients[i].parameter];
        int64_t end = first + count_of(planner, &gradients[i]);
        if (i == 0 || gradients[i].place != gradients[i - 1].place + 1) {
            bucket.ranges[bucket.n_ranges++].first = first;
        }
        GradientRange *range = &bucket.ranges[bucket.n_ranges - 1];
        range->count = end - range->first;
    }
    return bucket;
}

BucketPlan plan_buckets(Arena *arena, const Task *task, const Program *program, const ColumnPlan *columns)
{
    size_t n_parameters = (size_t)task->n_parameters;
    Planner planner = {.arena = arena,
                       .task = task,
                       .program = program,
                       .before = arena_alloc(arena, (n_parameters + 1) * sizeof *planner.before),
                       .gradients = arena_alloc(arena, (n_parameters + 1) * sizeof *planner.gradients)};
    for (size_t i = 0; i < n_parameters; i++) {
        planner.before[i] = -1;
    }
    find_ends(&planner);
    if (columns) {
        find_ends_of_sums(&planner, columns);
    }
    int64_t least = list_gradients(&planner) / FEWEST_BUCKETS;
    least = least < MOST_ELEMENTS ? least : MOST_ELEMENTS;
    BucketPlan plan = {.buckets = arena_alloc(arena, (n_parameters + 1) * sizeof *plan.buckets)};
    int64_t elements = 0;
    for (int i = 0, first = 0; i < planner.n_gradients; i++) {
        elements += count_of(&planner, &planner.gradients[i]);
        if (elements >= least || i + 1 == planner.n_gradients) {
            plan.buckets[plan.n_buckets++] = bucket_of(&planner, planner.gradients + first, i + 1 - first);
            first = i + 1;
            elements = 0;
        }
    }
    return plan;
}
