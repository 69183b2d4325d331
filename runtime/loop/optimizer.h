// One optimizer step over gradients that a train graph has left: clipping, rates, moments (optim.py,
// scheduler.py).
#pragma once

#include "runtime/device/scaler.h"
#include "runtime/loop/host.h"
#include "runtime/loop/schedule.h"

// The betas of the official optimizer; the program's update has them compiled in.
#define XV_BETA1 0.9
#define XV_BETA2 0.98

typedef struct XvOptimizer {
    XvSchedule schedule;
    double lr, lr_mult;  // base rate, and the factor for fresh parameters
    double weight_decay;
    double clip;       // largest global norm; 0 or less: no clipping
    int64_t position;  // steps of the schedule taken
    XvScaler scaler;   // as the last update that is known here left it
} XvOptimizer;

// The rate of the next update for parameters that are not fresh.
double xv_optimizer_rate(const XvOptimizer *optimizer);

// The global L2 norm over the parameters that `has_gradient` marks, in double precision and in an order that depends
// on the parameters alone.
double xv_gradient_norm(const XvProgram *program, const float *gradients, const uint8_t *has_gradient);

// Of the next update, whether or not those before it were made.
XvRates xv_optimizer_rates(const XvOptimizer *optimizer);

// The scalars of update number updates + 1, for gradients of this norm: the rate corrected for the bias of the young
// moments, the decay, and min(1, clip / (norm + 1e-6)).
XvUpdate xv_optimizer_scalars(const XvOptimizer *optimizer, double norm);

// What a program's optimizer starts with: 1024 for fp16, else 0.
float xv_first_loss_scale(const XvProgram *program);

// The gradients that a run with host->loss_scale has left become those of the loss itself.
void xv_unscale_gradients(const XvHost *host);

// Updates the parameters of an entry and counts the update; the schedule stays where it is. Returns the norm before
// clipping, of the gradients of the loss itself. With a norm that is not finite nothing is changed but the scaler.
double xv_optimizer_step(XvOptimizer *optimizer, XvHost *host, const XvEntry *entry);
