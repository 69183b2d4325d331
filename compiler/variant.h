// The two readings of an entry point's forward graph.
#pragma once

#include "compiler/graph.h"

// What a training step needs: the losses alone; everything else is dropped.
Graph *variant_train(Arena *arena, const Graph *forward, Sym name);

// What evaluation and replay look at: every output, dropout and stochastic depth off (KEEP is 1), named samples kept.
Graph *variant_observe(Arena *arena, const Graph *forward, Sym name);
