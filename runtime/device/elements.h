// Rows of elements of the storage types in and out of floats.
#pragma once

#include "runtime/base/tensor.h"

#include <stdbool.h>
#include <stdint.h>

// How operands of a product are read.
typedef struct XvReading {
    XvDtype type;  // F32, BF16 or F16
    bool is_tf32;  // rounded to tf32; F32 only
} XvReading;

// Whether elements are floats that are read as they lie.
static inline bool xv_reads_floats(XvReading reading)
{
    return reading.type == XV_F32 && !reading.is_tf32;
}

// The address of element `index`.
static inline const void *xv_element(const void *base, XvDtype type, int64_t index)
{
    return (const char *)base + index * (type == XV_F32 ? 4 : 2);
}

static inline void *xv_element_out(void *base, XvDtype type, int64_t index)
{
    return (char *)base + index * (type == XV_F32 ? 4 : 2);
}

// `count` adjacent elements as floats, and floats as elements, rounded to nearest even.
void xv_load_floats(float *to, const void *from, XvReading reading, int64_t count);
void xv_store_floats(void *to, XvDtype type, const float *from, int64_t count);
