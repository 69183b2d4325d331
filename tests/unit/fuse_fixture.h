// Runs a graph as a program, fused and unfused, and compares it with graph_eval.
#pragma once

#include "compiler/program.h"
#include "tests/unit/graph_fixture.h"

// The graph as it reaches fusion: simple compounds expanded, simplified.
Graph *fuse_ready(Fixture *fixture, const Graph *graph);
// Fails the running test unless the program computes what the graph does, within `tolerance` of the largest value of
// each output. The program, with its memory plan.
const Program *fuse_assert(Fixture *fixture, const Graph *graph, bool is_fused, double tolerance);
int count_steps(const Program *program, StepKind kind);
