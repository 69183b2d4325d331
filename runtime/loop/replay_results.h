// Outputs of a replay, copied out of the arena that the next run overwrites; with several ranks, those of all of them.
#pragma once

#include "runtime/base/tensor.h"
#include "runtime/comm/comm.h"

typedef struct XvResults {
    const XvComm *comm;
    XvTensor *tensors;  // names and data are owned
    int n_tensors, capacity;
} XvResults;

// Keeps a copy under the tensor's name; a name that is there already stays what it is. With several ranks, all of which
// come here with a tensor of that shape, rank 0 keeps everybody's as `rank<R>.NAME` and the others keep their own.
bool xv_results_add(XvResults *results, const XvTensor *tensor, XvError *error);

// This rank's own result of a name, or NULL.
const XvTensor *xv_results_find(const XvResults *results, const char *name);

void xv_results_free(XvResults *results);
