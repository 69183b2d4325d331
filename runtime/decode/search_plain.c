// One token after the other; see search.h.
#include "runtime/base/random.h"
#include "runtime/decode/search_rows.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Plain {
    const XvScorer *scorer;
    const XvSearch *search;
    bool is_sampled;
    int64_t n_rows, length;  // tokens so far, prompt included
    int64_t step;
    XvSequences *found;
    int32_t *next;  // [n_rows]
    double *norms;  // [n_rows]
    double *sums;   // [n_rows], log-probabilities
    bool *is_finished;
} Plain;

static int32_t likeliest(const float *row, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        best = row[i] > row[best] ? i : best;
    }
    return (int32_t)best;
}

// The first token up to which the probabilities sum to more than `uniform`.
static int32_t drawn(const float *row, int64_t n, double norm, double uniform)
{
    int32_t last = 0;
    for (int64_t i = 0; i < n; i++) {
        double probability = exp((double)row[i] - norm);
        if (probability <= 0) {
            continue;
        }
        last = (int32_t)i;
        if (uniform < probability) {
            return last;
        }
        uniform -= probability;
    }
    return last;
}

static int32_t choice(const Plain *plain, const float *row, int64_t r)
{
    const XvSearch *search = plain->search;
    if (!plain->is_sampled) {
        return likeliest(row, plain->scorer->vocabulary);
    }
    if (search->draws) {
        return search->draws[plain->step * plain->n_rows + r];
    }
    XvPhilox words = xv_philox(search->key, (uint64_t)plain->step, (uint64_t)r);
    uint64_t bits = (uint64_t)(words.word[0] >> 5) << 26 | words.word[1] >> 6;
    return drawn(row, plain->scorer->vocabulary, plain->norms[r], (double)bits * 0x1p-53);
}

static bool check_draws(const Plain *plain, XvError *error)
{
    const XvSearch *search = plain->search;
    if (!plain->is_sampled || !search->draws) {
        return true;
    }
    if (plain->step >= search->n_draw_steps) {
        return xv_fail(error,
                       "tokens are given for %" PRId64 " steps, and sequences are unfinished after them",
                       search->n_draw_steps);
    }
    for (int64_t r = 0; r < plain->n_rows; r++) {
        int32_t token = search->draws[plain->step * plain->n_rows + r];
        if (token < 0 || token >= plain->scorer->vocabulary) {
            return xv_fail(
                error, "the token %d given for step %" PRId64 ", row %" PRId64 " is none of the vocabulary",
                token, plain->step, r);
        }
    }
    return true;
}

// Appends a token to every row. `rows` is how many rows of logits belong to an item: 1 after the prompt.
static bool take_tokens(Plain *plain, const float *logits, int64_t rows, XvError *error)
{
    const XvScorer *scorer = plain->scorer;
    XvSequences *found = plain->found;
    if (!check_draws(plain, error) ||
        !xv_search_norms(logits, scorer->n_items * rows, scorer->vocabulary, plain->norms, error)) {
        return false;
    }
    if (rows < scorer->rows_per_item) {
        for (int64_t r = plain->n_rows - 1; r >= 0; r--) {
            plain->norms[r] = plain->norms[r / scorer->rows_per_item];
        }
    }
    int64_t divisor = scorer->rows_per_item / rows;
    for (int64_t r = 0; r < plain->n_rows; r++) {
        if (plain->is_finished[r]) {
            plain->next[r] = plain->search->pad_id;
            continue;
        }
        const float *row = logits + r / divisor * scorer->vocabulary;
        int32_t token = plain->next[r] = choice(plain, row, r);
        plain->sums[r] += (double)row[token] - plain->norms[r];
        found->ids[r * found->width + plain->length] = found->tokens[r * found->width + plain->length] =
            token;
        found->lengths[r]++;
        plain->is_finished[r] = token == plain->search->end_id;
    }
    plain->length++;
    plain->step++;
    return true;
}

static bool all_finished(const Plain *plain)
{
    for (int64_t r = 0; r < plain->n_rows; r++) {
        if (!plain->is_finished[r]) {
            return false;
        }
    }
    return true;
}

static void close_sequences(const Plain *plain, int64_t prompt_length)
{
    XvSequences *found = plain->found;
    for (int64_t r = 0; r < plain->n_rows; r++) {
        found->scores[r] = (float)(plain->sums[r] / (double)(found->lengths[r] - prompt_length));
        if (!plain->is_finished[r]) {
            found->ids[r * found->width + found->width - 1] = plain->search->end_id;
        }
    }
}

static bool search(Plain *plain, const XvPrompt *prompt, XvError *error)
{
    const XvScorer *scorer = plain->scorer;
    XvSequences *found = plain->found;
    for (int64_t r = 0; r < plain->n_rows; r++) {
        const int32_t *from = prompt->ids + r / scorer->rows_per_item * prompt->length;
        memcpy(found->ids + r * found->width, from, (size_t)prompt->length * sizeof *from);
        memcpy(found->tokens + r * found->width, from, (size_t)prompt->length * sizeof *from);
        found->lengths[r] = (int32_t)prompt->length;
    }
    if (!take_tokens(plain, scorer->start(scorer->state), 1, error)) {
        return false;
    }
    while (plain->length < plain->search->max_length && !all_finished(plain)) {
        const float *logits = scorer->advance(scorer->state, plain->next, NULL);
        if (!take_tokens(plain, logits, scorer->rows_per_item, error)) {
            return false;
        }
    }
    close_sequences(plain, prompt->length);
    return true;
}

bool xv_search_plain(const XvScorer *scorer, const XvPrompt *prompt, const XvSearch *search_settings,
                     bool is_sampled, XvSequences *found, XvError *error)
{
    *found = (XvSequences){0};
    size_t n = (size_t)(scorer->n_items * scorer->rows_per_item);
    Plain plain = {.scorer = scorer,
                   .search = search_settings,
                   .is_sampled = is_sampled,
                   .n_rows = (int64_t)n,
                   .length = prompt->length,
                   .found = found,
                   .next = calloc(n + 1, sizeof(int32_t)),
                   .norms = calloc(n + 1, sizeof(double)),
                   .sums = calloc(n + 1, sizeof(double)),
                   .is_finished = calloc(n + 1, sizeof(bool))};
    bool is_good = xv_search_check(scorer, prompt, search_settings, error);
    if (is_good && (!plain.next || !plain.norms || !plain.sums || !plain.is_finished)) {
        is_good = xv_fail(error, "no memory for %zu sequences", n);
    }
    is_good =
        is_good &&
        xv_sequences_create(found, (int64_t)n, search_settings->max_length, search_settings->pad_id, error) &&
        search(&plain, prompt, error);
    free(plain.next);
    free(plain.norms);
    free(plain.sums);
    free(plain.is_finished);
    if (!is_good) {
        xv_sequences_free(found);
    }
    return is_good;
}
