// What the runtime hands to kernels by address: one text for CPU and GPU (device.cuh defines XV_KERNEL).
#pragma once

#ifndef XV_KERNEL
#include <stdint.h>
#endif

// State of one draw during one run, set by the runtime before `run`. Element i is
//   given ? given[i] (KEEP: 0/1 mask times scale) : drawn from Philox(key, counter i).
typedef struct XvDraw {
    uint64_t key;                // xv_key(xv_key(xv_key(seed, step), entry), draw)
    uint32_t threshold;          // KEEP: kept when the word is >= threshold; 0 keeps all
    float scale;                 // KEEP: value of a kept element; 1 when off
    const float *given_mask;     // KEEP: 0/1 values, or NULL
    const int32_t *given_index;  // SAMPLE: indices, or NULL
} XvDraw;

// Rates of one optimizer update, not yet corrected for the bias of young moments.
typedef struct XvRates {
    double rate[2];       // plain and fresh
    float decay_size[2];  // rate * weight_decay
} XvRates;

// What an update learns from those before it, and tells the next; see runtime/device/scaler.h.
typedef struct XvScaler {
    float loss_scale;  // gradients are those of the loss times this; 0: the program does not scale
    int32_t age;       // updates since it changed
    int64_t updates;   // made so far; that of a gradient that is not finite is not
} XvScaler;

// Scalars of one optimizer update (the official variant of AdamW, optim.py).
typedef struct XvUpdate {
    float step_size[2];    // lr * sqrt(1-b2^t) / (1-b1^t), plain and fresh
    float decay_size[2];   // lr * weight_decay, plain and fresh
    float gradient_scale;  // clipping factor
} XvUpdate;
