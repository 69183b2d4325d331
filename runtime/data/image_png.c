// PNG through libpng, with Pillow's view of the samples (image.h). The palette's, grey's and alpha's
// transparency is dropped, gamma is ignored; checksums of pixel data are not enforced, as in the official
// setting.
//
// libpng reports errors by a call that must not return: it jumps back here. State that outlives the jump is
// in the Decoder.
#include "runtime/data/image_codec.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>
#include <zlib.h>

enum { SIGNATURE_BYTES = 8, HEADER_BYTES = 33 };  // signature; signature and the IHDR chunk with its checksum

typedef struct Decoder {
    png_structp png;
    png_infop info;
    const uint8_t *bytes;
    size_t count, position;
    size_t next_chunk;  // where the header of the next chunk is expected
    bool is_grey16;     // read as it is, clipped afterwards
    int rows_read;      // from one row on, an early end and damage are no errors
    XvError *error;
    jmp_buf failed;
} Decoder;

static void on_error(png_structp png, png_const_charp reason)
{
    Decoder *decoder = png_get_error_ptr(png);
    xv_fail(decoder->error, "PNG: %s", reason);
    longjmp(decoder->failed, 1);
}

static void on_warning(png_structp png, png_const_charp reason)
{
    (void)png;
    (void)reason;
}

static uint32_t big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

// Pixel data that go beyond the end of the file: says that the chunk ends there, so that libpng asks for what
// there is.
static void shorten_chunk(Decoder *decoder, uint8_t header[8])
{
    uint32_t length = big_endian(header);
    size_t left = decoder->count - decoder->position;
    decoder->next_chunk = decoder->position + length + 4;
    if (length > left && memcmp(header + 4, "IDAT", 4) == 0) {
        for (int i = 0; i < 4; i++) {
            header[i] = (uint8_t)(left >> (24 - 8 * i));
        }
    }
}

static void read_bytes(png_structp png, png_bytep out, size_t count)
{
    Decoder *decoder = png_get_io_ptr(png);
    if (count > decoder->count - decoder->position) {
        png_error(png, "the file ends early");
    }
    bool is_header = count == 8 && decoder->position == decoder->next_chunk;
    memcpy(out, decoder->bytes + decoder->position, count);
    decoder->position += count;
    if (is_header) {
        shorten_chunk(decoder, out);
    }
}

bool xv_png_size(const uint8_t *bytes, size_t count, XvImageSize *size, XvError *error)
{
    const uint8_t *chunk = bytes + SIGNATURE_BYTES;
    if (count < HEADER_BYTES || big_endian(chunk) != 13 || memcmp(chunk + 4, "IHDR", 4) != 0) {
        return xv_fail(error, "PNG: no header");
    }
    if (crc32(0, chunk + 4, 17) != big_endian(chunk + 21)) {
        return xv_fail(error, "PNG: the header's checksum is wrong");
    }
    uint32_t width = big_endian(chunk + 8), height = big_endian(chunk + 12);
    // Deflate makes at most 1032 bytes of one, and eight pixels fit into a byte.
    if (!xv_image_check_claim(&(XvSizeClaim){"PNG", width, height, count, 8 * 1032}, error)) {
        return false;
    }
    *size = (XvImageSize){(int)width, (int)height};
    return true;
}

static void set_transforms(Decoder *decoder)
{
    png_structp png = decoder->png;
    int type = png_get_color_type(png, decoder->info);
    int depth = png_get_bit_depth(png, decoder->info);
    decoder->is_grey16 = type == PNG_COLOR_TYPE_GRAY && depth == 16;
    if (decoder->is_grey16) {
        return;
    }
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_set_palette_to_rgb(png);
    }
    if (type == PNG_COLOR_TYPE_GRAY && depth < 8) {
        png_set_expand_gray_1_2_4_to_8(png);
    }
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
}

// Pillow opens 16-bit grey as 32-bit integers, which it clips to bytes. A row holds its samples at the front;
// going from the right, no triple overwrites a sample that is still needed.
static void clip_grey16(XvImage *image)
{
    for (int y = 0; y < image->height; y++) {
        uint8_t *row = image->pixels + (size_t)y * (size_t)image->width * 3;
        for (int x = image->width - 1; x >= 0; x--) {
            uint8_t value = row[2 * x] ? 255 : row[2 * x + 1];
            memset(row + 3 * x, value, 3);
        }
    }
}

// Interlaced pictures come in passes, each over all rows of the picture as far as it is known.
static void read_rows(Decoder *decoder, XvImage *image)
{
    int passes = png_set_interlace_handling(decoder->png);
    png_read_update_info(decoder->png, decoder->info);
    size_t stride = (size_t)image->width * 3;
    for (int pass = 0; pass < passes; pass++) {
        for (int y = 0; y < image->height; y++) {
            png_read_row(decoder->png, image->pixels + (size_t)y * stride, NULL);
            decoder->rows_read++;
        }
    }
}

static void prepare(Decoder *decoder)
{
    decoder->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, decoder, on_error, on_warning);
    decoder->info = decoder->png ? png_create_info_struct(decoder->png) : NULL;
    if (!decoder->info) {
        xv_fail(decoder->error, "PNG: no memory");
        longjmp(decoder->failed, 1);
    }
    png_set_read_fn(decoder->png, decoder, read_bytes);
    png_set_crc_action(decoder->png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
    png_set_user_limits(decoder->png, 0x7FFFFFFF, 0x7FFFFFFF);
    png_read_info(decoder->png, decoder->info);
}

static bool decode(Decoder *decoder, XvImage *image)
{
    if (setjmp(decoder->failed)) {
        image->is_partial = true;
        return decoder->rows_read > 0;
    }
    prepare(decoder);
    if (!xv_image_resize(image, (int)png_get_image_width(decoder->png, decoder->info),
                         (int)png_get_image_height(decoder->png, decoder->info), decoder->error)) {
        return false;
    }
    memset(image->pixels, 0, (size_t)image->width * (size_t)image->height * 3);
    set_transforms(decoder);
    read_rows(decoder, image);
    return true;
}

bool xv_png_decode(const uint8_t *bytes, size_t count, XvImage *image, XvError *error)
{
    XvImageSize size;
    if (!xv_png_size(bytes, count, &size, error)) {
        return false;
    }
    Decoder decoder = {.bytes = bytes, .count = count, .next_chunk = SIGNATURE_BYTES, .error = error};
    image->is_partial = false;
    bool ok = decode(&decoder, image);
    png_destroy_read_struct(&decoder.png, &decoder.info, NULL);
    if (ok && decoder.is_grey16) {
        clip_grey16(image);
    }
    return ok;
}
