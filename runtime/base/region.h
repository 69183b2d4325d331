// Large zeroed pieces of memory that live as long as the program: parameters, moments, arenas.
#pragma once

#include "runtime/base/error.h"

#include <stddef.h>

typedef struct XvRegion {
    void *data;  // a multiple of 4096, hence of 64; never NULL once created
    size_t bytes;
} XvRegion;

// Maps `bytes` zero bytes (0 is allowed); the system gives pages when they are first touched. `what` names the
// region in the message: "the gradients".
bool xv_region_create(XvRegion *region, size_t bytes, const char *what, XvError *error);

// Returns the memory; a region of {0} is allowed.
void xv_region_free(XvRegion *region);
