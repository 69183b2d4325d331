// An open hash table from n-grams, as words joined by single spaces, to numbers; see ngrams.h.
#include "runtime/metrics/ngrams.h"

#include "runtime/data/unicode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Entry {
    char *text;             // owned
    double documents;       // that hold it
    int64_t last_document;  // the last one counted
} Entry;

struct XvNgramTable {
    Entry *entries;
    int32_t n_entries, capacity;
    int32_t *slots;  // number of an entry, or -1
    uint32_t mask;
    double documents;
    int64_t n_added;
};

enum { FIRST_SLOTS = 1024 };

XvNgramTable *xv_ngram_table_new(void)
{
    XvNgramTable *table = calloc(1, sizeof *table);
    if (table) {
        table->slots = malloc(FIRST_SLOTS * sizeof *table->slots);
        table->mask = FIRST_SLOTS - 1;
    }
    if (!table || !table->slots) {
        free(table);
        return NULL;
    }
    memset(table->slots, 0xFF, FIRST_SLOTS * sizeof *table->slots);
    return table;
}

void xv_ngram_table_free(XvNgramTable *table)
{
    for (int32_t i = 0; table && i < table->n_entries; i++) {
        free(table->entries[i].text);
    }
    if (table) {
        free(table->entries);
        free(table->slots);
    }
    free(table);
}

static uint32_t hash_of(const char *text, size_t length)
{
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    }
    return (uint32_t)(hash ^ hash >> 32);
}

// The slot of a text: its own, or the free one where it belongs.
static uint32_t slot_of(const XvNgramTable *table, const char *text, size_t length)
{
    uint32_t slot = hash_of(text, length) & table->mask;
    for (; table->slots[slot] >= 0; slot = (slot + 1) & table->mask) {
        const char *there = table->entries[table->slots[slot]].text;
        if (strncmp(there, text, length) == 0 && there[length] == 0) {
            break;
        }
    }
    return slot;
}

static bool grow(XvNgramTable *table)
{
    int32_t capacity = table->capacity ? 2 * table->capacity : FIRST_SLOTS / 2;
    Entry *entries = realloc(table->entries, (size_t)capacity * sizeof *entries);
    table->entries = entries ? entries : table->entries;
    int32_t *slots = malloc((size_t)capacity * 2 * sizeof *slots);
    if (!entries || !slots) {
        free(slots);
        return false;
    }
    free(table->slots);
    table->capacity = capacity;
    table->slots = slots;
    table->mask = (uint32_t)capacity * 2 - 1;
    memset(slots, 0xFF, (size_t)capacity * 2 * sizeof *slots);
    for (int32_t i = 0; i < table->n_entries; i++) {
        slots[slot_of(table, entries[i].text, strlen(entries[i].text))] = i;
    }
    return true;
}

// The number of an n-gram, a new one if need be; -1 without memory.
static int32_t number_of(XvNgramTable *table, const char *text, size_t length)
{
    uint32_t slot = slot_of(table, text, length);
    if (table->slots[slot] >= 0) {
        return table->slots[slot];
    }
    if (table->n_entries == table->capacity) {
        if (!grow(table)) {
            return -1;
        }
        slot = slot_of(table, text, length);
    }
    char *copy = malloc(length + 1);
    if (!copy) {
        return -1;
    }
    memcpy(copy, text, length);
    copy[length] = 0;
    table->entries[table->n_entries] = (Entry){.text = copy, .last_document = -1};
    table->slots[slot] = table->n_entries;
    return table->n_entries++;
}

double xv_ngram_documents(const XvNgramTable *table)
{
    return table->documents;
}

double xv_ngram_frequency(const XvNgramTable *table, int32_t ngram)
{
    return table->entries[ngram].documents;
}

int32_t xv_ngram_count(const XvNgramTable *table)
{
    return table->n_entries;
}

// Taking entries out in the opposite order leaves every chain of slots as it was before they came.
void xv_ngram_table_forget(XvNgramTable *table, int32_t count)
{
    while (table->n_entries > count) {
        char *text = table->entries[table->n_entries - 1].text;
        table->slots[slot_of(table, text, strlen(text))] = -1;
        free(text);
        table->n_entries--;
    }
}

bool xv_ngram_table_set(XvNgramTable *table, const char *ngram, double documents)
{
    int32_t number = number_of(table, ngram, strlen(ngram));
    if (number >= 0) {
        table->entries[number].documents = documents;
    }
    return number >= 0;
}

void xv_ngram_table_set_documents(XvNgramTable *table, double documents)
{
    table->documents = documents;
}

// Files -------------------------------------------------------------------------------------------------------------

