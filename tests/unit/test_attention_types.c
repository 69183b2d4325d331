// runtime/device/attention.h with elements of two bytes and tf32, against floats of the same values.
#include "runtime/device/elements.h"
#include "tests/unit/attention_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

// Rounds to a storage type, or to tf32.
static void round_floats(float *values, int64_t count, XvReading reading)
{
    uint16_t *low = malloc((size_t)count * sizeof *low);
    if (reading.is_tf32) {
        xv_load_floats(values, values, reading, count);
    } else {
        xv_store_floats(low, reading.type, values, count);
        xv_load_floats(values, low, reading, count);
    }
    free(low);
}

// The same numbers in the storage type, in a new array.
static void *stored(const float *values, int64_t count, XvReading reading)
{
    void *to = malloc((size_t)count * 4 + 4);
    xv_store_floats(to, reading.type, values, count);
    return to;
}

// Makes `typed` a problem of elements of the type, with the numbers that `plain` has once they are rounded.
static void make_typed(Problem *plain, Problem *typed, XvReading reading)
{
    float *plain_arrays[] = {plain->q,   plain->k,  plain->v,  plain->d_out,
                             plain->out, plain->dq, plain->dk, plain->dv};
    void **typed_arrays[] = {(void **)&typed->q,     (void **)&typed->k,   (void **)&typed->v,
                             (void **)&typed->d_out, (void **)&typed->out, (void **)&typed->dq,
                             (void **)&typed->dk,    (void **)&typed->dv};
    int64_t counts[] = {plain->n_q,   plain->n_k, plain->n_v, plain->n_out,
                        plain->n_out, plain->n_q, plain->n_k, plain->n_v};
    for (int i = 0; i < 8; i++) {
        void *array = stored(plain_arrays[i], counts[i], reading);
        free(*typed_arrays[i]);
        *typed_arrays[i] = array;
        round_floats(plain_arrays[i], i < 4 ? counts[i] : 0, reading);
    }
    XvAttention *a = &typed->attention;
    XvAttentionGrad *grad = &typed->grad;
    a->type = reading.type;
    a->is_tf32 = reading.is_tf32;
    a->q.at = typed->q, a->k.at = typed->k, a->v.at = typed->v, a->out.at = typed->out;
    grad->d_out.at = typed->d_out, grad->dq.at = typed->dq, grad->dk.at = typed->dk, grad->dv.at = typed->dv;
}

static void check_typed_array(const float *plain, const void *typed, int64_t count, XvReading reading)
{
    void *expected = stored(plain, count, reading);
    assert_memory_equal(expected, typed, (size_t)count * xv_dtype_size(reading.type));
    free(expected);
}

// Elements of two bytes give what floats of the same values give, rounded; so does tf32. Bit for bit.
static void test_types(void **state)
{
    (void)state;
    static const XvReading readings[] = {{XV_BF16, false}, {XV_F16, false}, {XV_F32, true}};
    for (int i = 0; i < N_CASES * 3; i++) {
        XvReading reading = readings[i % 3];
        Problem plain = make_problem(&attention_cases[i / 3]), typed = make_problem(&attention_cases[i / 3]);
        link_problem(&plain);
        link_problem(&typed);
        make_typed(&plain, &typed, reading);
        xv_attention(&plain.attention);
        xv_attention(&typed.attention);
        xv_attention_grad(&plain.grad);
        xv_attention_grad(&typed.grad);
        check_typed_array(plain.out, typed.out, plain.n_out, reading);
        check_typed_array(plain.dq, typed.dq, plain.n_q, reading);
        check_typed_array(plain.dk, typed.dk, plain.n_k, reading);
        check_typed_array(plain.dv, typed.dv, plain.n_v, reading);
        assert_memory_equal(plain.lse, typed.lse,
                            (size_t)(attention_cases[i / 3].batch * attention_cases[i / 3].heads *
                                     attention_cases[i / 3].n_query) *
                                4);
        free_problem(&plain);
        free_problem(&typed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
