// Linear layers that read the same rows become one: y_i = x W_i^T + b_i for queries, keys and values is x W^T + b with
// W and b the matrices and biases one behind the other, cut into y_i afterwards. Nothing is copied for that: the
// parameters lie side by side in memory, in the order of the pack. Layers of one module come first, as every graph has
// them; those of several modules, as keys and values of one image, follow when passes over the same rows are shared.
//
// A pack is a further entry of the parameter table (Parameter.members), which PARAM nodes and gradients name like any
// other. Which parameters are packed is decided by the first graph of a task that could use it; a graph whose products
// do not all fit a pack keeps the single parameters. A pack can be a member of a larger one: its members are those of
// both.
#pragma once

#include "compiler/task.h"

typedef struct Packs Packs;

Packs *packs_new(Arena *arena, Interner *names, const Task *task);

// Requires: a simplified forward graph without unused nodes. Ensures: the graph computes the same, up to rounding.
// Layers of different modules are packed only `across_modules`.
Graph *pack_products(Packs *packs, const Graph *graph, bool across_modules);

// Gives the task the longer table of parameters and places that keep the members of a pack together.
void packs_place(const Packs *packs, Task *task);
