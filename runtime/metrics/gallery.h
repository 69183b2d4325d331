// A page of pictures with true and predicted boxes and the phrase that was looked up, to judge grounding by
// eye.
#pragma once

#include "runtime/metrics/picture.h"

typedef struct XvGalleryItem {
    const uint8_t *rgb;  // height rows of width RGB triples
    int width, height;
    XvRect truth, predicted;  // in pixels of the picture; a width of 0 or less means that there is none
    const char *phrase;       // written beneath; NULL for none
} XvGalleryItem;

typedef struct XvGallery {
    const char *title;  // NULL for none
    const XvGalleryItem *items;
    int n_items;
    int columns;  // at least 1
    int cell;     // pixels of the longer side of each picture, 32..1024
} XvGallery;

// Draws the page; the caller frees the picture with xv_picture_free.
bool xv_gallery_draw(const XvGallery *gallery, XvPicture *page, XvError *error);

// Draws the page and writes it as PNG.
bool xv_gallery_write(const XvGallery *gallery, const char *path, XvError *error);
