// Rewrites before fusion; see fuse_internal.h. A matrix product adds to memory for free, but only memory that nobody
// reads afterwards: sums of products that end in a gradient are accumulated, all other sums become ADD nodes, which a
// kernel takes in.
#include "compiler/fuse_internal.h"

#include "compiler/rewrite.h"

typedef struct Prepare {
    Arena *arena;
    const Graph *from;
    Graph *to;
    NodeId *map;
    const int *uses;
    bool *is_sum;     // per node: accumulated onto, so that its value only exists at the end
    bool *is_output;  // per new node
} Prepare;

static bool is_product(const Graph *graph, NodeId id)
{
    return graph->nodes[id].op == OP_MATMUL || graph->nodes[id].op == OP_SCATTER_ADD;
}

// Sums that end in an output through nothing but further accumulation, found from the outputs backwards.
static void mark_sums(Prepare *prepare)
{
    const Graph *graph = prepare->from;
    for (int i = 0; i < graph->n_outputs; i++) {
        NodeId id = graph->outputs[i].node;
        prepare->is_sum[id] = graph->outputs[i].kind == OUTPUT_GRADIENT && prepare->uses[id] == 1;
    }
    for (NodeId id = graph->n_nodes - 1; id >= 0; id--) {
        const Node *node = &graph->nodes[id];
        bool is_accumulation = node->op == OP_ADD || (node->op == OP_MATMUL && node->n_inputs == 3);
        if (!prepare->is_sum[id] || !is_accumulation) {
            continue;
        }
        for (int i = node->op == OP_ADD ? 0 : 2; i < node->n_inputs; i++) {
            NodeId part = node->inputs[i];
            bool is_sum = graph->nodes[part].op == OP_ADD || is_product(graph, part);
            prepare->is_sum[part] = is_sum && prepare->uses[part] == 1;
        }
    }
}

// Whether memory holding the value can be added to: nothing else reads it, and it is computed.
static bool can_take(const Prepare *prepare, NodeId id)
{
    OpClass class = op_info(prepare->from->nodes[id].op)->class;
    return prepare->uses[id] == 1 && class != CLASS_SOURCE && class != CLASS_MOVE && class != CLASS_RANDOM;
}

// A product like `of`, on other inputs.
static NodeId product_of(Prepare *prepare, NodeId of, const NodeId *inputs, int n_inputs,
                         const Origin *origin)
{
    const Node *node = &prepare->from->nodes[of];
    Shape shape = node->shape;
    return graph_add(prepare->to, OP_MATMUL, node->dtype, &shape, inputs, n_inputs, &node->attr, origin);
}

static void copy_product(Prepare *prepare, NodeId id)
{
    const Node *node = &prepare->from->nodes[id];
    Origin origin = node_origin(prepare->from, id);
    NodeId a = prepare->map[node->inputs[0]];
    NodeId b = prepare->map[node->inputs[1]];
    NodeId c = prepare->map[node->inputs[2]];
    if (prepare->is_sum[id] && can_take(prepare, node->inputs[2])) {
        prepare->map[id] = product_of(prepare, id, (NodeId[]){a, b, c}, 3, &origin);
    } else {
        NodeId product = product_of(prepare, id, (NodeId[]){a, b}, 2, &origin);
        prepare->map[id] = graph_binary(prepare->to, OP_ADD, product, c, &origin);
    }
}

// x + a b as a product that accumulates, if the product comes after x.
static bool copy_sum(Prepare *prepare, NodeId id)
{
    const Node *node = &prepare->from->nodes[id];
    if (!prepare->is_sum[id]) {
        return false;
    }
    for (int i = 1; i >= 0; i--) {
        NodeId product = node->inputs[i];
        NodeId other = node->inputs[1 - i];
        const Node *matmul = &prepare->from->nodes[product];
        if (matmul->op == OP_MATMUL && matmul->n_inputs == 2 && matmul->dtype == DTYPE_F32 &&
            prepare->uses[product] == 1 && can_take(prepare, other)) {
            Origin origin = node_origin(prepare->from, id);
            NodeId inputs[3] = {prepare->map[matmul->inputs[0]], prepare->map[matmul->inputs[1]],
                                prepare->map[other]};
            prepare->map[id] = product_of(prepare, product, inputs, 3, &origin);
            return true;
        }
    }
    return false;
}

static bool has_result(const Graph *graph, NodeId id, int index)
{
    for (NodeId i = id + 1; i < graph->n_nodes; i++) {
        const Node *node = &graph->nodes[i];
        if (node->op == OP_RESULT && node->inputs[0] == id && node->attr.index == index) {
            return true;
        }
    }
    return false;
}

