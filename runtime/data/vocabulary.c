// What both kinds of vocabularies share, and BERT's; see vocabulary.h.
#include "runtime/data/vocabulary_table.h"
#include "runtime/data/wordpiece.h"

#include <stdlib.h>
#include <string.h>

static uint32_t hash_piece(const char *piece, size_t length)
{
    uint32_t hash = 2166136261u;  // FNV-1a
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)piece[i]) * 16777619u;
    }
    return hash;
}

// The slot that holds the piece, or the empty one where it belongs.
static uint32_t find_slot(const XvVocabulary *vocabulary, const char *piece, size_t length)
{
    uint32_t slot = hash_piece(piece, length) & vocabulary->mask;
    while (vocabulary->slots[slot] >= 0) {
        const char *other = vocabulary->pieces[vocabulary->slots[slot]];
        if (strncmp(other, piece, length) == 0 && other[length] == '\0') {
            break;
        }
        slot = (slot + 1) & vocabulary->mask;
    }
    return slot;
}

int32_t xv_vocabulary_find(const XvVocabulary *vocabulary, const char *piece, size_t length)
{
    return vocabulary->slots[find_slot(vocabulary, piece, length)];
}

bool xv_vocabulary_reserve(XvVocabulary *vocabulary, int32_t count, const char *path, XvError *error)
{
    vocabulary->count = count;
    uint32_t size = 64;
    while (size < 2 * (uint32_t)count) {
        size *= 2;
    }
    vocabulary->mask = size - 1;
    vocabulary->pieces = calloc((size_t)count + 1, sizeof *vocabulary->pieces);
    vocabulary->slots = malloc(size * sizeof *vocabulary->slots);
    if (!vocabulary->pieces || !vocabulary->slots) {
        return xv_fail(error, "%s: no memory for %d word pieces", path, count);
    }
    memset(vocabulary->slots, 0xFF, size * sizeof *vocabulary->slots);  // -1: empty
    return true;
}

void xv_vocabulary_enter(XvVocabulary *vocabulary, const char *piece, int32_t id)
{
    vocabulary->pieces[id] = piece;
    vocabulary->slots[find_slot(vocabulary, piece, strlen(piece))] = id;
}

bool xv_vocabulary_find_specials(XvVocabulary *vocabulary, const char *const names[5], const char *path,
                                 XvError *error)
{
    XvSpecialIds *specials = &vocabulary->specials;
    int32_t *const ids[5] = {&specials->pad, &specials->unk, &specials->cls, &specials->sep, &specials->mask};
    for (int i = 0; i < 5; i++) {
        *ids[i] = xv_vocabulary_find(vocabulary, names[i], strlen(names[i]));
        bool is_needed = vocabulary->merges || ids[i] != &specials->sep;
        if (*ids[i] < 0 && is_needed) {
            return xv_fail(error, "%s: no piece %s among %d; this is not a vocabulary of %s", path, names[i],
                           vocabulary->count,
                           vocabulary->merges ? "RoBERTa (one JSON object)"
                                              : "BERT (one word piece per line)");
        }
    }
    return true;
}

static int32_t count_lines(const XvBytes *text)
{
    int32_t lines = 0;
    for (size_t i = 0; i < text->count; i++) {
        lines += text->data[i] == '\n';
    }
    return lines + (text->count > 0 && text->data[text->count - 1] != '\n');
}

// Cuts the text into lines, in place; a carriage return before the line end belongs to it.
static void cut_lines(XvVocabulary *vocabulary)
{
    char *line = (char *)vocabulary->text.data;
    char *end = line + vocabulary->text.count;
    for (int32_t id = 0; id < vocabulary->count; id++) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop ? stop : end;
        *stop = '\0';
        if (stop > line && stop[-1] == '\r') {
            stop[-1] = '\0';
        }
        xv_vocabulary_enter(vocabulary, line, id);
        line = stop + 1;
    }
}

XvVocabulary *xv_vocabulary_open(const char *path, XvError *error)
{
    static const char *const names[5] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    XvVocabulary *vocabulary = calloc(1, sizeof *vocabulary);
    if (!vocabulary) {
        xv_fail(error, "%s: no memory", path);
        return NULL;
    }
    bool ok = xv_file_read(path, &vocabulary->text, error) &&
              xv_vocabulary_reserve(vocabulary, count_lines(&vocabulary->text), path, error);
    if (ok) {
        cut_lines(vocabulary);
        ok = xv_vocabulary_find_specials(vocabulary, names, path, error);
    }
    if (!ok) {
        xv_vocabulary_close(vocabulary);
        return NULL;
    }
    return vocabulary;
}

void xv_vocabulary_close(XvVocabulary *vocabulary)
{
    if (vocabulary) {
        xv_merges_free(vocabulary->merges);
        xv_bytes_free(&vocabulary->text);
        free(vocabulary->pieces);
        free(vocabulary->slots);
        free(vocabulary);
    }
}

int32_t xv_vocabulary_count(const XvVocabulary *vocabulary)
{
    return vocabulary->count;
}

XvSpecialIds xv_vocabulary_specials(const XvVocabulary *vocabulary)
{
    return vocabulary->specials;
}

bool xv_vocabulary_is_bpe(const XvVocabulary *vocabulary)
{
    return vocabulary->merges != NULL;
}

const char *xv_vocabulary_piece(const XvVocabulary *vocabulary, int32_t id)
{
    return vocabulary->pieces[id];
}

bool xv_tokens_add(XvTokens *tokens, int32_t id, bool is_continuation)
{
    if (tokens->count == tokens->capacity) {
        int capacity = tokens->capacity ? 2 * tokens->capacity : 64;
        int32_t *ids = realloc(tokens->ids, (size_t)capacity * sizeof *ids);
        tokens->ids = ids ? ids : tokens->ids;
        uint8_t *flags = realloc(tokens->is_continuation, (size_t)capacity);
        tokens->is_continuation = flags ? flags : tokens->is_continuation;
        if (!ids || !flags) {
            return false;
        }
        tokens->capacity = capacity;
    }
    tokens->ids[tokens->count] = id;
    tokens->is_continuation[tokens->count++] = is_continuation;
    return true;
}

void xv_tokens_free(XvTokens *tokens)
{
    free(tokens->ids);
    free(tokens->is_continuation);
    *tokens = (XvTokens){0};
}

bool xv_tokenize(const XvVocabulary *vocabulary, const char *text, XvTokens *tokens, XvError *error)
{
    return vocabulary->merges ? xv_bpe(vocabulary, text, tokens, error)
                              : xv_wordpiece(vocabulary, text, tokens, error);
}
