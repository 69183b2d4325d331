// NVIDIA's run-time compiler, loaded when it is first needed: kernels become machine code for one architecture. It
// needs no GPU and no driver, only libnvrtc with its builtins library beside it.
#pragma once

#include "runtime/base/error.h"

#include <stddef.h>

typedef struct XvNvrtc XvNvrtc;

// Looks for libnvrtc as libraries.h says. False after a message that says what was looked for.
bool xv_nvrtc_open(XvNvrtc **nvrtc, XvError *error);
void xv_nvrtc_close(XvNvrtc *nvrtc);

// "13.0"
const char *xv_nvrtc_version(const XvNvrtc *nvrtc);

typedef struct XvCubin {
    char *image;  // an ELF file; the caller frees it
    size_t bytes;
    char *log;  // what the compiler said, warnings and the use of registers; the caller frees it
} XvCubin;

// Compiles a source (texts.h) for an architecture, "sm_90a". False after a message with the compiler's errors.
bool xv_nvrtc_compile(const XvNvrtc *nvrtc, const char *source, const char *architecture, XvCubin *cubin,
                      XvError *error);

// What one kernel needs, from the log of its compilation.
typedef struct XvKernelUse {
    int registers, shared_bytes, stack_bytes, spill_bytes;
} XvKernelUse;

// False when the log does not speak of the kernel.
bool xv_kernel_use(const char *log, const char *kernel, XvKernelUse *use);

// The first warning in a log, or NULL; *length is its extent.
const char *xv_first_warning(const char *log, size_t *length);
