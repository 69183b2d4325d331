// The vocabulary of wordpiece.h: the file's text, its lines, and an open hash table from piece to id.
#include "runtime/data/wordpiece.h"

#include "runtime/data/file.h"

#include <stdlib.h>
#include <string.h>

struct XvVocabulary {
    XvBytes text;         // the file, line ends replaced by zeros
    const char **pieces;  // [count] into text
    int32_t count;
    int32_t *slots;  // [mask + 1] id or -1
    uint32_t mask;
    XvSpecialIds specials;
};

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
        vocabulary->pieces[id] = line;
        vocabulary->slots[find_slot(vocabulary, line, strlen(line))] = id;
        line = stop + 1;
    }
}

static bool build_table(XvVocabulary *vocabulary, const char *path, XvError *error)
{
    vocabulary->count = count_lines(&vocabulary->text);
    uint32_t size = 64;
    while (size < 2 * (uint32_t)vocabulary->count) {
        size *= 2;
    }
    vocabulary->mask = size - 1;
    vocabulary->pieces = calloc((size_t)vocabulary->count + 1, sizeof *vocabulary->pieces);
    vocabulary->slots = malloc(size * sizeof *vocabulary->slots);
    if (!vocabulary->pieces || !vocabulary->slots) {
        return xv_fail(error, "%s: no memory for %d word pieces", path, vocabulary->count);
    }
    memset(vocabulary->slots, 0xFF, size * sizeof *vocabulary->slots);  // -1: empty
    cut_lines(vocabulary);
    return true;
}

static bool find_specials(XvVocabulary *vocabulary, const char *path, XvError *error)
{
    XvSpecialIds *ids = &vocabulary->specials;
    struct {
        const char *piece;
        int32_t *id;
        bool is_needed;
    } table[] = {{"[PAD]", &ids->pad, true},
                 {"[UNK]", &ids->unk, true},
                 {"[CLS]", &ids->cls, true},
                 {"[SEP]", &ids->sep, false},
                 {"[MASK]", &ids->mask, true}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        *table[i].id = xv_vocabulary_find(vocabulary, table[i].piece, strlen(table[i].piece));
        if (*table[i].id < 0 && table[i].is_needed) {
            return xv_fail(error,
                           "%s: no line %s among %d; this is not a BERT vocabulary (one word piece per line)",
                           path, table[i].piece, vocabulary->count);
        }
    }
    return true;
}

XvVocabulary *xv_vocabulary_open(const char *path, XvError *error)
{
    XvVocabulary *vocabulary = calloc(1, sizeof *vocabulary);
    if (!vocabulary) {
        xv_fail(error, "%s: no memory", path);
        return NULL;
    }
    if (!xv_file_read(path, &vocabulary->text, error) || !build_table(vocabulary, path, error)
        || !find_specials(vocabulary, path, error)) {
        xv_vocabulary_close(vocabulary);
        return NULL;
    }
    return vocabulary;
}

void xv_vocabulary_close(XvVocabulary *vocabulary)
{
    if (vocabulary) {
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

const char *xv_vocabulary_piece(const XvVocabulary *vocabulary, int32_t id)
{
    return vocabulary->pieces[id];
}
