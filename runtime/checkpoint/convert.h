// Elements of tensors as they lie in files, turned into floats and 32-bit integers.
#pragma once

#include "runtime/base/tensor.h"

#include <stdbool.h>

// A run of elements at equal distances. Addresses need no alignment.
typedef struct XvElements {
    const void *bytes;
    int64_t step;  // bytes from one element to the next
    int64_t count;
    XvDtype dtype;
    bool is_swapped;  // the file is of a machine of the other byte order
} XvElements;

bool xv_is_float(XvDtype dtype);

// F32, F64, F16 and BF16 to floats.
void xv_floats_of(const XvElements *from, float *out);

// I64, I32, I16, I8, U8 and BOOL to integers. False, with the value, at the first that does not fit.
bool xv_integers_of(const XvElements *from, int32_t *out, int64_t *misfit);

// As they are, closed up and in this machine's byte order.
void xv_elements_copy(const XvElements *from, void *out);
