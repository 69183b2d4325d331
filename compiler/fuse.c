// Fusion: decides which values get storage, and turns the graph into steps; see program.h.
//
// Only values that must be in memory are stored: inputs and parameters, results of matrix products and attention, what
// those read and cannot read through strides, outputs, reductions that no kernel can take in, and values that several
// kernels use and that would cost two or more large reads to compute again. Everything else lives inside kernels.
#include "compiler/fuse_internal.h"
#include "compiler/rewrite.h"

#include <string.h>

enum { MAX_LARGE_READS = 6 };

NodeId fusion_root(const Fusion *fusion, NodeId node)
{
    while (fusion->same_as[node] != NO_NODE) {
        node = fusion->same_as[node];
    }
    return node;
}

bool fusion_is_opaque(Op op)
{
    return op == OP_MATMUL || op == OP_ATTENTION || op == OP_ATTENTION_GRAD || op == OP_SCATTER_ADD || op == OP_SAMPLE
        || op == OP_RESULT;
}

void fusion_store(Fusion *fusion, NodeId node)
{
    if (fusion->is_stored[node]) {
        return;
    }
    fusion->is_stored[node] = true;
    fusion->layout[node].offset = 0;
    contiguous_strides(&fusion->graph->nodes[node].shape, fusion->layout[node].stride);
}

// `node` lies in the storage of `root`, which is contiguous and of the same size.
static void lie_in(Fusion *fusion, NodeId node, NodeId root)
{
    fusion_store(fusion, node);
    fusion->same_as[node] = root;
}

static const Node *node_at(const Fusion *fusion, NodeId id)
{
    return &fusion->graph->nodes[id];
}

// Heads side by side in each row, [B, N, H, D], so that joining them afterwards moves nothing.
static void lay_out_heads(Fusion *fusion, NodeId node)
{
    const Shape *shape = &node_at(fusion, node)->shape;
    int64_t row = shape->dim[1] * shape->dim[3];
    Layout *layout = &fusion->layout[node];
    layout->stride[0] = shape->dim[2] * row;
    layout->stride[1] = shape->dim[3];
    layout->stride[2] = row;
    layout->stride[3] = 1;
}

static void store_sources(Fusion *fusion)
{
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        const Node *node = node_at(fusion, id);
        if (node->op == OP_INPUT || node->op == OP_PARAM || fusion_is_opaque(node->op)) {
            fusion_store(fusion, id);
        } else if (!fusion->is_fused && node->op != OP_CONST && node->op != OP_IOTA) {
            fusion_store(fusion, id);
        }
        bool is_heads = node->op == OP_ATTENTION || node->op == OP_ATTENTION_GRAD
            || (node->op == OP_RESULT && node_at(fusion, node->inputs[0])->op == OP_ATTENTION_GRAD && node->attr.index <= 2);
        if (is_heads) {
            lay_out_heads(fusion, id);
        }
    }
}

// Products --------------------------------------------------------------------------------------------------------

static bool swaps_last_two(const Node *node)
{
    int rank = node->shape.rank;
    if (node->op != OP_PERMUTE || rank != 2) {
        return false;
    }
    return node->attr.dims[0] == 1 && node->attr.dims[1] == 0;
}

static bool is_lone_product(const Fusion *fusion, NodeId id)
{
    return node_at(fusion, id)->op == OP_MATMUL && fusion->uses[id] == 1 && fusion->same_as[id] == NO_NODE;
}

// A transposed product is the product of the transposed operands: written with its strides exchanged.
static void transpose_products(Fusion *fusion)
{
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        const Node *node = node_at(fusion, id);
        if (!swaps_last_two(node) || !is_lone_product(fusion, node->inputs[0])) {
            continue;
        }
        NodeId product = node->inputs[0];
        fusion_store(fusion, id);
        lie_in(fusion, product, id);
        fusion->layout[product].stride[0] = 1;
        fusion->layout[product].stride[1] = node->shape.dim[1];
    }
}

// What a sum of products can be added into: a product (transposed or not) or a sum of them, used here alone.
static bool is_summand(const Fusion *fusion, NodeId id, const bool *is_product_sum)
{
    if (fusion->uses[id] != 1 || fusion->same_as[id] != NO_NODE) {
        return false;
    }
    const Node *node = node_at(fusion, id);
    return node->op == OP_MATMUL || is_product_sum[id]
        || (swaps_last_two(node) && fusion->is_stored[id] && node_at(fusion, node->inputs[0])->op == OP_MATMUL);
}

