// Finds attention that is written out: softmax(scale q k^T + biases) v with optional dropout becomes one
// ATTENTION.
//
// Requires: a simplified forward graph (before grad). What is found, on tensors of rank 4 [B, H, N, .]:
//     MATMUL(p, v) or MATMUL(p * KEEP, v), p = SOFTMAX(s) used by such products alone;
//     s = MATMUL(q, k^T), times constants (on s or on q), plus up to two biases after the scaling.
// A bias is taken as small as it is: [b, h, n, m] with extents that were expanded back at 1, and b the number
// of windows where the batch is a tiling (an EXPAND of a new leading dimension, merged by a RESHAPE). Biases
// behind which a trainable parameter lies come first, so that those with a gradient do.
// Ensures: the graph computes the same; other uses of the scores keep them alive beside the ATTENTION.
#pragma once

#include "compiler/graph.h"

Graph *recognise_attention(Arena *arena, const Graph *graph);
