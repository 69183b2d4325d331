// Recorded random draws in place of a generator.
#pragma once

#include "runtime/data/draws.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

// A recording is a list of [kind, ..., value]. "shuffle" and "sample" hold the resulting order, "rand" and
// "flip" a number in [0, 1), "randint" [low, high, value], "choice" [count, index]. A mismatch of kinds or
// ranges sets `is_wrong` instead of failing at once, so that the test can name its case.
typedef struct Recording {
    const cJSON *next;
    bool is_wrong;
} Recording;

XvDraws recorded_draws(Recording *recording);