// c + a b as one product: c is computed straight into the place of the result.
static void accumulate_onto(Fusion *fusion)
{
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        const Node *node = node_at(fusion, id);
        if (node->op == OP_MATMUL && node->n_inputs == 3) {
            lie_in(fusion, node->inputs[2], id);
        }
    }
}

static bool can_accumulate(const Graph *graph, const int *uses, NodeId onto)
{
    OpClass class = op_info(graph->nodes[onto].op)->class;
    return uses[onto] == 1 && (class == CLASS_ELEMENTWISE || graph->nodes[onto].op == OP_MATMUL);
}

// Products that cannot be added in place become a product and a sum.
static const Graph *split_accumulation(Arena *arena, const Graph *graph, bool is_fused)
{
    const int *uses = graph_use_counts(arena, graph);
    Graph *split = graph_new(arena, graph);
    split->name = graph->name;
    NodeId *map = graph_new_map(arena, graph);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        bool is_split = node->op == OP_MATMUL && node->n_inputs == 3
            && (!is_fused || !can_accumulate(graph, uses, node->inputs[2]));
        if (!is_split) {
            map[id] = graph_copy_node(split, graph, id, map);
            continue;
        }
        Origin origin = node_origin(graph, id);
        NodeId product = graph_matmul(split, map[node->inputs[0]], map[node->inputs[1]], NO_NODE, &origin);
        map[id] = graph_binary(split, OP_ADD, map[node->inputs[2]], product, &origin);
    }
    graph_copy_outputs(split, graph, map);
    return split;
}

// a b + c d: the second product is added to the first in place (weight gradients of layers that run several times).
static void accumulate_products(Fusion *fusion, bool *is_product_sum)
{
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        const Node *node = node_at(fusion, id);
        if (node->op != OP_ADD || node->inputs[0] == node->inputs[1] || node->shape.rank != 2) {
            continue;
        }
        if (is_summand(fusion, node->inputs[0], is_product_sum) && is_summand(fusion, node->inputs[1], is_product_sum)) {
            is_product_sum[id] = true;
            fusion_store(fusion, id);
            lie_in(fusion, node->inputs[0], id);
            lie_in(fusion, node->inputs[1], id);
        }
    }
}

// Operands and outputs --------------------------------------------------------------------------------------------

static bool passes_matrices(const View *view)
{
    View matrices;
    return view_as_matrices(view, &matrices);
}

static bool passes_always(const View *view)
{
    (void)view;
    return true;
}

static bool passes_contiguous(const View *view)
{
    int64_t stride = 1;
    for (int i = view->rank - 1; i >= 0; i--) {
        if (view->dim[i] != 1 && view->stride[i] != stride) {
            return false;
        }
        stride *= view->dim[i];
    }
    return true;
}

static ViewTest operand_test(const Node *node, int input)
{
    switch (node->op) {
    case OP_MATMUL: return passes_matrices;
    case OP_ATTENTION: return input < 3 ? view_has_unit_last : passes_always;
    case OP_ATTENTION_GRAD: return input < 6 && input != 4 ? view_has_unit_last : input == 4 ? passes_contiguous : passes_always;
    default: return passes_contiguous;
    }
}

static void store_operands(Fusion *fusion)
{
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        const Node *node = node_at(fusion, id);
        if (!fusion_is_opaque(node->op) || node->op == OP_RESULT) {
            continue;
        }
        int n_operands = node->op == OP_MATMUL ? 2 : node->n_inputs;
        for (int i = 0; i < n_operands; i++) {
            make_viewable(fusion, node->inputs[i], operand_test(node, i));
        }
    }
}

static bool is_contiguous(const Fusion *fusion, NodeId id)
{
    int64_t stride[MAX_RANK];
    const Shape *shape = &node_at(fusion, id)->shape;
    contiguous_strides(shape, stride);
    return fusion->layout[id].offset == 0
        && memcmp(stride, fusion->layout[id].stride, (size_t)shape->rank * sizeof *stride) == 0;
}

// A gradient is written straight to its place; a reshaped one too.
static void store_gradient(Fusion *fusion, NodeId id)
{
    fusion_store(fusion, id);
    const Node *node = node_at(fusion, id);
    NodeId inner = node->op == OP_RESHAPE ? node->inputs[0] : NO_NODE;
    bool is_computed = inner != NO_NODE && fusion->uses[inner] == 1 && !fusion->is_stored[inner]
        && op_info(node_at(fusion, inner)->op)->class != CLASS_MOVE && node_at(fusion, inner)->op != OP_CONST;
    if (is_computed) {
        fusion_store(fusion, inner);
    }
    bool is_movable = inner != NO_NODE && fusion->is_stored[inner] && fusion->uses[inner] == 1
        && fusion->same_as[inner] == NO_NODE && is_contiguous(fusion, inner)
        && node_at(fusion, inner)->op != OP_PARAM && node_at(fusion, inner)->op != OP_INPUT;
    if (is_movable) {
        lie_in(fusion, inner, id);
    }
}

