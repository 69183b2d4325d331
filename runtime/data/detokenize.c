// Pieces joined and cleaned up; see detokenize.h.
#include "runtime/data/detokenize.h"

#include "runtime/data/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// In this order, each over the whole text.
static const struct {
    const char *from, *to;
} CLEANING[] = {{" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
                {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};

static bool is_special(const XvVocabulary *vocabulary, int32_t id)
{
    XvSpecialIds ids = xv_vocabulary_specials(vocabulary);
    return id == ids.pad || id == ids.unk || id == ids.cls || id == ids.sep || id == ids.mask;
}

// Replaces every `from` by the shorter or equally long `to` in place, left to right.
static void replace_all(char *text, const char *from, const char *to)
{
    size_t n_from = strlen(from), n_to = strlen(to);
    char *write = text;
    for (const char *read = text; *read;) {
        if (strncmp(read, from, n_from) == 0) {
            memcpy(write, to, n_to);
            write += n_to;
            read += n_from;
        } else {
            *write++ = *read++;
        }
    }
    *write = 0;
}

static void strip_spaces(char *text)
{
    size_t length = strlen(text), skipped = strspn(text, " ");
    while (length > skipped && text[length - 1] == ' ') {
        length--;
    }
    memmove(text, text + skipped, length - skipped);
    text[length - skipped] = 0;
}

char *xv_detokenize(const XvVocabulary *vocabulary, const int32_t *ids, int64_t n_ids, bool keeps_specials,
                    XvError *error)
{
    if (xv_vocabulary_is_bpe(vocabulary)) {
        xv_fail(error, "only WordPiece tokens are turned into text; give a vocab.txt");
        return NULL;
    }
    size_t bytes = 1;
    for (int64_t i = 0; i < n_ids; i++) {
        if (ids[i] < 0 || ids[i] >= xv_vocabulary_count(vocabulary)) {
            xv_fail(error, "%d is no token of the vocabulary", ids[i]);
            return NULL;
        }
        bytes += strlen(xv_vocabulary_piece(vocabulary, ids[i])) + 1;
    }
    char *text = malloc(bytes), *end = text;
    if (!text) {
        xv_fail(error, "no memory for a text of %lld tokens", (long long)n_ids);
        return NULL;
    }
    *text = 0;
    for (int64_t i = 0; i < n_ids; i++) {
        if (keeps_specials || !is_special(vocabulary, ids[i])) {
            const char *piece = xv_vocabulary_piece(vocabulary, ids[i]);
            end += sprintf(end, "%s%s", end > text ? " " : "", piece);
        }
    }
    replace_all(text, " ##", "");
    strip_spaces(text);
    for (size_t i = 0; i < sizeof CLEANING / sizeof *CLEANING; i++) {
        replace_all(text, CLEANING[i].from, CLEANING[i].to);
    }
    return text;
}

const char *xv_text_behind(const char *text, int64_t n_characters)
{
    int32_t point;
    for (int64_t i = 0; i < n_characters && *text; i++) {
        text += xv_utf8_next(text, &point);
    }
    return text;
}

int64_t xv_text_characters(const char *text)
{
    int64_t count = 0;
    int32_t point;
    for (; *text; count++) {
        text += xv_utf8_next(text, &point);
    }
    return count;
}
