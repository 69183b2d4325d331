// From syntax to a task: evaluates configuration and constants, instantiates the model, and builds the forward graph of
// every entry point. All user-facing semantic errors come from here.
#pragma once

#include "compiler/task.h"
#include "compiler/value.h"
#include "dsl/ast.h"

// A configuration value from outside the DSL: a configuration file or `--set`.
typedef struct Override {
    const char *path;    // "text_config.hidden_size"
    Value value;         // number, boolean, text or list
    const char *origin;  // "config.yaml:12" or "--set", for messages
    bool is_strict;      // an unknown path is an error (--set), not a note
    bool is_optional;    // an unknown path is not even a note
    bool is_used;        // set by elaborate
} Override;

// Shape of a tensor that an entry point will be given (--shapes): binds symbolic dimensions.
typedef struct GivenShape {
    const char *name;
    Shape shape;
} GivenShape;

typedef struct ElaborateOptions {
    const char *model;    // name of the model, from the file name
    const char *task;     // which task; NULL: check everything outside tasks but build nothing
    Override *overrides;  // later ones win
    int n_overrides;
    const GivenShape *shapes;
    int n_shapes;
    int64_t batch;  // binds dimension B of every entry point; 0: as configured
    int64_t ranks;  // the number of ranks, `world` in the language; 0: 1
} ElaborateOptions;

// Files in import order (imported ones first). NULL after messages.
Task *elaborate(Arena *arena, Interner *names, Diag *diag, const AstFile *files,
                const ElaborateOptions *options);

// Whether a task has a configuration constant under this path.
bool elaborate_knows(Arena *arena, Interner *names, const AstFile *files, const char *task, const char *path);

// Names of the tasks the files declare, in order.
int elaborate_task_names(const AstFile *files, Sym *names, int capacity);
