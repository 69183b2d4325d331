// Kernel IR: what one fused group computes, as loops over rows and lanes. No target text, no memory offsets.
//
// A kernel runs over `rows` (independent iterations, the product of row_dims) and, inside a row, over `lanes`
// (cooperating iterations 0..lanes-1). Its body is a list of stages executed in order for each row:
//   LANES   a loop over the lanes: lets, accumulations into row scalars, stores, column accumulations;
//   SCALAR  statements once per row, between lane loops (mean = sum / n, ...), stores of one value per row.
// A value of one lane loop that a later one needs is either recomputed there or kept in a lane buffer (LET with
// is_buffered). Column accumulators sum a lane value over all rows into a vector of `lanes` elements: the target
// splits the rows into `row_chunks` fixed chunks, sums each into a partial vector, and adds the partials in order,
// so that results do not depend on the number of threads and no float atomics are needed.
// A reduction over leading dimensions that keeps the lanes but needs no whole-kernel accumulator is a REDUCE loop:
// `reduce_dims` are looped inside a row, around the lane loops, accumulating per lane (LANE_ACCUMULATE).
//
// Integer index expressions (IndexExpr) say where buffers are read and written. They are built from the row
// coordinates, the reduce coordinates, the lane, constants, and the values of integer expressions (TAKE), and are
// simplified on construction with the known ranges of the variables.
//
// Values in a kernel are f32, i32 or bool. A value of dtype bf16 or f16 is an f32 that has been rounded to it: loads
// widen, stores write two bytes, only CAST rounds.
//
// On CUDA a row is a block, a warp or a thread and lanes are its threads; ACCUMULATE then ends in a warp or block
// reduction. Nothing in a kernel may depend on which.
#pragma once

#include "compiler/graph.h"

typedef struct IndexExpr IndexExpr;
typedef struct ScalarExpr ScalarExpr;

typedef enum IndexKind {
    INDEX_CONST,   // value
    INDEX_ROW,     // coordinate `variable` of the row (0..row_dims[variable]-1)
    INDEX_REDUCE,  // coordinate `variable` of the reduce loops
    INDEX_LANE,    // the lane
    INDEX_ADD,     // a + b
    INDEX_MUL,     // a * value
    INDEX_DIV,     // a / value, a >= 0
    INDEX_MOD,     // a mod value, a >= 0
    INDEX_VALUE,   // an i32 scalar expression (gathered index)
} IndexKind;

struct IndexExpr {
    IndexKind kind;
    int64_t value;  // CONST, MUL, DIV, MOD
    int variable;   // ROW, REDUCE
    const IndexExpr *a, *b;
    const ScalarExpr *scalar;  // VALUE
    int64_t low, high;         // range of the result, inclusive
};

typedef enum ScalarKind {
    SCALAR_CONST,  // number of type dtype
    SCALAR_INDEX,  // an index expression as i32
    SCALAR_LOAD,   // buffer[index], or `number` where the guard is false
    SCALAR_OP,     // an elementwise graph op on args
    SCALAR_LET,    // value of statement `let` (its variable)
    SCALAR_ACC,    // final value of accumulator `let`
    SCALAR_KEEP,   // keep draw `draw`, element `index`
} ScalarKind;

// Condition of a guarded load (from PAD and CONCAT): low <= index < high for every entry.
typedef struct Guard {
    const IndexExpr *index;
    int64_t low, high;
    const struct Guard *next;  // all must hold
} Guard;

struct ScalarExpr {
    ScalarKind kind;
    Dtype dtype;
    double number;  // CONST; LOAD: value when the guard fails
    Op op;          // OP
    const ScalarExpr *args[3];
    int n_args;
    const IndexExpr *index;  // INDEX, LOAD, KEEP
    int buffer;              // LOAD: index into Kernel.buffers
    const Guard *guard;      // LOAD, or NULL
    int let;                 // LET, ACC: id of the statement
    int draw;                // KEEP
};

typedef enum StatementKind {
    STATEMENT_LET,         // variable `id` = value
    STATEMENT_ACCUMULATE,  // row accumulator `id` (op SUM, REDUCE_MAX or ARGMAX) takes value over the lanes
    STATEMENT_LANE_ACCUMULATE,    // per-lane accumulator `id` (SUM or REDUCE_MAX) over the reduce loops
    STATEMENT_COLUMN_ACCUMULATE,  // buffer[index] (index depends on the lane only) = sum over all rows of value
    STATEMENT_STORE,              // buffer[index] = value
} StatementKind;

typedef struct Statement {
    StatementKind kind;
    int id;            // LET, accumulators: unique in the kernel
    Op op;             // accumulators
    bool is_buffered;  // LET: kept per lane for later stages
    const ScalarExpr *value;
    int buffer;  // STORE, COLUMN_ACCUMULATE
    const IndexExpr *index;
    NodeId node;  // graph node this value is, for names and comments
} Statement;

typedef enum StageKind { STAGE_LANES, STAGE_SCALAR } StageKind;

typedef struct Stage {
    StageKind kind;
    bool in_reduce;  // inside the reduce loops
    const Statement *statements;
    int n_statements;
} Stage;

typedef enum BufferKind { BUFFER_READ, BUFFER_WRITE, BUFFER_READ_WRITE } BufferKind;

typedef struct KernelBuffer {
    NodeId node;  // graph node whose storage is read or written
    Dtype dtype;
    Shape shape;  // of the storage (row-major, contiguous)
    BufferKind kind;
} KernelBuffer;

typedef struct Kernel {
    Sym name;  // "vision_encoder_layers_0_norm1": from the DSL, unique within an entry
    int64_t row_dims[MAX_RANK];
    int n_row_dims;  // 0: a single row
    int64_t reduce_dims[MAX_RANK];
    int n_reduce_dims;
    int64_t lanes;   // >= 1
    int row_chunks;  // of column accumulators; 0 without any
    const KernelBuffer *buffers;
    int n_buffers;
    const Stage *stages;
    int n_stages;
    const NodeId *nodes;  // graph nodes computed here, in order (for comments and inspect)
    int n_nodes;
    int n_ids;      // ids of lets and accumulators are 0..n_ids-1
    int64_t bytes;  // read + written once each
    int64_t flops;  // scalar arithmetic, for inspect
} Kernel;
