// Pillow's bicubic resize, bit by bit: a = -0.5, support widened by the shrink factor (antialiasing), weights
// rounded to 22-bit fixed point, the horizontal pass first, bytes between the passes, a pass skipped when its
// side keeps its size. A crop is cut out first: pixels outside it are never seen.
#pragma once

#include "runtime/base/error.h"
#include "runtime/data/image.h"

#include <stdbool.h>

// Weight tables and scratch memory, reused from call to call. One per thread; start from {0}.
typedef struct XvResizer {
    struct XvResizeTable {
        int in, out;   // sizes it was made for; 0: none
        int taps;      // entries per output pixel
        int *first;    // [out] first input pixel
        int *count;    // [out] input pixels used, at most taps
        int *weights;  // [out, taps] fixed point
    } tables[2];       // horizontal, vertical
    uint8_t *rows;     // the picture between the passes
    size_t rows_capacity;
    uint8_t *block;  // some rows of the crop, turned, and the same resized
    size_t block_capacity;
} XvResizer;

// Resizes the crop (which lies inside the image) to the size of `out`, which is another image.
// out->width and out->height say the wanted size; use xv_image_resize first.
bool xv_resize(XvResizer *resizer, const XvImage *image, XvCrop crop, XvImage *out, XvError *error);
void xv_resizer_free(XvResizer *resizer);
