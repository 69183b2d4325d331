// The passes in order. Each takes a graph and gives a new one; with --verify the rules of graph.h are checked in
// between.
#include "compiler/pipeline.h"

#include "compiler/expand.h"
#include "compiler/grad.h"
#include "compiler/graph_print.h"
#include "compiler/graph_verify.h"
#include "compiler/kernel_verify.h"
#include "compiler/pack.h"
#include "compiler/plan.h"
#include "compiler/precision.h"
#include "compiler/program_print.h"
#include "compiler/recognise.h"
#include "compiler/rewrite.h"
#include "compiler/share.h"
#include "compiler/simplify.h"
#include "compiler/variant.h"

#include <string.h>

typedef struct Pipeline {
    Arena *arena;
    Interner *names;
    const PipelineOptions *options;
    Packs *packs;
} Pipeline;

static const Graph *checked(const Pipeline *pipeline, const Graph *graph, const char *pass)
{
    if (pipeline->options->is_verified) {
        const char *problem = graph_verify(pipeline->arena, graph);
        if (problem) {
            XV_BUG("graph '%s' after %s: %s", graph->name, pass, problem);
        }
    }
    return graph;
}

static void show(const Pipeline *pipeline, const Graph *graph, EmitStage stage)
{
    if (pipeline->options->emit == stage) {
        fprintf(pipeline->options->stream, "graph %s\n%s\n", graph->name,
                graph_print(pipeline->arena, graph));
    }
}

static const Program *lowered(const Pipeline *pipeline, const Graph *graph)
{
    const PipelineOptions *options = pipeline->options;
    if (precision_dtype(options->precision) != DTYPE_F32) {
        graph = checked(pipeline, simplify(pipeline->arena, graph), "simplify");  // CASTs would be in its way
    }
    graph = checked(pipeline, apply_precision(pipeline->arena, graph, options->precision), "precision");
    graph = checked(pipeline, expand(pipeline->arena, graph, EXPAND_SIMPLE), "expand");
    graph = checked(pipeline, simplify(pipeline->arena, graph), "simplify");
    show(pipeline, graph, EMIT_BACKWARD);
    Program *program = fuse(pipeline->arena, graph, options->is_fused);
    if (options->emit == EMIT_FUSED) {
        fprintf(options->stream, "%s\n", program_print(pipeline->arena, program));
    }
    plan_memory(program);
    const char *problem = options->is_verified ? program_verify(pipeline->arena, program) : NULL;
    if (problem) {
        XV_BUG("program '%s': %s", graph->name, problem);
    }
    if (options->emit == EMIT_PLAN) {
        fprintf(options->stream, "%s\n", plan_print(pipeline->arena, program));
    }
    return program;
}

static NodeId output_named(const Graph *graph, Sym name)
{
    for (int i = 0; i < graph->n_outputs; i++) {
        if (graph->outputs[i].name == name) {
            return graph->outputs[i].node;
        }
    }
    XV_BUG("graph '%s' has no output '%s'", graph->name, name);
}

static const Program *train_program(const Pipeline *pipeline, const Entry *entry)
{
    Sym name = intern_format(pipeline->names, "%s.train", entry->name);
    const Graph *graph = checked(pipeline, variant_train(pipeline->arena, entry->forward, name), "variant");
    graph = checked(pipeline, simplify(pipeline->arena, graph), "simplify");
    if (pipeline->options->is_fused) {
        graph = checked(pipeline, recognise_attention(pipeline->arena, graph), "recognise");
        graph = checked(pipeline, pack_products(pipeline->packs, graph, false), "pack");
        graph = checked(pipeline, simplify(pipeline->arena, graph), "simplify");
        graph = checked(pipeline, share(pipeline->arena, graph, SHARE_GATHERED), "share");
        graph = checked(pipeline, pack_products(pipeline->packs, graph, true), "pack");
        graph = checked(pipeline, simplify(pipeline->arena, graph), "simplify");
        graph = checked(pipeline, share(pipeline->arena, graph, SHARE_SLICES | SHARE_ROWS), "share");
    }
    show(pipeline, graph, EMIT_GRAPH);
    NodeId loss;
    graph = scale_loss(pipeline->arena, graph, pipeline->options->precision,
                       output_named(graph, entry->total), &loss);
    graph = checked(pipeline, grad(pipeline->arena, graph, loss), "grad");
    return lowered(pipeline, graph);
}

static const Program *observe_program(const Pipeline *pipeline, const Entry *entry)
{
    Sym name = intern_format(pipeline->names, "%s.observe", entry->name);
    const Graph *graph = checked(pipeline, variant_observe(pipeline->arena, entry->forward, name), "variant");
    graph = checked(pipeline, simplify(pipeline->arena, graph), "simplify");
    if (pipeline->options->is_fused) {
        graph = checked(pipeline, recognise_attention(pipeline->arena, graph), "recognise");
        graph = checked(pipeline, pack_products(pipeline->packs, graph, false), "pack");
        graph = checked(pipeline, simplify(pipeline->arena, graph), "simplify");
    }
    show(pipeline, graph, EMIT_GRAPH);
    return lowered(pipeline, graph);
}

static const uint8_t *gradient_marks(Arena *arena, const Task *task, const Program *train)
{
    uint8_t *marks = arena_alloc(arena, (size_t)task->n_parameters + 1);
    for (int i = 0; train && i < train->graph->n_outputs; i++) {
        const Output *output = &train->graph->outputs[i];
        if (output->kind == OUTPUT_GRADIENT) {
            const Parameter *parameter = &train->graph->parameters[output->parameter];
            for (int j = 0; j < parameter->n_members; j++) {
                marks[parameter->members[j]] = 1;
            }
            if (output->parameter < task->n_parameters) {
                marks[output->parameter] = 1;
            }
        }
    }
    return marks;
}

// Parameters, and members of packs, that a graph reads in two bytes.
static void mark_copies(const Task *task, const Program *program, uint8_t *marks)
{
    for (NodeId id = 0; program && id < program->graph->n_nodes; id++) {
        const Node *node = &program->graph->nodes[id];
        if (node->op != OP_PARAM || !dtype_is_low(node->dtype)) {
            continue;
        }
        const Parameter *parameter = &program->graph->parameters[node->attr.index];
        for (int i = 0; i < parameter->n_members; i++) {
            marks[parameter->members[i]] = 1;
        }
        if (node->attr.index < task->n_parameters) {
            marks[node->attr.index] = 1;
        }
    }
}

void pipeline_run(Arena *arena, Interner *names, Task *task, const PipelineOptions *options)
{
    Pipeline pipeline = {arena, names, options, packs_new(arena, names, task)};
    for (int i = 0; i < task->n_entries; i++) {
        Entry *entry = &task->entries[i];
        entry->train = entry->total ? train_program(&pipeline, entry) : NULL;
        entry->observe = observe_program(&pipeline, entry);
        entry->has_gradient = gradient_marks(arena, task, entry->train);
    }
    uint8_t *has_copy = arena_alloc(arena, (size_t)task->n_parameters + 1);
    for (int i = 0; i < task->n_entries; i++) {
        mark_copies(task, task->entries[i].train, has_copy);
        mark_copies(task, task->entries[i].observe, has_copy);
    }
    task->precision = options->precision;
    task->has_copy = has_copy;
    packs_place(pipeline.packs, task);
}
