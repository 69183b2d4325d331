// What the tools of the rule of mixed_precision.json share: its bound.
#pragma once

#include "tests/tools/check.h"

#define MIXED_FACTOR 1.5  // of the largest recorded error

// The bound of [min, median, max]; NaN for a null or where nothing is recorded.
static inline double mixed_bound(const cJSON *figure)
{
    const cJSON *maximum = cJSON_GetArrayItem(figure, 2);
    return cJSON_IsNumber(maximum) ? MIXED_FACTOR * maximum->valuedouble : NAN;
}
