// The rules of kernel.h and program.h as checks. Each returns NULL or the sentence that says what is wrong.
#pragma once

#include "compiler/program.h"

const char *kernel_verify(Arena *arena, const Kernel *kernel);
// All kernels, views within their storage, values written before they are read, no overlap of what is alive at once.
// The memory plan must have been made.
const char *program_verify(Arena *arena, const Program *program);
