// runtime/device/attention.h against a plain double-precision attention, and its gradients against finite
// differences of that; masks, dropout, odd sizes, strided views, any number of threads.
#include "tests/unit/attention_fixture.h"

#include "runtime/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static double keep_value(const Problem *problem, int64_t element)
{
    if (problem->shape->rate <= 0.0) {
        return 1.0;
    }
    XvPhilox words = xv_philox(problem->keep.key, 0, (uint64_t)element / 4);
    return words.word[element % 4] >= problem->keep.threshold ? (double)problem->keep.scale : 0.0;
}

// Index into bias n that pair (b, h) adds at (i, j).
static int64_t bias_index(const XvAttentionBias *bias, int64_t b, int64_t h, int64_t i, int64_t j)
{
    return b / bias->divisor % bias->modulus * bias->batch + h * bias->head + i * bias->query + j * bias->key;
}

static double score(const Problem *problem, int64_t b, int64_t h, int64_t i, int64_t j)
{
    const XvAttention *a = &problem->attention;
    const float *q = (const float *)a->q.at + b * a->q.batch + h * a->q.head + i * a->q.row;
    const float *k = (const float *)a->k.at + b * a->k.batch + h * a->k.head + j * a->k.row;
    double sum = 0.0;
    for (int64_t d = 0; d < a->head_dim; d++) {
        sum += (double)q[d] * (double)k[d];
    }
    sum *= (double)a->scale;
    for (int n = 0; n < a->n_biases; n++) {
        sum += (double)a->bias[n].at[bias_index(&a->bias[n], b, h, i, j)];
    }
    return sum;
}

// Probabilities of one row; returns the log-sum-exp.
static double probabilities(const Problem *problem, const int64_t at[3], double *p)
{
    double max = -INFINITY, total = 0.0;
    int64_t n = problem->attention.n_key;
    for (int64_t j = 0; j < n; j++) {
        p[j] = score(problem, at[0], at[1], at[2], j);
        max = p[j] > max ? p[j] : max;
    }
    for (int64_t j = 0; j < n; j++) {
        total += p[j] = exp(p[j] - max);
    }
    for (int64_t j = 0; j < n; j++) {
        p[j] /= total;
    }
    return max + log(total);
}

static int64_t element(const Problem *problem, const int64_t at[3], int64_t j)
{
    const XvAttention *a = &problem->attention;
    return ((at[0] * a->heads + at[1]) * a->n_query + at[2]) * a->n_key + j;
}

// The output of one row, in double precision.
static double reference_row(const Problem *problem, const int64_t at[3], double *out)
{
    const XvAttention *a = &problem->attention;
    double *p = calloc((size_t)a->n_key, sizeof *p);
    double lse = probabilities(problem, at, p);
    for (int64_t d = 0; d < a->value_dim; d++) {
        out[d] = 0.0;
        for (int64_t j = 0; j < a->n_key; j++) {
            out[d] += p[j] * keep_value(problem, element(problem, at, j)) *
                      (double)problem->v[at[0] * a->v.batch + at[1] * a->v.head + j * a->v.row + d];
        }
    }
    free(p);
    return lse;
}

static void next_row(const XvAttention *a, int64_t row, int64_t at[3])
{
    at[2] = row % a->n_query;
    at[1] = row / a->n_query % a->heads;
    at[0] = row / a->n_query / a->heads;
}

static void check_forward(const Problem *problem)
{
    const XvAttention *a = &problem->attention;
    double out[64];
    for (int64_t row = 0; row < a->batch * a->heads * a->n_query; row++) {
        int64_t at[3];
        next_row(a, row, at);
        double lse = reference_row(problem, at, out);
        assert_true(fabs((double)a->lse[row] - lse) < 2e-6 * (1.0 + fabs(lse)));
        const float *got = problem->out + at[0] * a->out.batch + at[1] * a->out.head + at[2] * a->out.row;
        for (int64_t d = 0; d < a->value_dim; d++) {
            if (!(fabs((double)got[d] - out[d]) < 4e-6)) {
                fail_msg("case %td row %lld: %g, expected %g", problem->shape - attention_cases,
                         (long long)row, (double)got[d], out[d]);
            }
        }
    }
}

static void test_forward(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASES; i++) {
        Problem problem = make_problem(&attention_cases[i]);
        link_problem(&problem);
        xv_attention(&problem.attention);
        check_forward(&problem);
        free_problem(&problem);
    }
}

// All gradients in double precision, in the layouts of the problem.
typedef struct Gradients {
    double *dq, *dk, *dv, *d_bias[2];
} Gradients;

