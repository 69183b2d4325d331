// The steps that are not generated kernels, for the target cuda: the same problems as in runtime/device, launched on
// run->device. Pointers are device memory. Results do not depend on the order in which blocks run.
#pragma once

#include "runtime/cuda/device.h"
#include "runtime/device/attention.h"
#include "runtime/device/gemm.h"
#include "runtime/device/rows.h"

// Where the next calls come from in the language, for messages and profilers.
static inline void xv_cuda_place(const XvRun *run, const char *place)
{
    run->device->place = place;
}

// alpha must be 1; epilogues are not supported. The device's own library comes first, the generated kernel second.
void xv_cuda_gemm(const XvRun *run, const XvGemm *gemm);

// The program must have a kernel for the shapes and types; head_dim and value_dim are at most 128.
void xv_cuda_attention(const XvRun *run, const XvAttention *attention);

// The forward problem must hold lse as the forward pass left it.
void xv_cuda_attention_grad(const XvRun *run, const XvAttentionGrad *grad);

void xv_cuda_scatter_add_rows(const XvRun *run, const XvRows *rows, bool is_cleared);

// The same for at most XV_SCATTER_MAX (runtime/cuda/tasks.h) tables that have nothing in common, in one launch.
void xv_cuda_scatter_add_tables(const XvRun *run, const XvRows *tables, int n_tables, bool is_cleared);

void xv_cuda_sample_categorical(const XvRun *run, const float *weights, int64_t n_rows, int64_t n,
                                const XvDraw *draw, int32_t *index);

void xv_cuda_top_k(const XvRun *run, const float *values, int64_t n_rows, int64_t n, int64_t k,
                   int32_t *index);

// out[c] = sum over chunks of parts[chunk * lanes + c].
typedef struct XvCudaColumns {
    const float *parts;
    float *out;
    int64_t chunks, lanes;
} XvCudaColumns;

// At most XV_COLUMNS_MAX (runtime/cuda/tasks.h) sums in one launch.
void xv_cuda_add_columns(const XvRun *run, const XvCudaColumns *sums, int n_sums);

// Collectives of the ranks of run->comm, as in runtime/device/collective.h. Averages may run beside later launches;
// finish_averages makes what is launched after it wait for them.
void xv_cuda_gather_ranks(const XvRun *run, const void *own, void *all, int64_t words);
void xv_cuda_own_rank(const XvRun *run, const void *all, void *own, int64_t words);
void xv_cuda_average_ranks(const XvRun *run, const XvRange *ranges, int n_ranges);
void xv_cuda_finish_averages(const XvRun *run);
