// The texts that NVRTC compiles: those of runtime/cuda in front of a program's kernels, joined into one source, because
// kernels include nothing. They are embedded in the runtime's library.
#pragma once

#include <stddef.h>

// A source is device.cuh, math.h ... in the order of library.cuh with kernels behind them, as one text with #line
// directives, so that messages name the file and line. Lines with #include and #pragma once are left empty.
//
// A program is several of them, which can be compiled one by one: piece 0 is the library's kernels, the others hold
// some of the program's `kernels` each. How a text is cut depends on the text alone. The caller frees a piece; NULL
// without memory.
int xv_cuda_piece_count(const char *kernels);
char *xv_cuda_piece(const char *kernels, int piece);

// The name in the next line XV_ENTRY(name), up to the parenthesis; NULL behind the last.
const char *xv_cuda_next_entry(const char *at);
