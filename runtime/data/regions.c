// Region sampling; see regions.h. Names follow RegionTextJsonDataset of dataset/pretrain_dataset.py.
#include "runtime/data/regions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { X, Y, W, H };

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static bool says_side(const XvTexts *captions)
{
    for (int i = 0; i < captions->count; i++) {
        const char *text = captions->items[i];
        if (text && (strstr(text, "left") || strstr(text, "right"))) {
            return true;
        }
    }
    return false;
}

static bool may_flip(const XvRegionScene *scene)
{
    if (!scene->options->careful_hflip) {
        return true;
    }
    bool found = says_side(&scene->record->captions);
    for (int i = 0; i < scene->record->n_elements && !found; i++) {
        found = says_side(&scene->record->elements[i].captions);
    }
    return !found;
}

static bool check_box(const XvElement *element, int number, XvError *error)
{
    return element->has_box ||
           xv_fail(error, "element %d: field \"bb\" is not a list of four numbers", number);
}

bool xv_region_view(const XvRegionScene *scene, XvRegionView *view, XvError *error)
{
    const XvDraws *draws = scene->draws;
    int n = scene->record->n_elements;
    if (n == 0) {
        return xv_fail(error, "field \"elems\" is empty or missing");
    }
    int picked = draws->between(draws->state, 0, n - 1);
    const int *box = scene->record->elements[picked].box;
    if (!check_box(&scene->record->elements[picked], picked + 1, error)) {
        return false;
    }
    int width = scene->size.width, height = scene->size.height;
    if (box[X] < 0 || box[Y] < 0 || box[W] <= 0 || box[H] <= 0 || box[X] + box[W] > width ||
        box[Y] + box[H] > height) {
        return xv_fail(error, "element %d: box [%d, %d, %d, %d] is empty or not inside the %dx%d picture",
                       picked + 1, box[X], box[Y], box[W], box[H], width, height);
    }
    double cut = 1 - scene->options->min_margin;  // of each margin, at most
    int x0 = draws->between(draws->state, 0, (int)(cut * box[X]));
    int y0 = draws->between(draws->state, 0, (int)(cut * box[Y]));
    int x1 = draws->between(draws->state, width - (int)(cut * (width - box[X] - box[W])), width);
    int y1 = draws->between(draws->state, height - (int)(cut * (height - box[Y] - box[H])), height);
    view->crop = (XvCrop){x0, y0, x1 - x0, y1 - y0};
    view->is_flipped = draws->uniform(draws->state) < 0.5 && may_flip(scene);
    return true;
}

XvRegionView xv_region_whole(XvImageSize size)
{
    return (XvRegionView){{0, 0, size.width, size.height}, false};
}

// One of the texts, drawn if there are several; NULL with a message.
static const char *choose_text(const XvTexts *texts, const XvDraws *draws, const char *field, XvError *error)
{
    int at = texts->count > 1 ? draws->between(draws->state, 0, texts->count - 1) : 0;
    if (texts->count == 0 || !texts->items[at]) {
        xv_fail(error, "field \"%s\" is %s", field,
                texts->is_present ? "neither a string nor a list of strings" : "missing");
        return NULL;
    }
    return texts->items[at];
}

// Fills the geometry; false if too little of the box lies in the crop.
static bool place(const int *box, const XvRegionView *view, const XvRegionOptions *options, XvRegion *region)
{
    const XvCrop *crop = &view->crop;
    int left = larger(crop->left, box[X]), top = larger(crop->top, box[Y]);
    int right = smaller(crop->left + crop->width, box[X] + box[W]);
    int bottom = smaller(crop->top + crop->height, box[Y] + box[H]);
    if (right <= left || bottom <= top) {
        return false;
    }
    double area = (double)box[W] * box[H];
    if (!((double)(right - left) * (bottom - top) / area > options->min_perc_in_image)) {
        return false;
    }
    int x = left - crop->left, y = top - crop->top, w = right - left, h = bottom - top;
    if (view->is_flipped) {
        x = crop->width - x - w;
    }
    double res = options->image_res;
    region->x = res / crop->width * x;
    region->w = res / crop->width * w;
    region->y = res / crop->height * y;
    region->h = res / crop->height * h;
    return true;
}

