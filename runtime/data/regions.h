// Regions of a picture as samples: where to crop, which elements to keep, where their boxes end up, which
// patches they cover, and how the samples of several pictures become one batch (dataset/pretrain_dataset.py).
#pragma once

#include "runtime/base/error.h"
#include "runtime/data/draws.h"
#include "runtime/data/image.h"
#include "runtime/data/record.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct XvRegionOptions {
    int image_res;  // R
    int patch_size;
    int max_regions;           // samples per picture, the whole-picture one included
    double min_perc_in_image;  // an element is kept when strictly more of its box lies in the crop
    double min_margin;         // share of the margins around the drawn element that every crop keeps, 0
    bool careful_hflip;        // no mirroring when a caption contains "left" or "right"
} XvRegionOptions;

// A record together with everything that decides about its samples.
typedef struct XvRegionScene {
    const XvRecord *record;
    XvImageSize size;  // of the stored picture
    const XvRegionOptions *options;
    const XvDraws *draws;
} XvRegionScene;

typedef struct XvRegionView {
    XvCrop crop;
    bool is_flipped;
} XvRegionView;

// One sample. Strings are borrowed from the record.
typedef struct XvRegion {
    const char *attribute;  // NULL, or what precedes the caption
    const char *caption;
    double x, y, w, h;  // in the resized picture, 0..R; the whole of it for is_image
    bool is_image;      // describes the whole picture
} XvRegion;

// Draws the crop around a random element, which lies entirely inside it, and the flip. Fails when there is no
// element, or when the drawn one is empty or not inside the picture.
bool xv_region_view(const XvRegionScene *scene, XvRegionView *view, XvError *error);

// The whole picture, unflipped: the view of evaluation.
XvRegionView xv_region_whole(XvImageSize size);

// Chooses at most max_regions samples: first the whole picture if the record has a caption, then elements in
// random order that lie in the crop well enough. Returns how many, 0 if none fits; -1 with a message for a
// record that is broken where it was looked at.
int xv_region_choose(const XvRegionScene *scene, const XvRegionView *view, XvRegion *regions, XvError *error);

// The box as centre and size in shares of the picture.
void xv_region_target(const XvRegion *region, int image_res, float target[4]);

// image_atts, i32 [1 + P * P]: 1 for the class token and for each patch that the box touches, one at least.
void xv_region_atts(const XvRegion *region, int image_res, int patch_size, int32_t *atts);

// Which of n >= 1 samples make a batch of B: a random subset when there are enough; else all of them in
// order, again as often as whole repeats fit, and a random subset for the rest. Writes B indices. Without
// memory of its own: `order` is scratch for n.
void xv_region_collate(int n, int batch_size, const XvDraws *draws, int32_t *order, int32_t *chosen);
