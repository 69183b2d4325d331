// Decoders in `replay`: the prompt and what it is about come from a file, drawn tokens too where it has them.
#pragma once

#include "runtime/checkpoint/safetensors.h"
#include "runtime/decode/decoding.h"

// Names of what a decoder NAME gives: NAME_ids and NAME_logprobs (NAME_scores of beams), which are written, and
// NAME_tokens and NAME_lengths (see XvSequences), which entry points may have as inputs.
typedef enum XvDecodedPart {
    XV_DECODED_IDS,
    XV_DECODED_SCORES,
    XV_DECODED_TOKENS,
    XV_DECODED_LENGTHS,
    XV_DECODED_PARTS,
} XvDecodedPart;

typedef struct XvDecoded {
    XvSequences sequences;
    char names[XV_DECODED_PARTS][96];
    XvTensor tensors[XV_DECODED_PARTS];  // point into the sequences
} XvDecoded;

// Whether the file holds all inputs of the decoder's prefill entry in the compiled shapes.
bool xv_decoder_fits(const XvProgram *program, const XvDecoder *decoder, const XvSafetensors *file);

// The decoder that gives an input of this name, shape and dtype (NAME_tokens, NAME_lengths), or -1.
int xv_decoder_of_input(const XvProgram *program, const XvValue *input);

// Runs a decoder that fits. Drawn tokens are those of the file's NAME_draws [steps, rows], if it has them, else drawn
// by the seed.
bool xv_replay_decoder(XvHost *host, const XvDecoder *decoder, const XvSafetensors *file, uint64_t seed,
                       XvDecoded *decoded, XvError *error);
void xv_decoded_free(XvDecoded *decoded);
