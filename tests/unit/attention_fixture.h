// Problems for the tests of runtime/device/attention.h.
#pragma once

#include "runtime/device/attention.h"

#include <stdbool.h>

// A problem with q, k, v side by side in rows of `[q | k | v]` of all heads, as Swin keeps them, or apart.
typedef struct Case {
    int64_t batch, heads, n_query, n_key, head_dim, value_dim;
    int windows;         // of a [windows, 1, n_query, n_key] bias; 0: none
    bool has_head_bias;  // [1, heads, n_query, n_key]
    bool has_key_mask;   // [batch, 1, 1, n_key]
    double rate;         // dropout
} Case;

enum { N_CASES = 10 };
extern const Case attention_cases[N_CASES];

// Buffers of a case. Bias 0 is by window or by head, bias 1 by key.
typedef struct Problem {
    const Case *shape;
    int64_t row;  // elements of a row of qkv
    int64_t n_q, n_k, n_v, n_out, n_bias[2];
    float *q, *k, *v, *out, *lse, *d_out, *dq, *dk, *dv, *bias[2], *d_bias[2];
    XvDraw keep;
    XvAttention attention;
    XvAttentionGrad grad;
} Problem;

// Normal numbers times scale, from malloc.
float *random_floats(int64_t count, uint64_t key, double scale);

// Buffers with numbers, results included. The pointers inside a problem point to itself: link_problem is to be
// called where it has come to rest.
Problem make_problem(const Case *c);
void link_problem(Problem *problem);
void free_problem(Problem *problem);
