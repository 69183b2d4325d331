// Compounds written out in primitives. The definitions here are what the compounds mean: later stages render
// them, and special kernels are compared with them.
//
//     softmax(x)       e / sum e, e = exp(x - max x)              log_softmax(x)   x - lse
//     layer_norm       (x - mean) * rsqrt(mean((x - mean)^2) + epsilon) * weight + bias
//     cross_entropy    lse - x[label], lse = log(sum e) + max x
//     attention        softmax(scale q k^T + biases) * keep v
//     attention_grad   from p = exp(scores - lse), D = d_out v^T * keep: d_s = p * (D - sum(d_out * out));
//                      d_q = scale d_s k, d_k = scale d_s^T q, d_v = (p * keep)^T d_out, d_bias = d_s summed
//     stop_gradient    x: its work is done in grad, and expand comes after it
//     gelu             x / 2 * (1 + erf(x / sqrt 2)); gelu_grad its derivative
#pragma once

#include "compiler/graph.h"

enum {
    EXPAND_SIMPLE = 1,     // SOFTMAX, LOG_SOFTMAX, LAYER_NORM, CROSS_ENTROPY, STOP_GRADIENT, KEPT
    EXPAND_ATTENTION = 2,  // ATTENTION, ATTENTION_GRAD and their RESULT nodes
    EXPAND_GELU = 4,       // GELU, GELU_GRAD
};

// A new graph in which the compounds named by the mask `which` are replaced. Results nobody asks for leave
// dead nodes behind; simplify drops them.
Graph *expand(Arena *arena, const Graph *graph, uint32_t which);
