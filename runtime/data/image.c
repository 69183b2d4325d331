// Pictures in memory and the choice of the codec; see image.h.
#include "runtime/data/image.h"

#include "runtime/data/image_codec.h"
#include "runtime/data/image_packed.h"

#include <stdlib.h>
#include <string.h>

bool xv_image_resize(XvImage *image, int width, int height, XvError *error)
{
    if (width < 1 || height < 1 || (int64_t)width * height > XV_MAX_PIXELS) {
        return xv_fail(error, "a picture of %dx%d pixels is refused (the limit is %d pixels)", width, height,
                       XV_MAX_PIXELS);
    }
    size_t bytes = (size_t)width * (size_t)height * 3;
    if (bytes > image->capacity) {
        free(image->pixels);
        image->pixels = malloc(bytes);
        image->capacity = image->pixels ? bytes : 0;
        if (!image->pixels) {
            return xv_fail(error, "no memory for a picture of %dx%d pixels", width, height);
        }
    }
    image->width = width;
    image->height = height;
    return true;
}

bool xv_image_check_claim(const XvSizeClaim *claim, XvError *error)
{
    uint64_t pixels = (uint64_t)claim->width * claim->height;
    if (pixels == 0 || pixels > XV_MAX_PIXELS) {
        return xv_fail(error, "%s: %ux%u pixels (the limit is %d)", claim->format, claim->width,
                       claim->height, XV_MAX_PIXELS);
    }
    if (pixels > XV_FREE_PIXELS && pixels / claim->pixels_per_byte > claim->count) {
        return xv_fail(error, "%s: %ux%u pixels cannot be in %zu bytes", claim->format, claim->width,
                       claim->height, claim->count);
    }
    return true;
}

void xv_image_free(XvImage *image)
{
    free(image->pixels);
    *image = (XvImage){0};
}

typedef enum Format { FORMAT_UNKNOWN, FORMAT_JPEG, FORMAT_PNG, FORMAT_PACKED } Format;

static Format sniff(const uint8_t *bytes, size_t count)
{
    if (count >= 3 && memcmp(bytes, "\xFF\xD8\xFF", 3) == 0) {
        return FORMAT_JPEG;
    }
    if (count >= 8 && memcmp(bytes, "\x89PNG\r\n\x1A\n", 8) == 0) {
        return FORMAT_PNG;
    }
    return xv_is_packed(bytes, count) ? FORMAT_PACKED : FORMAT_UNKNOWN;
}

static bool fail_unknown(size_t count, XvError *error)
{
    return count == 0 ? xv_fail(error, "the image is empty")
                      : xv_fail(error, "the image is neither JPEG nor PNG");
}

bool xv_image_size(const uint8_t *bytes, size_t count, XvImageSize *size, XvError *error)
{
    switch (sniff(bytes, count)) {
    case FORMAT_JPEG: return xv_jpeg_size(bytes, count, size, error);
    case FORMAT_PNG: return xv_png_size(bytes, count, size, error);
    case FORMAT_PACKED: return xv_packed_size(bytes, count, size, error);
    default: return fail_unknown(count, error);
    }
}

bool xv_image_decode(const uint8_t *bytes, size_t count, int rows, XvImage *image, XvError *error)
{
    switch (sniff(bytes, count)) {
    case FORMAT_JPEG: return xv_jpeg_decode(bytes, count, rows, image, error);
    case FORMAT_PNG: return xv_png_decode(bytes, count, image, error);
    case FORMAT_PACKED: return xv_packed_decode(bytes, count, rows, image, error);
    default: return fail_unknown(count, error);
    }
}
