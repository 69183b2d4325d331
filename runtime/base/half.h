// Two-byte floating point and the operands of tf32 products, as bits. Every function is free of branches, so that loops
// over them vectorise.
//
//   bf16  sign, 8 bits of exponent, 7 of fraction: the upper half of a float
//   f16   IEEE 754 binary16: sign, 5, 10
//   tf32  sign, 8, 10, in the place of a float
//
// From float to bf16 and f16: to nearest, ties to even, subnormals included; beyond the range infinity; a NaN stays a
// NaN of the same sign, quiet. To float: exact. To tf32: to nearest, ties away from zero, as the instruction
// cvt.rna.tf32 of PTX; infinities and NaN as they are.
#pragma once

#include <stdint.h>
#include <string.h>

static inline uint32_t xv_bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float xv_float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint16_t xv_bf16_from_float(float value)
{
    uint32_t bits = xv_bits_of_float(value);
    uint32_t nan = bits >> 16 | 0x40u;
    uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
    return (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? nan : rounded);
}

static inline float xv_bf16_to_float(uint16_t bf16)
{
    return xv_float_of_bits((uint32_t)bf16 << 16);
}

static inline uint16_t xv_f16_from_float(float value)
{
    uint32_t bits = xv_bits_of_float(value), magnitude = bits & 0x7FFFFFFFu;
    uint32_t nan = 0x7E00u | (magnitude >> 13 & 0x1FFu);
    // Exponents 2^-14 to 2^15 lose 13 bits of fraction; a carry runs into the exponent, up to that of infinity.
    uint32_t normal = (magnitude + 0xFFFu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13;
    // Beside a half the last bit of a float is 2^-24, which is that of subnormals: the sum rounds.
    uint32_t small = xv_bits_of_float(xv_float_of_bits(magnitude) + 0.5f) - 0x3F000000u;
    uint32_t large = magnitude > 0x7F800000u ? nan : 0x7C00u;
    uint32_t rounded = magnitude < 0x38800000u ? small : magnitude < 0x47800000u ? normal : large;
    return (uint16_t)((bits >> 16 & 0x8000u) | rounded);
}

static inline float xv_f16_to_float(uint16_t f16)
{
    uint32_t sign = (uint32_t)(f16 & 0x8000u) << 16, magnitude = f16 & 0x7FFFu;
    uint32_t raised = (magnitude << 13) + (magnitude < 0x7C00u ? 112u << 23 : 224u << 23);
    uint32_t small = xv_bits_of_float((float)(int32_t)magnitude * 0x1p-24f);  // zero and subnormals, exact
    return xv_float_of_bits(sign | (magnitude < 0x400u ? small : raised));
}

static inline float xv_tf32_round(float value)
{
    uint32_t bits = xv_bits_of_float(value);
    uint32_t rounded = (bits + 0x1000u) & ~0x1FFFu;
    return xv_float_of_bits((bits & 0x7F800000u) == 0x7F800000u ? bits : rounded);
}

static inline float xv_bf16_round(float value)
{
    return xv_bf16_to_float(xv_bf16_from_float(value));
}

static inline float xv_f16_round(float value)
{
    return xv_f16_to_float(xv_f16_from_float(value));
}
