// From items to the stages of a kernel. The stages of a row, for p = 0, 1, ...: what is known once p accumulators are
// complete, first per row, then per lane, then the same inside the reduce loops. A value that several statements of a
// stage use gets a name there; a value per row that lanes use is computed before them; a value per lane that a later
// stage needs again is computed again if it is cheap, and kept in a lane buffer if not.
#pragma once

#include "compiler/fuse_items.h"

// Fills stages, buffers, nodes and costs of the kernel with the members of the group that are stored.
void fuse_stages(Items *items, Kernel *kernel);
