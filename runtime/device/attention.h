// Multi-head attention on the CPU, forward and backward, over strided views; everything between what is read and
// what is written is in single precision.
//
//   s[b,h,i,j]   = scale * q[b,h,i,:] . k[b,h,j,:] + biases
//   p[b,h,i,:]   = softmax of s[b,h,i,:]
//   out[b,h,i,:] = sum over j of keep[b,h,i,j] p[b,h,i,j] v[b,h,j,:]
//
// Everything of one (batch, head) pair stays in the cache; the probabilities never reach memory. Pairs run in
// parallel. Results do not depend on the number of threads.
//
// Elements of the views may be stored in two bytes: they are widened when read and rounded to nearest even when
// written. With is_tf32 what is read of views of floats is rounded to tf32 (runtime/base/half.h). Biases and lse
// are floats.
#pragma once

#include "runtime/program.h"

// A view [batch, head, row, :] with element strides; the elements of a row are adjacent. A zero stride
// repeats (inputs only).
typedef struct XvHeads {
    const void *at;
    int64_t batch, head, row;
} XvHeads;

typedef struct XvHeadsOut {
    void *at;
    int64_t batch, head, row;
} XvHeadsOut;

// Added to the scores: element [c, h, i, j] of a view, c = b / divisor % modulus; a zero stride broadcasts.
// Window masks: modulus = windows per image; masks per sample shared by its windows: divisor = windows per
// image.
typedef struct XvAttentionBias {
    const float *at;
    int64_t batch, head, query, key;  // element strides
    int64_t divisor, modulus;         // >= 1
} XvAttentionBias;

enum { XV_MAX_BIASES = 2 };

typedef struct XvAttention {
    int64_t batch, heads, n_query, n_key;
    int64_t head_dim;   // of q and k
    int64_t value_dim;  // of v and out
    float scale;
    XvDtype type;  // F32, BF16 or F16: of all views, those of the gradient included
    bool is_tf32;
    XvHeads q, k, v;
    XvHeadsOut out;  // not read by the backward pass
    XvAttentionBias bias[XV_MAX_BIASES];
    int n_biases;
    const XvDraw *keep;  // dropout on p, NULL for none; element ((b * heads + h) * n_query + i) * n_key + j
    float *lse;          // [batch, heads, n_query]: log sum exp of the scores, or NULL
} XvAttention;

void xv_attention(const XvAttention *attention);

// Gradients of the same call. dq, dk and dv are written, not added to, and may not use zero strides.
// d_bias[n] is the gradient of bias[n], written: dense and row-major, [modulus, heads, n_query, n_key] with 1
// for each dimension in which bias[n] has stride zero, summed over all that shares an element, in an order
// that depends on the shapes alone; NULL: not wanted. The probabilities are computed again from q, k and the
// biases; neither out nor lse is needed.
typedef struct XvAttentionGrad {
    const XvAttention *forward;
    XvHeads d_out;
    XvHeadsOut dq, dk, dv;
    float *d_bias[XV_MAX_BIASES];
    // Target cuda, where a d_bias is wanted: memory for [n_chunks, heads, n_query, n_key], a chunk being a run of batch
    // entries, a single one where a wanted bias differs from entry to entry. There lse of `forward` is read. Without
    // any d_bias the caller adds up the parts.
    float *parts;
    int64_t n_chunks;
} XvAttentionGrad;

void xv_attention_grad(const XvAttentionGrad *grad);
