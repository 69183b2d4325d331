// Evaluates a graph in float64, for tests only: plain loops written from graph.h, independent of the
// expansions and gradient rules of the compiler. Integers and bools are doubles with integral values.
#pragma once

#include "compiler/graph.h"

// Values by table index, row-major; entries that the graph does not use may be NULL.
typedef struct EvalData {
    const double *const *inputs;
    const double *const *parameters;
    const double *const *draws;  // KEEP factors (0 or 1 / (1 - rate)), SAMPLE results
} EvalData;

// A float rounded to a storage type; other dtypes leave it.
double eval_rounded(double x, Dtype dtype);

// The value of every node, in the arena, rounded where its dtype is a storage type. Collectives see ranks with
// equal data: ALL_GATHER repeats, OWN_ROWS takes the first rows.
double **graph_eval(Arena *arena, const Graph *graph, const EvalData *data);
