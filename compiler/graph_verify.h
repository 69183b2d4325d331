// The rules of graph.h as checks: shapes, dtypes, attributes, order, outputs.
//
// Builders check every node they make with graph_node_fault; graph_verify checks a whole graph, its tables
// included, between passes.
#pragma once

#include "compiler/graph.h"

// The first rule that `node` breaks when its inputs are nodes 0..limit-1 of `graph`, as one sentence in the
// graph's arena, or NULL. Does not look at the tables of parameters, inputs and draws.
const char *graph_node_fault(const Graph *graph, const Node *node, NodeId limit);

// The first broken rule of the graph, with the node's number and op ("%12 = matmul: ...") in `arena`, or
// NULL.
const char *graph_verify(Arena *arena, const Graph *graph);
