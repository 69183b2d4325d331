// Bicubic interpolation as torch does it: a = -0.75, half-pixel centres, edges repeated, no antialiasing.
#pragma once

// The share of each of `source` points of an axis in each of `target` points: weights[target][source], whose rows sum
// to 1. Both counts are at least 1.
void xv_bicubic_weights(int source, int target, double *weights);
