// Decoding and scoring before an update; see critic.h.
#include "runtime/loop/critic.h"

#include "runtime/base/random.h"
#include "runtime/checkpoint/weights.h"
#include "runtime/data/detokenize.h"
#include "runtime/data/encode.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PARTS = sizeof((XvCritic *)0)->parts / sizeof(XvCriticPart) };

static const XvValue *input_of(const XvEntry *entry, const XvDecoder *decoder, const char *suffix)
{
    char name[128];
    snprintf(name, sizeof name, "%s_%s", decoder->name, suffix);
    return xv_graph_input(&entry->train, name);
}

static bool is_asked_for(const XvEntry *entry, const XvDecoder *decoder)
{
    return decoder->method != XV_DECODE_BEAM &&
           (input_of(entry, decoder, "tokens") || input_of(entry, decoder, "lengths") ||
            input_of(entry, decoder, "scores"));
}

XvEntrySet xv_critic_entries(const XvProgram *program, const XvEntry *entry)
{
    XvEntrySet entries = 0;
    for (int i = 0; entry->train.run && i < program->n_decoders; i++) {
        bool is_run = is_asked_for(entry, &program->decoders[i]);
        entries |= (XvEntrySet)is_run << program->decoders[i].prefill;
    }
    return entries;
}

bool xv_critic_serves(const XvProgram *program, const XvEntry *entry)
{
    return xv_critic_entries(program, entry) != 0;
}

// Opening -----------------------------------------------------------------------------------------------------------

static bool has_shape(const XvValue *value, XvDtype dtype, int64_t n, int64_t width)
{
    return !value || (value->dtype == dtype && value->rank == (width ? 2 : 1) && value->shape[0] == n &&
                      (!width || value->shape[1] == width));
}

static bool add_part(XvCritic *critic, const XvDecoder *decoder, XvError *error)
{
    if (critic->n_parts == MOST_PARTS) {
        return xv_fail(error, "entry '%s' asks for more than %d decoders", critic->entry->name,
                       (int)MOST_PARTS);
    }
    XvCriticPart *part = &critic->parts[critic->n_parts];
    int64_t n = xv_decoder_sequences(critic->host->program, decoder);
    *part = (XvCriticPart){.decoder = decoder,
                           .tokens = input_of(critic->entry, decoder, "tokens"),
                           .lengths = input_of(critic->entry, decoder, "lengths"),
                           .scores = input_of(critic->entry, decoder, "scores")};
    if (!has_shape(part->tokens, XV_I32, n, decoder->max_length) || !has_shape(part->lengths, XV_I32, n, 0) ||
        !has_shape(part->scores, XV_F32, n, 0)) {
        return xv_fail(
            error,
            "entry '%s' wants tokens, lengths or scores of decoder '%s' in other shapes than its %" PRId64
            " sequences of %" PRId64,
            critic->entry->name, decoder->name, n, decoder->max_length);
    }
    critic->is_scoring |= part->scores != NULL;
    critic->n_parts++;
    part->values = calloc((size_t)n + 1, sizeof *part->values);
    part->captions = calloc((size_t)n + 1, sizeof *part->captions);
    return part->values && part->captions ? xv_decoding_create(&part->decoding, critic->host, decoder, error)
                                          : xv_fail(error, "no memory");
}

