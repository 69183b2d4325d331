// Small graphs with data for tests: parameters and inputs with reproducible values, and comparison of two
// graphs.
#pragma once

#include "tests/unit/graph_eval.h"

enum { FIXTURE_TABLE = 24 };

typedef struct Fixture {
    Arena *arena;
    Graph *graph;
    Origin origin;
    uint64_t state;  // of the random sequence
    Parameter parameters[FIXTURE_TABLE];
    GraphInput inputs[FIXTURE_TABLE];
    Draw draws[FIXTURE_TABLE];
    double *parameter_values[FIXTURE_TABLE];
    double *input_values[FIXTURE_TABLE];
    double *draw_values[FIXTURE_TABLE];
} Fixture;

// A fixture with an empty graph; its arena lives until fixture_free.
Fixture *fixture_new(uint64_t seed);
void fixture_free(Fixture *fixture);

// Uniform in [low, high).
double fixture_random(Fixture *fixture, double low, double high);

Shape shape1(int64_t a);
Shape shape2(int64_t a, int64_t b);
Shape shape3(int64_t a, int64_t b, int64_t c);
Shape shape4(int64_t a, int64_t b, int64_t c, int64_t d);

// A trainable parameter with values in [low, high), or one that is not trainable with values in [-1, 1).
NodeId fixture_param(Fixture *fixture, Shape shape, double low, double high);
NodeId fixture_fixed(Fixture *fixture, Shape shape);
// An i32 input with values 0..n-1, drawn.
NodeId fixture_index(Fixture *fixture, Shape shape, int64_t n);
// A draw of factors 0 or 2, and the KEEP node that reads it.
int fixture_draw(Fixture *fixture, Shape shape);
NodeId fixture_keep(Fixture *fixture, int draw);

// sum(x * fixed weights): a scalar that depends on every element of x differently.
NodeId fixture_loss(Fixture *fixture, NodeId x);

// Values of all nodes of a graph with the fixture's tables.
double **fixture_eval(Fixture *fixture, const Graph *graph);

// Fails the running test unless both graphs have the same outputs (names, kinds, parameters) with values
// within `tolerance` of the largest, and both pass graph_verify.
void fixture_assert_same(Fixture *fixture, const Graph *a, const Graph *b, double tolerance);

// Number of nodes of an op.
int count_op(const Graph *graph, Op op);
