// Between the rules of graph_verify.c and those of the compounds (graph_verify_compounds.c).
#pragma once

#include "compiler/graph_verify.h"

#define FAULT(...) arena_format(graph->arena, __VA_ARGS__)
#define REQUIRE(condition, ...)        \
    do {                               \
        if (!(condition)) {            \
            return FAULT(__VA_ARGS__); \
        }                              \
    } while (0)
#define DELEGATE(call)               \
    do {                             \
        const char *fault_ = (call); \
        if (fault_ != NULL) {        \
            return fault_;           \
        }                            \
    } while (0)

// NULL, or the sentence that says which rule is broken (in the graph's arena). The inputs exist and their number is
// that of op.def.
typedef const char *Check(const Graph *graph, const Node *node);

static inline const Node *input(const Graph *graph, const Node *node, int i)
{
    return &graph->nodes[node->inputs[i]];
}

static inline const char *text(const Graph *graph, const Shape *shape)
{
    return shape_text(graph->arena, shape);
}

// `what` names the part in the sentence.
const char *same_shape(const Graph *graph, const Shape *wanted, const Shape *found, const char *what);
const char *is_stored_float(const Graph *graph, Dtype found, const char *what);  // f32, bf16, f16
const char *same_dtype(const Graph *graph, Dtype wanted, Dtype found, const char *what);

// Result and inputs are f32 of one shape.
const char *check_float(const Graph *graph, const Node *node);

const char *check_softmax(const Graph *graph, const Node *node);
const char *check_layer_norm(const Graph *graph, const Node *node);
const char *check_cross_entropy(const Graph *graph, const Node *node);
const char *check_attention(const Graph *graph, const Node *node);
const char *check_attention_grad(const Graph *graph, const Node *node);
const char *check_result(const Graph *graph, const Node *node);
