// The kernels of a program as machine code of one architecture: from the cache, else compiled now, several pieces at a
// time.
#pragma once

#include "runtime/cuda/nvrtc.h"
#include "runtime/program.h"

typedef struct XvCubins {
    XvCubin *pieces;  // in the order of texts.h
    int n_pieces;
    int n_compiled;  // now; the others were in the cache
} XvCubins;

// False after a message. A cache that cannot be written is told on stderr.
bool xv_cubins_get(XvCubins *cubins, const XvCudaProgram *program, const char *architecture, XvError *error);
void xv_cubins_free(XvCubins *cubins);