static bool choose_image(const XvRegionScene *scene, XvRegion *region, XvError *error)
{
    double res = scene->options->image_res;
    *region = (XvRegion){.is_image = true, .w = res, .h = res};
    region->caption = choose_text(&scene->record->captions, scene->draws, "caption", error);
    return region->caption != NULL;
}

// 1 if the element is kept, 0 if not, -1 if it is broken.
static int choose_element(const XvRegionScene *scene, const XvRegionView *view, int at, XvRegion *region,
                          XvError *error)
{
    const XvElement *element = &scene->record->elements[at];
    *region = (XvRegion){0};
    if (!check_box(element, at + 1, error)) {
        return -1;
    }
    if (!place(element->box, view, scene->options, region)) {
        return 0;
    }
    region->caption = choose_text(&element->captions, scene->draws, "caption", error);
    if (!region->caption) {
        xv_fail_in(error, "element %d", at + 1);
        return -1;
    }
    if (element->attributes.is_present) {
        region->attribute = choose_text(&element->attributes, scene->draws, "attributes", error);
        if (!region->attribute) {
            xv_fail_in(error, "element %d", at + 1);
            return -1;
        }
    }
    return 1;
}

int xv_region_choose(const XvRegionScene *scene, const XvRegionView *view, XvRegion *regions, XvError *error)
{
    int n_elements = scene->record->n_elements, max_regions = scene->options->max_regions;
    int chosen = 0;
    if (scene->record->captions.is_present) {
        if (!choose_image(scene, &regions[0], error)) {
            return -1;
        }
        chosen = 1;
    }
    int32_t *order = malloc(((size_t)n_elements + 1) * sizeof *order);
    if (!order) {
        xv_fail(error, "no memory for %d elements", n_elements);
        return -1;
    }
    for (int i = 0; i < n_elements; i++) {
        order[i] = i;
    }
    scene->draws->shuffle(scene->draws->state, order, n_elements);
    for (int i = 0; i < n_elements && chosen >= 0 && chosen < max_regions; i++) {
        int kept = choose_element(scene, view, order[i], &regions[chosen], error);
        chosen = kept < 0 ? -1 : chosen + kept;
    }
    free(order);
    return chosen;
}

void xv_region_target(const XvRegion *region, int image_res, float target[4])
{
    target[0] = (float)((region->x + region->w / 2) / image_res);
    target[1] = (float)((region->y + region->h / 2) / image_res);
    target[2] = (float)(region->w / image_res);
    target[3] = (float)(region->h / image_res);
}

typedef struct Span {
    int begin, end;
} Span;

static Span patches(double from, double length, int patch_size, int n_patches)
{
    int begin = smaller((int)floor(from / patch_size), n_patches - 1);
    int end = smaller((int)ceil((from + length) / patch_size), n_patches);
    return (Span){begin, larger(begin + 1, end)};
}

void xv_region_atts(const XvRegion *region, int image_res, int patch_size, int32_t *atts)
{
    int side = image_res / patch_size;
    Span columns = patches(region->x, region->w, patch_size, side);
    Span rows = patches(region->y, region->h, patch_size, side);
    atts[0] = 1;
    for (int row = 0; row < side; row++) {
        for (int column = 0; column < side; column++) {
            bool is_inside =
                row >= rows.begin && row < rows.end && column >= columns.begin && column < columns.end;
            atts[1 + row * side + column] = region->is_image || is_inside;
        }
    }
}

void xv_region_collate(int n, int batch_size, const XvDraws *draws, int32_t *order, int32_t *chosen)
{
    int filled = 0;
    while (n < batch_size && batch_size - filled >= n) {
        for (int i = 0; i < n; i++) {
            chosen[filled++] = i;
        }
    }
    for (int i = 0; i < n; i++) {
        order[i] = i;
    }
    draws->shuffle(draws->state, order, n);
    for (int i = 0; filled < batch_size; i++) {
        chosen[filled++] = order[i];
    }
}
