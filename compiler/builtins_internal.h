// Between the table of built-in functions (builtins.c) and the functions (builtins_*.c).
#pragma once

#include "compiler/elab.h"

enum { MAX_ARGUMENTS = 5 };

typedef struct Call {
    Elab *elab;
    Span span;
    Value argument[MAX_ARGUMENTS];  // by parameter position; VALUE_NONE kind where absent
    Span place[MAX_ARGUMENTS];
    const struct Builtin *builtin;
} Call;

struct Builtin {
    const char *name;
    Value (*call)(Call *call);
    int n_required;
    const char *parameters[MAX_ARGUMENTS];
    int detail;  // Op of the functions that share an implementation
};

// Arguments by parameter position (builtins.c). False, or NO_NODE, after a message.
NodeId node_argument(Call *call, int i);
bool int_argument(Call *call, int i, int64_t *value);
bool number_argument(Call *call, int i, double *value);
// Integers, `limit` at most; `items` has room for as many.
bool list_argument(Call *call, int i, int limit, int64_t *items, int *n_items);
// A list of extents, each at least 1.
bool shape_argument(Call *call, int i, Shape *shape);
// A dimension of a tensor of `rank`; negative ones count from the end.
bool axis_argument(Call *call, int i, int rank, int *axis);

Value node_value(Call *call, NodeId node);
const Shape *shape_at(Call *call, NodeId node);  // borrowed, until the graph grows

// The functions: a value, or an ERROR value after a message.
// Elementwise, reductions, sources and compounds (builtins_compute.c).
Value call_arange(Call *call);
Value call_argmax(Call *call);
Value call_binary(Call *call);
Value call_cast(Call *call);
Value call_cross_entropy(Call *call);
Value call_full(Call *call);
Value call_layer_norm(Call *call);
Value call_reduce_max(Call *call);
Value call_softmax(Call *call);
Value call_sum(Call *call);
Value call_unary(Call *call);
Value call_where(Call *call);

// Movement (builtins_move.c).
Value call_concat(Call *call);
Value call_expand(Call *call);
Value call_permute(Call *call);
Value call_reshape(Call *call);
Value call_roll(Call *call);
Value call_tile(Call *call);

// Randomness and ranks (builtins_draw.c).
Value call_all_gather(Call *call);
Value call_drop_path(Call *call);
Value call_dropout(Call *call);
Value call_gradient(Call *call);
Value call_sample(Call *call);
Value call_top_k(Call *call);
