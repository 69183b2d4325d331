// Names and shapes of the tensors in a safetensors file, for `--shapes`. The data is not read.
#pragma once

#include "compiler/elaborate.h"

// The tensors in file order; NULL after a message on `diag` when the file is not a safetensors file.
GivenShape *shapes_read(Arena *arena, Diag *diag, const char *path, int *n_shapes);

// A file for several ranks names its tensors `rank<R>.NAME`; those without a rank are for all of them. Leaves what
// rank 0 is given, under plain names, and returns the number of ranks: 1 where no name has a rank, 0 after a message
// when the ranks are not 0, 1, ... or are given different tensors.
int shapes_of_ranks(Arena *arena, Diag *diag, const char *path, GivenShape *shapes, int *n_shapes);
