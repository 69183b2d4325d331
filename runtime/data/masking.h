// Which words of a caption are masked, and what they are replaced by (official
// TextMaskingGenerator).
//
// The work is cut in two, choosing and replacing, since the official order of the replacement draws is that
// of a Python set: with the order made explicit, recorded draws give recorded results.
#pragma once

#include "runtime/data/draws.h"

#include <stdbool.h>
#include <stdint.h>

enum { XV_MAX_TOKENS = 512 };  // of any text handed to the mask generator

typedef struct XvMaskOptions {
    double prob;          // share of the tokens: 0.25
    int max;              // at most this many positions: 8
    double skipgram_prb;  // chance that a mask covers several tokens: 0.2
    int skipgram_size;    // at most that many: 3
    bool whole_word;      // extend to the word's first and last piece
} XvMaskOptions;

typedef struct XvMaskVocabulary {
    int32_t mask_id;
    int32_t count;  // random replacements are drawn from all ids
} XvMaskVocabulary;

// Number of positions for a text of n_tokens, first token included: round-half-even of the share, 1..max.
int xv_mask_count(const XvMaskOptions *options, int n_tokens);

// Chooses positions in 1..n_tokens-1. is_continuation[i] tells that token i continues a word ("##"). Writes
// at most options->max positions, ascending unless a surplus was dropped at random; returns how many. 2 <=
// n_tokens <= XV_MAX_TOKENS.
int xv_mask_choose(const XvMaskOptions *options, const uint8_t *is_continuation, int n_tokens,
                   const XvDraws *draws, int32_t *positions);

// Replaces ids[positions[i]] in order: 80% by [MASK], 10% by any id, 10% not at all.
void xv_mask_replace(const XvMaskVocabulary *vocabulary, const int32_t *positions, int count,
                     const XvDraws *draws, int32_t *ids);
