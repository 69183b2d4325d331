// Short forms of the graph builders for code that writes formulas: the graph and the origin come along in a
// Build. The second half holds the formulas that a compound's definition and its gradient share: written
// once, so that equal nodes come out and are merged.
#pragma once

#include "compiler/graph.h"

typedef struct Build {
    Graph *graph;
    Origin origin;
} Build;

const Shape *build_shape(const Build *build, NodeId x);
int64_t build_last(const Build *build, NodeId x);        // extent of the last dimension
uint32_t build_last_axis(const Build *build, NodeId x);  // its axis as a mask

NodeId build_unary(Build *build, Op op, NodeId x);
NodeId build_add(Build *build, NodeId x, NodeId y);
NodeId build_sub(Build *build, NodeId x, NodeId y);
NodeId build_mul(Build *build, NodeId x, NodeId y);
NodeId build_div(Build *build, NodeId x, NodeId y);
NodeId build_compare(Build *build, Op op, NodeId x, NodeId y);
NodeId build_number(Build *build, double number, NodeId like);  // f32, of like's shape
NodeId build_scale(Build *build, NodeId x, double factor);      // x * factor; x itself for 1
NodeId build_shift(Build *build, NodeId x, double offset);      // x + offset
NodeId build_select(Build *build, NodeId condition, NodeId x, double otherwise);
NodeId build_grow(Build *build, NodeId x, NodeId like);  // EXPAND to like's shape, ranks equal
NodeId build_sum(Build *build, NodeId x, uint32_t axes);
NodeId build_mean_last(Build *build, NodeId x);  // [..., C] -> [..., 1]
NodeId build_reshape(Build *build, NodeId x, int rank, const int64_t *dims);
NodeId build_transpose(Build *build, NodeId x);
NodeId build_matmul(Build *build, NodeId a, NodeId b);

// exp(x - max) and what belongs to it, over the last axis.
typedef struct SoftmaxParts {
    NodeId maximum;       // [..., 1]
    NodeId shifted;       // [..., C], x - maximum
    NodeId exponentials;  // [..., C]
    NodeId sum;           // [..., 1]
} SoftmaxParts;

SoftmaxParts build_softmax_parts(Build *build, NodeId x);
NodeId build_log_sum_exp(Build *build, const SoftmaxParts *parts);  // [..., 1]

// Biased variance over the last axis, as PyTorch's layer_norm.
typedef struct NormParts {
    NodeId rstd;        // [..., 1], 1 / sqrt(variance + epsilon)
    NodeId normalised;  // [..., C], (x - mean) * rstd
} NormParts;

NormParts build_norm_parts(Build *build, NodeId x, double epsilon);

// Whether column c is the label of row r: bool [R, C].
NodeId build_is_label(Build *build, NodeId logits, NodeId label);

// An attention bias [b, h, n, m] as [B, H, N, M] = `full` (batch index mod b), and the adjoint: the sum of x
// [B, H, N, M] down to [b, h, n, m].
NodeId build_bias_full(Build *build, NodeId bias, const Shape *full);
NodeId build_bias_sum(Build *build, NodeId x, const Shape *bias);

// scale * q k^T + biases: [B, H, N, M].
typedef struct Scores {
    NodeId q, k;
    double scale;
    const NodeId *biases;
    int n_biases;
} Scores;

NodeId build_scores(Build *build, const Scores *scores);
