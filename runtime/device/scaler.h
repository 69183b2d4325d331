// The factor of the loss with fp16, as the official pre-training sets apex's: from 1024 on, never above; halved, down
// to 1, by gradients that are not finite, whose update is left out; doubled after 2000 updates in a row. And what else
// depends on the updates that were made: AdamW's correction of its young moments.
//
// One text for CPU and GPU, like math.h.
#pragma once

#ifndef XV_KERNEL
#include "runtime/device/kernel_types.h"
#include "runtime/device/math.h"
#include <stdbool.h>
#endif

#define XV_LOSS_SCALE_MOST 1024.0f
#define XV_LOSS_SCALE_LEAST 1.0f
enum { XV_LOSS_SCALE_UPDATES = 2000 };

// By what gradients are too large.
XV_FN float xv_loss_factor(XvScaler scaler)
{
    return scaler.loss_scale > 0 ? scaler.loss_scale : 1;
}

// Whether gradients that are not finite are answered with a smaller scale. Else they are an error.
XV_FN bool xv_can_scale_down(XvScaler scaler)
{
    return scaler.loss_scale > XV_LOSS_SCALE_LEAST;
}

// After an update, which was made if its gradients were finite.
XV_FN XvScaler xv_scaler_next(XvScaler scaler, bool is_finite)
{
    scaler.updates += is_finite;
    if (!(scaler.loss_scale > 0)) {
        return scaler;
    }
    scaler.age = is_finite ? scaler.age + 1 : 0;
    if (!is_finite) {
        const float half = scaler.loss_scale / 2;
        scaler.loss_scale = half > XV_LOSS_SCALE_LEAST ? half : XV_LOSS_SCALE_LEAST;
    } else if (scaler.age == XV_LOSS_SCALE_UPDATES) {
        const float twice = scaler.loss_scale * 2;
        scaler.loss_scale = twice < XV_LOSS_SCALE_MOST ? twice : XV_LOSS_SCALE_MOST;
        scaler.age = 0;
    }
    return scaler;
}

// The factor of the rate of update number updates + 1.
XV_FN double xv_adamw_correction(double beta1, double beta2, int64_t updates)
{
    const double t = (double)(updates + 1);
    return sqrt(1.0 - pow(beta2, t)) / (1.0 - pow(beta1, t));
}
