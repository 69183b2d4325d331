// Position tables of another size, as the official code resizes them on loading.
#pragma once

#include "runtime/base/error.h"

#include <stdint.h>

typedef enum XvResample {
    XV_RESAMPLE_NONE,
    XV_RESAMPLE_RELATIVE,  // [(2w - 1)^2, heads]: biases of a window by relative position (Swin)
    XV_RESAMPLE_ABSOLUTE,  // [1 + g^2, width] or [1, 1 + g^2, width]: a class row, then a grid of positions (ViT)
} XvResample;

// How tables of this name are resized; by the end of the name.
XvResample xv_resample_kind(const char *name);

typedef struct XvTable {
    int64_t rows, columns;  // of values[rows][columns]
} XvTable;

// From one size to the other; the columns are equal. False when the sizes are none of such tables.
//
// Relative tables (official models/swin_transformer.py:596): with s = sqrt(rows) source points per axis at 0 and
// +-(1, 1 + q, 1 + q + q^2, ...), q chosen by bisection so that the last reaches the target's last, and targets at the
// integers, a tensor-product cubic spline with not-a-knot ends; targets beyond the last source point are clamped to it.
// Absolute tables (models/vit.py:222): the first row stays, the grid is resized bicubically (a = -0.75, half-pixel
// centres, edges repeated, no antialiasing).
bool xv_resample(XvResample kind, const float *from, const XvTable *from_size, float *to,
                 const XvTable *to_size, XvError *error);

// The ratio q and the source coordinates of a relative table; `coordinates` holds `source_side` numbers.
double xv_resample_geometry(int source_side, int target_side, double *coordinates);
