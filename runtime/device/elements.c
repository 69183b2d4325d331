// Conversion of rows; see elements.h.
#include "runtime/device/elements.h"

#include "runtime/base/half.h"

void xv_load_floats(float *to, const void *from, XvReading reading, int64_t count)
{
    if (reading.type == XV_BF16) {
        const uint16_t *at = from;
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            to[i] = xv_bf16_to_float(at[i]);
        }
    } else if (reading.type == XV_F16) {
        const uint16_t *at = from;
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            to[i] = xv_f16_to_float(at[i]);
        }
    } else if (reading.is_tf32) {
        const float *at = from;
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            to[i] = xv_tf32_round(at[i]);
        }
    } else if (count > 0) {
        memcpy(to, from, (size_t)count * sizeof *to);
    }
}

void xv_store_floats(void *to, XvDtype type, const float *from, int64_t count)
{
    if (type == XV_BF16) {
        uint16_t *at = to;
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            at[i] = xv_bf16_from_float(from[i]);
        }
    } else if (type == XV_F16) {
        uint16_t *at = to;
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            at[i] = xv_f16_from_float(from[i]);
        }
    } else if (count > 0) {
        memcpy(to, from, (size_t)count * sizeof *from);
    }
}
