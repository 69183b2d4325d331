// Kernels as text, for `--emit=fused` and for tests: the loops, then one line per statement.
//
//     kernel norm1_y, rows [2, 49], lanes 6
//       lanes
//         a0 sum= %3[r0*294 + r1*6 + c]
//       row
//         v1 = a0 * 0.1666666667
//
// r0, r1 are row coordinates, k0 reduce coordinates, c the lane, %n[i] element i of a stored value, v and a variables
// and accumulators, v1[c] a value kept per lane.
#pragma once

#include "compiler/base/out.h"
#include "compiler/kernel.h"

void kernel_print(Out *out, Arena *arena, const Kernel *kernel);
