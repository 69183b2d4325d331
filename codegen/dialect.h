// What differs between the languages that kernels are rendered in. A dialect is constant data: spellings of the
// elementwise ops and of types, and a few hooks for the loops. The renderer (render.c) decides everything else,
// so a kernel says the same in every dialect.
#pragma once

#include "codegen/render.h"

typedef enum Precedence {
    PRECEDENCE_SELECT = 1,  // a ? b : c
    PRECEDENCE_OR,
    PRECEDENCE_AND,
    PRECEDENCE_COMPARE,
    PRECEDENCE_ADD,
    PRECEDENCE_MULTIPLY,
    PRECEDENCE_UNARY,
    PRECEDENCE_CALL,  // names, constants, calls: never need parentheses
} Precedence;

// How an op is written: operands are $0, $1, $2. Operands get parentheses when they bind weaker than `precedence`
// (the right one of - and / also when they bind equally).
typedef struct Spelling {
    const char *text;  // NULL: the op has no spelling and must not reach the renderer
    Precedence precedence;
    const char *integer;  // spelling on i32 operands where it differs
} Spelling;

typedef struct Dialect {
    const char *name;
    const Spelling *spelling;              // by Op
    const char *type[DTYPE_COUNT];         // of variables
    const char *stored_type[DTYPE_COUNT];  // of buffer elements
    // Of two-byte types, as calls of one argument: an element as a float, a float as an element, a float rounded.
    const char *widened[DTYPE_COUNT], *narrowed[DTYPE_COUNT], *rounded[DTYPE_COUNT];
    const char *narrow_index,
        *wide_index;              // type of indices where all buffers have less than 2^31 elements, else
    const char *lane_slot;        // subscript of lane buffers within a lane loop
    const char *const *reserved;  // names a variable must not have, beyond those of C; ends with NULL
    // Opens the function and the row loops; row coordinates are declared by the renderer inside.
    void (*open_kernel)(Rendering *rendering, const char *name);
    void (*close_kernel)(Rendering *rendering);
    // Opens the lane loop of a stage that accumulates the statements given.
    void (*open_lanes)(Rendering *rendering, const Stage *stage);
    void (*close_lanes)(Rendering *rendering, const Stage *stage);
    // Declares the buffer a lane-wise value is kept in between stages.
    void (*declare_lane_buffer)(Rendering *rendering, const Statement *statement);
    // Makes the keep values of a draw available for the lanes of a stage, and spells one of them.
    void (*declare_keep)(Rendering *rendering, const ScalarExpr *keep, int number, bool is_per_lane);
    // Where set: the value of a keep draw as an expression; nothing is declared then.
    const char *(*keep)(Rendering *rendering, const ScalarExpr *keep);
    // Where set: called when the accumulators of a stage are complete in every thread but not yet across threads.
    void (*join_accumulators)(Rendering *rendering, const Stage *stage);
    // Where set: writes a store of a SCALAR stage so that it happens once per row.
    void (*store_once)(Rendering *rendering, const char *statement);
} Dialect;

extern const Dialect dialect_c;
extern const Dialect dialect_cuda;

// Spellings that C and CUDA share: the elementary functions have one text for both (runtime/device/math.h).
extern const Spelling c_spelling[OP_COUNT];
