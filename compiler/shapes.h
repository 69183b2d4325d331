// Names and shapes of the tensors in a safetensors file, for `--shapes`. The data is not read.
#pragma once

#include "compiler/elaborate.h"

// The tensors in file order; NULL after a message on `diag` when the file is not a safetensors file.
const GivenShape *shapes_read(Arena *arena, Diag *diag, const char *path, int *n_shapes);
