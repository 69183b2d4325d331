// A graph as text: one line per node, then the outputs. Stable: the same graph gives the same bytes.
//
//     %3 = sum %2 axes=[1] : f32[4, 1]  # text_encoder.bert total
//     output loss loss_itc %3
//     output gradient temp %9
#pragma once

#include "compiler/graph.h"

// The whole text, in the arena.
const char *graph_print(Arena *arena, const Graph *graph);

// One line, without the newline.
const char *graph_print_node(Arena *arena, const Graph *graph, NodeId id);

// "loss", "gradient", ...
const char *output_kind_name(OutputKind kind);
