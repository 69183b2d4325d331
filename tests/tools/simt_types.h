// What the tests of typed library kernels share.
#pragma once

#include "tests/tools/check.h"

#include "runtime/base/half.h"
#include "runtime/base/random.h"
#include "runtime/cuda/device.h"

static inline double value_of(const void *at, XvDtype type, int64_t index)
{
    const uint16_t *half = at;
    const float *single = at;
    return type == XV_F32    ? (double)single[index]
           : type == XV_BF16 ? (double)xv_bf16_to_float(half[index])
                             : (double)xv_f16_to_float(half[index]);
}

// Normal numbers times scale; one element more than asked for.
static inline void *random_elements(XvDtype type, int64_t count, uint64_t key, double scale)
{
    uint16_t *half = check_memory((size_t)(count + 1) * 4);
    float *single = (float *)half;
    XvStream stream = xv_stream(key);
    for (int64_t i = 0; i <= count; i++) {
        float x = (float)(xv_stream_normal(&stream) * scale);
        if (type == XV_F32) {
            single[i] = x;
        } else {
            half[i] = type == XV_BF16 ? xv_bf16_from_float(x) : xv_f16_from_float(x);
        }
    }
    return half;
}

// The largest relative error of rounding to the type.
static inline double rounding_of(XvDtype type)
{
    return type == XV_F32 ? 0x1p-24 : type == XV_BF16 ? 0x1p-8 : 0x1p-11;
}

static inline const char *type_name(XvDtype type, bool is_tf32)
{
    return is_tf32 ? "tf32" : type == XV_F32 ? "f32" : type == XV_BF16 ? "bf16" : "f16";
}

// Waits; a launch that failed is a failed check.
static inline void finished(Check *check, XvDevice *device, const char *what)
{
    XvError error = {{0}};
    check_that(check, xv_device_wait(device, &error), "%s: %s", what, error.text);
}
