// Shared parts of the searches; see search_rows.h.
#include "runtime/decode/search_rows.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

bool xv_search_check(const XvScorer *scorer, const XvPrompt *prompt, const XvSearch *search, XvError *error)
{
    if (prompt->length < 1 || prompt->length >= search->max_length) {
        return xv_fail(error,
                       "a prompt of %" PRId64 " tokens leaves no room below the maximal length %" PRId64,
                       prompt->length, search->max_length);
    }
    bool is_end_known = search->end_id >= 0 && search->end_id < scorer->vocabulary;
    return is_end_known || xv_fail(error, "the end token %d is not among the %" PRId64 " of the vocabulary",
                                   search->end_id, scorer->vocabulary);
}

static double row_norm(const float *row, int64_t n)
{
    float most = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        most = row[i] > most ? row[i] : most;
    }
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += exp((double)row[i] - (double)most);
    }
    return (double)most + log(sum);
}

bool xv_search_norms(const float *logits, int64_t n_rows, int64_t vocabulary, double *norms, XvError *error)
{
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < n_rows; r++) {
        norms[r] = row_norm(logits + r * vocabulary, vocabulary);
    }
    for (int64_t r = 0; r < n_rows; r++) {
        if (!isfinite(norms[r])) {
            return xv_fail(error, "the scores of row %" PRId64 " are not finite; are the parameters?", r);
        }
    }
    return true;
}

bool xv_sequences_create(XvSequences *sequences, int64_t n, int64_t width, int32_t pad_id, XvError *error)
{
    size_t count = (size_t)(n * width);
    *sequences = (XvSequences){.n = n,
                               .width = width,
                               .ids = calloc(count + 1, sizeof(int32_t)),
                               .tokens = calloc(count + 1, sizeof(int32_t)),
                               .lengths = calloc((size_t)n + 1, sizeof(int32_t)),
                               .scores = calloc((size_t)n + 1, sizeof(float))};
    if (!sequences->ids || !sequences->tokens || !sequences->lengths || !sequences->scores) {
        xv_sequences_free(sequences);
        return xv_fail(error, "no memory for %" PRId64 " sequences", n);
    }
    for (size_t i = 0; i < count; i++) {
        sequences->ids[i] = sequences->tokens[i] = pad_id;
    }
    return true;
}

void xv_sequences_free(XvSequences *sequences)
{
    free(sequences->ids);
    free(sequences->tokens);
    free(sequences->lengths);
    free(sequences->scores);
    *sequences = (XvSequences){0};
}
