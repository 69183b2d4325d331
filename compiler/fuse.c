// The fusion pass: from a graph to an ordered list of steps over stored values; see program.h for what it promises and
// fuse_internal.h for how it works.
#include "compiler/fuse_internal.h"

#include "compiler/base/vec.h"
#include "compiler/rewrite.h"

#include <stdio.h>
#include <string.h>

static Fusion *fusion_new(Arena *arena, const Graph *graph, bool is_fused)
{
    Fusion *fusion = arena_alloc(arena, sizeof *fusion);
    fusion->arena = arena;
    fusion->pool = index_pool_new(arena);
    fusion->is_fused = is_fused;
    fusion->graph = fuse_prepare(arena, graph, is_fused);
    fusion->beside = graph_new_map(arena, fusion->graph);
    if (is_fused) {
        fusion->graph = fuse_again(arena, fusion->graph, &fusion->beside);
    }
    size_t n = (size_t)fusion->graph->n_nodes + 1;
    fusion->values = arena_alloc(arena, n * sizeof *fusion->values);
    fusion->member_of = arena_alloc(arena, n * sizeof *fusion->member_of);
    fusion->readers = arena_alloc(arena, n * sizeof *fusion->readers);
    fusion->accumulated = arena_alloc(arena, n * sizeof *fusion->accumulated);
    fusion->bias = arena_alloc(arena, n * sizeof *fusion->bias);
    fusion->sums = arena_alloc(arena, n * sizeof *fusion->sums);
    fusion->alias = arena_alloc(arena, n * sizeof *fusion->alias);
    fusion->stamp = arena_alloc(arena, n * sizeof *fusion->stamp);
    fusion->stack = arena_alloc(arena, n * sizeof *fusion->stack);
    return fusion;
}

// Names -----------------------------------------------------------------------------------------------------------

typedef struct Names {
    Arena *arena;
    const char **slots;
    int *counts;
    size_t n_slots;
} Names;

static const char *identifier(Arena *arena, const char *text)
{
    char *copy = arena_copy(arena, text, strlen(text));
    for (char *p = copy; *p; p++) {
        bool is_word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        *p = is_word ? *p : '_';
    }
    return copy;
}

// The name itself the first time, with a number after that.
static const char *unique(Names *names, const char *base)
{
    size_t hash = 5381;
    for (const char *p = base; *p; p++) {
        hash = hash * 33 + (unsigned char)*p;
    }
    size_t slot = hash % names->n_slots;
    while (names->slots[slot] && strcmp(names->slots[slot], base) != 0) {
        slot = (slot + 1) % names->n_slots;
    }
    names->slots[slot] = base;
    int number = ++names->counts[slot];
    return number == 1 ? base : unique(names, arena_format(names->arena, "%s_%d", base, number));
}

// A kernel is called after the last reduction in it, or else after what it stores last: those are what a reader of
// the model looks for.
static NodeId title_node(const Fusion *fusion, const Kernel *kernel)
{
    NodeId title = kernel->nodes[kernel->n_nodes - 1];
    for (int i = 0; i < kernel->n_nodes; i++) {
        if (fusion->values[kernel->nodes[i]].places) {
            title = kernel->nodes[i];
        }
    }
    return title;
}

static const char *kernel_name(const Fusion *fusion, Names *names, const Kernel *kernel)
{
    const Node *node = fusion_node(fusion, title_node(fusion, kernel));
    const char *name = node->name ? node->name : op_info(node->op)->name;
    const char *path = node->path ? node->path : "";
    const char *text = *path ? arena_format(names->arena, "%s_%s", path, name) : name;
    return unique(names, identifier(names->arena, text));
}

// Steps -----------------------------------------------------------------------------------------------------------

static int64_t view_bytes(const Fusion *fusion, const View *view)
{
    int64_t elements = 1;
    for (int i = 0; i < view->rank; i++) {
        elements *= view->stride[i] == 0 ? 1 : view->dim[i];
    }
    return elements * dtype_bytes(fusion_node(fusion, view->node)->dtype);
}

// Results of a call in order; for a sum that it makes, the sum.
static NodeId result_value(const Fusion *fusion, NodeId call, int index)
{
    if (index == 0 && fusion->values[call].role == ROLE_LIBRARY) {
        return call;
    }
    for (NodeId id = call; id < fusion->graph->n_nodes; id++) {
        const Value *value = &fusion->values[id];
        const Node *other = fusion_node(fusion, id);
        bool is_side = other->op == OP_RESULT || id == fusion->sums[call];
        bool is_result = is_side ? other->op == OP_RESULT && other->attr.index == index : index == 0;
        if (value->role == ROLE_LIBRARY && value->call == call && is_result) {
            return id;
        }
    }
    return NO_NODE;
}