static void store_outputs(Fusion *fusion)
{
    for (int i = 0; i < fusion->graph->n_outputs; i++) {
        const Output *output = &fusion->graph->outputs[i];
        if (output->kind == OUTPUT_GRADIENT) {
            store_gradient(fusion, output->node);
            continue;
        }
        const Node *node = node_at(fusion, output->node);
        bool is_alias = !fusion->is_stored[output->node] && node->op == OP_RESHAPE && fusion->is_stored[node->inputs[0]]
            && is_contiguous(fusion, node->inputs[0]) && node_at(fusion, node->inputs[0])->op != OP_PARAM;
        if (is_alias) {
            lie_in(fusion, output->node, node->inputs[0]);
        } else {
            fusion_store(fusion, output->node);
        }
    }
}

// Values worth keeping --------------------------------------------------------------------------------------------

typedef struct Reads {
    NodeId root[MAX_LARGE_READS];
    int n_roots;
} Reads;

// Notes a read of `root` for a value of `count` elements; small tensors (biases, row statistics) cost nothing.
static void add_read(const Fusion *fusion, Reads *reads, NodeId root, int64_t count)
{
    if (4 * shape_count(&node_at(fusion, root)->shape) < count) {
        return;
    }
    for (int i = 0; i < reads->n_roots; i++) {
        if (reads->root[i] == root) {
            return;
        }
    }
    if (reads->n_roots < MAX_LARGE_READS) {
        reads->root[reads->n_roots++] = root;
    }
}

static Reads large_reads(const Fusion *fusion, const Reads *known, NodeId id)
{
    const Node *node = node_at(fusion, id);
    Reads reads = {.n_roots = 0};
    for (int i = 0; i < node->n_inputs; i++) {
        NodeId input = node->inputs[i];
        if (fusion->is_stored[input]) {
            add_read(fusion, &reads, fusion_root(fusion, input), shape_count(&node->shape));
            continue;
        }
        for (int j = 0; j < known[input].n_roots; j++) {
            add_read(fusion, &reads, known[input].root[j], shape_count(&node->shape));
        }
    }
    return reads;
}

// Uses by something that computes, looking through movement.
static int *computing_uses(const Fusion *fusion)
{
    const Graph *graph = fusion->graph;
    int *uses = arena_alloc(fusion->arena, ((size_t)graph->n_nodes + 1) * sizeof *uses);
    for (NodeId id = graph->n_nodes - 1; id >= 0; id--) {
        const Node *node = &graph->nodes[id];
        bool is_passing = op_info(node->op)->class == CLASS_MOVE && !fusion->is_stored[id];
        for (int i = 0; i < node->n_inputs; i++) {
            uses[node->inputs[i]] += is_passing ? uses[id] : 1;
        }
    }
    return uses;
}

static void store_shared(Fusion *fusion)
{
    const Graph *graph = fusion->graph;
    Reads *reads = arena_alloc(fusion->arena, ((size_t)graph->n_nodes + 1) * sizeof *reads);
    const int *uses = computing_uses(fusion);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        if (fusion->is_stored[id]) {
            continue;
        }
        reads[id] = large_reads(fusion, reads, id);
        OpClass class = op_info(graph->nodes[id].op)->class;
        bool is_dear = (uses[id] > 1 && reads[id].n_roots > 1) || reads[id].n_roots == MAX_LARGE_READS;
        if (class == CLASS_ELEMENTWISE && is_dear) {
            fusion_store(fusion, id);
        }
    }
}

// Steps -----------------------------------------------------------------------------------------------------------

static bool needs_kernel(const Fusion *fusion, NodeId id)
{
    Op op = node_at(fusion, id)->op;
    if (!fusion->is_stored[id] || op == OP_INPUT || op == OP_PARAM || fusion_is_opaque(op) || fusion->kernels[id]) {
        return false;
    }
    return !fusion->is_filled[id];
}

static bool build_missing(Fusion *fusion)
{
    bool is_complete = true;
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        if (!needs_kernel(fusion, id)) {
            continue;
        }
        fusion->kernels[id] = build_kernel(fusion, id);
        while (!fusion->kernels[id]) {
            fusion_store(fusion, fusion->wanted);
            is_complete = false;
            fusion->kernels[id] = build_kernel(fusion, id);
        }
    }
    return is_complete;
}

