// A graph after fusion: an ordered list of steps over values with storage. What codegen prints.
#pragma once

#include "compiler/kernel.h"

typedef enum StepKind {
    STEP_KERNEL,          // a fused loop nest
    STEP_MATMUL,          // MATMUL through the target's library, operands as strided views
    STEP_ATTENTION,       // ATTENTION
    STEP_ATTENTION_GRAD,  // ATTENTION_GRAD
    STEP_SCATTER_ADD,     // SCATTER_ADD
    STEP_SAMPLE,          // SAMPLE
    STEP_TOP_K,           // TOP_K
    STEP_ALL_GATHER,      // ALL_GATHER over several ranks
    STEP_OWN_ROWS,        // OWN_ROWS over several ranks
} StepKind;

// A strided window onto a stored value: element (i...) is at storage[offset + sum_i i * stride].
typedef struct View {
    NodeId node;     // value with storage
    int64_t offset;  // elements
    int rank;
    int64_t dim[MAX_RANK];
    int64_t stride[MAX_RANK];  // elements; 0 for broadcast
} View;

typedef struct Step {
    StepKind kind;
    NodeId node;           // the op; of a KERNEL the first node it computes
    const Kernel *kernel;  // KERNEL; also the epilogue of a MATMUL, or NULL
    const View *
        reads;  // MATMUL: a [batch,M,K], b [batch,K,N], and a vector [N] added to every row if there are three;
                // ATTENTION: q, k, v, biases, all 4-dimensional;
                // ATTENTION_GRAD: q, k, v, out, lse, d_out, biases; SCATTER_ADD: index, x;
                // SAMPLE: weights; TOP_K, ALL_GATHER, OWN_ROWS: x
    int n_reads;
    const View
        *writes;  // results in order (RESULT nodes give 1..); a second one of a MATMUL is [M], the sums of a
                  // over K, of a single product
    int n_writes;
    bool accumulates;  // MATMUL adds to what writes[0] holds
    double flops;
    int64_t bytes;
} Step;

// COPY: of parameters in two bytes, laid out like them.
typedef enum Region { REGION_ARENA, REGION_PARAMETER, REGION_COPY, REGION_GRADIENT } Region;

// Where the value of a node lives. Nodes without storage have is_stored false.
typedef struct Storage {
    bool is_stored;
    Region region;
    int parameter;   // PARAMETER, COPY, GRADIENT
    int64_t offset;  // ARENA: bytes, multiple of 64, set by the memory plan
    int64_t bytes;
    int first_step, last_step;  // live range, set by the memory plan
    NodeId same_as;             // shares the storage of this node (in place, or a RESHAPE of it), or NO_NODE
} Storage;

typedef struct Program {
    const Graph *graph;
    Step *steps;
    int n_steps;
    Storage *storage;     // one per graph node
    int64_t arena_bytes;  // set by the memory plan
} Program;

// Passes (each in its own file; `arena` owns the result).
//
// fuse: partitions the graph into steps in a valid order and marks the values that get storage. Requires a
// simplified graph without STOP_GRADIENT, SOFTMAX, LAYER_NORM, CROSS_ENTROPY, LOG_SOFTMAX (expanded). Collectives
// over several ranks are steps of their own that read one value and write another, as early as what they send is
// there, so that a target may run them beside the steps up to the first that reads them; those of one rank are
// movement. With `is_fused` false every node is its own step (movement included), for comparison.
Program *fuse(Arena *arena, const Graph *graph, bool is_fused);

// plan: live ranges and offsets of all stored values in one arena. Inputs are live from the start, outputs to the end.
void plan_memory(Program *program);