static double *zeros(int64_t count)
{
    return calloc((size_t)count + 1, sizeof(double));
}

static int64_t dense_index(const XvAttention *a, int n, const int64_t at[3], int64_t j)
{
    const XvAttentionBias *bias = &a->bias[n];
    int64_t index = bias->batch ? at[0] / bias->divisor % bias->modulus : 0;
    index = index * (bias->head ? a->heads : 1) + (bias->head ? at[1] : 0);
    index = index * (bias->query ? a->n_query : 1) + (bias->query ? at[2] : 0);
    return index * (bias->key ? a->n_key : 1) + (bias->key ? j : 0);
}

// d_score of one row and what follows from it.
static void reference_row_gradient(const Problem *problem, const int64_t at[3], Gradients *to)
{
    const XvAttention *a = &problem->attention;
    const XvHeads *d_out = &problem->grad.d_out;
    double *p = zeros(a->n_key), *d_p = zeros(a->n_key), mean = 0.0;
    probabilities(problem, at, p);
    const float *d_row = problem->d_out + at[0] * d_out->batch + at[1] * d_out->head + at[2] * d_out->row;
    int64_t q = at[0] * a->q.batch + at[1] * a->q.head + at[2] * a->q.row;
    for (int64_t j = 0; j < a->n_key; j++) {
        double keep = keep_value(problem, element(problem, at, j));
        int64_t v = at[0] * a->v.batch + at[1] * a->v.head + j * a->v.row;
        for (int64_t d = 0; d < a->value_dim; d++) {
            d_p[j] += keep * (double)d_row[d] * (double)problem->v[v + d];
            to->dv[v + d] += keep * p[j] * (double)d_row[d];
        }
        mean += p[j] * d_p[j];
    }
    for (int64_t j = 0; j < a->n_key; j++) {
        double d_score = p[j] * (d_p[j] - mean);
        int64_t k = at[0] * a->k.batch + at[1] * a->k.head + j * a->k.row;
        for (int64_t d = 0; d < a->head_dim; d++) {
            to->dq[q + d] += (double)a->scale * d_score * (double)problem->k[k + d];
            to->dk[k + d] += (double)a->scale * d_score * (double)problem->q[q + d];
        }
        for (int n = 0; n < a->n_biases; n++) {
            to->d_bias[n][dense_index(a, n, at, j)] += d_score;
        }
    }
    free(p);
    free(d_p);
}

static Gradients reference_gradients(const Problem *problem)
{
    const XvAttention *a = &problem->attention;
    Gradients to = {zeros(problem->n_q),
                    zeros(problem->n_k),
                    zeros(problem->n_v),
                    {zeros(problem->n_bias[0]), zeros(problem->n_bias[1])}};
    for (int64_t row = 0; row < a->batch * a->heads * a->n_query; row++) {
        int64_t at[3];
        next_row(a, row, at);
        reference_row_gradient(problem, at, &to);
    }
    return to;
}

static void free_gradients(Gradients *gradients)
{
    double *all[] = {gradients->dq, gradients->dk, gradients->dv, gradients->d_bias[0], gradients->d_bias[1]};
    for (int i = 0; i < 5; i++) {
        free(all[i]);
    }
}

// Compares where the reference is not exactly zero (gaps between the rows of a view hold other things).
static void check_array(const char *name, const float *got, const double *expected, int64_t count)
{
    double square = 0.0;
    for (int64_t i = 0; i < count; i++) {
        square += expected[i] * expected[i];
    }
    double bound = 1e-5 * (1.0 + sqrt(square / (double)(count + 1)));
    for (int64_t i = 0; i < count; i++) {
        if (expected[i] != 0.0 && !(fabs((double)got[i] - expected[i]) < bound + 1e-5 * fabs(expected[i]))) {
            fail_msg("%s[%lld]: %g, expected %g", name, (long long)i, (double)got[i], expected[i]);
        }
    }
}

static void test_gradients(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASES; i++) {
        Problem problem = make_problem(&attention_cases[i]);
        link_problem(&problem);
        xv_attention_grad(&problem.grad);
        Gradients expected = reference_gradients(&problem);
        check_array("dq", problem.dq, expected.dq, problem.n_q);
        check_array("dk", problem.dk, expected.dk, problem.n_k);
        check_array("dv", problem.dv, expected.dv, problem.n_v);
        for (int n = 0; n < problem.attention.n_biases; n++) {
            check_array("d_bias", problem.d_bias[n], expected.d_bias[n], problem.n_bias[n]);
        }
        free_gradients(&expected);
        free_problem(&problem);
    }
}

