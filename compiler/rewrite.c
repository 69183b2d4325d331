// Shared parts of graph -> graph passes; see rewrite.h.
#include "compiler/rewrite.h"

Graph *graph_new_rewrite(Arena *arena, const Graph *from)
{
    Graph *graph = graph_new(arena, from);
    graph->node_capacity = from->n_nodes + from->n_nodes / 4 + 16;
    graph->nodes = arena_alloc(arena, (size_t)graph->node_capacity * sizeof *graph->nodes);
    return graph;
}

NodeId graph_copy_node(Graph *to, const Graph *from, NodeId id, const NodeId *map)
{
    const Node *node = &from->nodes[id];
    NodeId few[8], *inputs = few;
    if (node->n_inputs > 8) {
        inputs = arena_alloc(to->arena, (size_t)node->n_inputs * sizeof *inputs);
    }
    for (int i = 0; i < node->n_inputs; i++) {
        inputs[i] = map[node->inputs[i]];
        XV_ASSERT(inputs[i] != NO_NODE);
    }
    Origin origin = node_origin(from, id);
    return graph_add(to, node->op, node->dtype, &node->shape, inputs, node->n_inputs, &node->attr, &origin);
}

void graph_copy_outputs(Graph *to, const Graph *from, const NodeId *map)
{
    for (int i = 0; i < from->n_outputs; i++) {
        const Output *output = &from->outputs[i];
        graph_output(to, output->name, output->kind, map[output->node], output->parameter);
    }
}

NodeId *graph_new_map(Arena *arena, const Graph *graph)
{
    NodeId *map = arena_alloc(arena, (size_t)graph->n_nodes * sizeof *map);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        map[id] = NO_NODE;
    }
    return map;
}

int *graph_use_counts(Arena *arena, const Graph *graph)
{
    int *uses = arena_alloc(arena, (size_t)graph->n_nodes * sizeof *uses);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        for (int i = 0; i < node->n_inputs; i++) {
            uses[node->inputs[i]]++;
        }
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        uses[graph->outputs[i].node]++;
    }
    return uses;
}

bool *graph_live_nodes(Arena *arena, const Graph *graph)
{
    bool *is_live = arena_alloc(arena, (size_t)graph->n_nodes * sizeof *is_live);
    for (int i = 0; i < graph->n_outputs; i++) {
        is_live[graph->outputs[i].node] = true;
    }
    for (NodeId id = graph->n_nodes - 1; id >= 0; id--) {
        const Node *node = &graph->nodes[id];
        for (int i = 0; is_live[id] && i < node->n_inputs; i++) {
            is_live[node->inputs[i]] = true;
        }
    }
    return is_live;
}

Graph *graph_prune(Arena *arena, const Graph *graph)
{
    const bool *is_live = graph_live_nodes(arena, graph);
    NodeId *map = graph_new_map(arena, graph);
    Graph *pruned = graph_new_rewrite(arena, graph);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        if (is_live[id]) {
            map[id] = graph_copy_node(pruned, graph, id, map);
        }
    }
    graph_copy_outputs(pruned, graph, map);
    return pruned;
}
