// Beam search as transformers 4 does it; see search.h.
//
// Every step takes, per item, the best 2K continuations of its K beams: at most K of them end, so K always remain to
// go on. Sequences are kept whole per beam and copied when beams change places; they are short.
#include "runtime/decode/search_rows.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Candidate {
    double sum;  // log-probabilities so far
    int64_t beam;
    int32_t token;
} Candidate;

typedef struct Hypothesis {
    double score;
    int64_t length;
    int32_t *ids;  // [max_length]
} Hypothesis;

// Of one item.
typedef struct Item {
    Hypothesis *best;  // [K + 1], unordered; the last is room for one more
    int64_t n_best;
    bool is_done;
} Item;

typedef struct Beam {
    const XvScorer *scorer;
    const XvSearch *search;
    int64_t n_beams;  // K
    int64_t length;   // tokens so far, prompt included
    Item *items;
    int32_t *ids, *other_ids;  // [items * K, max_length]
    double *sums, *norms;      // [items * K]
    int32_t *next, *parents;   // [items * K]
    Candidate *candidates;     // [2K]
    Hypothesis *hypotheses;    // [items * (K + 1)]
    int32_t *hypothesis_ids;
} Beam;

static int64_t n_rows(const Beam *beam)
{
    return beam->scorer->n_items * beam->n_beams;
}

// Candidates ------------------------------------------------------------------------------------------------------

// Puts a candidate into its place among the best so far; of equal ones the first stays ahead.
static void consider(Candidate *best, int64_t *n_best, int64_t most, Candidate candidate)
{
    if (*n_best == most && !(candidate.sum > best[most - 1].sum)) {
        return;
    }
    int64_t at = *n_best < most ? (*n_best)++ : most - 1;
    for (; at > 0 && candidate.sum > best[at - 1].sum; at--) {
        best[at] = best[at - 1];
    }
    best[at] = candidate;
}

// The best 2K continuations of an item; fewer only if the vocabulary is that small. Right after the prompt the beams
// are equal and all but the first count -1e9, so it alone is looked at.
static int64_t best_candidates(const Beam *beam, const float *logits, int64_t item, bool is_first)
{
    int64_t vocabulary = beam->scorer->vocabulary, n_best = 0;
    int64_t n_sources = is_first ? 1 : beam->n_beams;
    bool is_short = beam->length < beam->search->min_length;
    for (int64_t k = 0; k < n_sources; k++) {
        int64_t row = item * n_sources + k;
        double base = beam->sums[item * beam->n_beams + k] - beam->norms[row];
        for (int64_t v = 0; v < vocabulary; v++) {
            if (is_short && v == beam->search->end_id) {
                continue;
            }
            Candidate candidate = {base + (double)logits[row * vocabulary + v], k, (int32_t)v};
            consider(beam->candidates, &n_best, 2 * beam->n_beams, candidate);
        }
    }
    return n_best;
}

// Hypotheses ------------------------------------------------------------------------------------------------------

static int64_t worst_of(const Item *item)
{
    int64_t worst = 0;
    for (int64_t i = 1; i < item->n_best; i++) {
        worst = item->best[i].score < item->best[worst].score ? i : worst;
    }
    return worst;
}

static void keep_hypothesis(const Beam *beam, Item *item, const int32_t *ids, double sum)
{
    double score = sum / (double)beam->length;
    if (item->n_best == beam->n_beams && !(score > item->best[worst_of(item)].score)) {
        return;
    }
    Hypothesis *room = &item->best[item->n_best++];
    room->score = score;
    room->length = beam->length;
    memcpy(room->ids, ids, (size_t)beam->length * sizeof *ids);
    if (item->n_best > beam->n_beams) {
        int64_t worst = worst_of(item);
        Hypothesis dropped = item->best[worst];
        item->best[worst] = item->best[--item->n_best];
        item->best[item->n_best] = dropped;
    }
}

// Steps -----------------------------------------------------------------------------------------------------------

