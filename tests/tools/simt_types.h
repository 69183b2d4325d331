// What the tests of typed library kernels share; see simt_types.c.
#pragma once

#include "tests/tools/check.h"

#include "runtime/cuda/device.h"

double value_of(const void *at, XvDtype type, int64_t index);

// Normal numbers times scale; one element more than asked for.
void *random_elements(XvDtype type, int64_t count, uint64_t key, double scale);

double rounding_of(XvDtype type);  // the largest relative error of rounding to the type
const char *type_name(XvDtype type, bool is_tf32);

// Waits; a launch that failed is a failed check.
void finished(Check *check, XvDevice *device, const char *what);
