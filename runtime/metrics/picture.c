// Drawing, scaling and PNG writing; see picture.h.
//
// Everything is antialiased by coverage: a pixel takes a share of the new colour.
#include "runtime/metrics/picture.h"

#include "runtime/base/output.h"
#include "runtime/metrics/picture_font.h"

#include <errno.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const XvColor XV_PALETTE[XV_PALETTE_COUNT] = {
    {0, 104, 181}, {214, 88, 10},  {0, 146, 104}, {189, 64, 138},
    {222, 165, 0}, {76, 171, 222}, {92, 82, 160}, {90, 90, 90},
};

bool xv_picture_create(XvPicture *picture, int width, int height, XvColor fill, XvError *error)
{
    *picture = (XvPicture){0};
    if (width < 1 || height < 1 || width > 32768 || height > 32768) {
        return xv_fail(error, "a picture of %d x %d pixels cannot be drawn", width, height);
    }
    picture->pixels = malloc(3 * (size_t)width * (size_t)height);
    if (!picture->pixels) {
        return xv_fail(error, "no memory for a picture of %d x %d pixels", width, height);
    }
    picture->width = width;
    picture->height = height;
    xv_picture_fill(picture, (XvRect){0, 0, width, height}, fill);
    return true;
}

void xv_picture_free(XvPicture *picture)
{
    free(picture->pixels);
    *picture = (XvPicture){0};
}

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

static void blend(XvPicture *picture, int x, int y, XvColor color, double share)
{
    if (x < 0 || y < 0 || x >= picture->width || y >= picture->height || share <= 0) {
        return;
    }
    uint8_t *pixel = picture->pixels + 3 * ((size_t)y * (size_t)picture->width + (size_t)x);
    const uint8_t bytes[3] = {color.r, color.g, color.b};
    for (int c = 0; c < 3; c++) {
        pixel[c] = (uint8_t)lround(pixel[c] + share * (bytes[c] - pixel[c]));
    }
}

typedef struct Span {
    int first, end;  // pixels, end excluded
} Span;

// Pixels touched by [low, high), cut to 0..limit.
static Span touched(double low, double high, int limit)
{
    return (Span){(int)clamp(floor(low), 0, limit), (int)clamp(ceil(high), 0, limit)};
}

// Length of [pixel, pixel + 1) inside [low, high).
static double overlap(int pixel, double low, double high)
{
    double inside = fmin(pixel + 1, high) - fmax(pixel, low);
    return inside > 0 ? inside : 0;
}

void xv_picture_fill(XvPicture *picture, XvRect rect, XvColor color)
{
    Span rows = touched(rect.y, rect.y + rect.h, picture->height);
    Span columns = touched(rect.x, rect.x + rect.w, picture->width);
    for (int y = rows.first; y < rows.end; y++) {
        double height = overlap(y, rect.y, rect.y + rect.h);
        for (int x = columns.first; x < columns.end; x++) {
            blend(picture, x, y, color, height * overlap(x, rect.x, rect.x + rect.w));
        }
    }
}

void xv_picture_outline(XvPicture *picture, XvRect rect, double thickness, XvColor color)
{
    double half = thickness / 2;
    double inner = fmax(rect.h - thickness, 0);
    xv_picture_fill(picture, (XvRect){rect.x - half, rect.y - half, rect.w + thickness, thickness}, color);
    xv_picture_fill(picture, (XvRect){rect.x - half, rect.y + rect.h - half, rect.w + thickness, thickness},
                    color);
    xv_picture_fill(picture, (XvRect){rect.x - half, rect.y + half, thickness, inner}, color);
    xv_picture_fill(picture, (XvRect){rect.x + rect.w - half, rect.y + half, thickness, inner}, color);
}

void xv_picture_line(XvPicture *picture, const double from[2], const double to[2], double thickness,
                     XvColor color)
{
    double half = thickness / 2, margin = half + 1;
    Span columns = touched(fmin(from[0], to[0]) - margin, fmax(from[0], to[0]) + margin, picture->width);
    Span rows = touched(fmin(from[1], to[1]) - margin, fmax(from[1], to[1]) + margin, picture->height);
    double dx = to[0] - from[0], dy = to[1] - from[1];
    double squared = fmax(dx * dx + dy * dy, 1e-12);
    for (int y = rows.first; y < rows.end; y++) {
        for (int x = columns.first; x < columns.end; x++) {
            double px = x + 0.5 - from[0], py = y + 0.5 - from[1];
            double along = clamp((px * dx + py * dy) / squared, 0, 1);
            double distance = hypot(px - along * dx, py - along * dy) - half;
            blend(picture, x, y, color, clamp(0.5 - distance, 0, 1));
        }
    }
}

