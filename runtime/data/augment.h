// RandAugment as the official training uses it (dataset/randaugment.py): what each op does to the pixels, and
// the drawing of two of them. Pixels equal the official ones, which come from NumPy and OpenCV 4.6.
//
// Two ops are not what their names say: AutoContrast turns every channel without a black pixel white (a
// negation in unsigned bytes), Sharpness wraps around instead of clipping. Published weights were trained
// with both, so they are the default; XvAugmentFixes says what is meant.
#pragma once

#include "runtime/data/draws.h"
#include "runtime/data/image.h"

#include <stdbool.h>

// The first five are the photometric list (RandAug-5), the first ten the whole list (RandAug-10); the others
// are defined officially and in no list.
typedef enum XvAugment {
    XV_AUGMENT_IDENTITY,
    XV_AUGMENT_AUTO_CONTRAST,
    XV_AUGMENT_EQUALIZE,
    XV_AUGMENT_BRIGHTNESS,
    XV_AUGMENT_SHARPNESS,
    XV_AUGMENT_SHEAR_X,
    XV_AUGMENT_SHEAR_Y,
    XV_AUGMENT_TRANSLATE_X,
    XV_AUGMENT_TRANSLATE_Y,
    XV_AUGMENT_ROTATE,
    XV_AUGMENT_CONTRAST,
    XV_AUGMENT_COLOR,
    XV_AUGMENT_SOLARIZE,
    XV_AUGMENT_POSTERIZE,
    XV_AUGMENT_COUNT,
} XvAugment;

enum {
    XV_AUGMENTS_PHOTOMETRIC = 5,
    XV_AUGMENTS_ALL = 10,
    XV_AUGMENT_MAX_OPS = 16,
    XV_AUGMENT_MAX_LEVEL = 10
};

typedef struct XvAugmentFixes {
    bool auto_contrast;  // stretch channels that have no black pixel, too
    bool sharpness;      // clip
} XvAugmentFixes;

typedef struct XvAugmentOptions {
    int n_ops;     // ops drawn per picture: 2; 0: none; at most XV_AUGMENT_MAX_OPS
    double level;  // 7 of XV_AUGMENT_MAX_LEVEL
    XvAugmentFixes fixes;
} XvAugmentOptions;

// "AutoContrast", as the official lists spell it.
const char *xv_augment_name(XvAugment op);

// What the op gets at a level: a factor, a shift in pixels, an angle in degrees, ...; 0 for ops without a value.
double xv_augment_value(XvAugment op, double level);

// The value has a sign, which is drawn.
bool xv_augment_is_signed(XvAugment op);

// Applies one op. `scratch` is another image, whose memory may be exchanged for the image's. Geometric ops fill what
// comes from outside with grey 128. False only without memory.
bool xv_augment(XvAugment op, double value, XvAugmentFixes fixes, XvImage *image, XvImage *scratch);

// Draws options->n_ops of the first n_choices ops, with repetition, and applies each with probability one
// half. Order of draws: the ops; then for each op whether it is applied and, if it is, the sign of its value.
bool xv_random_augment(const XvAugmentOptions *options, int n_choices, const XvDraws *draws, XvImage *image,
                       XvImage *scratch);
