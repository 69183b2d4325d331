// Machine code of kernels on disk, so that a program compiles them once for a machine: one file for what was compiled,
// named by a hash of source, architecture and compiler. The folder is XV_CUBIN_CACHE, else XDG_CACHE_HOME/xvlmc, else
// ~/.cache/xvlmc, and holds at most XV_CUBIN_CACHE_BYTES; the files that were not used for longest go first.
//
// Several processes may use it at once: a file appears under its name complete, by a rename. A file that is damaged
// or belongs to another key is taken for missing, and is replaced. A cache that cannot be written costs time,
// nothing else.
#pragma once

#include "runtime/cuda/nvrtc.h"

#include <stdint.h>

#define XV_CUBIN_CACHE_BYTES (INT64_C(512) << 20)

typedef struct XvCubinKey {
    uint64_t word[2];
} XvCubinKey;

XvCubinKey xv_cubin_key(const char *source, const char *architecture, const char *compiler);

// The image into cubin->image (the caller frees it), without a log. False if it is not there.
bool xv_cubin_cache_read(const XvCubinKey *key, XvCubin *cubin);

// False after a message that names the folder or file.
bool xv_cubin_cache_write(const XvCubinKey *key, const XvCubin *cubin, XvError *error);
