// libFuzzer target: any bytes are decoded or refused with a reason; what is decoded has the size that the
// header says, all of its pixels, the same first rows when only those are asked for, and can be resized.
#include "runtime/data/image.h"
#include "runtime/data/resize.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PIXELS = 1 << 20, SIDE = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_rows(const uint8_t *data, size_t size, const XvImage *whole)
{
    XvImage part = {0};
    XvError error = {""};
    int rows = whole->height / 2 + 1;
    require(xv_image_decode(data, size, rows, &part, &error));
    size_t row_bytes = (size_t)whole->width * 3;
    require(memcmp(part.pixels, whole->pixels,
                   row_bytes * (size_t)(rows < whole->height ? rows : whole->height)) == 0);
    xv_image_free(&part);
}

static void check_resize(const XvImage *whole)
{
    XvImage small = {0};
    XvResizer resizer = {0};
    XvError error = {""};
    XvCrop crop = {whole->width / 3, whole->height / 3, whole->width - whole->width / 3,
                   whole->height - whole->height / 3};
    require(xv_image_resize(&small, SIDE, SIDE, &error));
    require(xv_resize(&resizer, whole, crop, &small, &error));
    xv_resizer_free(&resizer);
    xv_image_free(&small);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    XvImageSize claimed;
    XvError error = {""};
    XvImage image = {0};
    if (!xv_image_size(data, size, &claimed, &error)) {
        require(error.text[0] != '\0');
        require(!xv_image_decode(data, size, INT_MAX, &image, &error));
        xv_image_free(&image);
        return 0;
    }
    if ((int64_t)claimed.width * claimed.height > MOST_PIXELS) {
        return 0;
    }
    error.text[0] = '\0';
    if (xv_image_decode(data, size, INT_MAX, &image, &error)) {
        require(image.width == claimed.width && image.height == claimed.height);
        check_rows(data, size, &image);
        check_resize(&image);
    } else {
        require(error.text[0] != '\0');
    }
    xv_image_free(&image);
    return 0;
}