// "words<tab>count" into the table.
static bool read_line(XvNgramTable *table, char *line, bool is_first, const char **problem)
{
    char *tab = strchr(line, '\t'), *end;
    if (!tab) {
        *problem = "there is no tab";
        return false;
    }
    errno = 0;
    double count = strtod(tab + 1, &end);
    end += strspn(end, "\r\n ");
    if (end == tab + 1 || *end || errno || !(count >= 0)) {
        *problem = "what follows the tab is no count";
        return false;
    }
    *tab = 0;
    if (is_first) {
        table->documents = count;
        *problem = "the first line should be #ref_len, a tab and the number of documents";
        return strcmp(line, "#ref_len") == 0 && count >= 1;
    }
    *problem = "there is no memory for it";
    return xv_ngram_table_set(table, line, count);
}

bool xv_ngram_table_read(XvNgramTable *table, const char *path, XvError *error)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        return xv_fail(error, "cannot read '%s': %s", path, strerror(errno));
    }
    char *line = NULL;
    size_t room = 0;
    long number = 0;
    const char *problem = NULL;
    bool is_good = true;
    while (is_good && getline(&line, &room, file) > 0) {
        is_good = read_line(table, line, number == 0, &problem);
        number++;
    }
    bool is_broken = ferror(file) != 0;
    fclose(file);
    free(line);
    if (is_broken || number == 0) {
        return xv_fail(error, "'%s' is %s", path, is_broken ? "not readable to its end" : "empty");
    }
    return is_good || xv_fail(error, "%s:%ld: %s", path, number, problem);
}

// Sentences ---------------------------------------------------------------------------------------------------------

typedef struct Words {
    char *text;  // the words joined by single spaces
    size_t *begin, *end;
    int64_t n_words;
} Words;

static void free_words(Words *words)
{
    free(words->text);
    free(words->begin);
    free(words->end);
}

static bool split(const char *sentence, Words *words)
{
    size_t room = strlen(sentence) + 2, used = 0;
    *words = (Words){
        .text = malloc(room), .begin = malloc(room * sizeof(size_t)), .end = malloc(room * sizeof(size_t))};
    if (!words->text || !words->begin || !words->end) {
        return false;
    }
    bool is_inside = false;
    for (const char *at = sentence; *at;) {
        int32_t point;
        int bytes = xv_utf8_next(at, &point);
        bool is_space = xv_is_space(point);
        if (!is_space && !is_inside) {
            used += words->n_words > 0;
            words->text[used - (words->n_words > 0)] = ' ';
            words->begin[words->n_words++] = used;
        }
        if (!is_space) {
            memcpy(words->text + used, at, (size_t)bytes);
            used += (size_t)bytes;
            words->end[words->n_words - 1] = used;
        }
        is_inside = !is_space;
        at += bytes;
    }
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    const XvNgram *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

// Equal neighbours become one.
static int32_t merged(XvNgram *items, int32_t n_items)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < n_items; i++) {
        if (kept > 0 && items[kept - 1].id == items[i].id) {
            items[kept - 1].count++;
        } else {
            items[kept++] = items[i];
        }
    }
    return kept;
}

static bool number_all(XvNgramTable *table, const Words *words, XvNgrams *ngrams)
{
    for (int order = 0; order < XV_NGRAM_ORDERS; order++) {
        int64_t count = words->n_words - order;
        ngrams->lengths[order] = count > 0 ? count : 0;
        for (int64_t i = 0; i < count; i++) {
            size_t begin = words->begin[i];
            int32_t id = number_of(table, words->text + begin, words->end[i + order] - begin);
            if (id < 0) {
                return false;
            }
            ngrams->items[ngrams->n_items++] = (XvNgram){id, order, 1};
        }
    }
    return true;
}

bool xv_ngrams_of(XvNgramTable *table, const char *sentence, XvNgrams *ngrams)
{
    Words words;
    *ngrams = (XvNgrams){0};
    bool is_good = split(sentence, &words);
    if (is_good) {
        ngrams->items = malloc(((size_t)words.n_words * XV_NGRAM_ORDERS + 1) * sizeof *ngrams->items);
        is_good = ngrams->items && number_all(table, &words, ngrams);
    }
    free_words(&words);
    if (!is_good) {
        xv_ngrams_free(ngrams);
        return false;
    }
    qsort(ngrams->items, (size_t)ngrams->n_items, sizeof *ngrams->items, compare_ids);
    ngrams->n_items = merged(ngrams->items, ngrams->n_items);
    return true;
}

void xv_ngrams_free(XvNgrams *ngrams)
{
    free(ngrams->items);
    *ngrams = (XvNgrams){0};
}

bool xv_ngram_table_add(XvNgramTable *table, const XvNgrams *sentences, int n_sentences)
{
    int64_t document = table->n_added++;
    for (int s = 0; s < n_sentences; s++) {
        for (int32_t i = 0; i < sentences[s].n_items; i++) {
            Entry *entry = &table->entries[sentences[s].items[i].id];
            entry->documents += entry->last_document != document;
            entry->last_document = document;
        }
    }
    table->documents++;
    return true;
}
