// Programs as text, for `--emit=fused`: one line per step, with the ops each kernel takes in.
#pragma once

#include "compiler/program.h"

const char *program_print(Arena *arena, const Program *program);
