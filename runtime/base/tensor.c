// Sizes and names of tensor types; see tensor.h.
#include "runtime/base/tensor.h"

static const struct {
    const char *name;
    size_t size;
} DTYPES[XV_DTYPE_COUNT] = {
    [XV_F32] = {"F32", 4}, [XV_F64] = {"F64", 8}, [XV_F16] = {"F16", 2}, [XV_BF16] = {"BF16", 2},
    [XV_I64] = {"I64", 8}, [XV_I32] = {"I32", 4}, [XV_U8] = {"U8", 1},   [XV_BOOL] = {"BOOL", 1},
    [XV_I16] = {"I16", 2}, [XV_I8] = {"I8", 1},
};

size_t xv_dtype_size(XvDtype dtype)
{
    return DTYPES[dtype].size;
}

const char *xv_dtype_name(XvDtype dtype)
{
    return DTYPES[dtype].name;
}

int64_t xv_tensor_count(const XvTensor *tensor)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++) {
        count *= tensor->shape[i];
    }
    return count;
}

size_t xv_tensor_bytes(const XvTensor *tensor)
{
    return (size_t)xv_tensor_count(tensor) * xv_dtype_size(tensor->dtype);
}
