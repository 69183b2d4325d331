// A named, dense, row-major tensor in host memory: what batches, checkpoints and replay files are made of.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { XV_MAX_RANK = 8 };

typedef enum XvDtype {
    XV_F32,
    XV_F64,
    XV_F16,
    XV_BF16,
    XV_I64,
    XV_I32,
    XV_U8,
    XV_BOOL,
    XV_I16,
    XV_I8,
    XV_DTYPE_COUNT
} XvDtype;

typedef struct XvTensor {
    const char *name;  // borrowed
    XvDtype dtype;
    int rank;                    // 0 for a scalar
    int64_t shape[XV_MAX_RANK];  // rank entries are meaningful
    void *data;                  // borrowed; count * size bytes
} XvTensor;

// Bytes of one element; 1 for XV_BOOL.
size_t xv_dtype_size(XvDtype dtype);

// The safetensors spelling: "F32", "I64", ...
const char *xv_dtype_name(XvDtype dtype);

// Product of the dimensions; 1 for a scalar.
int64_t xv_tensor_count(const XvTensor *tensor);
size_t xv_tensor_bytes(const XvTensor *tensor);
