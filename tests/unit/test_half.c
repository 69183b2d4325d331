// runtime/base/half.h: every two-byte value, the ties between neighbours, and what lies beside them.
#include "runtime/base/half.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>

typedef struct Format {
    const char *name;
    uint16_t (*narrow)(float);
    float (*widen)(uint16_t);
    int exponent_bits, fraction_bits;
} Format;

static const Format FORMATS[] = {
    {"bf16", xv_bf16_from_float, xv_bf16_to_float, 8, 7},
    {"f16", xv_f16_from_float, xv_f16_to_float, 5, 10},
};

// What the bits mean, by the definition of the format.
static double meaning(const Format *format, uint32_t bits)
{
    int fraction_bits = format->fraction_bits, bias = (1 << (format->exponent_bits - 1)) - 1;
    int exponent = (int)(bits >> fraction_bits) & ((1 << format->exponent_bits) - 1);
    double fraction = ldexp((double)(bits & ((1u << fraction_bits) - 1)), -fraction_bits);
    double sign = bits & 0x8000u ? -1.0 : 1.0;
    if (exponent == (1 << format->exponent_bits) - 1) {
        return fraction == 0.0 ? sign * (double)INFINITY : (double)NAN;
    }
    return sign * (exponent == 0 ? ldexp(fraction, 1 - bias) : ldexp(1.0 + fraction, exponent - bias));
}

static void test_every_value(void **state)
{
    (void)state;
    for (int f = 0; f < 2; f++) {
        for (uint32_t bits = 0; bits < 0x10000u; bits++) {
            float wide = FORMATS[f].widen((uint16_t)bits);
            double expected = meaning(&FORMATS[f], bits);
            if (isnan(expected)) {
                uint16_t back = FORMATS[f].narrow(wide);
                assert_true(isnan(wide) && isnan(FORMATS[f].widen(back)) && back >> 15 == bits >> 15);
                continue;
            }
            assert_true((double)wide == expected && !signbit(wide) == !signbit(expected));
            assert_int_equal(FORMATS[f].narrow(wide), bits);
        }
    }
}

// Between a value and the next larger in magnitude: the middle goes to the even one, what is beside it to the nearer.
static void check_gap(const Format *format, uint32_t bits)
{
    double low = meaning(format, bits), high = meaning(format, bits + 1);
    if (isinf(high)) {
        high = ldexp(1.0, format->exponent_bits == 5 ? 16 : 128) * (low < 0 ? -1.0 : 1.0);
    }
    double middle = (low + high) / 2;
    float tie = (float)middle;
    assert_true((double)tie == middle || isinf(tie) || format->exponent_bits == 8);
    if (format->exponent_bits == 8 && (bits & 0x7FFFu) == 0x7F7Fu) {
        tie = nextafterf(INFINITY, 0.0f);  // the middle is no float; the largest float lies beyond it
        assert_int_equal(format->narrow(low < 0 ? -tie : tie), bits + 1);
        return;
    }
    assert_int_equal(format->narrow(tie), bits & 1u ? bits + 1 : bits);
    assert_int_equal(format->narrow(nextafterf(tie, 0.0f)), bits);
    assert_int_equal(format->narrow(nextafterf(tie, low < 0 ? -INFINITY : INFINITY)), bits + 1);
}

static void test_rounding(void **state)
{
    (void)state;
    for (int f = 0; f < 2; f++) {
        uint32_t infinity = f == 0 ? 0x7F80u : 0x7C00u;
        for (uint32_t bits = 0; bits < infinity; bits++) {
            check_gap(&FORMATS[f], bits);
            if (bits > 0) {
                check_gap(&FORMATS[f], bits | 0x8000u);
            }
        }
        assert_int_equal(FORMATS[f].narrow(INFINITY), infinity);
        assert_int_equal(FORMATS[f].narrow(-INFINITY), infinity | 0x8000u);
    }
    assert_int_equal(xv_f16_from_float(65519.0f), 0x7BFF);
    assert_int_equal(xv_f16_from_float(65520.0f), 0x7C00);
    assert_int_equal(xv_f16_from_float(1e30f), 0x7C00);
    assert_int_equal(xv_f16_from_float(1e-30f), 0);
}

// Signalling NaN whose payload lies in the bits that are dropped stay NaN.
static void test_nan(void **state)
{
    (void)state;
    const uint32_t nan[] = {0x7F800001u, 0xFF800001u, 0x7FFFFFFFu, 0xFFFFFFFFu, 0x7FC00000u};
    for (int i = 0; i < 5; i++) {
        float value = xv_float_of_bits(nan[i]);
        assert_true(isnan(xv_bf16_to_float(xv_bf16_from_float(value))));
        assert_true(isnan(xv_f16_to_float(xv_f16_from_float(value))));
        assert_true(isnan(xv_tf32_round(value)));
    }
}

static void test_tf32(void **state)
{
    (void)state;
    for (uint32_t top = 0; top < 0x80000u; top++) {
        uint32_t bits = top << 13;
        float value = xv_float_of_bits(bits);
        if (isnan(value) || isinf(value)) {
            assert_true(isnan(value) ? isnan(xv_tf32_round(value)) : xv_tf32_round(value) == value);
            continue;
        }
        assert_true(xv_bits_of_float(xv_tf32_round(value)) == bits);
        assert_true(xv_bits_of_float(xv_tf32_round(xv_float_of_bits(bits | 0xFFFu))) == bits);
        assert_true(xv_bits_of_float(xv_tf32_round(xv_float_of_bits(bits | 0x1000u))) == bits + 0x2000u);
        assert_true(xv_bits_of_float(xv_tf32_round(xv_float_of_bits(bits | 0x1FFFu))) == bits + 0x2000u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_tf32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
