// The formats behind image.h; each knows its own library.
#pragma once

#include "runtime/data/image.h"

// A file of `count` bytes claims this size, and its format packs at most so many pixels into a byte. False, before any
// memory is asked for, when that cannot be.
typedef struct XvSizeClaim {
    const char *format;  // "JPEG"
    uint32_t width, height;
    size_t count;
    uint32_t pixels_per_byte;
} XvSizeClaim;

bool xv_image_check_claim(const XvSizeClaim *claim, XvError *error);

bool xv_jpeg_size(const uint8_t *bytes, size_t count, XvImageSize *size, XvError *error);
bool xv_jpeg_decode(const uint8_t *bytes, size_t count, int rows, XvImage *image, XvError *error);

bool xv_png_size(const uint8_t *bytes, size_t count, XvImageSize *size, XvError *error);
bool xv_png_decode(const uint8_t *bytes, size_t count, XvImage *image, XvError *error);