// The call writes all of its results, so each needs a node to be stored as.
static void add_results(Prepare *prepare, NodeId id)
{
    const Node *node = &prepare->from->nodes[id];
    Origin origin = node_origin(prepare->from, id);
    for (int i = 1; i < node->n_inputs - 3; i++) {
        bool is_wanted = i < 3 || (node->attr.axes >> (i - 3) & 1);
        if (is_wanted && !has_result(prepare->from, id, i)) {
            graph_result(prepare->to, prepare->map[id], i, &origin);
        }
    }
}

// What a value is widened from, moved like it; NO_NODE if it is not. Calls that sum two-byte elements read them as they
// lie.
static NodeId narrow_form(Prepare *prepare, NodeId id)
{
    const Node *node = &prepare->from->nodes[id];
    if (node->op == OP_CAST && dtype_is_low(prepare->from->nodes[node->inputs[0]].dtype)) {
        return node->dtype == DTYPE_F32 ? prepare->map[node->inputs[0]] : NO_NODE;
    }
    if (node->op != OP_RESHAPE && node->op != OP_PERMUTE && node->op != OP_SLICE) {
        return NO_NODE;
    }
    NodeId input = narrow_form(prepare, node->inputs[0]);
    Origin origin = node_origin(prepare->from, id);
    return input == NO_NODE ? NO_NODE
                            : graph_add(prepare->to, node->op, prepare->to->nodes[input].dtype, &node->shape,
                                        &input, 1, &node->attr, &origin);
}

static void copy_scatter(Prepare *prepare, NodeId id)
{
    const Node *node = &prepare->from->nodes[id];
    NodeId narrow = narrow_form(prepare, node->inputs[1]);
    NodeId inputs[2] = {prepare->map[node->inputs[0]],
                        narrow == NO_NODE ? prepare->map[node->inputs[1]] : narrow};
    Origin origin = node_origin(prepare->from, id);
    prepare->map[id] =
        graph_add(prepare->to, OP_SCATTER_ADD, node->dtype, &node->shape, inputs, 2, &node->attr, &origin);
}

static void copy_nodes(Prepare *prepare, const bool *is_live)
{
    for (NodeId id = 0; id < prepare->from->n_nodes; id++) {
        const Node *node = &prepare->from->nodes[id];
        if (!is_live[id]) {
            continue;
        }
        if (node->op == OP_MATMUL && node->n_inputs == 3) {
            copy_product(prepare, id);
        } else if (node->op == OP_SCATTER_ADD) {
            copy_scatter(prepare, id);
        } else if (node->op != OP_ADD || !copy_sum(prepare, id)) {
            prepare->map[id] = graph_copy_node(prepare->to, prepare->from, id, prepare->map);
        }
        if (node->op == OP_ATTENTION_GRAD) {
            add_results(prepare, id);
        }
    }
}

// A copy of a node as a node of its own: gradients have storage of their own.
static NodeId duplicate(Prepare *prepare, NodeId id)
{
    const Node *node = &prepare->to->nodes[id];
    Origin origin = node_origin(prepare->to, id);
    Shape shape = node->shape;
    return graph_add(prepare->to, OP_RESHAPE, node->dtype, &shape, &id, 1, NULL, &origin);
}

static void copy_outputs(Prepare *prepare)
{
    prepare->is_output = arena_alloc(prepare->arena, (size_t)prepare->to->n_nodes + 1);
    const Graph *from = prepare->from;
    for (int i = 0; i < from->n_outputs; i++) {
        if (from->outputs[i].kind != OUTPUT_GRADIENT) {
            prepare->is_output[prepare->map[from->outputs[i].node]] = true;
        }
    }
    for (int i = 0; i < from->n_outputs; i++) {
        const Output *output = &from->outputs[i];
        NodeId id = prepare->map[output->node];
        if (output->kind == OUTPUT_GRADIENT && prepare->is_output[id]) {
            id = duplicate(prepare, id);
        } else {
            prepare->is_output[id] = true;
        }
        graph_output(prepare->to, output->name, output->kind, id, output->parameter);
    }
}

Graph *fuse_prepare(Arena *arena, const Graph *graph, bool is_fused)
{
    Prepare prepare = {.arena = arena, .from = graph, .to = graph_new(arena, graph)};
    prepare.map = graph_new_map(arena, graph);
    prepare.is_sum = arena_alloc(arena, (size_t)graph->n_nodes + 1);
    const bool *is_live = graph_live_nodes(arena, graph);
    int *uses = arena_alloc(arena, ((size_t)graph->n_nodes + 1) * sizeof *uses);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        for (int i = 0; is_live[id] && i < graph->nodes[id].n_inputs; i++) {
            uses[graph->nodes[id].inputs[i]]++;
        }
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        uses[graph->outputs[i].node]++;
    }
    prepare.uses = uses;
    if (is_fused) {
        mark_sums(&prepare);
    }
    copy_nodes(&prepare, is_live);
    copy_outputs(&prepare);
    return prepare.to;
}
