// The ops of augment.h. Number types follow the official code: what NumPy computes in single precision is
// single here.
#include "runtime/data/augment.h"

#include "runtime/data/augment_warp.h"

#include <math.h>
#include <string.h>

static const char *const NAMES[XV_AUGMENT_COUNT] = {
    [XV_AUGMENT_IDENTITY] = "Identity",      [XV_AUGMENT_AUTO_CONTRAST] = "AutoContrast",
    [XV_AUGMENT_EQUALIZE] = "Equalize",      [XV_AUGMENT_BRIGHTNESS] = "Brightness",
    [XV_AUGMENT_SHARPNESS] = "Sharpness",    [XV_AUGMENT_SHEAR_X] = "ShearX",
    [XV_AUGMENT_SHEAR_Y] = "ShearY",         [XV_AUGMENT_TRANSLATE_X] = "TranslateX",
    [XV_AUGMENT_TRANSLATE_Y] = "TranslateY", [XV_AUGMENT_ROTATE] = "Rotate",
    [XV_AUGMENT_CONTRAST] = "Contrast",      [XV_AUGMENT_COLOR] = "Color",
    [XV_AUGMENT_SOLARIZE] = "Solarize",      [XV_AUGMENT_POSTERIZE] = "Posterize",
};

const char *xv_augment_name(XvAugment op)
{
    return NAMES[op];
}

double xv_augment_value(XvAugment op, double level)
{
    double share = level / XV_AUGMENT_MAX_LEVEL;
    switch (op) {
    case XV_AUGMENT_BRIGHTNESS:
    case XV_AUGMENT_SHARPNESS:
    case XV_AUGMENT_CONTRAST:
    case XV_AUGMENT_COLOR: return share * 1.8 + 0.1;
    case XV_AUGMENT_SHEAR_X:
    case XV_AUGMENT_SHEAR_Y: return share * 0.3;
    case XV_AUGMENT_TRANSLATE_X:
    case XV_AUGMENT_TRANSLATE_Y: return share * 10;
    case XV_AUGMENT_ROTATE: return share * 30;
    case XV_AUGMENT_SOLARIZE: return (int)(share * 256);
    case XV_AUGMENT_POSTERIZE: return (int)(share * 4);
    default: return 0;
    }
}

bool xv_augment_is_signed(XvAugment op)
{
    return op >= XV_AUGMENT_SHEAR_X && op <= XV_AUGMENT_ROTATE;
}

static size_t count_pixels(const XvImage *image)
{
    return (size_t)image->width * (size_t)image->height;
}

// ---- tables from byte to byte, one per channel

typedef struct Tables {
    uint8_t of[3][256];
} Tables;

static void apply_tables(const Tables *tables, XvImage *image)
{
    uint8_t *end = image->pixels + count_pixels(image) * 3;
    for (uint8_t *pixel = image->pixels; pixel < end; pixel += 3) {
        pixel[0] = tables->of[0][pixel[0]];
        pixel[1] = tables->of[1][pixel[1]];
        pixel[2] = tables->of[2][pixel[2]];
    }
}