// Stored nodes whose value is there without a kernel: aliases of stored values, sums that products are added into, and
// transposes that a product writes.
static void mark_filled(Fusion *fusion, const bool *is_product_sum)
{
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        const Node *node = node_at(fusion, id);
        bool holds_input = node->n_inputs > 0 && fusion->is_stored[id] && fusion->is_stored[node->inputs[0]]
            && fusion_root(fusion, node->inputs[0]) == fusion_root(fusion, id);
        bool is_movement = node->op == OP_RESHAPE || swaps_last_two(node);
        fusion->is_filled[id] = is_product_sum[id] || (holds_input && is_movement);
    }
}

static View stored_view(const Fusion *fusion, NodeId node)
{
    View view;
    bool is_view = view_of(fusion, node, &view);
    XV_ASSERT(is_view);
    return view;
}

static NodeId result_node(const Fusion *fusion, NodeId node, int index)
{
    for (NodeId id = node + 1; id < fusion->graph->n_nodes; id++) {
        const Node *result = node_at(fusion, id);
        if (result->op == OP_RESULT && result->inputs[0] == node && result->attr.index == index) {
            return id;
        }
    }
    return NO_NODE;
}

static int64_t view_bytes(const View *view)
{
    int64_t count = 1;
    for (int i = 0; i < view->rank; i++) {
        count *= view->stride[i] == 0 ? 1 : view->dim[i];
    }
    return 4 * count;
}

static void finish_costs(Step *step)
{
    for (int i = 0; i < step->n_reads; i++) {
        step->bytes += view_bytes(&step->reads[i]);
    }
    for (int i = 0; i < step->n_writes; i++) {
        step->bytes += view_bytes(&step->writes[i]);
    }
}

static Step matmul_step(Fusion *fusion, NodeId id)
{
    const Node *node = node_at(fusion, id);
    View *reads = arena_alloc(fusion->arena, 2 * sizeof *reads);
    View *write = arena_alloc(fusion->arena, sizeof *write);
    for (int i = 0; i < 2; i++) {
        View view = stored_view(fusion, node->inputs[i]);
        bool is_good = view_as_matrices(&view, &reads[i]);
        XV_ASSERT(is_good);
    }
    View result = stored_view(fusion, id);
    bool is_good = view_as_matrices(&result, write);
    XV_ASSERT(is_good);
    Step step = {.kind = STEP_MATMUL, .node = id, .reads = reads, .n_reads = 2, .writes = write, .n_writes = 1};
    step.flops = 2.0 * (double)reads[0].dim[0] * (double)reads[0].dim[1] * (double)reads[0].dim[2] * (double)reads[1].dim[2];
    return step;
}

static Step plain_step(Fusion *fusion, NodeId id, StepKind kind, int n_results)
{
    const Node *node = node_at(fusion, id);
    View *reads = arena_alloc(fusion->arena, ((size_t)node->n_inputs + 1) * sizeof *reads);
    for (int i = 0; i < node->n_inputs; i++) {
        reads[i] = stored_view(fusion, node->inputs[i]);
    }
    View *writes = arena_alloc(fusion->arena, ((size_t)n_results + 1) * sizeof *writes);
    int n_writes = 0;
    writes[n_writes++] = stored_view(fusion, id);
    for (int i = 1; i < n_results; i++) {
        NodeId result = result_node(fusion, id, i);
        if (result != NO_NODE) {
            writes[n_writes++] = stored_view(fusion, result);
        } else {
            writes[n_writes++] = (View){.node = NO_NODE};
        }
    }
    while (n_writes > 1 && writes[n_writes - 1].node == NO_NODE) {
        n_writes--;
    }
    return (Step){.kind = kind, .node = id, .reads = reads, .n_reads = node->n_inputs, .writes = writes, .n_writes = n_writes};
}

static double attention_flops(const Step *step, double products)
{
    const View *q = &step->reads[0];
    const View *k = &step->reads[1];
    return products * 2.0 * (double)q->dim[0] * (double)q->dim[1] * (double)q->dim[2] * (double)k->dim[2] * (double)q->dim[3];
}

static Step step_of(Fusion *fusion, NodeId id)
{
    const Node *node = node_at(fusion, id);
    Step step;
    switch (node->op) {
    case OP_MATMUL:
        return matmul_step(fusion, id);
    case OP_ATTENTION:
        step = plain_step(fusion, id, STEP_ATTENTION, 2);
        step.flops = attention_flops(&step, 2);
        return step;
    case OP_ATTENTION_GRAD: {
        int n_biases = 0;
        for (int i = 0; i < node->n_inputs - 6; i++) {
            n_biases += (node->attr.axes >> i & 1u) != 0;
        }
        step = plain_step(fusion, id, STEP_ATTENTION_GRAD, 3 + n_biases);
        step.flops = attention_flops(&step, 5);
        return step;
    }
    case OP_SCATTER_ADD:
        return plain_step(fusion, id, STEP_SCATTER_ADD, 1);
    case OP_SAMPLE:
        return plain_step(fusion, id, STEP_SAMPLE, 1);
    default:
        return (Step){.kind = STEP_KERNEL, .node = id, .kernel = fusion->kernels[id], .bytes = fusion->kernels[id]->bytes};
    }
}

