// RoBERTa's tokenizer: GPT-2's byte-level BPE (transformers, RobertaTokenizer). Special tokens spelled in the
// text are kept whole, and <mask> swallows the white space before it; the text between them is cut into words
// by GPT-2's pattern, and the bytes of a word are joined pair by pair, the earliest merge of the list first.
// Nothing is cleaned or lower-cased, no space is put in front.
#pragma once

#include "runtime/data/vocabulary.h"

// The list of merges. NULL is allowed in xv_merges_free.
typedef struct XvMerges XvMerges;

void xv_merges_free(XvMerges *merges);

// Appends the tokens of a text (unicode.h), without start or end token. False without memory and for a lone
// surrogate, of which UTF-8 has no bytes: the official tokenizer fails as well.
bool xv_bpe(const XvVocabulary *vocabulary, const char *text, XvTokens *tokens, XvError *error);