static uint8_t to_byte(double value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void count_bytes(const XvImage *image, long counts[3][256])
{
    memset(counts, 0, 3 * sizeof *counts);
    const uint8_t *end = image->pixels + count_pixels(image) * 3;
    for (const uint8_t *pixel = image->pixels; pixel < end; pixel += 3) {
        counts[0][pixel[0]]++;
        counts[1][pixel[1]]++;
        counts[2][pixel[2]]++;
    }
}

static void stretch_table(const long counts[256], bool is_fixed, uint8_t table[256])
{
    int low = 0, high = 255;
    while (low < 255 && counts[low] == 0) {
        low++;
    }
    while (high > low && counts[high] == 0) {
        high--;
    }
    double scale = high > low ? 255.0 / (high - low) : 1;
    double offset = high > low ? (is_fixed ? -low : (uint8_t)-low) * scale : 0;
    for (int v = 0; v < 256; v++) {
        table[v] = to_byte(v * scale + offset);
    }
}

static void equalize_table(const long counts[256], uint8_t table[256])
{
    long total = 0, highest = 0;
    for (int v = 0; v < 256; v++) {
        total += counts[v];
        highest = counts[v] ? counts[v] : highest;
    }
    long step = (total - highest) / 255;
    long sum = step / 2;
    for (int v = 0; v < 256; v++) {
        table[v] = step ? to_byte((double)(sum / step)) : (uint8_t)v;
        sum += counts[v];
    }
}

static void contrast_table(const long counts[3][256], double factor, uint8_t table[256])
{
    const double weights[3] = {0.114, 0.587, 0.299};
    double mean = 0;
    for (int k = 0; k < 3; k++) {
        double total = 0, sum = 0;
        for (int v = 0; v < 256; v++) {
            total += (double)counts[k][v];
            sum += (double)counts[k][v] * v;
        }
        mean += sum / total * weights[k];
    }
    for (int v = 0; v < 256; v++) {
        table[v] = to_byte((v - mean) * factor + mean);
    }
}

// One table for all channels, of ops that do not look at the picture.
static void plain_table(XvAugment op, double value, uint8_t table[256])
{
    for (int v = 0; v < 256; v++) {
        switch (op) {
        case XV_AUGMENT_BRIGHTNESS: table[v] = to_byte((double)((float)v * (float)value)); break;
        case XV_AUGMENT_SOLARIZE: table[v] = (uint8_t)(v < value ? v : 255 - v); break;
        case XV_AUGMENT_POSTERIZE: table[v] = (uint8_t)(v & (255 << (8 - (int)value))); break;
        default: table[v] = (uint8_t)v; break;
        }
    }
}

static void look_up(XvAugment op, double value, XvAugmentFixes fixes, XvImage *image)
{
    Tables tables;
    long counts[3][256];
    bool looks = op == XV_AUGMENT_AUTO_CONTRAST || op == XV_AUGMENT_EQUALIZE || op == XV_AUGMENT_CONTRAST;
    if (looks) {
        count_bytes(image, counts);
    }
    for (int k = 0; k < 3; k++) {
        switch (op) {
        case XV_AUGMENT_AUTO_CONTRAST: stretch_table(counts[k], fixes.auto_contrast, tables.of[k]); break;
        case XV_AUGMENT_EQUALIZE: equalize_table(counts[k], tables.of[k]); break;
        case XV_AUGMENT_CONTRAST: contrast_table((const long(*)[256])counts, value, tables.of[k]); break;
        default: plain_table(op, value, tables.of[k]); break;
        }
    }
    apply_tables(&tables, image);
}

// ---- colour and sharpness

// Away from grey, or towards it: official weights, whose order is that of blue, green, red.
static void saturate(double factor, XvImage *image)
{
    const float grey[3] = {0.114f, 0.587f, 0.299f};
    float matrix[3][3];
    for (int from = 0; from < 3; from++) {
        for (int to = 0; to < 3; to++) {
            double away = (from == to) - (double)grey[from];
            matrix[from][to] = (float)(round(away * 1000) / 1000) * (float)factor + grey[from];
        }
    }
    uint8_t *end = image->pixels + count_pixels(image) * 3;
    for (uint8_t *pixel = image->pixels; pixel < end; pixel += 3) {
        float in[3] = {pixel[0], pixel[1], pixel[2]};
        for (int to = 0; to < 3; to++) {
            float sum = fmaf(in[1], matrix[1][to], in[0] * matrix[0][to]);  // as matrix products add
            pixel[to] = to_byte((double)fmaf(in[2], matrix[2][to], sum));
        }
    }
}

// One row between its first and its last pixel. The smooth value is a ninefold mean with the centre five
// times, rounded; thirteenths never lie halfway.
static void sharpen_row(const uint8_t *row, size_t stride, float factor, bool clips, uint8_t *out,
                        int n_bytes)
{
    const uint8_t *above = row - stride, *below = row + stride;
    for (int i = 3; i < n_bytes - 3; i++) {
        int sum = above[i - 3] + above[i] + above[i + 3] + row[i - 3] + 5 * row[i] + row[i + 3] +
                  below[i - 3] + below[i] + below[i + 3];
        float smooth = (float)((2 * sum + 13) / 26);
        float away = factor * ((float)row[i] - smooth);
        int value = (int)(smooth + away);
        int clipped = value < 0 ? 0 : value > 255 ? 255 : value;
        out[i] = (uint8_t)(clips ? clipped : value);
    }
}

static void sharpen(double factor, bool clips, const XvImage *image, XvImage *out)
{
    size_t stride = (size_t)image->width * 3;
    memcpy(out->pixels, image->pixels, stride * (size_t)image->height);
    for (int y = 1; y < image->height - 1; y++) {
        sharpen_row(image->pixels + (size_t)y * stride, stride, (float)factor, clips,
                    out->pixels + (size_t)y * stride, image->width * 3);
    }
}

// ---- geometry

static void rotation(double degrees, const XvImage *image, double m[6])
{
    double angle = degrees * (3.1415926535897932384626433832795 / 180);
    double x = image->width / 2.0, y = image->height / 2.0;
    double cosine = cos(angle), sine = sin(angle);
    m[0] = cosine;
    m[1] = sine;
    m[2] = (1 - cosine) * x - sine * y;
    m[3] = -sine;
    m[4] = cosine;
    m[5] = sine * x + (1 - cosine) * y;
}

static void warp(XvAugment op, double value, const XvImage *image, XvImage *out)
{
    double m[6] = {1, 0, 0, 0, 1, 0};
    double single = (double)(float)value;  // official matrices are single, but for rotation
    switch (op) {
    case XV_AUGMENT_SHEAR_X: m[1] = single; break;
    case XV_AUGMENT_SHEAR_Y: m[3] = single; break;
    case XV_AUGMENT_TRANSLATE_X: m[2] = -single; break;
    case XV_AUGMENT_TRANSLATE_Y: m[5] = -single; break;
    default: rotation(value, image, m); break;
    }
    xv_warp_affine(image, m, out);
}

// ---- one op, and some at random

static void exchange(XvImage *a, XvImage *b)
{
    XvImage c = *a;
    *a = *b;
    *b = c;
}

bool xv_augment(XvAugment op, double value, XvAugmentFixes fixes, XvImage *image, XvImage *scratch)
{
    bool is_warp = xv_augment_is_signed(op);
    if (is_warp || op == XV_AUGMENT_SHARPNESS) {
        XvError error;
        if (!xv_image_resize(scratch, image->width, image->height, &error)) {
            return false;
        }
        if (is_warp) {
            warp(op, value, image, scratch);
        } else {
            sharpen(value, fixes.sharpness, image, scratch);
        }
        exchange(image, scratch);
    } else if (op == XV_AUGMENT_COLOR) {
        saturate(value, image);
    } else if (op != XV_AUGMENT_IDENTITY) {
        look_up(op, value, fixes, image);
    }
    return true;
}

// Rotation turns negative below one half, shear and translation above.
static double draw_sign(XvAugment op, double value, const XvDraws *draws)
{
    if (!xv_augment_is_signed(op)) {
        return value;
    }
    double draw = draws->uniform(draws->state);
    bool is_negative = op == XV_AUGMENT_ROTATE ? draw < 0.5 : draw > 0.5;
    return is_negative ? -value : value;
}

bool xv_random_augment(const XvAugmentOptions *options, int n_choices, const XvDraws *draws, XvImage *image,
                       XvImage *scratch)
{
    XvAugment ops[XV_AUGMENT_MAX_OPS];
    for (int i = 0; i < options->n_ops; i++) {
        ops[i] = (XvAugment)draws->between(draws->state, 0, n_choices - 1);
    }
    for (int i = 0; i < options->n_ops; i++) {
        if (draws->uniform(draws->state) > 0.5) {
            continue;
        }
        double value = draw_sign(ops[i], xv_augment_value(ops[i], options->level), draws);
        if (!xv_augment(ops[i], value, options->fixes, image, scratch)) {
            return false;
        }
    }
    return true;
}
