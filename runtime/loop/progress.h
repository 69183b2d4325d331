// What a training run shows while it works: a line that is rewritten on a terminal, a line per interval elsewhere.
#pragma once

#include "runtime/loop/trainer.h"

#include <stdio.h>

typedef struct XvProgress {
    FILE *file;
    bool is_terminal;
    int64_t total;          // steps of the run
    int64_t first_step;     // where this process began
    double started;         // xv_seconds
    double shown;           // when the line was last rewritten
    double window_started;  // begin of the current interval
    int64_t window_pairs;   // trainer->pairs at that time
    double window_waited;   // seconds that the loop had waited for its data until then
    bool is_line_open;      // the cursor stands behind an unfinished line
} XvProgress;

XvProgress xv_progress_start(FILE *file, const XvTrainer *trainer, int64_t total);

// After every step: rewrites the line on a terminal, a few times a second at most.
void xv_progress_step(XvProgress *progress, const XvTrainer *trainer);

// At the end of an interval: a line with the means of the interval, where there is no terminal. Then begins the next.
void xv_progress_interval(XvProgress *progress, const XvTrainer *trainer);

// Ends an open line, so that other messages start on their own.
void xv_progress_break(XvProgress *progress);

// Pairs per second since the last interval ended.
double xv_progress_rate(const XvProgress *progress, const XvTrainer *trainer);

// Share of that time, in percent, that the loop waited for its data: how much it is bound by its input.
double xv_progress_input_bound(const XvProgress *progress, const XvTrainer *trainer);
