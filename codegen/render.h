// Kernel IR to text. The renderer walks stages and expressions once for every dialect; dialect.h says what differs.
#pragma once

#include "compiler/base/out.h"
#include "compiler/kernel.h"

struct Dialect;

enum { MAX_KERNEL_DRAWS = 64 };

// An index part that does not depend on the lane, computed once before a lane loop.
typedef struct Hoist {
    const char *name;
    const char *text;
} Hoist;

// A keep draw used by the lanes of the current stage.
typedef struct KeepUse {
    const ScalarExpr *expr;
    bool is_per_lane;
} KeepUse;

// State of rendering one kernel.
typedef struct Rendering {
    Out *out;
    Arena *arena;
    const struct Dialect *dialect;
    const Graph *graph;
    const Kernel *kernel;
    const char **buffer_names;  // one per buffer: the parameter's name
    const char **id_names;      // one per let and accumulator
    bool *is_lane_id;           // value differs from lane to lane
    bool *is_array_id;          // lives in a lane buffer: written name[lane]
    bool is_lane_loop;          // rendering the statements of a LANES stage
    bool is_conditional;  // inside a branch of a select: indices read from memory may not exist otherwise
    Hoist *hoists;
    int n_hoists, hoist_capacity;
    int hoist_names;  // names given so far, counted per kernel
    KeepUse *keeps;
    int n_keeps, keep_capacity;
    bool row_used[MAX_RANK];
    const char *index_type;  // of row coordinates, subscripts and reduce loops
} Rendering;

// Renders one kernel as a function `name`, with its header comment. The text depends on nothing but the kernel and
// the DSL names in it, so equal kernels give equal text.
void render_kernel(Out *out, const struct Dialect *dialect, const Graph *graph, const Kernel *kernel,
                   const char *name);

// The parameters of the rendered function, in order: buffers first, then "const XvDraw *draw<i>" for the draws that
// render_draws lists, then the scratch memory of column accumulators if the kernel has any.
int render_draws(const Kernel *kernel, int *draws, int capacity);
int render_draw_place(const Kernel *kernel,
                      int draw);  // <i> of a draw: kernels that differ in it alone are one
int64_t render_scratch_floats(const Kernel *kernel);

// Names everything a kernel declares; used by the renderer.
void render_names(Rendering *rendering);

// Marks the row coordinates that expressions use.
void render_rows_used(const Kernel *kernel, bool *rows);

// Used by dialects.
const char *render_format(Rendering *rendering, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *render_scalar(Rendering *rendering, const ScalarExpr *expr, int precedence);
const char *render_index(Rendering *rendering, const IndexExpr *index, int precedence);
int64_t kernel_rows(const Kernel *kernel);
void render_row_coordinates(Rendering *rendering);  // those that are used, from `row`
int kernel_columns(const Kernel *kernel);           // number of column accumulators
