// The random decisions of the data pipeline, behind three functions.
//
// Samplers ask for numbers through XvDraws, so that a recorded sequence can stand in for the generator: that
// is how they are compared, draw by draw, with the official implementation.
#pragma once

#include "runtime/base/random.h"

#include <stdint.h>

typedef struct XvDraws {
    void *state;
    double (*uniform)(void *state);                              // [0, 1)
    int32_t (*between)(void *state, int32_t low, int32_t high);  // low..high, both included
    void (*shuffle)(void *state, int32_t *values, int count);
} XvDraws;

// Draws from a counter-based stream, which must outlive the result.
XvDraws xv_stream_draws(XvStream *stream);

// Draws that always take the first choice: between gives low, shuffle changes nothing, uniform gives
// almost 1.
XvDraws xv_first_draws(void);
