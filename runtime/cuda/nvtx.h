// Ranges for profilers (NVIDIA Tools Extension, version 3). A tool names a library in NVTX_INJECTION64_PATH; the
// program loads it and shows it tables of places, into which the tool writes its functions. Without a tool nothing is
// loaded and nothing is called.
#pragma once

#include <stdbool.h>

typedef struct XvNvtx {
    int (*push)(const char *text);                        // begins a range of this thread
    int (*pop)(void);                                     // ends the last that began
    void (*name_stream)(void *stream, const char *text);  // or NULL
} XvNvtx;

// Whether a tool is there that wants ranges.
bool xv_nvtx_open(XvNvtx *nvtx);
