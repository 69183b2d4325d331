// Shared by the files of the C emitter.
#pragma once

#include "codegen/dialect.h"
#include "codegen/names.h"
#include "compiler/base/out.h"
#include "compiler/task.h"

// Kernels of equal text are emitted once: text of everything behind the name -> name.
typedef struct EmittedKernel {
    const char *text;
    const char *name;
} EmittedKernel;

typedef struct Emission {
    Arena *arena;
    const Task *task;
    EmittedKernel *kernels;     // insertion order
    int n_kernels, kernel_capacity;
    Out *kernel_sources;        // bodies
    Out *kernel_header;         // prototypes
} Emission;

// Bytes of scratch memory behind the arena: the largest need of any kernel.
int64_t scratch_bytes(const Program *program);

// "models/swin.dsl:93" of a node, and the kernel's name in the sources (emitting it when it is new).
const char *emitted_kernel(Emission *emission, const Program *program, const Step *step);

void emit_steps(Emission *emission, Out *out, const Program *program, const char *name);
void emit_tables(Out *out, Arena *arena, const Task *task);
void emit_update(Emission *emission, Out *out);
void emit_inspection(Out *out, Emission *emission);