// The batch goes into the rows where the right operand is the same for all of it.
static void fold_batch(View *a, View *b, View *c)
{
    int64_t batch = c->dim[0];
    bool is_shared = batch > 1 && b->stride[0] == 0;
    bool continues = a->stride[0] == a->dim[1] * a->stride[1] && c->stride[0] == c->dim[1] * c->stride[1];
    if (is_shared && continues) {
        a->dim[1] *= batch;
        c->dim[1] *= batch;
        a->dim[0] = b->dim[0] = c->dim[0] = 1;
    }
}

static View transposed(const View *view)
{
    View result = *view;
    for (int i = 1; i <= 2; i++) {
        result.dim[i] = view->dim[3 - i];
        result.stride[i] = view->stride[3 - i];
    }
    return result;
}

// All elements of a dense view in a row.
static View vector_view(const View *dense)
{
    View view = {.node = dense->node, .offset = dense->offset, .rank = 1, .dim = {1}, .stride = {1}};
    for (int i = 0; i < dense->rank; i++) {
        view.dim[0] *= dense->dim[i];
    }
    return view;
}

// The vector that a product adds to its rows, and the sums that it makes.
static void add_vectors(Fusion *fusion, NodeId product, View *reads, View *writes, Step *step)
{
    if (fusion->bias[product] != NO_NODE) {
        const Reading bias = operand_view(fusion, fusion->bias[product], NEED_DENSE);
        reads[step->n_reads++] = vector_view(&bias.view);
    }
    if (fusion->sums[product] != NO_NODE) {
        const View sums = result_view(fusion, fusion->sums[product]);
        writes[step->n_writes++] = vector_view(&sums);
    }
}

static void matmul_views(View *reads, View *writes)
{
    for (int i = 0; i < 3; i++) {
        View *view = i < 2 ? &reads[i] : writes;
        View matrices;
        bool is_good = view_matrices(view, &matrices);
        XV_ASSERT(is_good);
        *view = matrices;
    }
    bool is_row_major = writes->dim[2] == 1 || writes->stride[2] == 1;
    if (!is_row_major) {
        View a = transposed(&reads[0]);
        reads[0] = transposed(&reads[1]);
        reads[1] = a;
        *writes = transposed(writes);
    }
    fold_batch(&reads[0], &reads[1], writes);
}

static double call_flops(const Fusion *fusion, const Step *step)
{
    const Node *node = fusion_node(fusion, step->node);
    double product = 2;
    switch (node->op) {
    case OP_MATMUL:
        for (int i = 0; i < 3; i++) {
            product *= (double)step->writes[0].dim[i];
        }
        return product * (double)step->reads[0].dim[2];
    case OP_ATTENTION:
    case OP_ATTENTION_GRAD: {
        const View *q = &step->reads[0];
        product *= (double)q->dim[0] * (double)q->dim[1] * (double)q->dim[2] * (double)step->reads[1].dim[2];
        double widths = (double)q->dim[3] + (double)step->reads[2].dim[3];
        return product * widths * (node->op == OP_ATTENTION ? 1.0 : 2.5);
    }
    case OP_ALL_GATHER:
    case OP_OWN_ROWS: return 0;
    default: return (double)shape_count(&node->shape);
    }
}

static StepKind call_kind(Op op)
{
    switch (op) {
    case OP_MATMUL: return STEP_MATMUL;
    case OP_ATTENTION: return STEP_ATTENTION;
    case OP_ATTENTION_GRAD: return STEP_ATTENTION_GRAD;
    case OP_SCATTER_ADD: return STEP_SCATTER_ADD;
    case OP_TOP_K: return STEP_TOP_K;
    case OP_ALL_GATHER: return STEP_ALL_GATHER;
    case OP_OWN_ROWS: return STEP_OWN_ROWS;
    default: return STEP_SAMPLE;
    }
}

