// Recall at 1, 5 and 10 from features; see retrieval.h. One row of products is held at a time, so the memory is
// linear in the number of pairs.
#include "runtime/metrics/retrieval.h"

#include <math.h>
#include <stdlib.h>

const int XV_RECALL_AT[XV_RECALLS] = {1, 5, 10};

double xv_recall_chance(int64_t k, int64_t better, int64_t ties)
{
    double places = (double)(k - better);
    return fmin(1.0, fmax(0.0, places / (double)(ties + 1)));
}

static double product(const float *a, const float *b, int64_t width)
{
    double sum = 0.0;
    for (int64_t i = 0; i < width; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

// The share of query `own` that is found within each k; `found` has XV_RECALLS entries.
static void rank_query(const float *query, const float *candidates, int64_t n, int64_t width, int64_t own,
                       double *found)
{
    double target = product(query, candidates + own * width, width);
    int64_t better = 0, ties = 0;
    for (int64_t j = 0; j < n; j++) {
        double score = j == own ? NAN : product(query, candidates + j * width, width);
        better += score > target;
        ties += !(score > target) && !(score < target) && !isnan(score);
    }
    for (int i = 0; i < XV_RECALLS; i++) {
        found[i] = isnan(target) ? 0.0 : xv_recall_chance(XV_RECALL_AT[i], better, ties);
    }
}

static void recalls(const float *queries, const float *candidates, int64_t n, int64_t width, double *scratch,
                    double *out)
{
#pragma omp parallel for schedule(static) if (n > 64)
    for (int64_t q = 0; q < n; q++) {
        rank_query(queries + q * width, candidates, n, width, q, scratch + q * XV_RECALLS);
    }
    for (int i = 0; i < XV_RECALLS; i++) {
        double sum = 0.0;
        for (int64_t q = 0; q < n; q++) {
            sum += scratch[q * XV_RECALLS + i];
        }
        out[i] = sum / (double)n;
    }
}

bool xv_retrieval(const float *image, const float *text, int64_t n, int64_t width, XvRetrieval *retrieval,
                  XvError *error)
{
    double *scratch = malloc((size_t)n * XV_RECALLS * sizeof *scratch);
    if (!scratch) {
        return xv_fail(error, "no memory to rank %lld pairs", (long long)n);
    }
    recalls(image, text, n, width, scratch, retrieval->image_to_text);
    recalls(text, image, n, width, scratch, retrieval->text_to_image);
    for (int i = 0; i < XV_RECALLS; i++) {
        retrieval->chance[i] = fmin(1.0, (double)XV_RECALL_AT[i] / (double)n);
    }
    free(scratch);
    return true;
}
