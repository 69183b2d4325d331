// CIDEr-D (Vedantam et al. 2015) of a sentence against references: agreement of n-grams of 1 to 4 words, weighted by
// how rare they are, clipped, with a penalty for other lengths; mean over references, times 10 (Vedantam et
// al. 2015).
#pragma once

#include "runtime/metrics/ngrams.h"

// The score with the table's document frequencies. `log_documents` is the log of their number, given because corpora
// count it differently.
double xv_ciderd(const XvNgramTable *table, double log_documents, const XvNgrams *hypothesis,
                 const XvNgrams *references, int n_references);

// What self-critical training scores: the sentence without outer white space, one final full stop dropped, " <eos>"
// appended. The caller frees it; NULL without memory.
char *xv_cider_wrapped(const char *sentence);

// Sentences with the references of their images, for rewards.
typedef struct XvCiderBatch {
    const char *const *sentences;  // [n]
    int64_t n;
    const int64_t *image_of;        // [n]
    const char *const *references;  // [images, per_image]; NULL behind an image's last
    int64_t n_images;
    int per_image;
} XvCiderBatch;

// scores[n] of wrapped sentences against wrapped references. Frequencies are the table's where it has documents (read
// from a file); else every sentence is an item of a corpus, whose references are counted.
bool xv_cider_rewards(XvNgramTable *table, const XvCiderBatch *batch, double *scores, XvError *error);
