// Aligned work memory; see scratch.h.
#include "runtime/device/scratch.h"

#include <stdio.h>
#include <stdlib.h>

float *xv_scratch(int64_t floats)
{
    size_t bytes = ((size_t)floats * sizeof(float) + 64) & ~(size_t)63;
    float *scratch = aligned_alloc(64, bytes);
    if (scratch == NULL) {
        fprintf(stderr, "out of memory: a kernel needs %zu bytes of work memory\n", bytes);
        abort();
    }
    return scratch;
}

void xv_scratch_free(float *scratch)
{
    free(scratch);
}
