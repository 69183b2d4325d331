// THE list of passes: from the forward graph of an entry point to the programs that are printed.
#pragma once

#include "compiler/task.h"

typedef enum EmitStage {
    EMIT_NOTHING,
    EMIT_AST,
    EMIT_GRAPH,
    EMIT_BACKWARD,
    EMIT_FUSED,
    EMIT_PLAN,
    EMIT_C
} EmitStage;

typedef struct PipelineOptions {
    bool is_fused;     // false: one step per node (--no-fuse)
    bool is_verified;  // check the graph after every pass (--verify)
    EmitStage emit;    // print the state after this stage to `stream`
    FILE *stream;
    Precision precision;
} PipelineOptions;

// Fills train, observe and has_gradient of every entry point, and what products read of parameters.
void pipeline_run(Arena *arena, Interner *names, Task *task, const PipelineOptions *options);
