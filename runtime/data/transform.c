// Crops, flips, normalisation; see transform.h.
#include "runtime/data/transform.h"

#include <math.h>
#include <string.h>

static const float MEAN[3] = {0.48145466f, 0.4578275f, 0.40821073f};
static const float STD[3] = {0.26862954f, 0.26130258f, 0.27577711f};
static const double RATIO_LOW = 3.0 / 4.0, RATIO_HIGH = 4.0 / 3.0;

static XvCrop centred_crop(XvImageSize size)
{
    double ratio = (double)size.width / size.height;
    int width = size.width, height = size.height;
    if (ratio < RATIO_LOW) {
        height = (int)nearbyint(width / RATIO_LOW);
    } else if (ratio > RATIO_HIGH) {
        width = (int)nearbyint(height * RATIO_HIGH);
    }
    return (XvCrop){(size.width - width) / 2, (size.height - height) / 2, width, height};
}

XvCrop xv_random_crop(XvImageSize size, double scale_low, double scale_high, const XvDraws *draws)
{
    double area = (double)size.width * size.height;
    double log_low = log(RATIO_LOW), log_high = log(RATIO_HIGH);
    for (int attempt = 0; attempt < 10; attempt++) {
        double target = area * (scale_low + (scale_high - scale_low) * draws->uniform(draws->state));
        double ratio = exp(log_low + (log_high - log_low) * draws->uniform(draws->state));
        int width = (int)nearbyint(sqrt(target * ratio));
        int height = (int)nearbyint(sqrt(target / ratio));
        if (width > 0 && width <= size.width && height > 0 && height <= size.height) {
            int top = draws->between(draws->state, 0, size.height - height);
            int left = draws->between(draws->state, 0, size.width - width);
            return (XvCrop){left, top, width, height};
        }
    }
    return centred_crop(size);
}

void xv_flip(XvImage *image)
{
    for (int y = 0; y < image->height; y++) {
        uint8_t *row = image->pixels + (size_t)y * (size_t)image->width * 3;
        for (int left = 0, right = image->width - 1; left < right; left++, right--) {
            uint8_t pixel[3];
            memcpy(pixel, row + 3 * left, 3);
            memcpy(row + 3 * left, row + 3 * right, 3);
            memcpy(row + 3 * right, pixel, 3);
        }
    }
}

void xv_normalise(const XvImage *image, float *out)
{
    float tables[3][256];
    for (int c = 0; c < 3; c++) {
        for (int v = 0; v < 256; v++) {
            tables[c][v] = ((float)v / 255.0f - MEAN[c]) / STD[c];
        }
    }
    size_t count = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *pixel = image->pixels + 3 * i;
        out[i] = tables[0][pixel[0]];
        out[count + i] = tables[1][pixel[1]];
        out[2 * count + i] = tables[2][pixel[2]];
    }
}
