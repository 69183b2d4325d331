// The learning rate over a run: linear warm-up, then linear decay to zero (scheduler.py).
#pragma once

#include <stdint.h>

typedef struct XvSchedule {
    int64_t warmup;  // steps until the full rate
    int64_t total;   // steps of the run
} XvSchedule;

// The official setting of a warm-up: a whole number counts steps, anything else is a share of the run, truncated.
int64_t xv_warmup_steps(double setting, int64_t total);

// Share of the base rate after `position` steps of the schedule: position / warmup while it is smaller than warmup,
// so 0 at the very first update, then (total - position) / (total - warmup), never below 0.
double xv_schedule_factor(const XvSchedule *schedule, int64_t position);
