// Means over a data set in evaluation mode: losses, metrics, features for retrieval.
//
// Batches have a fixed size. Rows beyond the end of the data repeat earlier ones; they are kept out of what the
// inputs can keep them out of: "is_image" is set (no box) and "masked_ids" to -100 (no masked word) there. A partly
// filled batch counts only where every batch is partly filled or there is no other, since contrast and matching
// cannot leave rows out; `left_out` says how many records that concerns.
//
// With several ranks (host->comm) each evaluates its part of the records, every one the same number of batches, and all
// get the means over all of them.
#pragma once

#include "runtime/loop/host.h"
#include "runtime/loop/source.h"
#include "runtime/metrics/retrieval.h"

typedef struct XvMean {
    const char *name;    // borrowed from the program
    double sum, weight;  // the mean is sum / weight
} XvMean;

// Called after each batch of this rank, while its outputs are in the arena.
typedef struct XvObserver {
    void *context;
    bool (*batch)(void *context, const XvHost *host, const XvEntry *entry, const XvBatch *batch,
                  XvError *error);
} XvObserver;

typedef struct XvEvaluateOptions {
    uint64_t seed;               // of drawn negatives
    int64_t retrieval;           // pairs to rank; 0: none
    const XvObserver *observer;  // or NULL
} XvEvaluateOptions;

typedef struct XvEvaluation {
    const XvEntry *entry;
    XvMean *losses;  // entry's terms and sum (xv_entry_losses)
    int n_losses;
    XvMean *metrics;  // entry->metrics
    int n_metrics;
    int64_t records;  // samples counted
    int64_t left_out;
    int64_t skipped;     // records that could not be used
    int64_t partial;     // pictures used as far as they go (loader.h)
    float *features[2];  // image and text, [n_features, width]; NULL without
    int64_t n_features, width;
    bool has_retrieval;
    XvRetrieval retrieval;
} XvEvaluation;

// Runs the observe graph of an entry over all batches of the source, which must be at its beginning and in evaluation
// mode. Free the result with xv_evaluation_free, also after a failure.
bool xv_evaluate(XvHost *host, const XvEntry *entry, XvSource *source, const XvEvaluateOptions *options,
                 XvEvaluation *evaluation, XvError *error);
void xv_evaluation_free(XvEvaluation *evaluation);

double xv_mean(const XvMean *mean);  // NaN without weight