static void pad_item(const Beam *beam, int64_t item)
{
    for (int64_t k = 0; k < beam->n_beams; k++) {
        int64_t row = item * beam->n_beams + k;
        beam->next[row] = beam->search->pad_id;
        beam->parents[row] = (int32_t)row;
    }
}

static void advance_item(Beam *beam, int64_t index, const float *logits, bool is_first, double *new_sums)
{
    Item *item = &beam->items[index];
    int64_t first = index * beam->n_beams, max_length = beam->search->max_length, filled = 0;
    int64_t n_candidates = best_candidates(beam, logits, index, is_first);
    for (int64_t rank = 0; rank < n_candidates && filled < beam->n_beams; rank++) {
        const Candidate *candidate = &beam->candidates[rank];
        int64_t parent = first + candidate->beam;
        if (candidate->token == beam->search->end_id) {
            if (rank < beam->n_beams) {
                keep_hypothesis(beam, item, beam->ids + parent * max_length, candidate->sum);
            }
            continue;
        }
        beam->next[first + filled] = candidate->token;
        beam->parents[first + filled] = (int32_t)parent;
        new_sums[first + filled++] = candidate->sum;
    }
    for (; filled < beam->n_beams; filled++) {  // a vocabulary of fewer words than beams
        beam->next[first + filled] = beam->search->pad_id;
        beam->parents[first + filled] = (int32_t)first;
        new_sums[first + filled] = -1e9;
    }
    double best = n_candidates > 0 ? beam->candidates[0].sum : -INFINITY;
    item->is_done =
        item->n_best == beam->n_beams && item->best[worst_of(item)].score >= best / (double)beam->length;
}

// Moves the sequences to their new beams and appends the tokens.
static void move_sequences(Beam *beam)
{
    int64_t max_length = beam->search->max_length;
    for (int64_t r = 0; r < n_rows(beam); r++) {
        memcpy(beam->other_ids + r * max_length, beam->ids + beam->parents[r] * max_length,
               (size_t)beam->length * sizeof *beam->ids);
        beam->other_ids[r * max_length + beam->length] = beam->next[r];
    }
    int32_t *swapped = beam->ids;
    beam->ids = beam->other_ids;
    beam->other_ids = swapped;
    beam->length++;
}

static bool step(Beam *beam, const float *logits, bool is_first, XvError *error)
{
    int64_t rows = is_first ? beam->scorer->n_items : n_rows(beam);
    if (!xv_search_norms(logits, rows, beam->scorer->vocabulary, beam->norms, error)) {
        return false;
    }
    for (int64_t i = 0; i < beam->scorer->n_items; i++) {
        if (beam->items[i].is_done) {
            pad_item(beam, i);
        } else {
            advance_item(beam, i, logits, is_first, beam->sums);
        }
    }
    move_sequences(beam);
    return true;
}

static bool all_done(const Beam *beam)
{
    for (int64_t i = 0; i < beam->scorer->n_items; i++) {
        if (!beam->items[i].is_done) {
            return false;
        }
    }
    return true;
}

static bool run(Beam *beam, const XvPrompt *prompt, XvError *error)
{
    const XvScorer *scorer = beam->scorer;
    int64_t max_length = beam->search->max_length;
    for (int64_t r = 0; r < n_rows(beam); r++) {
        memcpy(beam->ids + r * max_length, prompt->ids + r / beam->n_beams * prompt->length,
               (size_t)prompt->length * sizeof *prompt->ids);
    }
    beam->length = prompt->length;
    if (!step(beam, scorer->start(scorer->state), true, error)) {
        return false;
    }
    // After the prompt a row continues itself, whatever beam it came from: the scorer has seen nothing yet.
    for (int64_t r = 0; r < n_rows(beam); r++) {
        beam->parents[r] = (int32_t)r;
    }
    while (beam->length < max_length && !all_done(beam)) {
        if (!step(beam, scorer->advance(scorer->state, beam->next, beam->parents), false, error)) {
            return false;
        }
    }
    for (int64_t r = 0; r < n_rows(beam); r++) {
        Item *item = &beam->items[r / beam->n_beams];
        if (!item->is_done) {
            keep_hypothesis(beam, item, beam->ids + r * max_length, beam->sums[r]);
        }
    }
    return true;
}

