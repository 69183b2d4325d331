// Layout of the gallery page; see gallery.h.
#include "runtime/metrics/gallery.h"

#include <math.h>

static const XvColor PAPER = {255, 255, 255}, FRAME = {222, 225, 230}, DARK = {38, 42, 50},
                     FAINT = {110, 116, 126};
static const XvColor TRUE_COLOR = {40, 200, 80}, PREDICTED_COLOR = {255, 60, 120}, CASING = {20, 22, 26};

enum { MARGIN = 20, GAP = 16, MAX_LINES = 4 };

typedef struct Metrics {
    double scale;  // of phrases
    int n_lines;   // of the longest phrase
    int caption;   // height kept for the phrase
    int header;    // height of title and legend
    int rows;
    bool has_truth, has_prediction;
} Metrics;

static bool has_box(XvRect box)
{
    return box.w > 0;
}

static Metrics measure(const XvGallery *gallery)
{
    Metrics metrics = {.scale = gallery->cell >= 160 ? 1.5 : 1};
    for (int i = 0; i < gallery->n_items; i++) {
        const XvGalleryItem *item = &gallery->items[i];
        int n_lines = item->phrase ? xv_text_lines(item->phrase, gallery->cell, metrics.scale) : 0;
        metrics.n_lines = n_lines > metrics.n_lines ? n_lines : metrics.n_lines;
        metrics.has_truth |= has_box(item->truth);
        metrics.has_prediction |= has_box(item->predicted);
    }
    metrics.n_lines = metrics.n_lines < MAX_LINES ? metrics.n_lines : MAX_LINES;
    metrics.caption = (int)ceil(metrics.n_lines * (XV_FONT_HEIGHT + 2) * metrics.scale) + 6;
    metrics.header = (gallery->title ? 30 : 4) + (metrics.has_truth || metrics.has_prediction ? 24 : 0);
    metrics.rows = (gallery->n_items + gallery->columns - 1) / gallery->columns;
    return metrics;
}

static XvRect scaled(XvRect box, XvRect place, double factor)
{
    return (XvRect){place.x + box.x * factor, place.y + box.y * factor, box.w * factor, box.h * factor};
}

// A bright line on a dark casing shows on any picture.
static void draw_box(XvPicture *page, XvRect box, XvColor color)
{
    xv_picture_outline(page, box, 4, CASING);
    xv_picture_outline(page, box, 2, color);
}

static void draw_picture(XvPicture *page, const XvGallery *gallery, const XvGalleryItem *item, XvRect cell)
{
    int longer = item->width > item->height ? item->width : item->height;
    double factor = (double)gallery->cell / longer;
    XvRect place = {cell.x, cell.y, item->width * factor, item->height * factor};
    place.x += (gallery->cell - place.w) / 2;
    place.y += (gallery->cell - place.h) / 2;
    xv_picture_paste(page, place, item->rgb, item->width, item->height);
    xv_picture_outline(page, (XvRect){place.x - 0.5, place.y - 0.5, place.w + 1, place.h + 1}, 1, FRAME);
    if (has_box(item->truth)) {
        draw_box(page, scaled(item->truth, place, factor), TRUE_COLOR);
    }
    if (has_box(item->predicted)) {
        draw_box(page, scaled(item->predicted, place, factor), PREDICTED_COLOR);
    }
}

static void draw_phrase(XvPicture *page, const Metrics *metrics, const char *phrase, XvRect cell)
{
    XvRect lines = {cell.x, cell.y + cell.w + 8, cell.w, metrics->caption};
    xv_picture_paragraph(page, lines, metrics->n_lines, phrase, (XvTextStyle){metrics->scale, DARK});
}

static double draw_key(XvPicture *page, double x, double y, const char *name, XvColor color)
{
    draw_box(page, (XvRect){x + 2, y + 1, 14, 9}, color);
    return xv_picture_text(page, x + 25, y, name, (XvTextStyle){1.5, FAINT}) + 18;
}

static void draw_header(XvPicture *page, const XvGallery *gallery, const Metrics *metrics)
{
    double x = MARGIN, y = MARGIN - 4;
    if (gallery->title) {
        xv_picture_text(page, x, y, gallery->title, (XvTextStyle){2, DARK});
        y += 27;
    }
    x = metrics->has_truth ? draw_key(page, x, y, "truth", TRUE_COLOR) : x;
    if (metrics->has_prediction) {
        draw_key(page, x, y, "prediction", PREDICTED_COLOR);
    }
}

bool xv_gallery_draw(const XvGallery *gallery, XvPicture *page, XvError *error)
{
    if (gallery->n_items < 1 || gallery->columns < 1 || gallery->cell < 32 || gallery->cell > 1024) {
        return xv_fail(error, "a gallery needs pictures, at least one column and cells of 32 to 1024 pixels");
    }
    Metrics metrics = measure(gallery);
    int columns = gallery->columns < gallery->n_items ? gallery->columns : gallery->n_items;
    int step_x = gallery->cell + GAP, step_y = gallery->cell + metrics.caption + GAP;
    int width = 2 * MARGIN + columns * step_x - GAP;
    int height = MARGIN + metrics.header + metrics.rows * step_y - GAP + MARGIN / 2;
    if (!xv_picture_create(page, width, height, PAPER, error)) {
        return false;
    }
    draw_header(page, gallery, &metrics);
    for (int i = 0; i < gallery->n_items; i++) {
        XvRect cell = {MARGIN + i % gallery->columns * step_x, 0, gallery->cell, step_y};
        cell.y = MARGIN + metrics.header + i / gallery->columns * step_y;
        draw_picture(page, gallery, &gallery->items[i], cell);
        if (gallery->items[i].phrase) {
            draw_phrase(page, &metrics, gallery->items[i].phrase, cell);
        }
    }
    return true;
}

bool xv_gallery_write(const XvGallery *gallery, const char *path, XvError *error)
{
    XvPicture page;
    if (!xv_gallery_draw(gallery, &page, error)) {
        return false;
    }
    bool is_written = xv_picture_write_png(&page, path, error);
    xv_picture_free(&page);
    return is_written;
}
