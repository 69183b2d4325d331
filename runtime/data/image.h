// Pictures as RGB bytes, decoded from JPEG (libjpeg) and PNG (libpng) the way the official loader's Pillow
// does it: the content decides about the format, not the name; orientation tags, colour profiles and
// transparency are ignored; CMYK is converted as Pillow converts it; 16-bit colour keeps the high byte,
// 16-bit grey is clipped. Files that end early or whose pixel data are damaged are accepted as far as they go, and
// marked: missing JPEG rows come out grey, missing PNG rows black. Nothing to see, or a damaged header, is an error.
#pragma once

#include "runtime/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Larger pictures are refused (Pillow's own limit for files from strangers), and so are those beyond a size that any
// file may claim whose pixels cannot be in so few bytes.
enum { XV_MAX_PIXELS = 178956970, XV_FREE_PIXELS = 1 << 24 };

typedef struct XvImageSize {
    int width, height;
} XvImageSize;

// Start from {0}; the memory is reused by the next decode and released by xv_image_free.
typedef struct XvImage {
    int width, height;
    uint8_t *pixels;  // height rows of width RGB triples
    size_t capacity;  // bytes
    bool is_partial;  // the last decode met an early end or damage behind the header
} XvImage;

// A rectangle of whole pixels inside a picture.
typedef struct XvCrop {
    int left, top, width, height;
} XvCrop;

// Gives the image a size; the pixels are undefined. False without memory or for a size of no or too many
// pixels.
bool xv_image_resize(XvImage *image, int width, int height, XvError *error);
void xv_image_free(XvImage *image);

// Reads the header only.
bool xv_image_size(const uint8_t *bytes, size_t count, XvImageSize *size, XvError *error);

// Decodes the first `rows` rows at least (all when rows is the height or more); what lies below is undefined.
// The image always has its full size. Fails with the reason for anything that is not a readable JPEG or PNG.
bool xv_image_decode(const uint8_t *bytes, size_t count, int rows, XvImage *image, XvError *error);
