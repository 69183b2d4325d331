// Collects predicted and true boxes with their pictures and phrases while a data set is evaluated, for one PNG page.
#pragma once

#include "runtime/data/wordpiece.h"
#include "runtime/loop/host.h"
#include "runtime/data/loader.h"
#include "runtime/metrics/gallery.h"

enum { XV_BOX_PAGE_ITEMS = 20 };

typedef struct XvBoxPage {
    XvVocabulary *vocabulary;
    XvGalleryItem items[XV_BOX_PAGE_ITEMS];
    uint8_t *pixels[XV_BOX_PAGE_ITEMS];
    char phrases[XV_BOX_PAGE_ITEMS][160];
    int n_items;
} XvBoxPage;

bool xv_box_page_open(XvBoxPage *page, const char *vocabulary, XvError *error);
void xv_box_page_close(XvBoxPage *page);  // also of one that was never opened

// An XvObserver: takes rows that are regions from the outputs output_coord and the inputs image, idx_to_group_img,
// text_ids, target_bbox, is_image; at most two of a picture.
bool xv_box_page_observe(void *page, const XvHost *host, const XvEntry *entry, const XvBatch *batch,
                         XvError *error);

bool xv_box_page_write(const XvBoxPage *page, const char *path, XvError *error);
