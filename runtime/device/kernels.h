// Everything that generated kernels and steps call, in one include.
#pragma once

#include "runtime/base/half.h"
#include "runtime/device/attention.h"
#include "runtime/device/collective.h"
#include "runtime/device/gemm.h"
#include "runtime/device/math.h"
#include "runtime/device/random_rows.h"
#include "runtime/device/rows.h"

#include <stdlib.h>
#include <string.h>

// out[c] = sum over chunks, in order, of parts[chunk * lanes + c]: the end of a sum over rows.
void xv_add_chunks(float *out, const float *parts, int64_t chunks, int64_t lanes);

// Integer division and remainder that round towards minus infinity; b > 0.
static inline int32_t xv_floor_div(int32_t a, int32_t b)
{
    return a / b - (a % b < 0);
}

static inline int32_t xv_floor_mod(int32_t a, int32_t b)
{
    int32_t r = a % b;
    return r < 0 ? r + b : r;
}

static inline int32_t xv_max_i32(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static inline int32_t xv_min_i32(int32_t a, int32_t b)
{
    return a < b ? a : b;
}