// The prompt in every row of prompt_ids.
static bool make_prompt(XvCritic *critic, const char *prompt, XvError *error)
{
    const XvProgram *program = critic->host->program;
    const XvValue *input =
        xv_graph_input(&program->entries[critic->parts[0].decoder->prefill].observe, "prompt_ids");
    XvTokens tokens = {0};
    if (!input) {
        return xv_fail(error, "the decoders of this program read no prompt");
    }
    bool is_good = xv_encode(critic->vocabulary, (XvEncoding){0}, prompt, &tokens, error);
    if (is_good && tokens.count != input->shape[1]) {
        is_good = xv_fail(
            error,
            "the prompt '%s' is %d tokens of this vocabulary, the start token included, and the program "
            "was compiled for %" PRId64 ": compile with --set prompt_length=%d",
            prompt, tokens.count, input->shape[1], tokens.count);
    }
    int32_t *ids = is_good ? malloc((size_t)xv_value_count(input) * sizeof *ids + 1) : NULL;
    for (int64_t i = 0; ids && i < xv_value_count(input); i++) {
        ids[i] = tokens.ids[i % tokens.count];
    }
    xv_tokens_free(&tokens);
    critic->prompt = (XvTensor){.name = input->name,
                                .dtype = XV_I32,
                                .rank = 2,
                                .shape = {input->shape[0], input->shape[1]},
                                .data = ids};
    critic->prompt_characters = xv_text_characters(prompt);
    return ids || (is_good ? xv_fail(error, "no memory") : false);
}

static bool check_end(const XvCritic *critic, XvError *error)
{
    int32_t sep = xv_vocabulary_specials(critic->vocabulary).sep;
    for (int i = 0; i < critic->n_parts; i++) {
        if (critic->parts[i].decoder->end_id != sep) {
            return xv_fail(
                error,
                "texts of this vocabulary end with token %d, decoder '%s' was compiled for %d: compile with "
                "--set end_token_id=%d",
                sep, critic->parts[i].decoder->name, critic->parts[i].decoder->end_id, sep);
        }
    }
    return true;
}

static bool open_frequencies(XvCritic *critic, const char *path, XvError *error)
{
    critic->frequencies = xv_ngram_table_new();
    if (!critic->frequencies) {
        return xv_fail(error, "no memory");
    }
    if (!path) {
        fprintf(stderr, "note: no cider_cached_tokens: words are as rare as the references of a batch say\n");
        return true;
    }
    return xv_ngram_table_open(critic->frequencies, path, error);
}

bool xv_critic_open(XvCritic *critic, XvHost *host, const XvEntry *entry, const char *vocab_path,
                    const XvSettings *settings, XvError *error)
{
    *critic = (XvCritic){.host = host, .entry = entry};
    critic->vocabulary = xv_vocabulary_open(vocab_path, error);
    bool is_good = critic->vocabulary != NULL;
    for (int i = 0; is_good && i < host->program->n_decoders; i++) {
        const XvDecoder *decoder = &host->program->decoders[i];
        is_good = !is_asked_for(entry, decoder) || add_part(critic, decoder, error);
    }
    is_good = is_good && make_prompt(critic, xv_settings_text(settings, "prompt", ""), error) &&
              check_end(critic, error) &&
              open_frequencies(critic, xv_settings_text(settings, "cider_cached_tokens", NULL), error);
    if (!is_good) {
        xv_critic_close(critic);
    }
    return is_good;
}

static void forget_captions(XvCriticPart *part)
{
    for (int64_t i = 0; part->captions && i < part->found.n; i++) {
        free(part->captions[i]);
        part->captions[i] = NULL;
    }
    xv_sequences_free(&part->found);
}

void xv_critic_close(XvCritic *critic)
{
    for (int i = 0; i < critic->n_parts; i++) {
        forget_captions(&critic->parts[i]);
        xv_decoding_free(&critic->parts[i].decoding);
        free(critic->parts[i].values);
        free(critic->parts[i].captions);
    }
    xv_vocabulary_close(critic->vocabulary);
    xv_ngram_table_free(critic->frequencies);
    free(critic->prompt.data);
    *critic = (XvCritic){0};
}

// Judging -----------------------------------------------------------------------------------------------------------

// Captions without the prompt, as texts.
static bool write_captions(const XvCritic *critic, XvCriticPart *part, XvError *error)
{
    for (int64_t i = 0; i < part->found.n; i++) {
        char *text = xv_detokenize(critic->vocabulary, part->found.ids + i * part->found.width,
                                   part->found.width, false, error);
        if (!text) {
            return false;
        }
        const char *caption = xv_text_behind(text, critic->prompt_characters);
        memmove(text, caption, strlen(caption) + 1);
        part->captions[i] = text;
    }
    return true;
}

