// Ends of sums over rows; see kernels.h.
#include "runtime/device/kernels.h"

void xv_add_chunks(float *out, const float *parts, int64_t chunks, int64_t lanes)
{
    memcpy(out, parts, (size_t)lanes * sizeof *out);
    for (int64_t chunk = 1; chunk < chunks; chunk++) {
        const float *restrict part = parts + chunk * lanes;
#pragma omp simd
        for (int64_t c = 0; c < lanes; c++) {
            out[c] += part[c];
        }
    }
}
