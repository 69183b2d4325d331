// The report that `xvlmc inspect` shows: kernels, memory plan, parameters. Plain text in the program's folder.
#include "codegen/emit_internal.h"

#include "compiler/plan.h"

#include <string.h>

static const char *const STEP_NAMES[] = {
    [STEP_KERNEL] = "kernel",
    [STEP_MATMUL] = "matmul",
    [STEP_ATTENTION] = "attention",
    [STEP_ATTENTION_GRAD] = "attention_grad",
    [STEP_SCATTER_ADD] = "scatter_add",
    [STEP_SAMPLE] = "sample",
    [STEP_TOP_K] = "top_k",
    [STEP_ALL_GATHER] = "all_gather",
    [STEP_OWN_ROWS] = "own_rows",
};

static const char *fused_ops(Arena *arena, const Program *program, const Step *step)
{
    if (step->kind != STEP_KERNEL) {
        return op_info(program->graph->nodes[step->node].op)->name;
    }
    const char *text = "";
    for (int i = 0; i < step->kernel->n_nodes; i++) {
        const char *name = op_info(program->graph->nodes[step->kernel->nodes[i]].op)->name;
        text = arena_format(arena, "%s%s%s", text, i ? " " : "", name);
    }
    return text;
}

// How often each kind of step occurs, and what the target launches for all of them.
static void inspect_counts(Out *out, const Emission *emission, const Program *program)
{
    int counts[sizeof STEP_NAMES / sizeof *STEP_NAMES] = {0};
    for (int i = 0; i < program->n_steps; i++) {
        counts[program->steps[i].kind]++;
    }
    const char *text = "";
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (counts[i] > 0) {
            text =
                arena_format(emission->arena, "%s%s%d %s", text, *text ? ", " : "", counts[i], STEP_NAMES[i]);
        }
    }
    out_line(out, "steps of %s (%d): %s", program->graph->name, program->n_steps, text);
    out_line(out, "launches: %d", emission->target->launches(emission->arena, program));
}

// The kernel's name in the sources, with its launch where the target has any.
static const char *kernel_text(Emission *emission, const Program *program, const Step *step)
{
    const char *name = emitted_kernel(emission, program, step);
    const char *shape =
        emission->target->launch_shape ? emission->target->launch_shape(emission->arena, step->kernel) : NULL;
    return shape ? arena_format(emission->arena, "%s <%s>: ", name, shape)
                 : arena_format(emission->arena, "%s: ", name);
}

// "bf16 f32" of a product that sums f32; "f32+bf16" of a kernel that stores both.
static const char *types_text(Arena *arena, const Program *program, const Step *step)
{
    const Graph *graph = program->graph;
    if (step->kind != STEP_KERNEL) {
        const char *read = dtype_name(graph->nodes[step->reads[step->kind == STEP_SCATTER_ADD].node].dtype);
        const char *written = dtype_name(graph->nodes[step->writes[0].node].dtype);
        bool is_tf32 = graph->nodes[step->node].attr.is_tf32;
        return arena_format(arena, "%s %s", is_tf32 ? "tf32" : read, written);
    }
    const char *text = "";
    bool is_seen[DTYPE_COUNT] = {false};
    for (int i = 0; i < step->kernel->n_buffers; i++) {
        const KernelBuffer *buffer = &step->kernel->buffers[i];
        if (buffer->kind != BUFFER_READ && !is_seen[buffer->dtype]) {
            text = arena_format(arena, "%s%s%s", text, *text ? "+" : "", dtype_name(buffer->dtype));
            is_seen[buffer->dtype] = true;
        }
    }
    return text;
}

static void inspect_steps(Out *out, Emission *emission, const Program *program)
{
    Arena *arena = emission->arena;
    inspect_counts(out, emission, program);
    out_line(out, "%6s  %-15s %14s %14s  %-9s %-28s %s", "step", "kind", "flops", "bytes", "types", "place",
             emission->target->launch_shape ? "kernel <blocks x threads>: ops" : "kernel: ops");
    for (int i = 0; i < program->n_steps; i++) {
        const Step *step = &program->steps[i];
        double flops = step->kind == STEP_KERNEL ? (double)step->kernel->flops : step->flops;
        out_line(out, "%6d  %-15s %14.0f %14lld  %-9s %-28s %s%s", i, STEP_NAMES[step->kind], flops,
                 (long long)step->bytes, types_text(arena, program, step),
                 diag_place(arena, program->graph->nodes[step->node].span),
                 step->kind == STEP_KERNEL ? kernel_text(emission, program, step) : "",
                 fused_ops(arena, program, step));
    }
    out_line(out, "");
}

static void inspect_parameters(Out *out, Arena *arena, const Task *task)
{
    int64_t total = 0;
    out_line(out, "parameters (%d)", task->n_parameters);
    for (int i = 0; i < task->n_parameters; i++) {
        const Parameter *parameter = &task->parameters[i];
        total += shape_count(&parameter->shape);
        out_line(out, "%-80s %-20s %10lld  %s%s%s  %s", parameter->name, shape_text(arena, &parameter->shape),
                 (long long)shape_count(&parameter->shape), parameter->has_decay ? "decay" : "-----",
                 parameter->is_fresh ? " fresh" : "", parameter->is_trainable ? "" : " frozen",
                 diag_place(arena, parameter->span));
    }
    out_line(out, "%lld values in all", (long long)total);
    out_line(out, "");
}

void emit_inspection(Out *out, Emission *emission)
{
    const Task *task = emission->task;
    out_line(out, "%s/%s in %s: %d kernels of different text", task->model, task->name,
             precision_name(task->precision), emission->n_kernels);
    out_line(out, "");
    for (int i = 0; i < task->n_entries; i++) {
        const Program *programs[] = {task->entries[i].train, task->entries[i].observe};
        for (int j = programs[0] ? 0 : 1; j < 2; j++) {
            inspect_steps(out, emission, programs[j]);
            out_line(out, "memory plan of %s", programs[j]->graph->name);
            out_raw(out, plan_print(emission->arena, programs[j]));
            out_line(out, "");
        }
    }
    inspect_parameters(out, emission->arena, task);
}