// Results ---------------------------------------------------------------------------------------------------------

static const Hypothesis *best_of(const Item *item)
{
    const Hypothesis *best = &item->best[0];
    for (int64_t i = 1; i < item->n_best; i++) {
        best = item->best[i].score > best->score ? &item->best[i] : best;
    }
    return best;
}

static bool collect(const Beam *beam, XvSequences *found, XvError *error)
{
    int64_t max_length = beam->search->max_length, width = 0;
    for (int64_t i = 0; i < beam->scorer->n_items; i++) {
        int64_t length = best_of(&beam->items[i])->length + 1;
        width = length > width ? length : width;
    }
    width = width < max_length ? width : max_length;
    if (!xv_sequences_create(found, beam->scorer->n_items, width, beam->search->pad_id, error)) {
        return false;
    }
    for (int64_t i = 0; i < beam->scorer->n_items; i++) {
        const Hypothesis *best = best_of(&beam->items[i]);
        int32_t *ids = found->ids + i * width;
        memcpy(ids, best->ids, (size_t)best->length * sizeof *ids);
        if (best->length < max_length) {
            ids[best->length] = beam->search->end_id;
        }
        memcpy(found->tokens + i * width, ids, (size_t)width * sizeof *ids);
        found->lengths[i] = (int32_t)(best->length < max_length ? best->length + 1 : best->length);
        found->scores[i] = (float)best->score;
    }
    return true;
}

// Memory ----------------------------------------------------------------------------------------------------------

static bool create(Beam *beam)
{
    size_t rows = (size_t)n_rows(beam), items = (size_t)beam->scorer->n_items, k = (size_t)beam->n_beams;
    size_t length = (size_t)beam->search->max_length;
    beam->items = calloc(items + 1, sizeof *beam->items);
    beam->ids = calloc(rows * length + 1, sizeof *beam->ids);
    beam->other_ids = calloc(rows * length + 1, sizeof *beam->other_ids);
    beam->sums = calloc(rows + 1, sizeof *beam->sums);
    beam->norms = calloc(rows + 1, sizeof *beam->norms);
    beam->next = calloc(rows + 1, sizeof *beam->next);
    beam->parents = calloc(rows + 1, sizeof *beam->parents);
    beam->candidates = calloc(2 * k + 1, sizeof *beam->candidates);
    beam->hypotheses = calloc(items * (k + 1) + 1, sizeof *beam->hypotheses);
    beam->hypothesis_ids = calloc(items * (k + 1) * length + 1, sizeof *beam->hypothesis_ids);
    if (!beam->items || !beam->ids || !beam->other_ids || !beam->sums || !beam->norms || !beam->next ||
        !beam->parents || !beam->candidates || !beam->hypotheses || !beam->hypothesis_ids) {
        return false;
    }
    for (size_t i = 0; i < items * (k + 1); i++) {
        beam->hypotheses[i].ids = beam->hypothesis_ids + i * length;
    }
    for (size_t i = 0; i < items; i++) {
        beam->items[i].best = beam->hypotheses + i * (k + 1);
    }
    return true;
}

static void destroy(Beam *beam)
{
    free(beam->items);
    free(beam->ids);
    free(beam->other_ids);
    free(beam->sums);
    free(beam->norms);
    free(beam->next);
    free(beam->parents);
    free(beam->candidates);
    free(beam->hypotheses);
    free(beam->hypothesis_ids);
}

bool xv_search_beam(const XvScorer *scorer, const XvPrompt *prompt, const XvSearch *search,
                    XvSequences *found, XvError *error)
{
    *found = (XvSequences){0};
    if (!xv_search_check(scorer, prompt, search, error)) {
        return false;
    }
    Beam beam = {.scorer = scorer, .search = search, .n_beams = scorer->rows_per_item};
    bool is_found = create(&beam) ? run(&beam, prompt, error) && collect(&beam, found, error)
                                  : xv_fail(error, "no memory for %" PRId64 " beams", n_rows(&beam));
    destroy(&beam);
    return is_found;
}
