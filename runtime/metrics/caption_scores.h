// BLEU 1 to 4, ROUGE-L and CIDEr of captions as pycocoevalcap computes them, on captions that are tokenised already:
// words between spaces, in lower case, without punctuation.
#pragma once

#include "runtime/base/error.h"

#include <stdint.h>

enum { XV_BLEU_ORDERS = 4 };

typedef struct XvCaptionSet {
    const char *const *captions;    // [n]
    const char *const *references;  // those of all images, one image after the other
    const int *n_references;        // [n], at least 1 each
    int64_t n;
} XvCaptionSet;

typedef struct XvCaptionScores {
    double bleu[XV_BLEU_ORDERS];
    double rouge_l;
    double cider;
} XvCaptionScores;

// Scores of the whole set and, if `each` is not NULL, of every image [n]. BLEU of the set takes its counts together;
// the others are means. Document frequencies of CIDEr are those of the set's references.
bool xv_caption_scores(const XvCaptionSet *set, XvCaptionScores *all, XvCaptionScores *each, XvError *error);
