// Between the walk (grad.c) and the rules (grad_rules.c).
#pragma once

#include "compiler/build.h"

// One node on the reverse walk. A rule reads `node` and `d`, builds what its active inputs get and gives it.
typedef struct Vjp {
    Build build;            // adds to the gradient graph, from the node's origin
    const Node *node;       // the forward node
    NodeId self;            // its id, the same in both graphs
    NodeId d;               // gradient of its result, of its shape
    const bool *is_active;  // per forward node: what a gradient is wanted for lies behind it
    NodeId *gradients;      // per forward node: sum of the contributions so far, or NO_NODE
    bool *is_sum;           // per forward node: there were several
} Vjp;

typedef void VjpRule(Vjp *vjp);

// The rule of an op, or NULL for ops without differentiable inputs.
VjpRule *grad_rule(Op op);

// Whether input i gets a gradient. Rules with one differentiable input need not ask: they are called only
// when it does.
bool vjp_wants(const Vjp *vjp, int i);

// Adds a contribution, of the input's shape, to input i if it gets a gradient.
void vjp_give(Vjp *vjp, int i, NodeId contribution);

// The same for the product a b, accumulated onto the contributions so far by the matmul itself.
void vjp_give_product(Vjp *vjp, int i, NodeId a, NodeId b);
