// Files that are complete or not there: everything goes to PATH.partial, is flushed to the device, and takes the place
// of PATH in one rename. On failure (disk full, size limit, no permission) PATH is what it was before. Only files are
// replaced, not devices and pipes.
#pragma once

#include "runtime/base/error.h"

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

typedef struct XvOutput {
    const char *path;  // borrowed
    char partial[PATH_MAX];
    int file;
    int64_t written;  // bytes so far
} XvOutput;

// Whether PATH is free or a regular file, which may be replaced.
bool xv_output_check(const char *path, XvError *error);

// All fail with "cannot write PATH: ...".
bool xv_output_open(XvOutput *output, const char *path, XvError *error);
bool xv_output_write(XvOutput *output, const void *data, size_t bytes, XvError *error);

// Ends a file that was opened: with `is_good` it gets its name, else it is removed. True if the file is there.
bool xv_output_close(XvOutput *output, bool is_good, XvError *error);

// All bytes into an open file, whatever interrupts. False with errno set.
bool xv_write_all(int file, const void *data, size_t bytes);
