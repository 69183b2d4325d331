// Runs of up to four words of a sentence, counted, and how many documents hold each: what CIDEr and BLEU look at.
// Words are what white space (Python's) separates.
#pragma once

#include "runtime/base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { XV_NGRAM_ORDERS = 4 };

// Numbers for n-grams, and their document frequencies.
typedef struct XvNgramTable XvNgramTable;

XvNgramTable *xv_ngram_table_new(void);  // NULL without memory
void xv_ngram_table_free(XvNgramTable *table);

// Document frequencies from a file of lines "words of an n-gram", tab, count, the first being "#ref_len", tab, number
// of documents; n-grams that are not listed are in no document. False with the line that is wrong.
bool xv_ngram_table_read(XvNgramTable *table, const char *path, XvError *error);

// The same from a file of either kind: such lines, or the pickle of the official code (ngrams_pickle.c).
bool xv_ngram_table_open(XvNgramTable *table, const char *path, XvError *error);

// Sets the frequency of an n-gram, words joined by single spaces (false without memory), and the number of documents.
bool xv_ngram_table_set(XvNgramTable *table, const char *ngram, double documents);
void xv_ngram_table_set_documents(XvNgramTable *table, double documents);

// Number of documents, and of those that hold an n-gram.
double xv_ngram_documents(const XvNgramTable *table);
double xv_ngram_frequency(const XvNgramTable *table, int32_t ngram);

// How many n-grams have numbers; and forgets those that got one after there were `count`, whose numbers are void then.
int32_t xv_ngram_count(const XvNgramTable *table);
void xv_ngram_table_forget(XvNgramTable *table, int32_t count);

typedef struct XvNgram {
    int32_t id;
    int order;  // words - 1
    int32_t count;
} XvNgram;

// The n-grams of a sentence by ascending id; `lengths[n]` is how many of n + 1 words there are, repeated ones too.
typedef struct XvNgrams {
    XvNgram *items;
    int32_t n_items;
    int64_t lengths[XV_NGRAM_ORDERS];
} XvNgrams;

// False without memory. xv_ngrams_free releases it; {0} is allowed.
bool xv_ngrams_of(XvNgramTable *table, const char *sentence, XvNgrams *ngrams);
void xv_ngrams_free(XvNgrams *ngrams);

// One more document, which has all n-grams of the sentences. False without memory.
bool xv_ngram_table_add(XvNgramTable *table, const XvNgrams *sentences, int n_sentences);
