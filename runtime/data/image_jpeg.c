// JPEG through libjpeg, with Pillow's settings: accurate integer DCT and smooth chroma upsampling (the
// library's defaults), colour conversion by the library except for CMYK.
//
// libjpeg reports errors by a call that must not return: it jumps back here. All state that outlives the jump
// is in the Decoder, which belongs to the caller of the function that is jumped into.
#include "runtime/data/image_codec.h"

#include <setjmp.h>
#include <stdio.h>  // jpeglib.h needs FILE

#include <jpeglib.h>

#include <stdlib.h>

typedef struct Decoder {
    struct jpeg_error_mgr errors;  // first: libjpeg hands this address back
    struct jpeg_decompress_struct info;
    const uint8_t *bytes;
    size_t count;
    uint8_t *cmyk;  // one row of four channels
    XvError *error;
    jmp_buf failed;
} Decoder;

static void on_error(j_common_ptr info)
{
    Decoder *decoder = (Decoder *)(void *)info->err;
    char reason[JMSG_LENGTH_MAX];
    info->err->format_message(info, reason);
    xv_fail(decoder->error, "JPEG: %s", reason);
    longjmp(decoder->failed, 1);
}

// Warnings tell of truncated or damaged scan data; the official loader goes on, and so do we.
static void on_message(j_common_ptr info, int level)
{
    if (level < 0) {
        info->err->num_warnings++;
    }
}

static void prepare(Decoder *decoder)
{
    decoder->info.err = jpeg_std_error(&decoder->errors);
    decoder->errors.error_exit = on_error;
    decoder->errors.emit_message = on_message;
    jpeg_create_decompress(&decoder->info);
    jpeg_mem_src(&decoder->info, decoder->bytes, (unsigned long)decoder->count);
    jpeg_read_header(&decoder->info, TRUE);
}

static bool check_header(const Decoder *decoder)
{
    const struct jpeg_decompress_struct *info = &decoder->info;
    if (info->num_components != 1 && info->num_components != 3 && info->num_components != 4) {
        return xv_fail(decoder->error, "JPEG: %d colour components", info->num_components);
    }
    // Blocks of 64 pixels without detail take one bit each, chroma blocks four times as many pixels.
    XvSizeClaim claim = {"JPEG", info->image_width, info->image_height, decoder->count, 1024};
    return xv_image_check_claim(&claim, decoder->error);
}

// Pillow's conversion. Files with four channels store inverted ink, as Adobe does: c = 255 - stored.
static void convert_cmyk(const uint8_t *cmyk, uint8_t *rgb, int width)
{
    for (int x = 0; x < width; x++) {
        int black = cmyk[4 * x + 3];
        for (int c = 0; c < 3; c++) {
            int product = (255 - cmyk[4 * x + c]) * black + 128;
            int ink = ((product >> 8) + product) >> 8;
            rgb[3 * x + c] = (uint8_t)(black > ink ? black - ink : 0);
        }
    }
}

static void read_rows(Decoder *decoder, int rows, XvImage *image)
{
    struct jpeg_decompress_struct *info = &decoder->info;
    size_t stride = (size_t)image->width * 3;
    while (info->output_scanline < info->output_height && (int)info->output_scanline < rows) {
        uint8_t *row = image->pixels + (size_t)info->output_scanline * stride;
        if (decoder->cmyk) {
            jpeg_read_scanlines(info, &decoder->cmyk, 1);
            convert_cmyk(decoder->cmyk, row, image->width);
        } else {
            JSAMPROW lines[4];
            unsigned left = info->output_height - info->output_scanline;
            unsigned n_lines = left < 4 ? left : 4;
            for (unsigned i = 0; i < n_lines; i++) {
                lines[i] = row + i * stride;
            }
            jpeg_read_scanlines(info, lines, n_lines);
        }
    }
}

static bool start(Decoder *decoder, XvImage *image)
{
    struct jpeg_decompress_struct *info = &decoder->info;
    if (!check_header(decoder) ||
        !xv_image_resize(image, (int)info->image_width, (int)info->image_height, decoder->error)) {
        return false;
    }
    if (info->num_components == 4) {
        info->out_color_space = JCS_CMYK;
        decoder->cmyk = malloc((size_t)image->width * 4);
        if (!decoder->cmyk) {
            return xv_fail(decoder->error, "JPEG: no memory for a row");
        }
    } else {
        info->out_color_space = JCS_RGB;
    }
    info->dct_method = JDCT_ISLOW;
    info->do_fancy_upsampling = TRUE;
    jpeg_start_decompress(info);
    return true;
}

static bool size_of(Decoder *decoder, XvImageSize *size)
{
    if (setjmp(decoder->failed)) {
        return false;
    }
    prepare(decoder);
    *size = (XvImageSize){(int)decoder->info.image_width, (int)decoder->info.image_height};
    return check_header(decoder);
}

static bool decode(Decoder *decoder, int rows, XvImage *image)
{
    if (setjmp(decoder->failed)) {
        return false;
    }
    prepare(decoder);
    if (!start(decoder, image)) {
        return false;
    }
    read_rows(decoder, rows, image);
    image->is_partial = decoder->errors.num_warnings > 0;
    return true;
}

bool xv_jpeg_size(const uint8_t *bytes, size_t count, XvImageSize *size, XvError *error)
{
    Decoder decoder = {.bytes = bytes, .count = count, .error = error};
    bool ok = size_of(&decoder, size);
    jpeg_destroy_decompress(&decoder.info);
    return ok;
}

bool xv_jpeg_decode(const uint8_t *bytes, size_t count, int rows, XvImage *image, XvError *error)
{
    Decoder decoder = {.bytes = bytes, .count = count, .error = error};
    bool ok = decode(&decoder, rows, image);
    jpeg_destroy_decompress(&decoder.info);
    free(decoder.cmyk);
    return ok;
}