// ---- scaling

typedef struct Source {
    const uint8_t *rgb;
    int width, height;
} Source;

static const uint8_t *source_pixel(const Source *source, int x, int y)
{
    x = (int)clamp(x, 0, source->width - 1);
    y = (int)clamp(y, 0, source->height - 1);
    return source->rgb + 3 * ((size_t)y * (size_t)source->width + (size_t)x);
}

// Weighted mean of the source around (x, y): a triangle as wide as one target pixel, but at least one source
// pixel.
static void sample(const Source *source, const double at[2], const double reach[2], double mean[3])
{
    double total = 0;
    memset(mean, 0, 3 * sizeof *mean);
    for (int y = (int)floor(at[1] - reach[1]); y <= (int)ceil(at[1] + reach[1]); y++) {
        double down = 1 - fabs(y + 0.5 - at[1]) / reach[1];
        for (int x = (int)floor(at[0] - reach[0]); down > 0 && x <= (int)ceil(at[0] + reach[0]); x++) {
            double across = 1 - fabs(x + 0.5 - at[0]) / reach[0];
            if (across <= 0) {
                continue;
            }
            const uint8_t *pixel = source_pixel(source, x, y);
            for (int c = 0; c < 3; c++) {
                mean[c] += down * across * pixel[c];
            }
            total += down * across;
        }
    }
    for (int c = 0; c < 3; c++) {
        mean[c] /= total;
    }
}

void xv_picture_paste(XvPicture *picture, XvRect rect, const uint8_t *rgb, int width, int height)
{
    Source source = {rgb, width, height};
    Span rows = touched(rect.y, rect.y + rect.h, picture->height);
    Span columns = touched(rect.x, rect.x + rect.w, picture->width);
    double step[2] = {width / rect.w, height / rect.h};
    double reach[2] = {fmax(step[0], 1), fmax(step[1], 1)};
    for (int y = rows.first; y < rows.end; y++) {
        for (int x = columns.first; x < columns.end; x++) {
            double at[2] = {(x + 0.5 - rect.x) * step[0], (y + 0.5 - rect.y) * step[1]};
            double mean[3];
            sample(&source, at, reach, mean);
            XvColor color = {(uint8_t)lround(mean[0]), (uint8_t)lround(mean[1]), (uint8_t)lround(mean[2])};
            double share = overlap(x, rect.x, rect.x + rect.w) * overlap(y, rect.y, rect.y + rect.h);
            blend(picture, x, y, color, share);
        }
    }
}

// ---- text

// How much ink lies at a point of the glyph, in font pixels. Bilinear between pixel centres, so that an
// enlarged letter gets smooth diagonals where the bits make stairs.
static double ink(unsigned char character, double x, double y)
{
    int column = (int)floor(x - 0.5), row = (int)floor(y - 0.5);
    double fx = x - 0.5 - column, fy = y - 0.5 - row;
    double top =
        xv_glyph_pixel(character, column, row) * (1 - fx) + xv_glyph_pixel(character, column + 1, row) * fx;
    double bottom = xv_glyph_pixel(character, column, row + 1) * (1 - fx) +
                    xv_glyph_pixel(character, column + 1, row + 1) * fx;
    return top * (1 - fy) + bottom * fy;
}

// Share of a target pixel of 1/scale font pixels that is inked: the mean of 3 x 3 points.
static double glyph_share(unsigned char character, double x, double y, double scale)
{
    double inked = 0;
    for (int i = 0; i < 9; i++) {
        double dx = (i % 3 - 1) / 3.0, dy = (i / 3 - 1) / 3.0;
        inked += ink(character, x + dx / scale, y + dy / scale) > 0.4;
    }
    return inked / 9;
}

typedef struct Pen {
    double x, y;
    bool is_upwards;
    XvTextStyle style;
} Pen;

static void draw_glyph(XvPicture *picture, const Pen *pen, unsigned char character)
{
    double scale = pen->style.scale;
    int width = (int)ceil((xv_glyph_width(character) + 1) * scale) + 1,
        height = (int)ceil(XV_GLYPH_ROWS * scale);
    double left = floor(pen->x), top = floor(pen->y);
    double shift_x = pen->is_upwards ? 0 : pen->x - left, shift_y = pen->is_upwards ? pen->y - top : 0;
    for (int v = 0; v < height; v++) {
        for (int u = 0; u < width; u++) {
            double across = u + 0.5 - shift_x + (pen->is_upwards ? shift_y : 0);
            double share = glyph_share(character, across / scale, (v + 0.5) / scale, scale);
            int x = (int)left + (pen->is_upwards ? v : u);
            int y = (int)top + (pen->is_upwards ? -u : v);
            blend(picture, x, y, pen->style.color, share);
        }
    }
}

