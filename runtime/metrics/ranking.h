// Recalls of a retrieval evaluation from its score matrices (Retrieval.py, itm_eval), where an image may have
// several texts.
#pragma once

#include "runtime/base/error.h"
#include "runtime/metrics/retrieval.h"

// Scores of every image for every text [images, texts] and of every text for every image [texts, images], and the
// image that each text belongs to.
typedef struct XvScores {
    const float *image_to_text, *text_to_image;
    const int32_t *image_of_text;
    int64_t images, texts;
} XvScores;

// Percentages.
typedef struct XvRecalls {
    double text[XV_RECALLS];   // images with a text of theirs among the first 1, 5, 10
    double image[XV_RECALLS];  // texts with their image among them
    double text_mean, image_mean, mean;
} XvRecalls;

enum { XV_RECALL_ROWS = 2 * XV_RECALLS + 3 };

// An image ranks as the best of its texts does. Of equal scores the later candidate ranks first, as in a stable sort
// that is read backwards; a score that is not a number ranks last. Images without a text count as not found. False when
// image_of_text names no image, or without images or texts.
bool xv_recalls(const XvScores *scores, XvRecalls *recalls, XvError *error);

// The rows of a report in the official order, txt_r1 ... r_mean: name and value of row i.
const char *xv_recall_name(int i);
double xv_recall_value(const XvRecalls *recalls, int i);
