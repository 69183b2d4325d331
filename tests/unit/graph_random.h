// Random graphs for tests that compare a graph with what a pass makes of it.
#pragma once

#include "tests/unit/graph_fixture.h"

// Adds `n_steps` random nodes (and what they need) to the fixture's graph; all values stay small. The last
// nodes become outputs, and a scalar "loss" that depends on all of them; returns the loss.
NodeId random_graph(Fixture *fixture, int n_steps);
