// Conversion of elements; see convert.h.
#include "runtime/checkpoint/convert.h"

#include "runtime/base/half.h"

#include <string.h>

bool xv_is_float(XvDtype dtype)
{
    return dtype == XV_F32 || dtype == XV_F64 || dtype == XV_F16 || dtype == XV_BF16;
}

static uint64_t bits_at(const void *at, size_t size, bool is_swapped)
{
    uint64_t wide = 0;
    memcpy(&wide, at, size);
    return is_swapped ? __builtin_bswap64(wide) >> (64 - 8 * size) : wide;
}

static float float_at(const XvElements *from, const char *at)
{
    uint64_t bits = bits_at(at, xv_dtype_size(from->dtype), from->is_swapped);
    double wide;
    switch (from->dtype) {
    case XV_F64: memcpy(&wide, &bits, sizeof wide); return (float)wide;
    case XV_F16: return xv_f16_to_float((uint16_t)bits);
    case XV_BF16: return xv_bf16_to_float((uint16_t)bits);
    default: return xv_float_of_bits((uint32_t)bits);
    }
}

void xv_floats_of(const XvElements *from, float *out)
{
    const char *at = from->bytes;
    if (from->dtype == XV_F32) {
        xv_elements_copy(from, out);
        return;
    }
    for (int64_t i = 0; i < from->count; i++, at += from->step) {
        out[i] = float_at(from, at);
    }
}

bool xv_integers_of(const XvElements *from, int32_t *out, int64_t *misfit)
{
    const char *at = from->bytes;
    size_t size = xv_dtype_size(from->dtype);
    bool is_signed = from->dtype != XV_U8 && from->dtype != XV_BOOL;
    int unused = 64 - 8 * (int)size;
    for (int64_t i = 0; i < from->count; i++, at += from->step) {
        uint64_t bits = bits_at(at, size, from->is_swapped);
        int64_t value = is_signed ? (int64_t)(bits << unused) >> unused : (int64_t)bits;
        if (value < INT32_MIN || value > INT32_MAX) {
            *misfit = value;
            return false;
        }
        out[i] = (int32_t)value;
    }
    return true;
}

void xv_elements_copy(const XvElements *from, void *out)
{
    const char *at = from->bytes;
    char *to = out;
    size_t size = xv_dtype_size(from->dtype);
    if (from->step == (int64_t)size && !from->is_swapped) {
        if (from->count > 0) {
            memcpy(to, at, (size_t)from->count * size);
        }
        return;
    }
    for (int64_t i = 0; i < from->count; i++, at += from->step, to += size) {
        uint64_t bits = bits_at(at, size, from->is_swapped);
        memcpy(to, &bits, size);
    }
}
