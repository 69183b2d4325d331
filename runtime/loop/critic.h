// Self-critical training (Captioning_scst.py): before an update, captions are decoded with the parameters as
// they are, and scored by CIDEr-D against reference captions of their images.
//
// An entry asks for it by the names of its inputs, per decoder NAME of the program: NAME_tokens, NAME_lengths (what the
// decoder found, see XvSequences), NAME_scores f32 (its captions' CIDEr-D). The batch brings the pictures and, in
// XvBatch.references, the captions to compare with.
#pragma once

#include "runtime/data/vocabulary.h"
#include "runtime/decode/decoding.h"
#include "runtime/data/loader.h"
#include "runtime/loop/settings.h"
#include "runtime/metrics/cider.h"

enum { XV_CRITIC_TENSORS = 12 };

typedef struct XvCriticPart {
    const XvDecoder *decoder;
    XvDecoding decoding;
    const XvValue *tokens, *lengths, *scores;  // inputs of the entry, or NULL
    XvSequences found;
    float *values;    // [sequences], scores
    char **captions;  // [sequences]
} XvCriticPart;

typedef struct XvCritic {
    XvHost *host;
    const XvEntry *entry;
    XvCriticPart parts[4];
    int n_parts;
    XvVocabulary *vocabulary;
    XvNgramTable *frequencies;
    XvTensor prompt;  // prompt_ids; owns its data
    int64_t prompt_characters;
    bool is_scoring;
} XvCritic;

// Whether an entry has inputs that only a critic gives.
bool xv_critic_serves(const XvProgram *program, const XvEntry *entry);

// The entries that its decoders run in the host's arena, which must have room for them.
XvEntrySet xv_critic_entries(const XvProgram *program, const XvEntry *entry);

// Settings: `prompt`, and `cider_cached_tokens`, a file of document frequencies (ngrams.h); without it a batch's own
// are counted, which is said on stderr.
bool xv_critic_open(XvCritic *critic, XvHost *host, const XvEntry *entry, const char *vocab_path,
                    const XvSettings *settings, XvError *error);
void xv_critic_close(XvCritic *critic);

// Appends the inputs that the critic gives to the batch's tensors in `tensors`, valid until the next call. `key` is
// that of the step's random draws.
bool xv_critic_judge(XvCritic *critic, const XvBatch *batch, uint64_t key, XvTensor *tensors, int *n_tensors,
                     XvError *error);
