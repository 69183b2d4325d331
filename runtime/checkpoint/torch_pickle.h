// The pickle of a checkpoint as xv_torch_write needs it, in the operations that PyTorch's restricted reader knows.
#pragma once

#include "runtime/checkpoint/torch_write.h"

// `storages[i]` is the number of the storage of tensor i. Returns the pickle, which the caller frees, and its length;
// NULL with a message when memory is short or the metadata are no JSON object.
char *xv_torch_pickle(const XvTorchContent *content, const int *storages, size_t *length, XvError *error);