static Step call_step(Fusion *fusion, NodeId call)
{
    const Node *node = fusion_node(fusion, call);
    Step step = {
        .kind = call_kind(node->op), .node = call, .accumulates = fusion->accumulated[call] != NO_NODE};
    step.n_reads = node->op == OP_MATMUL ? 2 : node->n_inputs;
    View *reads = arena_alloc(fusion->arena, ((size_t)step.n_reads + 1) * sizeof *reads);
    View *writes = arena_alloc(fusion->arena, MAX_RANK * sizeof *writes);
    for (int i = 0; i < step.n_reads; i++) {
        reads[i] = operand_view(fusion, node->inputs[i], operand_need(node, i)).view;
    }
    for (int i = 0; i < MAX_RANK; i++) {
        NodeId value = result_value(fusion, call, i);
        if (value != NO_NODE) {
            writes[step.n_writes++] = result_view(fusion, value);
        }
    }
    if (node->op == OP_MATMUL) {
        matmul_views(reads, writes);
        add_vectors(fusion, call, reads, writes, &step);
    }
    step.reads = reads;
    step.writes = writes;
    step.flops = call_flops(fusion, &step);
    for (int i = 0; i < step.n_reads + step.n_writes; i++) {
        step.bytes += view_bytes(fusion, i < step.n_reads ? &reads[i] : &writes[i - step.n_reads]);
    }
    return step;
}

static Step kernel_step(Fusion *fusion, Names *names, int group)
{
    const Kernel *built = fuse_kernel(fusion, group);
    Kernel *kernel = arena_alloc(fusion->arena, sizeof *kernel);
    *kernel = *built;
    kernel->name = kernel_name(fusion, names, kernel);
    return (Step){.kind = STEP_KERNEL,
                  .node = title_node(fusion, kernel),
                  .kernel = kernel,
                  .flops = (double)kernel->flops,
                  .bytes = kernel->bytes};
}

// Storage ---------------------------------------------------------------------------------------------------------

static void store_node(const Fusion *fusion, Program *program, NodeId id)
{
    const Node *node = fusion_node(fusion, id);
    Storage *storage = &program->storage[id];
    if (storage->is_stored) {
        return;
    }
    storage->is_stored = true;
    storage->bytes = shape_count(&node->shape) * dtype_bytes(node->dtype);
    if (node->op == OP_PARAM) {
        storage->region = dtype_is_low(node->dtype) ? REGION_COPY : REGION_PARAMETER;
        storage->parameter = node->attr.index;
    }
}

static void set_storage(const Fusion *fusion, Program *program)
{
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        program->storage[id] =
            (Storage){.parameter = -1, .same_as = NO_NODE, .first_step = -1, .last_step = -1};
    }
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        for (const Place *place = fusion->values[id].places; place; place = place->next) {
            store_node(fusion, program, place->storage);
        }
    }
    for (int i = 0; i < fusion->graph->n_outputs; i++) {
        const Output *output = &fusion->graph->outputs[i];
        NodeId alias = fusion->alias[output->node];
        NodeId root = alias != NO_NODE ? alias : output->node;
        if (alias != NO_NODE) {
            store_node(fusion, program, output->node);
            program->storage[output->node].same_as = alias;
        }
        if (output->kind == OUTPUT_GRADIENT) {
            NodeId both[2] = {root, output->node};
            for (int j = 0; j < 2; j++) {
                program->storage[both[j]].region = REGION_GRADIENT;
                program->storage[both[j]].parameter = output->parameter;
            }
        }
    }
}

Program *fuse(Arena *arena, const Graph *graph, bool is_fused)
{
    Fusion *fusion = fusion_new(arena, graph, is_fused);
    fuse_roles(fusion);
    fuse_places(fusion);
    role_collect_deps(fusion);
    fuse_groups(fusion);
    fuse_early(fusion);
    fuse_sums(fusion);
    fuse_store(fusion);
    int n_units = 0;
    const Unit *units = fuse_order(fusion, &n_units);
    Program *program = arena_alloc(arena, sizeof *program);
    program->graph = fusion->graph;
    program->steps = arena_alloc(arena, ((size_t)n_units + 1) * sizeof *program->steps);
    program->storage = arena_alloc(arena, ((size_t)fusion->graph->n_nodes + 1) * sizeof *program->storage);
    Names names = {.arena = arena, .n_slots = 4 * (size_t)n_units + 64};
    names.slots = arena_alloc(arena, names.n_slots * sizeof *names.slots);
    names.counts = arena_alloc(arena, names.n_slots * sizeof *names.counts);
    for (int i = 0; i < n_units; i++) {
        program->steps[program->n_steps++] = units[i].group >= 0 ? kernel_step(fusion, &names, units[i].group)
                                                                 : call_step(fusion, units[i].call);
    }
    set_storage(fusion, program);
    return program;
}
