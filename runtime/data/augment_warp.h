// OpenCV's affine warp of 8-bit pictures.
#pragma once

#include "runtime/data/image.h"

// Moves the pixel (x, y) to (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]): `out`, an image of the same size, is
// sampled bilinearly at 1/32 of a pixel, outside is grey 128.
void xv_warp_affine(const XvImage *image, const double forward[6], XvImage *out);