static void list_steps(Fusion *fusion, Program *program)
{
    const Graph *graph = fusion->graph;
    program->steps = arena_alloc(fusion->arena, ((size_t)graph->n_nodes + 1) * sizeof(Step));
    bool *is_started = arena_alloc(fusion->arena, (size_t)graph->n_nodes + 1);   // a product was written to this root
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        Op op = graph->nodes[id].op;
        bool is_step = (fusion_is_opaque(op) && op != OP_RESULT) || fusion->kernels[id];
        if (!is_step) {
            continue;
        }
        Step *step = &program->steps[program->n_steps++];
        *step = step_of(fusion, id);
        finish_costs(step);
        if (op == OP_MATMUL) {
            NodeId root = fusion_root(fusion, id);
            step->accumulates = is_started[root] || graph->nodes[id].n_inputs == 3;
            is_started[root] = true;
        }
    }
}

static void list_storage(Fusion *fusion, Program *program)
{
    const Graph *graph = fusion->graph;
    static const int64_t sizes[] = {[DTYPE_F32] = 4, [DTYPE_I32] = 4, [DTYPE_BOOL] = 1};
    program->storage = arena_alloc(fusion->arena, ((size_t)graph->n_nodes + 1) * sizeof(Storage));
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        Storage *storage = &program->storage[id];
        storage->same_as = fusion->same_as[id];
        storage->is_stored = fusion->is_stored[id];
        storage->bytes = shape_count(&node->shape) * sizes[node->dtype];
        storage->region = node->op == OP_PARAM ? REGION_PARAMETER : REGION_ARENA;
        storage->parameter = node->op == OP_PARAM ? node->attr.index : -1;
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        const Output *output = &graph->outputs[i];
        if (output->kind == OUTPUT_GRADIENT) {
            Storage *storage = &program->storage[fusion_root(fusion, output->node)];
            storage->region = REGION_GRADIENT;
            storage->parameter = output->parameter;
        }
    }
}

static int *count_uses(Arena *arena, const Graph *graph)
{
    int *uses = arena_alloc(arena, ((size_t)graph->n_nodes + 1) * sizeof *uses);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        for (int i = 0; i < graph->nodes[id].n_inputs; i++) {
            uses[graph->nodes[id].inputs[i]]++;
        }
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        uses[graph->outputs[i].node]++;
    }
    return uses;
}

static Fusion new_fusion(Arena *arena, const Graph *graph, bool is_fused)
{
    size_t n_nodes = (size_t)graph->n_nodes + 1;
    Fusion fusion = {.arena = arena, .graph = graph, .is_fused = is_fused, .wanted = NO_NODE};
    fusion.is_stored = arena_alloc(arena, n_nodes);
    fusion.is_filled = arena_alloc(arena, n_nodes);
    fusion.same_as = arena_alloc(arena, n_nodes * sizeof *fusion.same_as);
    fusion.layout = arena_alloc(arena, n_nodes * sizeof *fusion.layout);
    fusion.kernels = arena_alloc(arena, n_nodes * sizeof *fusion.kernels);
    fusion.uses = count_uses(arena, graph);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        fusion.same_as[id] = NO_NODE;
    }
    return fusion;
}

Program *fuse(Arena *arena, const Graph *graph, bool is_fused)
{
    graph = split_accumulation(arena, graph, is_fused);
    Fusion fusion = new_fusion(arena, graph, is_fused);
    bool *is_product_sum = arena_alloc(arena, (size_t)graph->n_nodes + 1);
    store_sources(&fusion);
    if (is_fused) {
        transpose_products(&fusion);
        accumulate_onto(&fusion);
        accumulate_products(&fusion, is_product_sum);
    }
    store_operands(&fusion);
    store_outputs(&fusion);
    if (is_fused) {
        store_shared(&fusion);
    }
    mark_filled(&fusion, is_product_sum);
    while (!build_missing(&fusion)) {
    }
    Program *program = arena_alloc(arena, sizeof *program);
    program->graph = graph;
    list_steps(&fusion, program);
    list_storage(&fusion, program);
    return program;
}
