// The inside of a vocabulary, shared by the two kinds.
#pragma once

#include "runtime/data/bpe.h"
#include "runtime/data/file.h"
#include "runtime/data/vocabulary.h"

struct XvVocabulary {
    XvBytes text;         // owns the pieces: the file, cut into strings, or the pieces one after the other
    const char **pieces;  // [count] into text
    int32_t count;
    int32_t *slots;  // [mask + 1] id or -1: an open hash table from piece to id
    uint32_t mask;
    XvSpecialIds specials;
    XvMerges *merges;  // of byte-level BPE, else NULL
};

// Makes room for `count` pieces in an empty table. False without memory; the message starts with the path.
bool xv_vocabulary_reserve(XvVocabulary *vocabulary, int32_t count, const char *path, XvError *error);

// Enters a piece, which stays where it is, under an id in 0..count-1; of equal pieces the last counts.
void xv_vocabulary_enter(XvVocabulary *vocabulary, const char *piece, int32_t id);

// How a kind spells the five special tokens, in the order of XvSpecialIds. All but the first kind's sep are needed.
bool xv_vocabulary_find_specials(XvVocabulary *vocabulary, const char *const names[5], const char *path,
                                 XvError *error);
