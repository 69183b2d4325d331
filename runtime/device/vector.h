// Short vectors of floats in the width of the machine, for kernels that manage registers themselves.
//
// GNU vector types carry the arithmetic; the only intrinsic is the fused multiply-add, which they lack.
// Without AVX the same code runs on vectors of four, with a multiply and an add. Loads and stores need no
// alignment.
#pragma once

#include "runtime/device/math.h"

#include <stdint.h>
#include <string.h>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { XV_LANES = 16 };
#elif defined(__AVX__)
enum { XV_LANES = 8 };
#else
enum { XV_LANES = 4 };
#endif

typedef float XvVec __attribute__((vector_size(XV_LANES * 4)));
typedef float XvVecAt __attribute__((vector_size(XV_LANES * 4), aligned(4), may_alias));  // anywhere
typedef int32_t XvVecInt __attribute__((vector_size(XV_LANES * 4)));
typedef float XvQuad __attribute__((vector_size(16)));
typedef float XvQuadAt __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t XvQuadInt __attribute__((vector_size(16)));

#define XV_INLINE static inline __attribute__((always_inline))

XV_INLINE XvVec xv_vec_load(const float *from)
{
    return *(const XvVecAt *)from;
}

XV_INLINE void xv_vec_store(float *to, XvVec x)
{
    *(XvVecAt *)to = x;
}

XV_INLINE XvVec xv_vec_all(float x)
{
    return x - (XvVec){0};  // minus zero keeps every x, -0 included
}

XV_INLINE XvVec xv_vec_fma(XvVec a, XvVec b, XvVec c)
{
#if defined(__AVX512F__)
    return (XvVec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (XvVec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

// Lane by lane a > b ? a : b, so b where a is NaN.
XV_INLINE XvVec xv_vec_max(XvVec a, XvVec b)
{
    XvVecInt larger = a > b;
    return (XvVec)(((XvVecInt)a & larger) | ((XvVecInt)b & ~larger));
}

// Lanes turned by `by` places.
XV_INLINE XvVec xv_vec_turn(XvVec x, const int by)
{
#if defined(__AVX512F__)
    const XvVecInt lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif defined(__AVX__)
    const XvVecInt lane = {0, 1, 2, 3, 4, 5, 6, 7};
#else
    const XvVecInt lane = {0, 1, 2, 3};
#endif
    return __builtin_shuffle(x, (lane + by) & (XV_LANES - 1));
}

// Sum of the lanes, in all lanes; halves onto halves, so always in the same order.
XV_INLINE XvVec xv_vec_sum_all(XvVec x)
{
#pragma GCC unroll 4
    for (int by = XV_LANES / 2; by >= 1; by /= 2) {
        x += xv_vec_turn(x, by);
    }
    return x;
}

XV_INLINE XvVec xv_vec_max_all(XvVec x)
{
#pragma GCC unroll 4
    for (int by = XV_LANES / 2; by >= 1; by /= 2) {
        x = xv_vec_max(x, xv_vec_turn(x, by));
    }
    return x;
}

XV_INLINE float xv_vec_sum(XvVec x)
{
    return xv_vec_sum_all(x)[0];
}

// e^x for x <= 88 within 1e-7 relative; 0 below -87 (no subnormal results), NaN for NaN.
XV_INLINE XvVec xv_vec_exp(XvVec x)
{
    const XvVec round = xv_vec_all(12582912.0f);
    XvVecInt is_zero = x < xv_vec_all(-87.0f);
    XvVec shifted = xv_vec_fma(x, xv_vec_all(1.44269504f), round);
    XvVec n = shifted - round;
    XvVec r = xv_vec_fma(n, xv_vec_all(-0.693359375f), x);
    r = xv_vec_fma(n, xv_vec_all(2.12194440e-4f), r);
    XvVec p = xv_vec_all(0.001381461f);
    p = xv_vec_fma(p, r, xv_vec_all(0.008368711f));
    p = xv_vec_fma(p, r, xv_vec_all(0.04166839f));
    p = xv_vec_fma(p, r, xv_vec_all(0.16666521f));
    p = xv_vec_fma(p, r, xv_vec_all(0.49999994f));
    p = xv_vec_fma(p, r * r, r) + 1.0f;
    XvVec power = (XvVec)(((XvVecInt)shifted - (0x4B400000 - 127)) << 23);
    return (XvVec)((XvVecInt)(p * power) & ~is_zero);
}

// to[j][i] = from[i][j] for 4 x 4 elements; the strides are those of the rows.
XV_INLINE void xv_transpose_quad(float *to, int64_t to_stride, const float *from, int64_t from_stride)
{
    XvQuad a = *(const XvQuadAt *)from, b = *(const XvQuadAt *)(from + from_stride);
    XvQuad c = *(const XvQuadAt *)(from + 2 * from_stride), d = *(const XvQuadAt *)(from + 3 * from_stride);
    XvQuad ab_low = __builtin_shuffle(a, b, (XvQuadInt){0, 4, 1, 5});
    XvQuad ab_high = __builtin_shuffle(a, b, (XvQuadInt){2, 6, 3, 7});
    XvQuad cd_low = __builtin_shuffle(c, d, (XvQuadInt){0, 4, 1, 5});
    XvQuad cd_high = __builtin_shuffle(c, d, (XvQuadInt){2, 6, 3, 7});
    *(XvQuadAt *)to = __builtin_shuffle(ab_low, cd_low, (XvQuadInt){0, 1, 4, 5});
    *(XvQuadAt *)(to + to_stride) = __builtin_shuffle(ab_low, cd_low, (XvQuadInt){2, 3, 6, 7});
    *(XvQuadAt *)(to + 2 * to_stride) = __builtin_shuffle(ab_high, cd_high, (XvQuadInt){0, 1, 4, 5});
    *(XvQuadAt *)(to + 3 * to_stride) = __builtin_shuffle(ab_high, cd_high, (XvQuadInt){2, 3, 6, 7});
}
