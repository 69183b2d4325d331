// Document frequencies as the official SCST code keeps them: a pickle of Python 2, a dict with `ref_len`,
// the number of documents, and `document_frequency`, from tuples of words to counts.
#include "runtime/checkpoint/pickle.h"
#include "runtime/metrics/ngrams.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The words of a tuple joined by spaces; NULL without memory or where it is no tuple of words.
static char *joined(const XvPickle *key)
{
    size_t bytes = 1;
    for (uint32_t i = 0; key->kind == XV_PICKLE_TUPLE && i < key->count; i++) {
        const char *word = xv_pickle_text(key->items[i]);
        if (!word) {
            return NULL;
        }
        bytes += strlen(word) + 1;
    }
    char *text = key->kind == XV_PICKLE_TUPLE && key->count > 0 ? malloc(bytes) : NULL;
    size_t used = 0;
    for (uint32_t i = 0; text && i < key->count; i++) {
        used += (size_t)sprintf(text + used, "%s%s", i ? " " : "", xv_pickle_text(key->items[i]));
    }
    return text;
}

static bool take_counts(XvNgramTable *table, const XvPickle *counts, XvError *error)
{
    for (uint32_t i = 0; i < counts->count; i++) {
        double count;
        char *ngram = joined(counts->items[2 * i]);
        bool is_good = ngram && xv_pickle_real(counts->items[2 * i + 1], &count) && count >= 0 &&
                       xv_ngram_table_set(table, ngram, count);
        free(ngram);
        if (!is_good) {
            return xv_fail(error, "entry %u of document_frequency is no tuple of words with a count", i);
        }
    }
    return true;
}

static bool read_pickle(XvNgramTable *table, const char *path, XvError *error)
{
    XvPickleTree tree = {0};
    if (!xv_pickle_open(&tree, path, error)) {
        return false;
    }
    const XvPickle *counts = xv_pickle_get(tree.root, "document_frequency");
    double documents = 0;
    bool is_good = xv_pickle_real(xv_pickle_get(tree.root, "ref_len"), &documents) && documents >= 1 &&
                   counts && counts->kind == XV_PICKLE_DICT;
    if (!is_good) {
        xv_fail(error, "it should be a dict with the number ref_len and the dict document_frequency");
    }
    is_good = is_good && take_counts(table, counts, error);
    xv_ngram_table_set_documents(table, documents);
    xv_pickle_free(&tree);
    return is_good || xv_fail_in(error, "%s", path);
}

bool xv_ngram_table_open(XvNgramTable *table, const char *path, XvError *error)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        return xv_fail(error, "cannot read '%s': %s", path, strerror(errno));
    }
    int first = fgetc(file);
    fclose(file);
    return first == '#' || first == EOF ? xv_ngram_table_read(table, path, error)
                                        : read_pickle(table, path, error);
}
