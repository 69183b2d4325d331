// A decoder of a program at work: its two entry points behind the searches of search.h.
//
// The prompt runs in the host's arena. The entry of single tokens has an arena of its own, whose inputs stay: what
// belongs to an item (keys and values of a picture's tokens) is copied there once, caches grow in place, and a step
// fills in nothing but tokens and their position. On a device with memory of its own nothing else goes there, and
// nothing but logits comes back.
#pragma once

#include "runtime/decode/search.h"
#include "runtime/loop/host.h"

typedef struct XvDecoding {
    XvHost *host;
    const XvDecoder *decoder;
    XvHost step_host;  // the host's parameters, an arena of its own
    size_t moved;      // place in its arena behind all values, with room for a cache whose rows move
    int64_t n_items, rows_per_item, prompt_length;
    int64_t position;  // tokens seen
} XvDecoding;

// What varies from run to run.
typedef struct XvDecodeChoice {
    uint64_t key;          // of drawn tokens
    const int32_t *draws;  // tokens to take instead, [n_draw_steps, rows], or NULL
    int64_t n_draw_steps;
} XvDecodeChoice;

// The host must outlive the decoding and have been created with the prefill entry among its entries.
bool xv_decoding_create(XvDecoding *decoding, XvHost *host, const XvDecoder *decoder, XvError *error);
void xv_decoding_free(XvDecoding *decoding);

// Runs prefill on the tensors that its inputs are named after, then the search of the decoder's method.
bool xv_decode(XvDecoding *decoding, const XvTensor *inputs, int n_inputs, const XvDecodeChoice *choice,
               XvSequences *found, XvError *error);

// Sequences of a result: one per item for beams, else rows_per_item per item.
int64_t xv_decoder_sequences(const XvProgram *program, const XvDecoder *decoder);

// Whether an entry belongs to a decoder, which runs it.
bool xv_entry_is_decoders(const XvProgram *program, int entry);
