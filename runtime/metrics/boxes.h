// How well boxes in a picture are found (dataset/utils.py): overlap of boxes, and the choice of a detection
// from a map of attention. A box is x, y, width, height in pixels, x and y its upper left corner.
#pragma once

#include "runtime/base/error.h"

#include <stdbool.h>
#include <stdint.h>

// A prediction (centre x, centre y, width, height in shares of the picture) as a box, in float32 as officially.
void xv_box_of_shares(const float shares[4], int width, int height, double box[4]);

// Intersection over union where the last pixel of a box is x + width - 1: the intersection, empty unless it spans more
// than one pixel both ways, is (x2 - x1 + 1) * (y2 - y1 + 1); the union is w1 * h1 + w2 * h2 - intersection, without
// that + 1. 0 when the union is 0, and NaN for boxes of NaN.
double xv_box_iou(const double a[4], const double b[4]);

// An expression counts as found when the overlap, rounded to float32, is at least a half; never when it is NaN.
bool xv_box_is_hit(double iou);

// values[height, width], both at least 1.
typedef struct XvMap {
    const float *values;
    int height, width;
} XvMap;

// Bicubic, see runtime/base/bicubic.h. `out` holds height * width values; fails without memory.
bool xv_map_resize(const XvMap *map, int height, int width, float *out, XvError *error);

// The detection whose pixels hold the most of a map that is as large as the picture: scores[i] is the sum over columns
// int(x) <= c < int(x + w) and rows likewise, over the square root of w * h; pixels outside the picture hold nothing.
// The first of equal scores is picked. Returns its index, or -1 when no score is above 0: such an expression has no box
// and is not found. (The official code would keep the box of the expression before it.) Boxes with w * h <= 0 or a
// number that is not finite score 0.
int64_t xv_box_pick(const XvMap *map, const double (*boxes)[4], int64_t n, double *scores);
