// Train and observe variants of a forward graph; see variant.h.
#include "compiler/variant.h"

#include "compiler/rewrite.h"

Graph *variant_train(Arena *arena, const Graph *forward, Sym name)
{
    Graph *graph = graph_new(arena, forward);
    graph->name = name;
    NodeId *map = graph_new_map(arena, forward);
    for (NodeId id = 0; id < forward->n_nodes; id++) {
        map[id] = graph_copy_node(graph, forward, id, map);
    }
    for (int i = 0; i < forward->n_outputs; i++) {
        const Output *output = &forward->outputs[i];
        if (output->kind == OUTPUT_LOSS) {
            graph_output(graph, output->name, output->kind, map[output->node], -1);
        }
    }
    Graph *pruned = graph_prune(arena, graph);
    pruned->name = name;
    return pruned;
}

Graph *variant_observe(Arena *arena, const Graph *forward, Sym name)
{
    Graph *graph = graph_new(arena, forward);
    graph->name = name;
    NodeId *map = graph_new_map(arena, forward);
    for (NodeId id = 0; id < forward->n_nodes; id++) {
        const Node *node = &forward->nodes[id];
        if (node->op == OP_KEEP) {
            Origin origin = node_origin(forward, id);
            map[id] = graph_const(graph, 1, DTYPE_F32, &node->shape, &origin);
        } else {
            map[id] = graph_copy_node(graph, forward, id, map);
        }
    }
    graph_copy_outputs(graph, forward, map);
    return graph;
}