static double advance(unsigned char character, double scale)
{
    return (xv_glyph_width(character) + 1) * scale;
}

static double width_of(const char *text, size_t length, double scale)
{
    double width = 0;
    for (size_t i = 0; i < length; i++) {
        width += advance((unsigned char)text[i], scale);
    }
    return width > 0 ? width - scale : 0;
}

double xv_text_width(const char *text, double scale)
{
    return width_of(text, strlen(text), scale);
}

double xv_picture_text(XvPicture *picture, double x, double y, const char *text, XvTextStyle style)
{
    Pen pen = {.x = x, .y = y, .style = style};
    for (const char *at = text; *at; at++) {
        draw_glyph(picture, &pen, (unsigned char)*at);
        pen.x += advance((unsigned char)*at, style.scale);
    }
    return pen.x;
}

void xv_picture_text_upwards(XvPicture *picture, double x, double y, const char *text, XvTextStyle style)
{
    Pen pen = {.x = x, .y = y, .is_upwards = true, .style = style};
    for (const char *at = text; *at; at++) {
        draw_glyph(picture, &pen, (unsigned char)*at);
        pen.y -= advance((unsigned char)*at, style.scale);
    }
}

// Bytes of the text that fit one line: whole words, or as many letters as fit when a word is too long.
static size_t line_length(const char *text, double width, double scale)
{
    size_t fitting = 0, length = strlen(text);
    for (size_t i = 1; i <= length; i++) {
        if (width_of(text, i, scale) > width) {
            break;
        }
        fitting = text[i] == ' ' || text[i] == '\0' ? i : fitting;
    }
    if (fitting > 0) {
        return fitting;
    }
    size_t letters = 1;
    while (letters < length && width_of(text, letters + 1, scale) <= width) {
        letters++;
    }
    return letters;
}

// The text behind a line of `length` bytes, without the space that divided them.
static const char *skip_line(const char *text, size_t length)
{
    text += length;
    return text + strspn(text, " ");
}

int xv_text_lines(const char *text, double width, double scale)
{
    int lines = 0;
    for (; *text; text = skip_line(text, line_length(text, width, scale))) {
        lines++;
    }
    return lines;
}

// Copies a line; with a room above 0 only as much of it as leaves space there for two dots.
static void copy_line(char line[256], const char *text, size_t length, double room, double scale)
{
    int shown = (int)(length < 250 ? length : 250);
    bool has_dots = room > 0;
    room -= 5 * scale;
    while (has_dots && shown > 0 && (width_of(text, (size_t)shown, scale) > room || text[shown - 1] == ' ')) {
        shown--;
    }
    snprintf(line, 256, "%.*s%s", shown, text, has_dots ? ".." : "");
}

int xv_picture_paragraph(XvPicture *picture, XvRect where, int n_lines, const char *text, XvTextStyle style)
{
    int lines = 0;
    while (*text && lines < n_lines) {
        char line[256];
        size_t length = line_length(text, where.w, style.scale);
        const char *rest = skip_line(text, length);
        bool is_cut = lines + 1 == n_lines && *rest;
        copy_line(line, text, length, is_cut ? where.w : 0, style.scale);
        double x = where.x + (where.w - xv_text_width(line, style.scale)) / 2;
        xv_picture_text(picture, x, where.y + lines * (XV_FONT_HEIGHT + 2) * style.scale, line, style);
        text = rest;
        lines++;
    }
    return lines;
}

// ---- files

static bool write_rows(const XvPicture *picture, FILE *file)
{
    png_image image = {.version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB};
    image.width = (png_uint_32)picture->width;
    image.height = (png_uint_32)picture->height;
    int is_written = png_image_write_to_stdio(&image, file, 0, picture->pixels, 0, NULL);
    png_image_free(&image);
    return is_written && fflush(file) == 0;
}

bool xv_picture_write_png(const XvPicture *picture, const char *path, XvError *error)
{
    char temporary[4096];
    if (!xv_output_check(path, error)) {
        return false;
    }
    int length = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    int descriptor = length < (int)sizeof temporary ? mkstemp(temporary) : -1;
    if (descriptor < 0) {
        return xv_fail(error, "cannot write %s: %s", path, strerror(errno));
    }
    fchmod(descriptor, 0644);  // mkstemp makes private files, a report is for everyone
    FILE *file = fdopen(descriptor, "wb");
    bool is_written = file && write_rows(picture, file);
    is_written &= (file ? fclose(file) : close(descriptor)) == 0;
    if (!is_written || rename(temporary, path) != 0) {
        xv_fail(error, "cannot write %s: %s", path, strerror(errno));
        unlink(temporary);
        return false;
    }
    return true;
}
