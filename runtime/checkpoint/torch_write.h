// Writes checkpoints that torch.load reads with weights_only=True: a zip archive of {"model": state dict, ...}, as the
// official trainer saves them.
#pragma once

#include "runtime/base/error.h"
#include "runtime/base/tensor.h"

typedef struct XvTorchContent {
    const XvTensor *tensors;  // the state dict, in this order; tensors with the same data share one storage
    int n_tensors;
    const char *
        metadata;  // a JSON object whose members stand beside "model": {"config": {...}, "epoch": 3}; or NULL
} XvTorchContent;

// Writes a file that is complete or not there; see runtime/base/output.h.
bool xv_torch_write(const char *path, const XvTorchContent *content, XvError *error);
