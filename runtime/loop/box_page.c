// Pictures with boxes from evaluated batches; see box_page.h.
#include "runtime/loop/box_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool xv_box_page_open(XvBoxPage *page, const char *vocabulary, XvError *error)
{
    page->vocabulary = xv_vocabulary_open(vocabulary, error);
    return page->vocabulary != NULL;
}

void xv_box_page_close(XvBoxPage *page)
{
    xv_vocabulary_close(page->vocabulary);
    for (int i = 0; i < page->n_items; i++) {
        free(page->pixels[i]);
    }
    *page = (XvBoxPage){0};
}

// The inverse of the normalisation, for looking at.
static uint8_t *rgb_of(const float *planes, int64_t side)
{
    static const float mean[3] = {0.48145466f, 0.4578275f, 0.40821073f};
    static const float deviation[3] = {0.26862954f, 0.26130258f, 0.27577711f};
    uint8_t *rgb = malloc((size_t)(3 * side * side));
    for (int64_t i = 0; rgb && i < side * side; i++) {
        for (int c = 0; c < 3; c++) {
            float value = (planes[c * side * side + i] * deviation[c] + mean[c]) * 255 + 0.5f;
            rgb[3 * i + c] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
    return rgb;
}

static void spell(const XvBoxPage *page, const int32_t *ids, int64_t n_ids, char *out, size_t size)
{
    XvSpecialIds specials = xv_vocabulary_specials(page->vocabulary);
    size_t used = 0;
    out[0] = 0;
    for (int64_t i = 0; i < n_ids; i++) {
        if (ids[i] == specials.pad || ids[i] == specials.cls || ids[i] < 0 ||
            ids[i] >= xv_vocabulary_count(page->vocabulary)) {
            continue;
        }
        const char *piece = xv_vocabulary_piece(page->vocabulary, ids[i]);
        bool is_joined = strncmp(piece, "##", 2) == 0;
        int added = snprintf(out + used, size - used, "%s%s", used && !is_joined ? " " : "",
                             is_joined ? piece + 2 : piece);
        used = used + (size_t)added < size ? used + (size_t)added : size - 1;
    }
}

static XvRect pixels_of(const float *box, double side)
{
    return (XvRect){((double)box[0] - (double)box[2] / 2) * side,
                    ((double)box[1] - (double)box[3] / 2) * side, (double)box[2] * side,
                    (double)box[3] * side};
}

bool xv_box_page_observe(void *context, const XvHost *host, const XvEntry *entry, const XvBatch *batch,
                         XvError *error)
{
    XvBoxPage *page = context;
    const XvGraph *graph = &entry->observe;
    static const char *const names[] = {"image", "idx_to_group_img", "text_ids", "target_bbox", "is_image"};
    XvTensor inputs[5];
    for (int i = 0; i < 5; i++) {
        const XvValue *value = xv_graph_input(graph, names[i]);
        if (!value) {
            return xv_fail(error, "a page of boxes needs the input '%s'", names[i]);
        }
        inputs[i] = xv_host_tensor(host, value);
    }
    const float *predicted = xv_host_tensor(host, xv_graph_output(graph, "output_coord")).data;
    int64_t side = inputs[0].shape[3];
    int64_t tokens = inputs[2].shape[1];
    int last_picture = -1;
    int of_picture = 0;
    for (int row = 0; row < batch->valid && page->n_items < XV_BOX_PAGE_ITEMS; row++) {
        int picture = ((const int32_t *)inputs[1].data)[row];
        of_picture = picture == last_picture ? of_picture + 1 : 1;
        last_picture = picture;
        if (((const int32_t *)inputs[4].data)[row] || of_picture > 3) {
            continue;
        }
        int n = page->n_items;
        page->pixels[n] = rgb_of((const float *)inputs[0].data + picture * 3 * side * side, side);
        if (!page->pixels[n]) {
            return xv_fail(error, "no memory");
        }
        spell(page, (const int32_t *)inputs[2].data + row * tokens, tokens, page->phrases[n],
              sizeof page->phrases[n]);
        page->items[n] =
            (XvGalleryItem){.rgb = page->pixels[n],
                            .width = (int)side,
                            .height = (int)side,
                            .truth = pixels_of((const float *)inputs[3].data + 4 * row, (double)side),
                            .predicted = pixels_of(predicted + 4 * row, (double)side),
                            .phrase = page->phrases[n]};
        page->n_items++;
    }
    return true;
}

bool xv_box_page_write(const XvBoxPage *page, const char *path, XvError *error)
{
    XvGallery gallery = {.title = "true boxes green, predicted pink",
                         .items = page->items,
                         .n_items = page->n_items,
                         .columns = 5,
                         .cell = 192};
    return xv_gallery_write(&gallery, path, error);
}
