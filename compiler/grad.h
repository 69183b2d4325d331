// Reverse-mode differentiation, graph to graph.
//
// Requires: a graph that graph_verify accepts; `loss` is an f32 node with one element.
// Ensures: the nodes of `forward` keep their ids; the backward nodes follow, each with the span and path of
// the forward node it belongs to and its name prefixed with d_; the outputs of `forward` stay, and each
// trainable parameter that the loss depends on through differentiable inputs (op.def) gets an
// OUTPUT_GRADIENT, in the order of parameters. Nothing is built for branches without such a parameter.
// Keeps: contributions to one node are added in the order of the reverse walk, so a graph always gives the
// same sums.
#pragma once

#include "compiler/graph.h"

Graph *grad(Arena *arena, const Graph *forward, NodeId loss);

// The derivative of `score`, an f32 node with one element, by any f32 node `target`, as nodes added to the graph
// itself; of the target's shape. NO_NODE where the score does not depend on the target through differentiable inputs.
NodeId grad_between(Graph *graph, NodeId score, NodeId target);
