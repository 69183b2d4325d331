// Scores of captions; see caption_scores.h. The constants that keep BLEU from dividing by zero are the official ones.
#include "runtime/metrics/caption_scores.h"

#include "runtime/metrics/cider.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double SMALL = 1e-9, TINY = 1e-15;
static const double ROUGE_BETA = 1.2;

// BLEU --------------------------------------------------------------------------------------------------------------

typedef struct BleuCounts {
    int64_t guessed[XV_BLEU_ORDERS], correct[XV_BLEU_ORDERS];
    int64_t length, reference_length;
} BleuCounts;

static int32_t count_in(const XvNgrams *ngrams, int32_t id)
{
    for (int32_t low = 0, high = ngrams->n_items; low < high;) {
        int32_t middle = low + (high - low) / 2;
        if (ngrams->items[middle].id == id) {
            return ngrams->items[middle].count;
        }
        if (ngrams->items[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return 0;
}

// Matches are counted up to the most that any reference has; the reference nearest in length counts, of two the
// shorter.
static BleuCounts bleu_counts(const XvNgrams *caption, const XvNgrams *references, int n_references)
{
    BleuCounts counts = {.length = caption->lengths[0], .reference_length = references[0].lengths[0]};
    memcpy(counts.guessed, caption->lengths, sizeof counts.guessed);
    for (int32_t i = 0; i < caption->n_items; i++) {
        int32_t most = 0;
        for (int r = 0; r < n_references; r++) {
            int32_t count = count_in(&references[r], caption->items[i].id);
            most = count > most ? count : most;
        }
        counts.correct[caption->items[i].order] +=
            most < caption->items[i].count ? most : caption->items[i].count;
    }
    for (int r = 1; r < n_references; r++) {
        int64_t length = references[r].lengths[0];
        int64_t distance = llabs(length - counts.length),
                best = llabs(counts.reference_length - counts.length);
        bool is_nearer = distance < best || (distance == best && length < counts.reference_length);
        counts.reference_length = is_nearer ? length : counts.reference_length;
    }
    return counts;
}

static void bleu_of(const BleuCounts *counts, double bleu[XV_BLEU_ORDERS])
{
    double product = 1;
    double ratio = ((double)counts->length + TINY) / ((double)counts->reference_length + SMALL);
    for (int n = 0; n < XV_BLEU_ORDERS; n++) {
        product *= ((double)counts->correct[n] + TINY) / ((double)counts->guessed[n] + SMALL);
        bleu[n] = pow(product, 1.0 / (n + 1)) * (ratio < 1 ? exp(1 - 1 / ratio) : 1);
    }
}

static void add_counts(BleuCounts *sum, const BleuCounts *counts)
{
    for (int n = 0; n < XV_BLEU_ORDERS; n++) {
        sum->guessed[n] += counts->guessed[n];
        sum->correct[n] += counts->correct[n];
    }
    sum->length += counts->length;
    sum->reference_length += counts->reference_length;
}

// ROUGE-L -----------------------------------------------------------------------------------------------------------

// Words between single spaces: an empty text is one empty word, as in Python's split(" ").
typedef struct Words {
    const char **at;
    size_t *length;
    int64_t n;
} Words;

static bool split(const char *text, Words *words)
{
    size_t room = strlen(text) + 2;
    *words = (Words){.at = malloc(room * sizeof *words->at), .length = malloc(room * sizeof *words->length)};
    if (!words->at || !words->length) {
        return false;
    }
    for (const char *end = text;; text = end + 1) {
        end = text + strcspn(text, " ");
        words->at[words->n] = text;
        words->length[words->n++] = (size_t)(end - text);
        if (!*end) {
            return true;
        }
    }
}

static void free_words(Words *words)
{
    free(words->at);
    free(words->length);
}

static bool is_same(const Words *a, int64_t i, const Words *b, int64_t j)
{
    return a->length[i] == b->length[j] && memcmp(a->at[i], b->at[j], a->length[i]) == 0;
}

// Length of the longest common subsequence; -1 without memory.
static int64_t common_length(const Words *a, const Words *b)
{
    int64_t *row = calloc((size_t)b->n + 1, sizeof *row);
    if (!row) {
        return -1;
    }
    for (int64_t i = 0; i < a->n; i++) {
        int64_t diagonal = 0;
        for (int64_t j = 0; j < b->n; j++) {
            int64_t above = row[j + 1], longest = above > row[j] ? above : row[j];
            row[j + 1] = is_same(a, i, b, j) ? diagonal + 1 : longest;
            diagonal = above;
        }
    }
    int64_t length = row[b->n];
    free(row);
    return length;
}

// The best precision and the best recall of all references, which need not be of one. False without memory.
static bool rouge_of(const char *caption, const char *const *references, int n_references, double *rouge)
{
    Words words;
    double precision = 0, recall = 0;
    bool is_good = split(caption, &words);
    for (int r = 0; is_good && r < n_references; r++) {
        Words reference;
        int64_t common = split(references[r], &reference) ? common_length(&words, &reference) : -1;
        is_good = common >= 0;
        if (is_good) {
            precision = fmax(precision, (double)common / (double)words.n);
            recall = fmax(recall, (double)common / (double)reference.n);
        }
        free_words(&reference);
    }
    free_words(&words);
    double square = ROUGE_BETA * ROUGE_BETA;
    bool is_zero = precision == 0 || recall == 0;
    *rouge = is_zero ? 0 : (1 + square) * precision * recall / (recall + square * precision);
    return is_good;
}

// Sets --------------------------------------------------------------------------------------------------------------

typedef struct Cooked {
    XvNgramTable *table;
    XvNgrams *captions, *references;
    int64_t n_references;
} Cooked;

static void free_cooked(const XvCaptionSet *set, Cooked *cooked)
{
    for (int64_t i = 0; cooked->captions && i < set->n; i++) {
        xv_ngrams_free(&cooked->captions[i]);
    }
    for (int64_t i = 0; cooked->references && i < cooked->n_references; i++) {
        xv_ngrams_free(&cooked->references[i]);
    }
    free(cooked->captions);
    free(cooked->references);
    xv_ngram_table_free(cooked->table);
}

static bool cook(const XvCaptionSet *set, Cooked *cooked)
{
    for (int64_t i = 0; i < set->n; i++) {
        cooked->n_references += set->n_references[i];
    }
    cooked->table = xv_ngram_table_new();
    cooked->captions = calloc((size_t)set->n + 1, sizeof *cooked->captions);
    cooked->references = calloc((size_t)cooked->n_references + 1, sizeof *cooked->references);
    bool is_good = cooked->table && cooked->captions && cooked->references;
    int64_t first = 0;
    for (int64_t i = 0; is_good && i < set->n; i++) {
        is_good = xv_ngrams_of(cooked->table, set->captions[i], &cooked->captions[i]);
        for (int r = 0; is_good && r < set->n_references[i]; r++) {
            is_good = xv_ngrams_of(cooked->table, set->references[first + r], &cooked->references[first + r]);
        }
        is_good =
            is_good && xv_ngram_table_add(cooked->table, &cooked->references[first], set->n_references[i]);
        first += set->n_references[i];
    }
    return is_good;
}

static bool score(const XvCaptionSet *set, const Cooked *cooked, XvCaptionScores *all, XvCaptionScores *each)
{
    BleuCounts sum = {0};
    double log_documents = log((double)set->n);
    int64_t first = 0;
    for (int64_t i = 0; i < set->n; i++) {
        XvCaptionScores scores;
        int n_references = set->n_references[i];
        BleuCounts counts = bleu_counts(&cooked->captions[i], &cooked->references[first], n_references);
        bleu_of(&counts, scores.bleu);
        add_counts(&sum, &counts);
        scores.cider = xv_ciderd(cooked->table, log_documents, &cooked->captions[i],
                                 &cooked->references[first], n_references);
        if (!rouge_of(set->captions[i], set->references + first, n_references, &scores.rouge_l)) {
            return false;
        }
        all->rouge_l += scores.rouge_l / (double)set->n;
        all->cider += scores.cider / (double)set->n;
        first += n_references;
        if (each) {
            each[i] = scores;
        }
    }
    bleu_of(&sum, all->bleu);
    return true;
}

bool xv_caption_scores(const XvCaptionSet *set, XvCaptionScores *all, XvCaptionScores *each, XvError *error)
{
    *all = (XvCaptionScores){0};
    for (int64_t i = 0; i < set->n; i++) {
        if (set->n_references[i] < 1) {
            return xv_fail(error, "caption %" PRId64 " has no reference", i);
        }
    }
    if (set->n < 1) {
        return xv_fail(error, "there are no captions to score");
    }
    Cooked cooked = {0};
    bool is_good = cook(set, &cooked) && score(set, &cooked, all, each);
    free_cooked(set, &cooked);
    return is_good || xv_fail(error, "no memory to score %" PRId64 " captions", set->n);
}
