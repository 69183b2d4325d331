// Small RGB pictures for reports: drawing, text in a built-in font, PNG files.
//
// Coordinates are pixels from the top left. Whatever lies outside the picture is cut, so callers need no
// checks.
#pragma once

#include "runtime/base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct XvColor {
    uint8_t r, g, b;
} XvColor;

// Colours that go together and stay apart for colour-blind readers; series and boxes use them in this order.
enum { XV_PALETTE_COUNT = 8 };
extern const XvColor XV_PALETTE[XV_PALETTE_COUNT];

typedef struct XvPicture {
    int width, height;
    uint8_t *pixels;  // height rows of width RGB triples; owned
} XvPicture;

typedef struct XvRect {
    double x, y, w, h;
} XvRect;

// A picture filled with one colour. False without memory or for a size outside 1..32768.
bool xv_picture_create(XvPicture *picture, int width, int height, XvColor fill, XvError *error);

void xv_picture_free(XvPicture *picture);

// Writes a PNG file: to a temporary file beside it first, renamed when complete.
bool xv_picture_write_png(const XvPicture *picture, const char *path, XvError *error);

void xv_picture_fill(XvPicture *picture, XvRect rect, XvColor color);

// The four sides of a rectangle, `thickness` pixels wide, centred on its edges; edges may lie between pixels.
void xv_picture_outline(XvPicture *picture, XvRect rect, double thickness, XvColor color);

// A straight line with round ends, antialiased.
void xv_picture_line(XvPicture *picture, const double from[2], const double to[2], double thickness,
                     XvColor color);

// Copies RGB rows into the rectangle, scaled: averaged when it shrinks, bilinear when it grows.
void xv_picture_paste(XvPicture *picture, XvRect rect, const uint8_t *rgb, int width, int height);

// ---- text; `scale` is the size of a font pixel, 1 or more. Letters are ASCII, anything else shows as a box.

enum { XV_FONT_ASCENT = 7, XV_FONT_HEIGHT = 9 };  // font pixels from the top to the base line, and in all

typedef struct XvTextStyle {
    double scale;
    XvColor color;
} XvTextStyle;

// Width in pixels.
double xv_text_width(const char *text, double scale);

// Lines that a paragraph of this width needs.
int xv_text_lines(const char *text, double width, double scale);

// Draws a line of text with its top left corner at (x, y); returns the x after it.
double xv_picture_text(XvPicture *picture, double x, double y, const char *text, XvTextStyle style);

// Draws text from bottom to top; (x, y) is the bottom left corner of the turned line.
void xv_picture_text_upwards(XvPicture *picture, double x, double y, const char *text, XvTextStyle style);

// Draws words into lines of at most `width` pixels, at most `n_lines` of them (the last then ends in ".."),
// centred; returns the number of lines.
int xv_picture_paragraph(XvPicture *picture, XvRect where, int n_lines, const char *text, XvTextStyle style);
