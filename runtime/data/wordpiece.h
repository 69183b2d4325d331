// BERT's uncased WordPiece tokenizer over any vocab.txt (transformers, BertTokenizer): special tokens spelled
// in the text are kept whole; then cleaning, spaces around CJK characters, lower case, NFD without accents,
// punctuation apart, greedy longest match with "##" continuations.
#pragma once

#include "runtime/data/vocabulary.h"

// Appends the tokens of a text, without start or end token. False only without memory.
bool xv_wordpiece(const XvVocabulary *vocabulary, const char *text, XvTokens *tokens, XvError *error);

// Appends the tokens of text that is already cut into pieces joined by single spaces; unknown pieces are
// [UNK].
bool xv_wordpiece_split(const XvVocabulary *vocabulary, const char *text, XvTokens *tokens, XvError *error);
