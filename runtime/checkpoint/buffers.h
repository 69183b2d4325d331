// Values of the buffers that official state dicts carry, for checkpoints that official code loads with strict=True.
#pragma once

#include "runtime/base/tensor.h"
#include "runtime/program.h"

// Writes all values of a buffer, whose shape is one that its fill allows, to `out`: int64_t or float by its dtype.
void xv_buffer_values(const XvBuffer *buffer, void *out);
