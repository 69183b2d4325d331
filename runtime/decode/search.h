// Searches for sequences of tokens that something scores one token at a time: the likeliest token at every place,
// tokens drawn from the distribution, beam search. Nothing here knows what scores: tests hand in tables, programs
// their compiled entry points (decoding.h). The rules are those of the official code (models/xbert.py):
// greedy and drawn captions know no least length.
#pragma once

#include "runtime/base/error.h"

#include <stdbool.h>
#include <stdint.h>

// What scores. Several rows go on from each item (the beams or the samples of a picture); the rows of an item stand
// side by side.
typedef struct XvScorer {
    void *state;
    int64_t n_items, rows_per_item, vocabulary;
    // Logits of the token after the prompt: [n_items, vocabulary], valid until the next call.
    const float *(*start)(void *state);
    // Row r takes over what row parents[r] has seen (NULL: its own) and sees tokens[r]: logits of what comes next,
    // [n_items * rows_per_item, vocabulary], valid until the next call.
    const float *(*advance)(void *state, const int32_t *tokens, const int32_t *parents);
} XvScorer;

typedef struct XvPrompt {
    const int32_t *ids;  // [n_items, length]
    int64_t length;      // at least 1
} XvPrompt;

typedef struct XvSearch {
    int64_t max_length;  // with the prompt
    int64_t min_length;  // with the prompt; for beams alone
    int32_t end_id, pad_id;
    uint64_t key;          // of drawn tokens: step t, row r is xv_philox(key, t, r)
    const int32_t *draws;  // tokens to take instead, [n_draw_steps, rows], or NULL
    int64_t n_draw_steps;
} XvSearch;

// Found sequences; xv_sequences_free releases them.
typedef struct XvSequences {
    int64_t n, width;
    int32_t *ids;      // [n, width]: prompt, tokens, the end token, then the pad token
    int32_t *tokens;   // [n, width]: the same before an unfinished one's last token became the end token
    int32_t *lengths;  // [n]: tokens with the prompt and the end token
    float *scores;     // [n], see the searches
} XvSequences;

void xv_sequences_free(XvSequences *sequences);

// One token after the other for every row; `is_sampled` draws them from softmax(logits), else the likeliest (of equal
// ones the first). A row ends with the end token; at max_length an unfinished one has its last token replaced by it.
// The score is the mean log-probability of the chosen tokens, the first end token included. Width is max_length.
bool xv_search_plain(const XvScorer *scorer, const XvPrompt *prompt, const XvSearch *search, bool is_sampled,
                     XvSequences *found, XvError *error);

// Beam search with rows_per_item beams, the best hypothesis of every item. A hypothesis scores the sum of its
// log-probabilities over its length without the end token, prompt included. Width is the longest found, with its end
// token where max_length leaves room.
bool xv_search_beam(const XvScorer *scorer, const XvPrompt *prompt, const XvSearch *search,
                    XvSequences *found, XvError *error);
