// The kernels of a program as machine code of one architecture: from the cache, else compiled now, several pieces at a
// time.
#pragma once

#include "runtime/cuda/nvrtc.h"

typedef struct XvCubins {
    XvCubin *pieces;  // in the order of texts.h
    int n_pieces;
    int n_compiled;     // now; the others were in the cache
    char compiler[32];  // version of NVRTC
} XvCubins;

// False after a message. A cache that cannot be written is told on stderr.
bool xv_cubins_get(XvCubins *cubins, const char *kernels, const char *architecture, XvError *error);

// The same without the cache: every piece is compiled and has its log.
bool xv_cubins_compile(XvCubins *cubins, const char *kernels, const char *architecture, XvError *error);

void xv_cubins_free(XvCubins *cubins);
