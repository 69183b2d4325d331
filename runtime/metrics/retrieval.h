// Recall of matched pairs: row i of one set belongs to row i of the other.
#pragma once

#include "runtime/base/error.h"

#include <stdint.h>

enum { XV_RECALLS = 3 };
extern const int XV_RECALL_AT[XV_RECALLS];  // 1, 5, 10

typedef struct XvRetrieval {
    double image_to_text[XV_RECALLS];  // share of images whose text is among the first 1, 5, 10
    double text_to_image[XV_RECALLS];
    double chance[XV_RECALLS];  // of a random order: min(1, k / n)
} XvRetrieval;

// Ranks by the inner product of features image[n, width] and text[n, width], summed in double precision. Ties are
// counted as what breaking them at random would give on average; a product that is not a number ranks last, its own
// pair's never counts. n >= 1.
bool xv_retrieval(const float *image, const float *text, int64_t n, int64_t width, XvRetrieval *retrieval,
                  XvError *error);

// The probability that a pair is among the first k when `better` others rank above it and `ties` equal it.
double xv_recall_chance(int64_t k, int64_t better, int64_t ties);
