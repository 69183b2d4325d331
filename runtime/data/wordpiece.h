// BERT's uncased WordPiece tokenizer over any vocab.txt (facts 5.4): special tokens spelled in the text are
// kept whole; then cleaning, spaces around CJK characters, lower case, NFD without accents, punctuation
// apart, greedy longest match with "##" continuations.
#pragma once

#include "runtime/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct XvVocabulary XvVocabulary;

typedef struct XvSpecialIds {
    int32_t pad, unk, cls, sep, mask;  // sep is -1 when the vocabulary has none
} XvSpecialIds;

// A growing list of tokens. Start from {0}; xv_tokens_free releases it.
typedef struct XvTokens {
    int32_t *ids;
    uint8_t *is_continuation;  // the piece starts with "##"
    int count, capacity;
} XvTokens;

// Reads one piece per line, id = line number from 0. NULL with a message when the file cannot be read or
// lacks [PAD], [UNK], [CLS] or [MASK]. Immutable afterwards, so threads can share it.
XvVocabulary *xv_vocabulary_open(const char *path, XvError *error);
void xv_vocabulary_close(XvVocabulary *vocabulary);

int32_t xv_vocabulary_count(const XvVocabulary *vocabulary);
XvSpecialIds xv_vocabulary_specials(const XvVocabulary *vocabulary);

// The id of a piece, -1 when it is not there; of equal lines the last counts.
int32_t xv_vocabulary_find(const XvVocabulary *vocabulary, const char *piece, size_t length);

// The piece of an id in 0..count-1, borrowed.
const char *xv_vocabulary_piece(const XvVocabulary *vocabulary, int32_t id);

// Appends one token; false only without memory.
bool xv_tokens_add(XvTokens *tokens, int32_t id, bool is_continuation);
void xv_tokens_free(XvTokens *tokens);

// Appends the tokens of valid UTF-8, without start or end token. False only without memory.
bool xv_wordpiece(const XvVocabulary *vocabulary, const char *text, XvTokens *tokens, XvError *error);

// Appends the tokens of text that is already cut into pieces joined by single spaces; unknown pieces are
// [UNK].
bool xv_wordpiece_split(const XvVocabulary *vocabulary, const char *text, XvTokens *tokens, XvError *error);
