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

typedef struct Emission Emission;

// What differs between the programs for different machines: how kernels are written and how steps call them.
typedef struct Target {
    const char *name;  // "c"
    const Dialect *dialect;
    const char *library;  // prefix of the library's functions, "xv_"
    const char *context;  // what every call gets in front of its arguments, "run, "
    int64_t (*scratch_floats)(Arena *arena, const Program *program);  // that its steps need behind the arena
    int (*launches)(Arena *arena, const Program *program);            // kernel launches of a run
    // Declares an emitted kernel for the steps; `text` is its source.
    void (*declare_kernel)(Emission *emission, const Program *program, const Step *step, const char *name,
                           const char *text);
    const char *(*launch_shape)(Arena *arena, const Kernel *kernel);  // "blocks x threads"; NULL: no launches
} Target;

extern const Target target_c;
extern const Target target_cuda;

struct Emission {
    Arena *arena;
    const Task *task;
    const Target *target;
    EmittedKernel *kernels;  // insertion order
    int n_kernels, kernel_capacity;
    Out *kernel_sources;  // bodies
    Out *kernel_header;   // prototypes
    Out *launches;        // cuda: how each kernel is launched
    Out *attentions;      // cuda: the table of the kernels of attention
    int n_attentions;
};

// "models/swin.dsl:93" of a node, and the kernel's name in the sources (emitting it when it is new).
const char *emitted_kernel(Emission *emission, const Program *program, const Step *step);

// Whether a kernel of that name is there; adding one that is known by `text`.
bool is_kernel_emitted(const Emission *emission, const char *name);
void remember_kernel(Emission *emission, const char *text, const char *name);

// cuda: the kernel that an ATTENTION or ATTENTION_GRAD needs, if it is new.
void emit_cuda_attention(Emission *emission, const Program *program, const Step *step);

void emit_steps(Emission *emission, Out *out, const Program *program, const char *name);
void emit_tables(Out *out, Arena *arena, const Task *task, const Target *target);
void emit_update(Emission *emission, Out *out);
void emit_inspection(Out *out, Emission *emission);

// What every program is linked with, behind the runtime's library.
#define PROGRAM_LIBRARIES "-lcjson -ljpeg -lpng -lz -lutf8proc -lopenblas -lcurl -lm -lpthread -ldl"

// Used by the writers of targets.
Out *emit_opened(Arena *arena, const char *purpose);  // a file that starts with the note and its purpose
void emit_rules(Out *out, const Task *task, const char *of_target);  // OBJECTS and how they are built
bool emit_saved(Arena *arena, const char *directory, const char *file, Out *out);

// cuda: kernels.cu and the files only that target has; see emit_cuda.c.
bool save_cuda_files(Emission *emission, const char *directory);
void open_cuda_files(Emission *emission);
