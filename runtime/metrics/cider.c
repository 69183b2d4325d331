// CIDEr-D and the rewards made of it; see cider.h.
#include "runtime/metrics/cider.h"

#include "runtime/data/unicode.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double SIGMA = 6.0;

static double weight_of(const XvNgramTable *table, double log_documents, const XvNgram *ngram)
{
    double frequency = xv_ngram_frequency(table, ngram->id);
    return ngram->count * (log_documents - log(frequency > 1 ? frequency : 1));
}

static void norms_of(const XvNgramTable *table, double log_documents, const XvNgrams *ngrams, double *norms)
{
    memset(norms, 0, XV_NGRAM_ORDERS * sizeof *norms);
    for (int32_t i = 0; i < ngrams->n_items; i++) {
        double weight = weight_of(table, log_documents, &ngrams->items[i]);
        norms[ngrams->items[i].order] += weight * weight;
    }
    for (int n = 0; n < XV_NGRAM_ORDERS; n++) {
        norms[n] = sqrt(norms[n]);
    }
}

// Sum over the orders.
static double similarity(const XvNgramTable *table, double log_documents, const XvNgrams *a,
                         const XvNgrams *b)
{
    double norms_a[XV_NGRAM_ORDERS], norms_b[XV_NGRAM_ORDERS], products[XV_NGRAM_ORDERS] = {0};
    norms_of(table, log_documents, a, norms_a);
    norms_of(table, log_documents, b, norms_b);
    for (int32_t i = 0, j = 0; i < a->n_items && j < b->n_items;) {
        if (a->items[i].id == b->items[j].id) {
            double of_a = weight_of(table, log_documents, &a->items[i]);
            double of_b = weight_of(table, log_documents, &b->items[j]);
            products[a->items[i].order] += fmin(of_a, of_b) * of_b;
        }
        int32_t id_a = a->items[i].id, id_b = b->items[j].id;
        i += id_a <= id_b;
        j += id_b <= id_a;
    }
    // The length of a sentence is its number of word pairs, as in the official code.
    double delta = (double)(a->lengths[1] - b->lengths[1]);
    double sum = 0;
    for (int n = 0; n < XV_NGRAM_ORDERS; n++) {
        bool has_norms = norms_a[n] != 0 && norms_b[n] != 0;
        sum += has_norms ? products[n] / (norms_a[n] * norms_b[n]) : products[n];
    }
    return sum * exp(-delta * delta / (2 * SIGMA * SIGMA));
}

double xv_ciderd(const XvNgramTable *table, double log_documents, const XvNgrams *hypothesis,
                 const XvNgrams *references, int n_references)
{
    double sum = 0;
    for (int i = 0; i < n_references; i++) {
        sum += similarity(table, log_documents, hypothesis, &references[i]);
    }
    return n_references > 0 ? 10 * sum / XV_NGRAM_ORDERS / n_references : 0;
}

char *xv_cider_wrapped(const char *sentence)
{
    static const char end[] = " <eos>";
    const char *first = NULL, *last = sentence;
    for (const char *at = sentence; *at;) {
        int32_t point;
        int bytes = xv_utf8_next(at, &point);
        if (!xv_is_space(point)) {
            first = first ? first : at;
            last = at + bytes;
        }
        at += bytes;
    }
    size_t length = first ? (size_t)(last - first) : 0;
    length -= length > 0 && first[length - 1] == '.';
    char *text = malloc(length + sizeof end);
    if (text) {
        if (length > 0) {
            memcpy(text, first, length);
        }
        memcpy(text + length, end, sizeof end);
    }
    return text;
}

// Rewards -----------------------------------------------------------------------------------------------------------

static bool cook(XvNgramTable *table, const char *sentence, XvNgrams *ngrams)
{
    char *wrapped = xv_cider_wrapped(sentence);
    bool is_good = wrapped && xv_ngrams_of(table, wrapped, ngrams);
    free(wrapped);
    return is_good;
}

typedef struct Cooked {
    XvNgrams *sentences;   // [n]
    XvNgrams *references;  // [images * per_image]
    int *counts;           // [images]
} Cooked;

static void free_cooked(const XvCiderBatch *batch, Cooked *cooked)
{
    for (int64_t i = 0; cooked->sentences && i < batch->n; i++) {
        xv_ngrams_free(&cooked->sentences[i]);
    }
    for (int64_t i = 0; cooked->references && i < batch->n_images * batch->per_image; i++) {
        xv_ngrams_free(&cooked->references[i]);
    }
    free(cooked->sentences);
    free(cooked->references);
    free(cooked->counts);
}

static bool cook_all(XvNgramTable *table, const XvCiderBatch *batch, Cooked *cooked)
{
    size_t n = (size_t)batch->n, images = (size_t)batch->n_images, per_image = (size_t)batch->per_image;
    cooked->sentences = calloc(n + 1, sizeof *cooked->sentences);
    cooked->references = calloc(images * per_image + 1, sizeof *cooked->references);
    cooked->counts = calloc(images + 1, sizeof *cooked->counts);
    bool is_good = cooked->sentences && cooked->references && cooked->counts;
    for (size_t i = 0; is_good && i < n; i++) {
        is_good = cook(table, batch->sentences[i], &cooked->sentences[i]);
    }
    for (size_t i = 0; is_good && i < images; i++) {
        for (size_t j = 0; is_good && j < per_image && batch->references[i * per_image + j]; j++) {
            is_good =
                cook(table, batch->references[i * per_image + j], &cooked->references[i * per_image + j]);
            cooked->counts[i]++;
        }
    }
    return is_good;
}

static bool score_all(XvNgramTable *table, const XvCiderBatch *batch, const Cooked *cooked, double *scores,
                      XvError *error)
{
    bool is_corpus = xv_ngram_documents(table) == 0;
    for (int64_t i = 0; i < batch->n; i++) {
        int64_t image = batch->image_of[i];
        if (cooked->counts[image] == 0) {
            return xv_fail(error, "image %" PRId64 " of the batch has no reference captions", image);
        }
        if (is_corpus && !xv_ngram_table_add(table, &cooked->references[image * batch->per_image],
                                             cooked->counts[image])) {
            return xv_fail(error, "no memory for the frequencies of a batch");
        }
    }
    double log_documents = log(xv_ngram_documents(table));
    for (int64_t i = 0; i < batch->n; i++) {
        int64_t image = batch->image_of[i];
        scores[i] = xv_ciderd(table, log_documents, &cooked->sentences[i],
                              &cooked->references[image * batch->per_image], cooked->counts[image]);
    }
    return true;
}

bool xv_cider_rewards(XvNgramTable *table, const XvCiderBatch *batch, double *scores, XvError *error)
{
    // Frequencies of a batch are its own: they are counted in a table that ends with it.
    XvNgramTable *own = xv_ngram_documents(table) == 0 ? xv_ngram_table_new() : NULL;
    XvNgramTable *used = xv_ngram_documents(table) == 0 ? own : table;
    int32_t known = xv_ngram_count(table);
    Cooked cooked = {0};
    bool is_good = used && cook_all(used, batch, &cooked);
    is_good = is_good ? score_all(used, batch, &cooked, scores, error)
                      : xv_fail(error, "no memory for the n-grams of a batch");
    free_cooked(batch, &cooked);
    xv_ngram_table_forget(table, known);
    xv_ngram_table_free(own);
    return is_good;
}
