// Computes once what several passes over the same rows compute, and only the rows that are read.
//
// Requires: a simplified forward graph; attention recognised. Ensures: the graph computes the same (up to
// rounding), simplified. Each part has its own switch:
//
//     SHARE_GATHERED   A product with a matrix works row by row, so it commutes with taking and joining rows:
//                      TAKE(x, i) W = TAKE(x W, i), CONCAT(x, y) W = CONCAT(x W, y W). Applied where products
//                      that exist anyway make the right side cheaper: keys and values of one image for the
//                      matching, negative, box and word passes.
//     SHARE_ROWS       SLICE and TAKE of rows move towards the sources through row-wise ops: elementwise,
//                      layer norm, products, the query side of attention without dropout. The last layer is
//                      then computed for the tokens that a head reads.
#pragma once

#include "compiler/graph.h"

//     SHARE_SLICES     Gathers of all parts of a tensor are one gather of the tensor.
enum { SHARE_GATHERED = 1, SHARE_ROWS = 2, SHARE_SLICES = 4, SHARE_ALL = 7 };

Graph *share(Arena *arena, const Graph *graph, uint32_t which);

// The parts alone; their results are not simplified (GATHERED, SLICES) or are (ROWS).
Graph *share_gathered(Arena *arena, const Graph *graph);
Graph *share_slices(Arena *arena, const Graph *graph);
Graph *share_rows(Arena *arena, const Graph *graph);
