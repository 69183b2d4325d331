// Shared by library.c and library_attention.c.
#pragma once

#include "runtime/cuda/device.h"
#include "runtime/cuda/tasks.h"

static inline XvSpan xv_span_of(const void *at, int64_t count)
{
    return (XvSpan){at, at ? count : 0};
}

static inline int64_t xv_pieces(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

static inline XvOperand xv_operand(const void *at, XvDtype type, int64_t count)
{
    XvOperand operand = {.is_f16 = type == XV_F16};
    *(type == XV_F32 ? &operand.f32 : &operand.half) = xv_span_of(at, count);
    return operand;
}

static inline XvResult xv_result(const void *at, XvDtype type, int64_t count)
{
    XvOperand same = xv_operand(at, type, count);
    return (XvResult){same.f32, same.half, same.is_f16};
}

static inline void xv_launch_library(const XvRun *run, int kernel, int64_t blocks, int threads,
                                     void **arguments)
{
    XvKernelLaunch request = {.kernel = kernel,
                              .grid = {(uint32_t)blocks, 1, 1},
                              .threads = (uint32_t)threads,
                              .arguments = arguments};
    xv_device_launch(run->device, &request);
}
