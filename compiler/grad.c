// The reverse walk: which nodes are active, the order of contributions, the outputs. The rules are in
// grad_rules.c.
#include "compiler/grad.h"

#include "compiler/grad_internal.h"
#include "compiler/rewrite.h"

bool vjp_wants(const Vjp *vjp, int i)
{
    bool flows = op_info(vjp->node->op)->differentiable >> (i < 31 ? i : 31) & 1;
    return flows && vjp->is_active[vjp->node->inputs[i]];
}

void vjp_give(Vjp *vjp, int i, NodeId contribution)
{
    if (vjp_wants(vjp, i)) {
        NodeId *sum = &vjp->gradients[vjp->node->inputs[i]];
        vjp->is_sum[vjp->node->inputs[i]] = *sum != NO_NODE;
        *sum = *sum == NO_NODE ? contribution : build_add(&vjp->build, *sum, contribution);
    }
}

void vjp_give_product(Vjp *vjp, int i, NodeId a, NodeId b)
{
    if (vjp_wants(vjp, i)) {
        NodeId *sum = &vjp->gradients[vjp->node->inputs[i]];
        vjp->is_sum[vjp->node->inputs[i]] = *sum != NO_NODE;
        *sum = graph_matmul(vjp->build.graph, a, b, *sum, &vjp->build.origin);
    }
}

static bool is_trainable(const Graph *graph, const Node *node)
{
    return node->op == OP_PARAM && graph->parameters[node->attr.index].is_trainable;
}

// Behind which nodes a wanted one lies: `target`, or with NO_NODE any trainable parameter. Gradients exist for f32
// nodes only; integers and bools end their flow.
static bool *find_active(Arena *arena, const Graph *graph, NodeId target)
{
    bool *is_active = arena_alloc(arena, (size_t)graph->n_nodes * sizeof *is_active);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        uint32_t differentiable = op_info(node->op)->differentiable;
        bool reaches = target == NO_NODE ? is_trainable(graph, node) : id == target;
        for (int i = 0; i < node->n_inputs; i++) {
            bool flows = differentiable >> (i < 31 ? i : 31) & 1;
            reaches = reaches || (flows && is_active[node->inputs[i]]);
        }
        is_active[id] = reaches && node->dtype == DTYPE_F32;
    }
    return is_active;
}

static Graph *copy_forward(Arena *arena, const Graph *forward)
{
    NodeId *map = graph_new_map(arena, forward);
    Graph *graph = graph_new_rewrite(arena, forward);
    for (NodeId id = 0; id < forward->n_nodes; id++) {
        map[id] = graph_copy_node(graph, forward, id, map);
    }
    graph_copy_outputs(graph, forward, map);
    return graph;
}

// Names are hints, not compared, so the d_ name need not be interned.
static Origin backward_origin(Arena *arena, const Graph *forward, NodeId id)
{
    Origin origin = node_origin(forward, id);
    if (origin.name != NULL) {
        origin.name = arena_format(arena, "d_%s", origin.name);
    }
    return origin;
}

// The gradient of a node; marked where several contributions were added.
static NodeId kept_sum(Vjp *vjp, NodeId id)
{
    NodeId d = vjp->gradients[id];
    return vjp->is_sum[id] ? build_unary(&vjp->build, OP_KEPT, d) : d;
}

// From the loss down to, and without, the node `end`.
static void walk(Vjp *vjp, const Graph *forward, NodeId loss, NodeId end)
{
    for (NodeId id = loss; id > end; id--) {
        const Node *node = &forward->nodes[id];
        if (!vjp->is_active[id] || vjp->gradients[id] == NO_NODE || node->op == OP_PARAM) {
            continue;
        }
        VjpRule *rule = grad_rule(node->op);
        if (rule == NULL) {
            XV_BUG("%s has no gradient rule", op_info(node->op)->name);
        }
        vjp->build.origin = backward_origin(vjp->build.graph->arena, forward, id);
        vjp->node = node;
        vjp->self = id;
        vjp->d = kept_sum(vjp, id);
        rule(vjp);
    }
}

// A parameter that several PARAM nodes read gets the sum of their gradients.
static void add_outputs(Graph *graph, const Graph *forward, const NodeId *gradients)
{
    NodeId *sums = arena_alloc(graph->arena, (size_t)graph->n_parameters * sizeof *sums);
    for (int p = 0; p < graph->n_parameters; p++) {
        sums[p] = NO_NODE;
    }
    for (NodeId id = 0; id < forward->n_nodes; id++) {
        const Node *node = &forward->nodes[id];
        if (is_trainable(graph, node) && gradients[id] != NO_NODE) {
            NodeId *sum = &sums[node->attr.index];
            Origin origin = backward_origin(graph->arena, forward, id);
            NodeId more = gradients[id];
            *sum = *sum == NO_NODE ? more : graph_binary(graph, OP_ADD, *sum, more, &origin);
        }
    }
    for (int p = 0; p < graph->n_parameters; p++) {
        if (sums[p] != NO_NODE) {
            graph_output(graph, graph->parameters[p].name, OUTPUT_GRADIENT, sums[p], p);
        }
    }
}

Graph *grad(Arena *arena, const Graph *forward, NodeId loss)
{
    XV_ASSERT(loss >= 0 && loss < forward->n_nodes);
    const Node *node = &forward->nodes[loss];
    if (node->dtype != DTYPE_F32 || shape_count(&node->shape) != 1) {
        XV_BUG("the loss is %s%s, not one f32", dtype_name(node->dtype), shape_text(arena, &node->shape));
    }
    Graph *graph = copy_forward(arena, forward);
    Vjp vjp = {.is_active = find_active(arena, forward, NO_NODE),
               .is_sum = arena_alloc(arena, (size_t)forward->n_nodes + 1),
               .gradients = graph_new_map(arena, forward)};
    vjp.build.graph = graph;
    if (vjp.is_active[loss]) {
        Origin origin = backward_origin(arena, forward, loss);
        vjp.gradients[loss] = graph_const(graph, 1.0, DTYPE_F32, &node->shape, &origin);
        walk(&vjp, forward, loss, NO_NODE);
    }
    add_outputs(graph, forward, vjp.gradients);
    return graph;
}

NodeId grad_between(Graph *graph, NodeId score, NodeId target)
{
    XV_ASSERT(score >= 0 && score < graph->n_nodes && target >= 0 && target < graph->n_nodes);
    const Graph forward = *graph;  // growing leaves these nodes where they are
    Vjp vjp = {.is_active = find_active(graph->arena, &forward, target),
               .is_sum = arena_alloc(graph->arena, (size_t)forward.n_nodes + 1),
               .gradients = graph_new_map(graph->arena, &forward)};
    vjp.build.graph = graph;
    if (!vjp.is_active[score]) {
        return NO_NODE;
    }
    Origin origin = backward_origin(graph->arena, &forward, score);
    vjp.gradients[score] = graph_const(graph, 1.0, DTYPE_F32, &forward.nodes[score].shape, &origin);
    walk(&vjp, &forward, score, target);
    return vjp.gradients[target];
}
