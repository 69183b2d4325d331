// Elementary functions in single precision, written so that the compiler vectorises loops that call them.
//
// Every function is branch free (clamps and choices are ternaries), makes no library call, and is a pure
// function of its argument: the same bits in a vector loop, in its remainder and in scalar code. NaN gives
// NaN; infinities give the limit. Errors against the exact value are stated at each function and checked by
// tests/unit/test_math.c. Polynomials and rational functions are minimax fits made for these intervals.
//
// Needs -fno-math-errno -fno-trapping-math to vectorise; is correct without. Must not be compiled with
// -ffast-math: rounding by adding and subtracting a large constant would be optimised away.
//
// One text for CPU and GPU: XV_FN says what a function is; runtime/cuda/device.cuh defines it for kernels.
#pragma once

#ifndef XV_FN
#include <math.h>
#include <stdint.h>
#define XV_FN static inline
#endif

// a * b + c, fused where the machine does it in one instruction. Explicit, because -std=c11 forbids the
// compiler to contract on its own.
XV_FN float xv_fma(float a, float b, float c)
{
#if defined(__CUDACC_RTC__)
    return fmaf(a, b, c);
#elif defined(__FP_FAST_FMAF)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

XV_FN int32_t xv_bits_of(float x)
{
#if defined(__CUDACC_RTC__)
    return __float_as_int(x);
#else
    int32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
#endif
}

XV_FN float xv_float_of(int32_t bits)
{
#if defined(__CUDACC_RTC__)
    return __int_as_float(bits);
#else
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
#endif
}

// 2^exponent for -126..127; any number for others.
XV_FN float xv_power_of_two(int32_t exponent)
{
    return xv_float_of((int32_t)(((uint32_t)exponent + 127u) << 23));
}

// The larger / smaller of two; a NaN in either gives NaN.
XV_FN float xv_max(float a, float b)
{
    float larger = a > b ? a : b;
    return a != a ? a : larger;
}

XV_FN float xv_min(float a, float b)
{
    float smaller = a < b ? a : b;
    return a != a ? a : smaller;
}

// -1, 0 or 1; 0 for NaN.
XV_FN float xv_sign(float x)
{
    return (float)(x > 0.0f) - (float)(x < 0.0f);
}

XV_FN float xv_rsqrt(float x)
{
    return 1.0f / sqrtf(x);
}

// e^x within 1e-7 relative; subnormal results and overflow to infinity as they should be.
XV_FN float xv_exp(float x)
{
    const float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    float shifted = xv_fma(x, 1.44269504f, round);
    float n = shifted - round;
    float r = xv_fma(n, -0.693359375f, x);
    r = xv_fma(n, 2.12194440e-4f, r);
    float p = 0.001381461f;
    p = xv_fma(p, r, 0.008368711f);
    p = xv_fma(p, r, 0.04166839f);
    p = xv_fma(p, r, 0.16666521f);
    p = xv_fma(p, r, 0.49999994f);
    p = xv_fma(p, r * r, r) + 1.0f;
    int32_t exponent = (int32_t)((uint32_t)xv_bits_of(shifted) - 0x4B400000u);
    int32_t half = exponent >> 1;  // 2^exponent in two factors, either of which is a normal number
    return p * xv_power_of_two(half) * xv_power_of_two(exponent - half);
}

// Natural logarithm within 1e-7 relative (near 1: of the result); log(0) = -inf, log of negatives NaN.
XV_FN float xv_log(float x)
{
    float is_small = x < 1.17549435e-38f ? 1.0f : 0.0f;
    float scaled = is_small > 0.0f ? x * 8388608.0f : x;
    int32_t bits = xv_bits_of(scaled);
    int32_t exponent = (int32_t)((uint32_t)bits - 0x3F3504F3u) >>
                       23;  // relative to sqrt(1/2), so that the rest is in [0.7, 1.42)
    float f = xv_float_of((int32_t)((uint32_t)bits - ((uint32_t)exponent << 23))) - 1.0f;
    float n = (float)exponent - 23.0f * is_small;
    float p = -0.0763449743f;
    p = xv_fma(p, f, 0.12761578f);
    p = xv_fma(p, f, -0.131601825f);
    p = xv_fma(p, f, 0.142017573f);
    p = xv_fma(p, f, -0.166233569f);
    p = xv_fma(p, f, 0.200012267f);
    p = xv_fma(p, f, -0.250008196f);
    p = xv_fma(p, f, 0.333333313f);
    float square = f * f;
    float low = xv_fma(p * f, square, n * -2.12194440e-4f);
    low = xv_fma(-0.5f, square, low);
    float result = xv_fma(n, 0.693359375f, f + low);
    result = x > 0.0f ? result : (x == 0.0f ? -INFINITY : NAN);
    return x == INFINITY ? x : result;
}

// Error function within 4e-7 absolute and relative, never beyond -1..1.
XV_FN float xv_erf(float x)
{
    x = x > 3.92f ? 3.92f : x;
    x = x < -3.92f ? -3.92f : x;
    float s = x * x;
    float p = 2.05008541e-06f;
    p = xv_fma(p, s, 0.000284883776f);
    p = xv_fma(p, s, 0.00376565009f);
    p = xv_fma(p, s, 0.0527488254f);
    p = xv_fma(p, s, 0.190407202f);
    p = xv_fma(p, s, 1.12837911f);
    float q = 3.80917518e-05f;
    q = xv_fma(q, s, 0.00116254413f);
    q = xv_fma(q, s, 0.0149692828f);
    q = xv_fma(q, s, 0.114109419f);
    q = xv_fma(q, s, 0.502076745f);
    q = xv_fma(q, s, 1.0f);
    float y = x * p / q;
    y = x >= 3.92f ? 1.0f : y;
    y = x <= -3.92f ? -1.0f : y;
    y = y > 1.0f ? 1.0f : y;
    return y < -1.0f ? -1.0f : y;
}

// Hyperbolic tangent within 3e-7 relative.
XV_FN float xv_tanh(float x)
{
    float size = fabsf(x);
    float s = x * x;
    float p = -0.00567931263f;
    p = xv_fma(p, s, 0.0206181314f);
    p = xv_fma(p, s, -0.0537340045f);
    p = xv_fma(p, s, 0.133313835f);
    p = xv_fma(p, s, -0.333332807f);
    float near = xv_fma(p * s, x, x);
    float far = copysignf(1.0f - 2.0f / (xv_exp(2.0f * size) + 1.0f), x);
    return size < 0.625f ? near : far;
}

// 1 / (1 + e^-x) within 2e-7 relative.
XV_FN float xv_sigmoid(float x)
{
    return 1.0f / (1.0f + xv_exp(-x));
}

// Mills' ratio of the normal distribution, Phi(-size) / phi(size) for size >= 0, within 2e-7 relative: a
// polynomial in 1 / (1 + 0.35 size).
XV_FN float xv_mills_ratio(float size)
{
    float t = 1.0f / xv_fma(0.35f, size, 1.0f);
    float m = -0.0730579868f;
    m = xv_fma(m, t, 0.360883415f);
    m = xv_fma(m, t, -0.640980363f);
    m = xv_fma(m, t, 0.398990154f);
    m = xv_fma(m, t, -0.0579275712f);
    m = xv_fma(m, t, 0.264469266f);
    m = xv_fma(m, t, 0.300376475f);
    m = xv_fma(m, t, 0.350581706f);
    m = xv_fma(m, t, 0.349978954f);
    return m * t;
}

// Density of the normal distribution; 0 beyond +-14.
XV_FN float xv_normal_density(float x)
{
    return 0.398942280f * xv_exp(-0.5f * x * x);
}

// x Phi(x) = x (1 + erf(x / sqrt 2)) / 2, within 3e-6 relative for -6 <= x < 0, 4e-7 for x > 0. The tail is
// computed, not 1 - erf, so small values keep their digits.
XV_FN float xv_gelu(float x)
{
    float clamped = x > 30.0f ? 30.0f : x;
    clamped = clamped < -30.0f ? -30.0f : clamped;  // an infinity must not meet a density of zero
    float tail = clamped * xv_normal_density(clamped) * xv_mills_ratio(fabsf(clamped));
    return x > 0.0f ? x - tail : tail;
}

// Derivative of xv_gelu: Phi(x) + x phi(x), within 4e-7 absolute.
XV_FN float xv_gelu_grad(float x)
{
    float clamped = x > 30.0f ? 30.0f : x;
    clamped = clamped < -30.0f ? -30.0f : clamped;
    float density = xv_normal_density(clamped);
    float tail = density * xv_mills_ratio(fabsf(clamped));
    float cumulative = clamped > 0.0f ? 1.0f - tail : tail;
    return xv_fma(clamped, density, cumulative);
}

// CLIP's x sigmoid(1.702 x), within 4e-7 relative or 1e-8 absolute.
XV_FN float xv_quick_gelu(float x)
{
    x = x < -80.0f ? -80.0f : x;
    return x * xv_sigmoid(1.702f * x);
}

// Derivative of xv_quick_gelu: with z = 1.702 x, s + z s (1 - s), within 5e-7 absolute.
XV_FN float xv_quick_gelu_grad(float x)
{
    float z = 1.702f * x;
    z = z > 80.0f ? 80.0f : z;
    z = z < -80.0f ? -80.0f : z;
    float e = xv_exp(-z);
    float s = 1.0f / (1.0f + e);
    return xv_fma(z * s, e * s, s);
}
