// What the searches share: checks, log-probabilities of rows of logits, memory of the result.
#pragma once

#include "runtime/decode/search.h"

// Whether prompt and lengths fit together.
bool xv_search_check(const XvScorer *scorer, const XvPrompt *prompt, const XvSearch *search, XvError *error);

// norms[r] = log(sum(exp(row r))), in double precision. False with a message when a row is not finite.
bool xv_search_norms(const float *logits, int64_t n_rows, int64_t vocabulary, double *norms, XvError *error);

// Room for n sequences of the width, all ids the pad token.
bool xv_sequences_create(XvSequences *sequences, int64_t n, int64_t width, int32_t pad_id, XvError *error);
