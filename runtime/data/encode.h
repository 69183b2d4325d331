// A text as the row that a model reads: start token, pieces, perhaps an end token, perhaps cut.
//
//   use                                                  has_end  max_tokens
//   pre-training                                         no       max_tokens of the configuration
//   pre-training in the captioning domain                yes      max_tokens of the configuration
//   retrieval and grounding, training                    no       0
//   retrieval, evaluation (rows are padded to 40)        no       40
//   VQA questions, training                              no       40
//   VQA questions, evaluation; NLVR; grounding eval      no       0
//   VQA answers: the end token's name is glued to the    no       0
//   answer and read as a special token
//   captioning                                           yes      40
#pragma once

#include "runtime/data/vocabulary.h"

typedef struct XvEncoding {
    bool has_end;
    int max_tokens;  // of the row, start and end included, which stay when pieces are cut; 0: never cut
} XvEncoding;

// Replaces the tokens by the row. False as xv_tokenize.
bool xv_encode(const XvVocabulary *vocabulary, XvEncoding encoding, const char *text, XvTokens *tokens,
               XvError *error);

// Replaces the tokens by the row of a text that is cut into pieces already (xv_wordpiece_split; BERT only).
bool xv_encode_pieces(const XvVocabulary *vocabulary, XvEncoding encoding, const char *pieces,
                      XvTokens *tokens, XvError *error);
