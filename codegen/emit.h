// Writes the sources of a compiled task for a target: kernels, the steps of every graph, tables, a Makefile.
#pragma once

#include "compiler/base/diag.h"
#include "compiler/task.h"

// Writes into `directory` (which must exist); files whose content did not change are not touched. `target` is "c" or
// "cuda". False after a message when a file cannot be written.
bool emit_program(Arena *arena, const Task *task, const char *target, const char *directory);
