// Makes a graph smaller without changing what its outputs are: constants folded, algebraic identities,
// movement compositions merged, equal nodes merged (KEEP and SAMPLE of one draw are equal), dead nodes
// dropped.
//
// Right before and after grad: STOP_GRADIENT stays (expand drops it). f32 results may differ in the last bits
// where a division by a constant becomes a multiplication or two constant factors become one. The outputs
// keep their order, names and shapes. Runs to a fixed point; the time is linear in the size of the graph for
// each round, and there are few rounds.
#pragma once

#include "compiler/graph.h"

Graph *simplify(Arena *arena, const Graph *graph);
