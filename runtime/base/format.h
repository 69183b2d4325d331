// Numbers as people read them, and the clock they come from.
#pragma once

#include <stdint.h>

enum { XV_FORMAT_SIZE = 32 };  // holds any result of these functions

// "512 B", "1.5 KiB", "2.58 GiB". Writes into `out` and returns it.
const char *xv_format_bytes(char out[XV_FORMAT_SIZE], double bytes);

// "42s", "3m07s", "2h05m", "4d03h"; "?" for what is not finite or negative.
const char *xv_format_duration(char out[XV_FORMAT_SIZE], double seconds);

// "215,637,241".
const char *xv_format_count(char out[XV_FORMAT_SIZE], int64_t count);

// Seconds of a clock that never goes back; the zero is arbitrary.
double xv_seconds(void);
