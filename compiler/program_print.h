// Programs as text, for `--emit=fused`: calls as one line with their strided views (extent:stride of each dimension),
// kernels as kernel_print.h says, with the ops they take in.
#pragma once

#include "compiler/program.h"

const char *program_print(Arena *arena, const Program *program);
