// NVIDIA's NCCL: collectives of GPUs, loaded when several ranks run on such devices. Calls queue work on a stream, also
// one that is being captured; every rank makes the same calls in the same order.
#pragma once

#include "runtime/base/error.h"
#include "runtime/program.h"

typedef struct XvNccl XvNccl;

// What the ranks of a world have in common: rank 0 makes it, the others are told.
typedef struct XvNcclId {
    char bytes[128];
} XvNcclId;

// Finds the library; nothing is set up yet. False after a message.
bool xv_nccl_open(XvNccl **nccl, XvError *error);
bool xv_nccl_make_id(const XvNccl *nccl, XvNcclId *id, XvError *error);

// All ranks at once, each with the GPU of its current context: returns when all are there.
bool xv_nccl_join(XvNccl *nccl, const XvNcclId *id, int rank, int world, XvError *error);

// `is_whole` false: something failed, and what is under way is given up.
void xv_nccl_close(XvNccl *nccl, bool is_whole);

// `all` becomes the 4-byte words of every rank in rank order.
bool xv_nccl_gather(const XvNccl *nccl, const void *own, void *all, int64_t words, void *stream,
                    XvError *error);

// `count` floats or doubles become their sums over the ranks.
bool xv_nccl_sum(const XvNccl *nccl, void *values, int64_t count, bool is_f64, void *stream, XvError *error);

// Ranges of the values become their means over the ranks, the same bits on every rank.
bool xv_nccl_average(const XvNccl *nccl, float *values, const XvRange *ranges, int n_ranges, void *stream,
                     XvError *error);
