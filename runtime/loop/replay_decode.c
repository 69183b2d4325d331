// Decoders in `replay`; see replay_decode.h.
#include "runtime/loop/replay_decode.h"

#include "runtime/base/random.h"
#include "runtime/checkpoint/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const SUFFIXES[XV_DECODED_PARTS] = {[XV_DECODED_IDS] = "ids",
                                                       [XV_DECODED_SCORES] = "logprobs",
                                                       [XV_DECODED_TOKENS] = "tokens",
                                                       [XV_DECODED_LENGTHS] = "lengths"};

static void part_name(const XvDecoder *decoder, XvDecodedPart part, char name[96])
{
    bool is_beam_score = part == XV_DECODED_SCORES && decoder->method == XV_DECODE_BEAM;
    snprintf(name, 96, "%s_%s", decoder->name, is_beam_score ? "scores" : SUFFIXES[part]);
}

static bool has_shape(const XvStored *stored, const XvValue *value)
{
    return stored && stored->rank == value->rank &&
           memcmp(stored->shape, value->shape, (size_t)value->rank * sizeof value->shape[0]) == 0;
}

bool xv_decoder_fits(const XvProgram *program, const XvDecoder *decoder, const XvSafetensors *file)
{
    const XvGraph *graph = &program->entries[decoder->prefill].observe;
    for (int i = 0; i < graph->n_inputs; i++) {
        if (!has_shape(xv_safetensors_find(file, graph->inputs[i].name), &graph->inputs[i])) {
            return false;
        }
    }
    return true;
}

int xv_decoder_of_input(const XvProgram *program, const XvValue *input)
{
    for (int i = 0; i < program->n_decoders; i++) {
        const XvDecoder *decoder = &program->decoders[i];
        char name[96];
        int64_t n = xv_decoder_sequences(program, decoder);
        part_name(decoder, XV_DECODED_TOKENS, name);
        bool is_tokens = strcmp(name, input->name) == 0 && input->rank == 2 && input->shape[0] == n &&
                         input->shape[1] == decoder->max_length && decoder->method != XV_DECODE_BEAM;
        part_name(decoder, XV_DECODED_LENGTHS, name);
        bool is_lengths = strcmp(name, input->name) == 0 && input->rank == 1 && input->shape[0] == n;
        if ((is_tokens || is_lengths) && input->dtype == XV_I32) {
            return i;
        }
    }
    return -1;
}

// Tensors of a file in memory that one pointer frees.
typedef struct Loaded {
    XvTensor *tensors;
    int n_tensors;
} Loaded;

static void free_loaded(Loaded *loaded)
{
    for (int i = 0; i < loaded->n_tensors; i++) {
        free(loaded->tensors[i].data);
    }
    free(loaded->tensors);
}

static bool load_inputs(const XvGraph *graph, const XvSafetensors *file, Loaded *loaded, XvError *error)
{
    loaded->tensors = calloc((size_t)graph->n_inputs + 1, sizeof *loaded->tensors);
    for (int i = 0; loaded->tensors && i < graph->n_inputs; i++) {
        const XvValue *input = &graph->inputs[i];
        const XvStored *stored = xv_safetensors_find(file, input->name);
        void *data = malloc((size_t)xv_value_count(input) * 4 + 1);
        XvTensor *tensor = &loaded->tensors[loaded->n_tensors];
        *tensor = (XvTensor){.name = input->name, .dtype = input->dtype, .rank = input->rank, .data = data};
        memcpy(tensor->shape, input->shape, sizeof tensor->shape);
        loaded->n_tensors++;
        if (!data) {
            return xv_fail(error, "no memory for '%s'", input->name);
        }
        bool is_read =
            stored && (input->dtype == XV_F32 ? xv_safetensors_read_f32(file, stored, data, error)
                                              : xv_safetensors_read_i32(file, stored, data, error));
        if (!is_read) {
            return false;
        }
    }
    return loaded->tensors || xv_fail(error, "no memory for the inputs");
}

// Drawn tokens of the file, if it has them; the caller frees *draws.
static bool load_draws(const XvHost *host, const XvDecoder *decoder, const XvSafetensors *file,
                       int32_t **draws, XvDecodeChoice *choice, XvError *error)
{
    char name[96];
    snprintf(name, sizeof name, "%s_draws", decoder->name);
    const XvStored *stored = xv_safetensors_find(file, name);
    *draws = NULL;
    if (!stored || decoder->method != XV_DECODE_SAMPLE) {
        return true;
    }
    int64_t rows = xv_decoder_sequences(host->program, decoder);
    if (stored->rank != 2 || stored->shape[1] != rows) {
        return xv_fail(error, "'%s' should be [steps, %" PRId64 "], tokens for every row", name, rows);
    }
    *draws = malloc((size_t)stored->count * sizeof **draws + 1);
    if (!*draws) {
        return xv_fail(error, "no memory for '%s'", name);
    }
    choice->draws = *draws;
    choice->n_draw_steps = stored->shape[0];
    return xv_safetensors_read_i32(file, stored, *draws, error);
}

static void describe(XvDecoded *decoded, const XvDecoder *decoder)
{
    const XvSequences *found = &decoded->sequences;
    void *data[XV_DECODED_PARTS] = {found->ids, found->scores, found->tokens, found->lengths};
    for (int i = 0; i < XV_DECODED_PARTS; i++) {
        bool is_wide = i == XV_DECODED_IDS || i == XV_DECODED_TOKENS;
        part_name(decoder, (XvDecodedPart)i, decoded->names[i]);
        decoded->tensors[i] = (XvTensor){.name = decoded->names[i],
                                         .dtype = i == XV_DECODED_SCORES ? XV_F32 : XV_I32,
                                         .rank = is_wide ? 2 : 1,
                                         .shape = {found->n, found->width},
                                         .data = data[i]};
    }
}

bool xv_replay_decoder(XvHost *host, const XvDecoder *decoder, const XvSafetensors *file, uint64_t seed,
                       XvDecoded *decoded, XvError *error)
{
    *decoded = (XvDecoded){0};
    Loaded loaded = {0};
    XvDecoding decoding = {0};
    XvDecodeChoice choice = {.key = xv_key(seed, xv_text_hash(decoder->name))};
    int32_t *draws = NULL;
    bool is_done = load_inputs(&host->program->entries[decoder->prefill].observe, file, &loaded, error) &&
                   load_draws(host, decoder, file, &draws, &choice, error) &&
                   xv_decoding_create(&decoding, host, decoder, error);
    is_done = is_done &&
              xv_decode(&decoding, loaded.tensors, loaded.n_tensors, &choice, &decoded->sequences, error);
    xv_decoding_free(&decoding);
    free_loaded(&loaded);
    free(draws);
    if (is_done) {
        describe(decoded, decoder);
    }
    return is_done || xv_fail_in(error, "decoder '%s'", decoder->name);
}

void xv_decoded_free(XvDecoded *decoded)
{
    xv_sequences_free(&decoded->sequences);
}
