// Tokens back to text, as the library that writes the official captions does it.
#pragma once

#include "runtime/data/vocabulary.h"

// WordPiece tokens as UTF-8, which the caller frees; NULL without memory and for an id that is no token, or for a
// vocabulary of another kind. Pieces are joined by spaces, continuations glued to what they continue, and the spaces
// before . ? ! , and English contractions taken out. Special tokens are left out unless `keeps_specials`.
char *xv_detokenize(const XvVocabulary *vocabulary, const int32_t *ids, int64_t n_ids, bool keeps_specials,
                    XvError *error);

// The part of a text behind its first `n_characters` characters; the end where it has no more.
const char *xv_text_behind(const char *text, int64_t n_characters);

// How many characters (not bytes) a text has.
int64_t xv_text_characters(const char *text);
