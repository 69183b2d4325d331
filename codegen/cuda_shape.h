// How the rows and lanes of a kernel become blocks and threads on a GPU: the one place that decides launch shapes.
#pragma once

#include "compiler/kernel.h"
#include "compiler/program.h"

// Flat kernels give every (row, lane) a thread of its own. In others a team of threads shares a row: thread t of the
// team has the lanes t, t + team, t + 2 team ..., `per_thread` of them at most. A team is 1, 2, 4 .. 32 lanes of a warp
// or a whole block. Kernels with column accumulators have one team per chunk of rows.
typedef struct CudaShape {
    bool is_flat;
    int team;        // threads of a row; 1 if flat
    int per_thread;  // lanes of a thread; 1 if flat
    int threads;     // of a block, in one dimension
    int64_t chunks;  // of rows; 0 without column accumulators
    int64_t blocks;
} CudaShape;

CudaShape cuda_shape(const Kernel *kernel);

// The statement of column accumulator n. Its buffer is no parameter of the kernel: partial sums go to scratch memory,
// and a second launch adds them up.
const Statement *cuda_column(const Kernel *kernel, int n);
bool cuda_is_column(const Kernel *kernel, int buffer);

// Floats of the partial sums of column accumulators: [column][chunk][lane].
int64_t cuda_scratch_floats(const Kernel *kernel);

// Runs of batch entries whose gradients of scores an ATTENTION_GRAD adds up, for the gradients of its biases; 0 where
// none is wanted, or for another step. And the floats of these sums.
int64_t cuda_attention_chunks(const Program *program, const Step *step);
int64_t cuda_attention_floats(const Program *program, const Step *step);

// The gradient of a bias that is no more than these sums added up, if it is the only one that is wanted; or NO_NODE.
NodeId cuda_attention_bias(const Program *program, const Step *step);
