// Between the driver (simplify.c), the rules (simplify_algebra.c, simplify_move.c) and passes that add one
// (share_rows.c).
#pragma once

#include "compiler/build.h"

// State of one round over the old graph. `build` appends to the new graph, with the origin of the node at
// hand.
typedef struct Simplifier {
    Build build;
    const Graph *from;
    const int *uses;  // of the old nodes
    NodeId old;       // the old node at hand
} Simplifier;

// A rule sees the node at hand with its inputs already in the new graph. It returns the node of the new graph
// that replaces it, or NO_NODE when it does not apply. What it builds must be nearer to the fixed point.
typedef NodeId SimplifyRule(Simplifier *s, const Node *node);

// The node of the new graph behind input i. Do not keep the pointer across a builder.
const Node *simplify_input(const Simplifier *s, const Node *node, int i);

// Whether nothing but the node at hand uses its input i in the old graph.
bool simplify_is_sole_user(const Simplifier *s, int i);

// simplify with one more rule, tried before the others.
Graph *simplify_with(Arena *arena, const Graph *graph, SimplifyRule *first);

SimplifyRule simplify_algebra;  // elementwise ops and reductions
SimplifyRule simplify_move;     // movement, collectives, matmul operands
