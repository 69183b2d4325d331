// Work memory of one kernel call.
#pragma once

#include <stdint.h>

// `floats` floats at a multiple of 64 bytes, not initialised; at least one byte, so never NULL. Ends the
// program with a message when there is no memory: a kernel has no way to continue. Free with xv_scratch_free.
float *xv_scratch(int64_t floats);
void xv_scratch_free(float *scratch);