static bool decode_part(XvCritic *critic, XvCriticPart *part, const XvBatch *batch, uint64_t key,
                        XvError *error)
{
    XvTensor inputs[XV_BATCH_TENSORS + 1];
    memcpy(inputs, batch->tensors, sizeof batch->tensors);
    inputs[batch->n_tensors] = critic->prompt;
    XvDecodeChoice choice = {.key = xv_key(key, xv_text_hash(part->decoder->name))};
    forget_captions(part);
    return xv_decode(&part->decoding, inputs, batch->n_tensors + 1, &choice, &part->found, error) &&
           (!part->scores || write_captions(critic, part, error));
}

// All captions to score in one batch: where frequencies are counted, they are those of all of them.
typedef struct Scoring {
    const char **sentences;
    int64_t *image_of;
    double *scores;
    int64_t n;
} Scoring;

static void gather(const XvCritic *critic, Scoring *scoring)
{
    for (int p = 0; p < critic->n_parts; p++) {
        const XvCriticPart *part = &critic->parts[p];
        for (int64_t i = 0; part->scores && i < part->found.n; i++) {
            scoring->sentences[scoring->n] = part->captions[i];
            scoring->image_of[scoring->n++] = i / part->decoding.rows_per_item;
        }
    }
}

static bool score(XvCritic *critic, const XvBatch *batch, XvError *error)
{
    size_t room = 1;
    for (int p = 0; p < critic->n_parts; p++) {
        room += (size_t)critic->parts[p].found.n;
    }
    Scoring scoring = {.sentences = calloc(room, sizeof(char *)),
                       .image_of = calloc(room, sizeof(int64_t)),
                       .scores = calloc(room, sizeof(double))};
    bool is_good = scoring.sentences && scoring.image_of && scoring.scores;
    if (!is_good) {
        xv_fail(error, "no memory for rewards");
    } else {
        gather(critic, &scoring);
        XvCiderBatch captions = {.sentences = scoring.sentences,
                                 .n = scoring.n,
                                 .image_of = scoring.image_of,
                                 .references = batch->references,
                                 .n_images = critic->prompt.shape[0],
                                 .per_image = XV_REFERENCES};
        is_good = xv_cider_rewards(critic->frequencies, &captions, scoring.scores, error);
    }
    int64_t at = 0;
    for (int p = 0; is_good && p < critic->n_parts; p++) {
        XvCriticPart *part = &critic->parts[p];
        for (int64_t i = 0; part->scores && i < part->found.n; i++) {
            part->values[i] = (float)scoring.scores[at++];
        }
    }
    free(scoring.sentences);
    free(scoring.image_of);
    free(scoring.scores);
    return is_good;
}

static void give(const XvValue *input, void *data, XvTensor *tensors, int *n_tensors)
{
    if (input) {
        XvTensor *tensor = &tensors[(*n_tensors)++];
        *tensor = (XvTensor){.name = input->name, .dtype = input->dtype, .rank = input->rank, .data = data};
        memcpy(tensor->shape, input->shape, sizeof tensor->shape);
    }
}

bool xv_critic_judge(XvCritic *critic, const XvBatch *batch, uint64_t key, XvTensor *tensors, int *n_tensors,
                     XvError *error)
{
    if (critic->is_scoring && !batch->references) {
        return xv_fail(error, "the data of entry '%s' bring no reference captions", critic->entry->name);
    }
    for (int p = 0; p < critic->n_parts; p++) {
        if (!decode_part(critic, &critic->parts[p], batch, key, error)) {
            return xv_fail_in(error, "decoder '%s'", critic->parts[p].decoder->name);
        }
    }
    if (critic->is_scoring && !score(critic, batch, error)) {
        return false;
    }
    for (int p = 0; p < critic->n_parts; p++) {
        XvCriticPart *part = &critic->parts[p];
        give(part->tokens, part->found.tokens, tensors, n_tensors);
        give(part->lengths, part->found.lengths, tensors, n_tensors);
        give(part->scores, part->values, tensors, n_tensors);
    }
    return true;
}