// sum of out * d_out, in double precision.
static double objective(const Problem *problem)
{
    const XvAttention *a = &problem->attention;
    const XvHeads *d_out = &problem->grad.d_out;
    double sum = 0.0, out[64];
    for (int64_t row = 0; row < a->batch * a->heads * a->n_query; row++) {
        int64_t at[3];
        next_row(a, row, at);
        reference_row(problem, at, out);
        for (int64_t d = 0; d < a->value_dim; d++) {
            sum +=
                out[d] *
                (double)problem->d_out[at[0] * d_out->batch + at[1] * d_out->head + at[2] * d_out->row + d];
        }
    }
    return sum;
}

static void check_difference(const Problem *problem, float *value, double expected)
{
    float saved = *value;
    *value = saved + 0.0078125f;
    double step_up = (double)*value - (double)saved, up = objective(problem);
    *value = saved - 0.0078125f;
    double step_down = (double)saved - (double)*value, down = objective(problem);
    *value = saved;
    double difference = (up - down) / (step_up + step_down);
    if (!(fabs(difference - expected) < 2e-3 * (1.0 + fabs(expected)))) {
        fail_msg("central difference %g, gradient %g", difference, expected);
    }
}

// The kernel's gradients are derivatives of the reference output, whatever formula they come from.
static void test_finite_differences(void **state)
{
    (void)state;
    const int chosen[] = {0, 4, 9};
    for (int c = 0; c < 3; c++) {
        Problem problem = make_problem(&attention_cases[chosen[c]]);
        link_problem(&problem);
        xv_attention_grad(&problem.grad);
        const XvAttention *a = &problem.attention;
        for (int64_t i = 0; i < 12; i++) {
            int64_t d = i % a->head_dim, b = i % a->batch, h = i % a->heads;
            int64_t q = b * a->q.batch + h * a->q.head + i % a->n_query * a->q.row + d;
            int64_t k = b * a->k.batch + h * a->k.head + i % a->n_key * a->k.row + d;
            int64_t v = b * a->v.batch + h * a->v.head + i % a->n_key * a->v.row + i % a->value_dim;
            check_difference(&problem, &problem.q[q], (double)problem.dq[q]);
            check_difference(&problem, &problem.k[k], (double)problem.dk[k]);
            check_difference(&problem, &problem.v[v], (double)problem.dv[v]);
        }
        for (int n = 0; n < a->n_biases; n++) {
            int64_t at[3] = {a->batch - 1, a->heads - 1, a->n_query - 1};
            int64_t where = bias_index(&a->bias[n], at[0], at[1], at[2], 1);
            check_difference(&problem, &problem.bias[n][where],
                             (double)problem.d_bias[n][dense_index(a, n, at, 1)]);
        }
        free_problem(&problem);
    }
}

// Everything a call writes, with the same number of threads or another.
static void run_with_threads(Problem *problem, int threads)
{
    omp_set_num_threads(threads);
    xv_attention(&problem->attention);
    xv_attention_grad(&problem->grad);
}

static void test_thread_count(void **state)
{
    (void)state;
    int before = omp_get_max_threads();
    for (int i = 0; i < N_CASES; i++) {
        Problem one = make_problem(&attention_cases[i]);
        link_problem(&one);
        run_with_threads(&one, 1);
        for (int threads = 2; threads <= 3; threads++) {
            Problem many = make_problem(&attention_cases[i]);
            link_problem(&many);
            run_with_threads(&many, threads);
            assert_memory_equal(one.out, many.out, (size_t)one.n_out * sizeof(float));
            assert_memory_equal(one.dq, many.dq, (size_t)one.n_q * sizeof(float));
            assert_memory_equal(one.dk, many.dk, (size_t)one.n_k * sizeof(float));
            assert_memory_equal(one.dv, many.dv, (size_t)one.n_v * sizeof(float));
            for (int n = 0; n < one.attention.n_biases; n++) {
                assert_memory_equal(one.d_bias[n], many.d_bias[n], (size_t)one.n_bias[n] * sizeof(float));
            }
            free_problem(&many);
        }
        free_problem(&one);
    }
    omp_set_num_threads(before);
}

