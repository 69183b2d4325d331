// Decoded pictures in shards; see image_packed.h.
#include "runtime/data/image_packed.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const char MAGIC[4] = {'X', 'V', 'P', 'K'};

bool xv_is_packed(const uint8_t *bytes, size_t count)
{
    return count >= XV_PACKED_HEAD && memcmp(bytes, MAGIC, sizeof MAGIC) == 0;
}

static uint32_t get_word(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void put_word(uint8_t *bytes, uint32_t word)
{
    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(word >> 8 * i);
    }
}

bool xv_packed_size(const uint8_t *bytes, size_t count, XvImageSize *size, XvError *error)
{
    uint64_t width = get_word(bytes + 4), height = get_word(bytes + 8);
    if (width == 0 || height == 0 || width > XV_MAX_PIXELS || height > XV_MAX_PIXELS ||
        width * height * 3 + XV_PACKED_HEAD != count) {
        return xv_fail(error, "a packed picture of %llux%llu pixels in %zu bytes: the shard is damaged",
                       (unsigned long long)width, (unsigned long long)height, count);
    }
    *size = (XvImageSize){(int)width, (int)height};
    return true;
}

bool xv_packed_decode(const uint8_t *bytes, size_t count, int rows, XvImage *image, XvError *error)
{
    XvImageSize size = {0, 0};
    if (!xv_packed_size(bytes, count, &size, error) ||
        !xv_image_resize(image, size.width, size.height, error)) {
        return false;
    }
    const uint8_t *pixels = bytes + XV_PACKED_HEAD;
    size_t row = (size_t)size.width * 3, wanted = rows < size.height ? (size_t)rows : (size_t)size.height;
    image->is_partial = false;
    memcpy(image->pixels, pixels, wanted * row);
    bool is_whole =
        rows < INT_MAX || get_word(bytes + 12) == crc32(0, pixels, (unsigned)(row * (size_t)size.height));
    return is_whole || xv_fail(error, "a packed picture is damaged (its CRC is wrong)");
}

void xv_packed_head(const XvImage *image, uint8_t head[XV_PACKED_HEAD])
{
    size_t bytes = (size_t)image->width * (size_t)image->height * 3;
    memcpy(head, MAGIC, sizeof MAGIC);
    put_word(head + 4, (uint32_t)image->width);
    put_word(head + 8, (uint32_t)image->height);
    put_word(head + 12, (uint32_t)crc32(0, image->pixels, (unsigned)bytes));
}

bool xv_packed_path(const char *path, size_t *length, int64_t *offset, int64_t *count)
{
    const char *mark = strstr(path, ".pack@");
    long long first = 0, bytes = 0;
    int used = 0;
    if (!mark || sscanf(mark, ".pack@%lld+%lld%n", &first, &bytes, &used) != 2 || mark[used] || first < 0 ||
        bytes <= 0) {
        return false;
    }
    *length = (size_t)(mark - path) + strlen(".pack");
    *offset = first;
    *count = bytes;
    return true;
}
