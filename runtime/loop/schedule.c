// The linear schedule; see schedule.h.
#include "runtime/loop/schedule.h"

#include <math.h>
#include <stdbool.h>

int64_t xv_warmup_steps(double setting, int64_t total)
{
    bool is_count = setting >= 1.0 && !(floor(setting) < setting);
    return (int64_t)(is_count ? setting : setting * (double)total);
}

static double at_least_one(int64_t steps)
{
    return steps > 1 ? (double)steps : 1.0;
}

double xv_schedule_factor(const XvSchedule *schedule, int64_t position)
{
    if (position < schedule->warmup) {
        return (double)position / at_least_one(schedule->warmup);
    }
    double left = (double)(schedule->total - position) / at_least_one(schedule->total - schedule->warmup);
    return left > 0.0 ? left : 0.0;
}
