// What the tools of the rule of mixed_precision.json share: its bounds, and the relative errors that they bound.
#pragma once

#include "tests/tools/check.h"

#define MIXED_FACTOR 1.5  // of the largest recorded error

static inline double mixed_relative_error(const Values *got, const Values *want)
{
    double *difference = check_memory((size_t)want->count * sizeof *difference);
    for (int64_t i = 0; i < want->count; i++) {
        difference[i] = got->at[i] - want->at[i];
    }
    double error = check_l2(difference, want->count) / check_l2(want->at, want->count);
    free(difference);
    return error;
}

// The bound of [min, median, max]; NaN for a null or where nothing is recorded.
static inline double mixed_bound(const cJSON *figure)
{
    const cJSON *maximum = cJSON_GetArrayItem(figure, 2);
    return cJSON_IsNumber(maximum) ? MIXED_FACTOR * maximum->valuedouble : NAN;
}

// The bound of a statistic (median, p90) over the relative errors of all `what` (outputs, grads), or NaN.
static inline double mixed_summary_bound(const cJSON *mixed, const char *type, const char *what,
                                         const char *statistic)
{
    char name[64];
    snprintf(name, sizeof name, "%s_rel_l2_%s", what, statistic);
    const cJSON *summary = check_member(check_member(mixed, "summary"), type);
    return mixed_bound(cJSON_GetObjectItemCaseSensitive(summary, name));
}
