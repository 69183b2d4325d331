// Problems for the tests of attention; see attention_fixture.h.
#include "tests/unit/attention_fixture.h"

#include "runtime/base/random.h"

#include <stdlib.h>

const Case attention_cases[N_CASES] = {
    {2, 2, 5, 7, 3, 3, 0, false, false, 0.0},      {4, 3, 16, 16, 8, 8, 2, true, false, 0.0},
    {4, 2, 16, 17, 16, 16, 0, false, true, 0.1},   {2, 2, 49, 49, 32, 32, 2, true, false, 0.0},
    {3, 2, 13, 9, 24, 40, 0, true, true, 0.3},     {2, 2, 40, 50, 64, 64, 0, false, true, 0.1},
    {2, 1, 150, 145, 32, 32, 0, true, false, 0.0}, {1, 1, 1, 1, 1, 1, 0, false, false, 0.5},
    {2, 4, 1, 33, 64, 64, 0, false, true, 0.0},    {6, 1, 4, 3, 5, 2, 3, false, true, 0.2},
};

float *random_floats(int64_t count, uint64_t key, double scale)
{
    float *values = calloc((size_t)count + 1, sizeof *values);
    XvStream stream = xv_stream(key);
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)(scale * xv_stream_normal(&stream));
    }
    return values;
}

static void add_bias(Problem *problem, XvAttentionBias bias, int64_t count)
{
    int n = problem->attention.n_biases++;
    problem->n_bias[n] = count;
    problem->bias[n] = random_floats(count, 100 + (uint64_t)n, 1.0);
    problem->d_bias[n] = random_floats(count, 200, 1.0);
    bias.at = problem->bias[n];
    problem->attention.bias[n] = bias;
    problem->grad.d_bias[n] = problem->d_bias[n];
}

static void add_biases(Problem *problem)
{
    const Case *c = problem->shape;
    int64_t square = c->n_query * c->n_key;
    if (c->windows > 0 && c->has_head_bias) {
        add_bias(problem, (XvAttentionBias){NULL, 0, square, c->n_key, 1, 1, 1}, c->heads * square);
        add_bias(problem, (XvAttentionBias){NULL, square, 0, c->n_key, 1, 1, c->windows},
                 c->windows * square);
        return;
    }
    if (c->windows > 0) {
        add_bias(problem, (XvAttentionBias){NULL, square, 0, c->n_key, 1, 2, c->windows},
                 c->windows * square);
    }
    if (c->has_head_bias) {  // stored [n_query, n_key, heads], as a table is gathered
        add_bias(problem, (XvAttentionBias){NULL, 0, 1, c->n_key * c->heads, c->heads, 1, 1},
                 c->heads * square);
    }
    if (c->has_key_mask) {
        add_bias(problem, (XvAttentionBias){NULL, c->n_key, 0, 0, 1, 1, c->batch}, c->batch * c->n_key);
        for (int64_t i = 0; i < c->batch * c->n_key; i++) {
            problem->bias[problem->attention.n_biases - 1][i] = i % 5 == 4 ? -10000.0f : 0.0f;
        }
    }
}

Problem make_problem(const Case *c)
{
    Problem problem = {.shape = c, .row = c->heads * (2 * c->head_dim + c->value_dim)};
    int64_t rows = c->batch * (c->n_query > c->n_key ? c->n_query : c->n_key);
    problem.n_q = problem.n_k = problem.n_v = rows * problem.row;
    problem.n_out = c->batch * c->n_query * c->heads * c->value_dim;
    problem.q = random_floats(problem.n_q, 1, 1.0);
    problem.k = random_floats(problem.n_k, 2, 1.0);
    problem.v = random_floats(problem.n_v, 3, 1.0);
    problem.d_out = random_floats(problem.n_out, 4, 1.0);
    problem.out = random_floats(problem.n_out, 5, 1.0);
    problem.lse = random_floats(c->batch * c->heads * c->n_query, 6, 1.0);
    problem.dq = random_floats(problem.n_q, 7, 1.0);
    problem.dk = random_floats(problem.n_k, 8, 1.0);
    problem.dv = random_floats(problem.n_v, 9, 1.0);
    problem.keep = (XvDraw){
        .key = 77, .threshold = (uint32_t)(c->rate * 4294967296.0), .scale = (float)(1.0 / (1.0 - c->rate))};
    int64_t out_row = c->heads * c->value_dim;
    problem.attention = (XvAttention){
        .batch = c->batch,
        .heads = c->heads,
        .n_query = c->n_query,
        .n_key = c->n_key,
        .head_dim = c->head_dim,
        .value_dim = c->value_dim,
        .scale = 0.3f,
        .lse = problem.lse,
        .q = {problem.q, c->n_query * problem.row, c->head_dim, problem.row},
        .k = {problem.k, c->n_key * problem.row, c->head_dim, problem.row},
        .v = {problem.v, c->n_key * problem.row, c->value_dim, problem.row},
        .out = {problem.out, c->n_query * out_row, c->value_dim, out_row},
    };
    problem.grad = (XvAttentionGrad){
        .d_out = {problem.d_out, c->n_query * out_row, c->value_dim, out_row},
        .dq = {problem.dq, c->n_query * problem.row, c->head_dim, problem.row},
        .dk = {problem.dk, c->n_key * problem.row, c->head_dim, problem.row},
        .dv = {problem.dv, c->n_key * problem.row, c->value_dim, problem.row},
    };
    add_biases(&problem);
    return problem;
}

void link_problem(Problem *problem)
{
    problem->attention.keep = problem->shape->rate > 0.0 ? &problem->keep : NULL;
    problem->grad.forward = &problem->attention;
}

void free_problem(Problem *problem)
{
    float *all[] = {problem->q,       problem->k,         problem->v,        problem->out, problem->lse,
                    problem->d_out,   problem->dq,        problem->dk,       problem->dv,  problem->bias[0],
                    problem->bias[1], problem->d_bias[0], problem->d_bias[1]};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        free(all[i]);
    }
}
