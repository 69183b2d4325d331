// The affine warp in OpenCV 4.6's fixed point; see augment_warp.h.
//
// The matrix is inverted in double precision; coordinates have 10 bits behind the point, are rounded to 5 and
// split into a pixel and a place on a 32 x 32 grid of bilinear weights.
#include "runtime/data/augment_warp.h"

#include <math.h>
#include <string.h>

enum {
    COORDINATE_BITS = 10,
    GRID_BITS = 5,
    GRID = 1 << GRID_BITS,
    FILL = 128,
};

static void invert(const double forward[6], double inverse[6])
{
    double determinant = forward[0] * forward[4] - forward[1] * forward[3];
    double scale = determinant != 0 ? 1 / determinant : 0;
    inverse[0] = forward[4] * scale;
    inverse[1] = forward[1] * -scale;
    inverse[3] = forward[3] * -scale;
    inverse[4] = forward[0] * scale;
    inverse[2] = -inverse[0] * forward[2] - inverse[1] * forward[5];
    inverse[5] = -inverse[3] * forward[2] - inverse[4] * forward[5];
}

// Round to even, the default mode.
static int fixed_point(double value)
{
    return (int)lrint(value * (1 << COORDINATE_BITS));
}

// A pixel, or grey outside the picture.
static const uint8_t *pixel_at(const XvImage *image, int x, int y)
{
    static const uint8_t outside[3] = {FILL, FILL, FILL};
    bool is_inside = x >= 0 && x < image->width && y >= 0 && y < image->height;
    return is_inside ? image->pixels + ((size_t)y * (size_t)image->width + (size_t)x) * 3 : outside;
}

// The sample at (x, y), in 1/32 of a pixel.
static inline void sample(const XvImage *image, int x, int y, uint8_t *out)
{
    int left = x >> GRID_BITS, top = y >> GRID_BITS;
    int right_weight = x & (GRID - 1), low_weight = y & (GRID - 1);
    int left_weight = GRID - right_weight, top_weight = GRID - low_weight;
    const uint8_t *a, *b, *c, *d;
    if (left >= 0 && left < image->width - 1 && top >= 0 && top < image->height - 1) {
        size_t stride = (size_t)image->width * 3;
        a = image->pixels + (size_t)top * stride + (size_t)left * 3;
        b = a + 3;
        c = a + stride;
        d = c + 3;
    } else {
        a = pixel_at(image, left, top);
        b = pixel_at(image, left + 1, top);
        c = pixel_at(image, left, top + 1);
        d = pixel_at(image, left + 1, top + 1);
    }
    enum {
        SHIFT = 2 * GRID_BITS
    };  // weights of 10 bits and those of 15 round alike: the latter end in zeros
    for (int k = 0; k < 3; k++) {
        int sum = (a[k] * left_weight + b[k] * right_weight) * top_weight +
                  (c[k] * left_weight + d[k] * right_weight) * low_weight;
        out[k] = (uint8_t)((sum + (1 << (SHIFT - 1))) >> SHIFT);
    }
}

void xv_warp_affine(const XvImage *image, const double forward[6], XvImage *out)
{
    double m[6];
    invert(forward, m);
    const int half = 1 << (COORDINATE_BITS - GRID_BITS - 1);
    for (int y = 0; y < image->height; y++) {
        uint8_t *row = out->pixels + (size_t)y * (size_t)image->width * 3;
        int x_at_left = fixed_point(m[1] * y + m[2]) + half;
        int y_at_left = fixed_point(m[4] * y + m[5]) + half;
        for (int x = 0; x < image->width; x++) {
            int at_x = (x_at_left + fixed_point(m[0] * x)) >> (COORDINATE_BITS - GRID_BITS);
            int at_y = (y_at_left + fixed_point(m[3] * x)) >> (COORDINATE_BITS - GRID_BITS);
            sample(image, at_x, at_y, row + 3 * x);
        }
    }
}