// A draw that keeps everything gives the bits of no draw; a given mask replaces the random numbers.
static void test_draws(void **state)
{
    (void)state;
    Problem problem = make_problem(&attention_cases[2]);
    problem.keep = (XvDraw){.scale = 1.0f};
    xv_attention(&problem.attention);
    float *plain = malloc((size_t)problem.n_out * sizeof *plain);
    memcpy(plain, problem.out, (size_t)problem.n_out * sizeof *plain);
    link_problem(&problem);
    xv_attention(&problem.attention);
    assert_memory_equal(plain, problem.out, (size_t)problem.n_out * sizeof *plain);

    int64_t count = attention_cases[2].batch * attention_cases[2].heads * attention_cases[2].n_query *
                    attention_cases[2].n_key;
    float *mask = random_floats(count, 1, 0.0);
    problem.keep = (XvDraw){.given_mask = mask, .scale = 2.0f, .threshold = 1u << 30};
    xv_attention(&problem.attention);
    for (int64_t i = 0; i < problem.n_out; i++) {
        assert_true(problem.out[i] == 0.0f);
    }
    for (int64_t i = 0; i < count; i++) {
        mask[i] = 0.5f;
    }
    xv_attention(&problem.attention);
    assert_memory_equal(plain, problem.out, (size_t)problem.n_out * sizeof *plain);
    free(mask);
    free(plain);
    free_problem(&problem);
}

// Rows [count, width of `row`] of one head that are nearly the same: a common part and a hundredth of it.
static void make_alike(float *rows, int64_t count, int64_t row, int64_t width)
{
    for (int64_t i = 1; i < count; i++) {
        for (int64_t d = 0; d < width; d++) {
            rows[i * row + d] = rows[d] + 0.01f * rows[i * row + d];
        }
    }
}

static double relative_error(const float *got, const double *expected, int64_t count)
{
    double error = 0.0, square = 0.0;
    for (int64_t i = 0; i < count; i++) {
        double difference = expected[i] != 0.0 ? (double)got[i] - expected[i] : 0.0;
        error += difference * difference;
        square += expected[i] * expected[i];
    }
    return sqrt(error / square);
}

// Deep layers make tokens alike: dS is then a small difference, and dQ a small difference of that.
static void test_tokens_alike(void **state)
{
    (void)state;
    static const Case alike = {1, 1, 25, 25, 64, 64, 0, false, false, 0.0};
    Problem problem = make_problem(&alike);
    link_problem(&problem);
    make_alike(problem.q, alike.n_query, problem.row, alike.head_dim);
    make_alike(problem.k, alike.n_key, problem.row, alike.head_dim);
    make_alike(problem.v, alike.n_key, problem.row, alike.value_dim);
    xv_attention_grad(&problem.grad);
    Gradients expected = reference_gradients(&problem);
    assert_true(relative_error(problem.dq, expected.dq, problem.n_q) < 3e-5);
    assert_true(relative_error(problem.dk, expected.dk, problem.n_k) < 3e-5);
    free_gradients(&expected);
    free_problem(&problem);
}

// A row whose keys are all masked is uniform, as the official additive masks make it.
static void test_masked_row(void **state)
{
    (void)state;
    float q[4] = {1, 2, 3, 4}, k[8] = {1, 1, 1, 1, 2, 2, 2, 2}, v[2] = {3, 5}, bias[2] = {-1e9f, -1e9f},
          out[1];
    float dq[4], dk[8], dv[2], d_out[1] = {1};
    XvAttention attention = {.batch = 1,
                             .heads = 1,
                             .n_query = 1,
                             .n_key = 2,
                             .head_dim = 4,
                             .value_dim = 1,
                             .scale = 1.0f,
                             .q = {q, 4, 4, 4},
                             .k = {k, 8, 4, 4},
                             .v = {v, 2, 1, 1},
                             .out = {out, 1, 1, 1},
                             .n_biases = 1,
                             .bias = {{bias, 0, 0, 0, 1, 1, 1}}};
    xv_attention(&attention);
    assert_true(fabsf(out[0] - 4.0f) < 1e-6f);
    XvAttentionGrad grad = {.forward = &attention,
                            .d_out = {d_out, 1, 1, 1},
                            .dq = {dq, 4, 4, 4},
                            .dk = {dk, 8, 4, 4},
                            .dv = {dv, 2, 1, 1}};
    xv_attention_grad(&grad);
    assert_true(fabsf(dv[0] - 0.5f) < 1e-6f && fabsf(dv[1] - 0.5f) < 1e-6f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),      cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_tokens_alike), cmocka_unit_test(test_finite_differences),
        cmocka_unit_test(test_thread_count), cmocka_unit_test(test_draws),
        cmocka_unit_test(test_masked_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
