// What the backward pass computes again instead of keeping: an activation beside its derivative. A kernel that makes
// GELU'(x) dy for the gradient has x at hand, so the gradient of the weights behind the activation reads a GELU(x) of
// its own, and the first one dies in the forward pass. It is the widest value of a layer. See fuse_internal.h.
#include "compiler/fuse_internal.h"

#include "compiler/rewrite.h"

typedef struct Again {
    const Graph *from;
    Graph *to;
    NodeId *map;
    NodeId *product;    // per node x: the MUL with the derivative at x, or NO_NODE
    NodeId *copy;       // per GELU: the second one, or NO_NODE
    bool *is_gradient;  // per node: it only goes into the gradient of a parameter
} Again;

static const Node *node_at(const Again *again, NodeId id)
{
    return &again->from->nodes[id];
}

static void find_gradients(Again *again, bool *is_other)
{
    const Graph *graph = again->from;
    for (int i = 0; i < graph->n_outputs; i++) {
        NodeId id = graph->outputs[i].node;
        again->is_gradient[id] = true;
        is_other[id] = is_other[id] || graph->outputs[i].kind != OUTPUT_GRADIENT;
    }
    for (NodeId id = graph->n_nodes - 1; id >= 0; id--) {
        const Node *node = &graph->nodes[id];
        bool is_used = again->is_gradient[id] || is_other[id];
        again->is_gradient[id] = again->is_gradient[id] && !is_other[id];
        for (int i = 0; is_used && i < node->n_inputs; i++) {
            bool passes =
                again->is_gradient[id] && (node->op == OP_ADD || node->op == OP_RESHAPE ||
                                           node->op == OP_PERMUTE || (node->op == OP_MATMUL && i == 2));
            bool *mark = passes ? again->is_gradient : is_other;
            mark[node->inputs[i]] = true;
        }
    }
}

// MUL nodes with one factor GELU'(x), the only ones that read it.
static void find_products(Again *again, const int *uses)
{
    for (NodeId id = 0; id < again->from->n_nodes; id++) {
        again->product[id] = again->copy[id] = NO_NODE;
    }
    for (NodeId id = 0; id < again->from->n_nodes; id++) {
        const Node *node = node_at(again, id);
        for (int i = 0; node->op == OP_MUL && i < 2; i++) {
            const Node *factor = node_at(again, node->inputs[i]);
            if (factor->op == OP_GELU_GRAD && uses[node->inputs[i]] == 1) {
                again->product[factor->inputs[0]] = id;
            }
        }
    }
}

// The value as it is made from the second activation; NO_NODE if it is not made from one by rounding and movement.
static NodeId second(Again *again, NodeId id)
{
    const Node *node = node_at(again, id);
    Origin origin = node_origin(again->from, id);
    NodeId input = node->n_inputs == 1 ? node->inputs[0] : NO_NODE;
    if (node->op == OP_GELU && again->product[input] != NO_NODE) {
        if (again->copy[id] == NO_NODE) {
            again->copy[id] = graph_unary(again->to, OP_GELU, again->map[input], &origin);
        }
        return again->copy[id];
    }
    if (node->op != OP_RESHAPE && node->op != OP_PERMUTE && node->op != OP_CAST) {
        return NO_NODE;
    }
    NodeId below = second(again, input);
    return below == NO_NODE
               ? NO_NODE
               : graph_add(again->to, node->op, node->dtype, &node->shape, &below, 1, &node->attr, &origin);
}

static NodeId copy_product(Again *again, NodeId id)
{
    const Node *node = node_at(again, id);
    NodeId inputs[3];
    for (int i = 0; i < node->n_inputs; i++) {
        NodeId again_made = i < 2 ? second(again, node->inputs[i]) : NO_NODE;
        inputs[i] = again_made == NO_NODE ? again->map[node->inputs[i]] : again_made;
    }
    Origin origin = node_origin(again->from, id);
    return graph_add(again->to, OP_MATMUL, node->dtype, &node->shape, inputs, node->n_inputs, &node->attr,
                     &origin);
}

Graph *fuse_again(Arena *arena, const Graph *graph, NodeId **beside)
{
    size_t n = (size_t)graph->n_nodes + 1;
    Again again = {.from = graph, .to = graph_new_rewrite(arena, graph), .map = graph_new_map(arena, graph)};
    again.product = arena_alloc(arena, n * sizeof *again.product);
    again.copy = arena_alloc(arena, n * sizeof *again.copy);
    again.is_gradient = arena_alloc(arena, n);
    find_gradients(&again, arena_alloc(arena, n));
    find_products(&again, graph_use_counts(arena, graph));
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        bool is_weight = graph->nodes[id].op == OP_MATMUL && again.is_gradient[id];
        again.map[id] =
            is_weight ? copy_product(&again, id) : graph_copy_node(again.to, graph, id, again.map);
    }
    graph_copy_outputs(again.to, graph, again.map);
    *beside = graph_new_map(arena, again.to);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        if (again.copy[id] != NO_NODE) {
            (*beside)[again.copy[id]] = again.map[again.product[graph->nodes[id].inputs[0]]];
        }
    }
    return again.to;
}
