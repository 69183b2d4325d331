// The memory plan: live ranges and places of all stored values; see plan_memory in program.h.
#pragma once

#include "compiler/program.h"

// One line per value: offset, bytes, first and last step, name; then the peak and what it would be without reuse.
const char *plan_print(Arena *arena, const Program *program);
