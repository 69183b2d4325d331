// Geometry and normalisation of pictures around the resize (dataset/__init__.py).
#pragma once

#include "runtime/data/draws.h"
#include "runtime/data/image.h"

#include <stdbool.h>

// torchvision's RandomResizedCrop: a share of the area uniform in scale_low..scale_high, an aspect ratio
// log-uniform in 3/4..4/3, ten attempts, then the largest centred crop within those ratios.
XvCrop xv_random_crop(XvImageSize size, double scale_low, double scale_high, const XvDraws *draws);

// Mirrors left and right, in place.
void xv_flip(XvImage *image);

// (x / 255 - mean) / std with CLIP's statistics, from RGB triples to three planes: out is f32 [3, height,
// width].
void xv_normalise(const XvImage *image, float *out);
