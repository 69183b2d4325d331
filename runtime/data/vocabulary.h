// Vocabularies of the two tokenizers, lists of tokens, and the choice between the tokenizers.
//
// BERT: vocab.txt, one word piece per line. RoBERTa: vocab.json (piece to id) and merges.txt (pairs of pieces, best
// first). Immutable once open, so threads can share them.
#pragma once

#include "runtime/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct XvVocabulary XvVocabulary;

// [PAD], [UNK], [CLS], [SEP], [MASK] of BERT; <pad>, <unk>, <s>, </s>, <mask> of RoBERTa.
typedef struct XvSpecialIds {
    int32_t pad, unk, cls, sep, mask;  // sep is -1 when a BERT vocabulary has none
} XvSpecialIds;

// A growing list of tokens. Start from {0}; xv_tokens_free releases it.
typedef struct XvTokens {
    int32_t *ids;
    uint8_t *is_continuation;  // the piece continues a word (see xv_tokenize)
    int count, capacity;
} XvTokens;

// Reads one piece per line, id = line number from 0. NULL with a message when the file cannot be read or
// lacks [PAD], [UNK], [CLS] or [MASK].
XvVocabulary *xv_vocabulary_open(const char *path, XvError *error);

// Reads a byte-level BPE vocabulary: a JSON object of pieces to ids 0..n-1, and the list of merges. NULL with
// a message when a file cannot be read, is of another kind, lacks a special token or a piece for one of the
// 256 bytes, or when a merge joins pieces that do not exist or are made later.
XvVocabulary *xv_vocabulary_open_bpe(const char *vocab_path, const char *merges_path, XvError *error);

void xv_vocabulary_close(XvVocabulary *vocabulary);

int32_t xv_vocabulary_count(const XvVocabulary *vocabulary);
XvSpecialIds xv_vocabulary_specials(const XvVocabulary *vocabulary);

// Opened by xv_vocabulary_open_bpe.
bool xv_vocabulary_is_bpe(const XvVocabulary *vocabulary);

// The id of a piece, -1 when it is not there; of equal lines the last counts.
int32_t xv_vocabulary_find(const XvVocabulary *vocabulary, const char *piece, size_t length);

// The piece of an id in 0..count-1, borrowed. Pieces of byte-level BPE spell bytes by letters: "Ġ" is a space.
const char *xv_vocabulary_piece(const XvVocabulary *vocabulary, int32_t id);

// Appends one token; false only without memory.
bool xv_tokens_add(XvTokens *tokens, int32_t id, bool is_continuation);
void xv_tokens_free(XvTokens *tokens);

// Appends the tokens of a text (unicode.h), without start or end token, by the vocabulary's tokenizer. A
// piece continues a word when it starts with "##" (BERT), or, unless it is the text's first, when it does not
// start with "Ġ" (RoBERTa): the rules of the official mask generator. False without memory, and for a lone
// surrogate, which has no bytes (RoBERTa).
bool xv_tokenize(const XvVocabulary *vocabulary, const char *text, XvTokens *tokens, XvError *error);
