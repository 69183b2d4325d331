// Runs a graph as a program, fused and unfused, and compares it with graph_eval.
#pragma once

#include "compiler/build.h"
#include "compiler/program.h"
#include "tests/unit/graph_fixture.h"

// The graph as it reaches fusion: simple compounds expanded, simplified.
Graph *fuse_ready(Fixture *fixture, const Graph *graph);
// Fails the running test unless the program computes what the graph does, within `tolerance` of the largest value of
// each output. The program, with its memory plan.
const Program *fuse_assert(Fixture *fixture, const Graph *graph, bool is_fused, double tolerance);
int count_steps(const Program *program, StepKind kind);

// A graph under construction, its outputs y0, y1, ...
typedef struct Form {
    Fixture *fixture;
    Graph *graph;
    const Origin *o;
    Build build;
} Form;

Form form_new(uint64_t seed);
void form_output(Form *form, NodeId node);
// Runs it fused and unfused; the fused program.
const Program *form_run(Form *form);
