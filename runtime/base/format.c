// Formatting of sizes, durations and counts; see format.h.
#include "runtime/base/format.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const char *xv_format_bytes(char out[XV_FORMAT_SIZE], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int unit = 0;
    while (bytes >= 1024.0 && unit < 5) {
        bytes /= 1024.0;
        unit++;
    }
    int digits = unit == 0 || bytes >= 100.0 ? 0 : bytes >= 10.0 ? 1 : 2;
    snprintf(out, XV_FORMAT_SIZE, "%.*f %s", digits, bytes, units[unit]);
    return out;
}

const char *xv_format_duration(char out[XV_FORMAT_SIZE], double seconds)
{
    if (!isfinite(seconds) || seconds < 0.0 || seconds > 1e12) {
        return strcpy(out, "?");
    }
    int64_t whole = (int64_t)(seconds + 0.5);
    if (whole < 60) {
        snprintf(out, XV_FORMAT_SIZE, "%" PRId64 "s", whole);
    } else if (whole < 3600) {
        snprintf(out, XV_FORMAT_SIZE, "%" PRId64 "m%02" PRId64 "s", whole / 60, whole % 60);
    } else if (whole < 86400) {
        snprintf(out, XV_FORMAT_SIZE, "%" PRId64 "h%02" PRId64 "m", whole / 3600, whole % 3600 / 60);
    } else {
        snprintf(out, XV_FORMAT_SIZE, "%" PRId64 "d%02" PRId64 "h", whole / 86400, whole % 86400 / 3600);
    }
    return out;
}

const char *xv_format_count(char out[XV_FORMAT_SIZE], int64_t count)
{
    char digits[24];
    int n_digits = snprintf(digits, sizeof digits, "%" PRId64, count);
    int used = 0;
    for (int i = 0; i < n_digits; i++) {
        if (i > (count < 0) && (n_digits - i) % 3 == 0) {
            out[used++] = ',';
        }
        out[used++] = digits[i];
    }
    out[used] = 0;
    return out;
}

double xv_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
