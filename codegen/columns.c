// Launches that add partial sums; see columns.h.
#include "codegen/columns.h"

#include "codegen/cuda_shape.h"
#include "codegen/names.h"
#include "codegen/render.h"

enum {
    MAX_SUMS = 64,            // of a launch; XV_COLUMNS_MAX of runtime/cuda/tasks.h
    SCRATCH_FLOATS = 1 << 26  // that may wait: some twenty kernels of the base model with 128 pictures
};

typedef struct Planner {
    const Program *program;
    ColumnPlan plan;
    int n_done;    // sums that are complete
    int64_t used;  // floats of scratch memory that wait
} Planner;

static NodeId sum_storage(const Planner *planner, const ColumnSum *sum)
{
    return storage_root(planner->program, sum->node);
}

static bool is_same_memory(const Planner *planner, NodeId a, NodeId b)
{
    const Storage *x = &planner->program->storage[a], *y = &planner->program->storage[b];
    bool is_gradient = x->region == REGION_GRADIENT && y->region == REGION_GRADIENT;
    return a == b || (is_gradient && x->parameter == y->parameter);
}

static bool touches(const Planner *planner, const Step *step, NodeId storage)
{
    const Program *program = planner->program;
    for (int i = 0; step->kernel && i < step->kernel->n_buffers; i++) {
        if (is_same_memory(planner, storage_root(program, step->kernel->buffers[i].node), storage)) {
            return true;
        }
    }
    for (int i = 0; i < step->n_reads + step->n_writes; i++) {
        const View *view = i < step->n_reads ? &step->reads[i] : &step->writes[i - step->n_reads];
        if (is_same_memory(planner, storage_root(program, view->node), storage)) {
            return true;
        }
    }
    return false;
}

static void finish(Planner *planner)
{
    planner->plan.n_launches += planner->plan.n_sums > planner->n_done;
    planner->n_done = planner->plan.n_sums;
    planner->used = 0;
}

static bool must_finish(const Planner *planner, const Step *step, int n_columns, int64_t floats)
{
    int n_waiting = planner->plan.n_sums - planner->n_done;
    if (n_waiting + n_columns > MAX_SUMS || planner->used + floats > SCRATCH_FLOATS) {
        return true;
    }
    for (int i = planner->n_done; i < planner->plan.n_sums; i++) {
        if (touches(planner, step, sum_storage(planner, &planner->plan.sums[i]))) {
            return true;
        }
    }
    return false;
}

// Whether the gradient of an attention's bias may wait: later steps read it.
static bool may_wait(const Program *program, int step)
{
    NodeId node = cuda_attention_bias(program, &program->steps[step]);
    return node != NO_NODE && program->storage[storage_root(program, node)].last_step > step;
}

static void add_sums(Planner *planner, int step, int n_columns, int64_t floats)
{
    ColumnPlan *plan = &planner->plan;
    const Step *at = &planner->program->steps[step];
    for (int j = 0; j < n_columns; j++) {
        int64_t offset = planner->used + j * (floats / n_columns);
        if (at->kernel) {
            NodeId node = at->kernel->buffers[cuda_column(at->kernel, j)->buffer].node;
            plan->sums[plan->n_sums++] =
                (ColumnSum){step, node, offset, cuda_shape(at->kernel).chunks, at->kernel->lanes};
        } else {
            int64_t chunks = cuda_attention_chunks(planner->program, at);
            NodeId node = cuda_attention_bias(planner->program, at);
            plan->sums[plan->n_sums++] = (ColumnSum){step, node, offset, chunks, floats / chunks};
        }
    }
}

bool column_waits(const ColumnPlan *plan, int step)
{
    for (int i = 0; i < plan->n_sums; i++) {
        if (plan->sums[i].step == step) {
            return true;
        }
    }
    return false;
}

ColumnPlan plan_columns(Arena *arena, const Program *program)
{
    int n_columns = 0;
    for (int i = 0; i < program->n_steps; i++) {
        n_columns += program->steps[i].kernel ? kernel_columns(program->steps[i].kernel) : 1;
    }
    Planner planner = {.program = program};
    ColumnPlan *plan = &planner.plan;
    plan->sums = arena_alloc(arena, ((size_t)n_columns + 1) * sizeof *plan->sums);
    plan->n_before = arena_alloc(arena, ((size_t)program->n_steps + 1) * sizeof *plan->n_before);
    plan->parts = arena_alloc(arena, ((size_t)program->n_steps + 1) * sizeof *plan->parts);
    for (int i = 0; i < program->n_steps; i++) {
        const Step *step = &program->steps[i];
        int64_t parts = cuda_attention_floats(program, step);
        int n_here = step->kernel ? kernel_columns(step->kernel) : may_wait(program, i);
        int64_t floats = !step->kernel ? n_here * parts : n_here > 0 ? cuda_scratch_floats(step->kernel) : 0;
        if (must_finish(&planner, step, n_here, step->kernel ? floats : parts)) {
            finish(&planner);
        }
        plan->n_before[i] = planner.n_done;
        plan->parts[i] = planner.used;
        add_sums(&planner, i, n_here, floats);
        int64_t needed = planner.used + (step->kernel ? floats : parts);
        planner.used += floats;
        plan->floats = needed > plan->floats ? needed : plan->floats;
    }
    finish(&planner);
    plan->n_before[program->n_steps] = plan->n_sums;
    return planner.plan;
}
