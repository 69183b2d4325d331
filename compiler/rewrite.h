// What passes that rebuild a graph have in common: copying nodes with renumbered inputs, counting uses,
// dropping what no output reaches.
#pragma once

#include "compiler/graph.h"

// An empty graph like `from` with room for as many nodes, for passes that keep most of them.
Graph *graph_new_rewrite(Arena *arena, const Graph *from);

// Appends a copy of from's node `id` whose input i is map[old input i]. The map is indexed by from's node
// ids.
NodeId graph_copy_node(Graph *to, const Graph *from, NodeId id, const NodeId *map);

// Adds from's outputs in order.
void graph_copy_outputs(Graph *to, const Graph *from, const NodeId *map);

// A map of n_nodes entries, all NO_NODE.
NodeId *graph_new_map(Arena *arena, const Graph *graph);

// For each node, how often it is an input or an output.
int *graph_use_counts(Arena *arena, const Graph *graph);

// For each node, whether an output depends on it.
bool *graph_live_nodes(Arena *arena, const Graph *graph);

// The graph without the nodes that no output depends on; the others keep their order.
Graph *graph_prune(Arena *arena, const Graph *graph);
