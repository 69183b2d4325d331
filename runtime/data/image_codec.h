// The formats behind image.h; each knows its own library.
#pragma once

#include "runtime/data/image.h"

bool xv_jpeg_size(const uint8_t *bytes, size_t count, XvImageSize *size, XvError *error);
bool xv_jpeg_decode(const uint8_t *bytes, size_t count, int rows, XvImage *image, XvError *error);

bool xv_png_size(const uint8_t *bytes, size_t count, XvImageSize *size, XvError *error);
bool xv_png_decode(const uint8_t *bytes, size_t count, XvImage *image, XvError *error);
