// Runs a program in float64, for tests only: kernels statement by statement, library steps through graph_eval. Values
// live where the memory plan puts them, and memory that holds nothing alive is NaN, so that a plan that lets values
// overlap, or an order that reads too early, gives wrong results.
#pragma once

#include "compiler/program.h"
#include "tests/unit/graph_eval.h"

// The values of the graph's outputs, in their order. The plan must have been made. Fails the running test on access
// outside of a buffer.
double **program_eval(Arena *arena, const Program *program, const EvalData *data);
