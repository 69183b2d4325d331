// The precision policy: which ops read and give which types, in one table, and the pass that writes it into a graph as
// dtypes and CASTs. Both targets compile what it leaves.
//
// The rules are those of automatic mixed precision (apex O1, torch.autocast): operands of products and attention are
// rounded to the type and products are summed in f32; their results are rounded, but gradients of parameters stay
// f32; everything else is f32. Parameters are f32; products read a copy in the type. With tf32 nothing is stored in
// another type: operands of products are rounded when they are read, results are f32.
//
// What only waits for the backward pass, or carries gradients along a residual stream, is stored in the type as well
// (KEPT in graph.h); the forward residual stream is f32.
#pragma once

#include "compiler/graph.h"

typedef enum Precision {
    PRECISION_FP32,
    PRECISION_TF32,
    PRECISION_BF16,
    PRECISION_FP16,
    PRECISION_COUNT
} Precision;

// "bf16", as the command line spells it; and back, false for another word.
const char *precision_name(Precision precision);
bool precision_find(const char *name, Precision *precision);

Dtype precision_dtype(Precision precision);  // of rounded values: F32, BF16, F16

// With fp16 gradients are those of the loss times a factor that the runtime sets (the draw "loss_scale"), so that small
// ones are not lost. The graph with the product, and in *scaled its node; another precision leaves the loss.
const Graph *scale_loss(Arena *arena, const Graph *graph, Precision precision, NodeId loss, NodeId *scaled);

// What a graph computes when it follows the policy. A graph for fp32 is returned as it is. Requires: no node is bf16 or
// f16, attention is recognised, the gradient is there (compounds are not yet expanded).
const Graph *apply_precision(Arena *arena, const Graph *graph, Precision precision);
