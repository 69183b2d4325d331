// Texts of samples: cleaning, tokens, masks, padding to the static shapes; see sample_job.h.
#include "runtime/data/caption.h"
#include "runtime/data/encode.h"
#include "runtime/data/sample_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int xv_sample_text_size(const XvLoaderOptions *options)
{
    return 3 * options->max_tokens + 2 * options->mask.max;
}

int xv_sample_answers_size(const XvLoaderOptions *options)
{
    return XV_MAX_ANSWERS * 2 * options->answer_tokens;
}

bool xv_says_side(const char *text)
{
    return strstr(text, "left") || strstr(text, "right");
}

static void pad_text(const XvLoaderOptions *options, int32_t pad_id, int32_t *text)
{
    int T = options->max_tokens, M = options->mask.max;
    for (int i = 0; i < T; i++) {
        text[i] = pad_id;
        text[T + i] = 0;
        text[2 * T + i] = pad_id;
    }
    for (int i = 0; i < M; i++) {
        text[3 * T + i] = 0;
        text[3 * T + M + i] = -100;
    }
}

void xv_sample_empty_text(const XvSampler *sampler, int32_t *text)
{
    XvSpecialIds specials = xv_vocabulary_specials(sampler->vocabulary);
    int T = sampler->options->max_tokens;
    pad_text(sampler->options, specials.pad, text);
    text[0] = specials.cls;
    text[T] = 1;
    text[2 * T] = specials.cls;
}

static void pad_answer(const XvSampler *sampler, int32_t *ids, int32_t *atts)
{
    for (int i = 0; i < sampler->options->answer_tokens; i++) {
        ids[i] = xv_vocabulary_specials(sampler->vocabulary).pad;
        atts[i] = 0;
    }
}

void xv_sample_empty_answer(const XvSampler *sampler, int32_t *ids, int32_t *atts)
{
    XvSpecialIds specials = xv_vocabulary_specials(sampler->vocabulary);
    pad_answer(sampler, ids, atts);
    ids[0] = specials.cls;
    ids[1] = specials.sep;
    atts[0] = atts[1] = 1;
}

// ---- tokens

static int longest_text(const XvJob *job)
{
    const XvLoaderKind *kind = job->sampler->kind;
    int words = xv_job_is_training(job) ? kind->train_words : kind->eval_words;
    return words > 0 ? words : job->options->max_words;
}

// "before text", or the text alone.
static const char *join(const XvJob *job, const char *before, const char *text)
{
    XvBytes *joined = &job->workspace->text;
    size_t length = before ? strlen(before) + strlen(text) : 0;
    if (!before) {
        return text;
    }
    if (!xv_bytes_reserve(joined, length)) {
        xv_fail(job->error, "no memory for a text of %zu bytes", length);
        return NULL;
    }
    snprintf((char *)joined->data, length + 1, "%s%s", before, text);
    return (const char *)joined->data;
}

static bool tokenize(const XvJob *job, const char *text, const XvTextRule *rule)
{
    const XvVocabulary *vocabulary = job->sampler->vocabulary;
    XvTokens *tokens = &job->workspace->tokens;
    XvEncoding encoding = {.has_end = rule->has_end_token, .max_tokens = job->options->max_tokens};
    if (job->options->tokenized) {
        return xv_encode_pieces(vocabulary, encoding, text, tokens, job->error);
    }
    char *clean = rule->is_question ? xv_pre_question(text, longest_text(job), job->error)
                                    : xv_pre_caption(text, longest_text(job), job->error);
    const char *joined = clean ? join(job, rule->before, clean) : NULL;
    bool ok = joined && xv_encode(vocabulary, encoding, joined, tokens, job->error);
    free(clean);
    return ok;
}

static void mask_text(const XvJob *job, int n_tokens, int32_t *text)
{
    int T = job->options->max_tokens, M = job->options->mask.max;
    int32_t *positions = text + 3 * T;
    XvSpecialIds specials = xv_vocabulary_specials(job->sampler->vocabulary);
    int count = xv_mask_choose(&job->options->mask, job->workspace->tokens.is_continuation, n_tokens,
                               &job->mask_draws, positions);
    for (int i = 0; i < count; i++) {
        positions[M + i] = text[positions[i]];
    }
    XvMaskVocabulary vocabulary = {specials.mask, xv_vocabulary_count(job->sampler->vocabulary)};
    xv_mask_replace(&vocabulary, positions, count, &job->mask_draws, text + 2 * T);
}

bool xv_job_text(const XvJob *job, const char *text, const XvTextRule *rule, int32_t *block)
{
    int T = job->options->max_tokens;
    if (!tokenize(job, text, rule)) {
        return false;
    }
    const XvTokens *tokens = &job->workspace->tokens;
    if (rule->has_masks && tokens->count < 2) {
        return xv_fail(job->error, "caption \"%.60s\" has no token", text);
    }
    pad_text(job->options, xv_vocabulary_specials(job->sampler->vocabulary).pad, block);
    for (int i = 0; i < tokens->count; i++) {
        block[i] = tokens->ids[i];
        block[T + i] = 1;
        block[2 * T + i] = tokens->ids[i];
    }
    if (rule->has_masks) {
        mask_text(job, tokens->count, block);
    }
    return true;
}

bool xv_job_answer(const XvJob *job, const char *text, int32_t *row)
{
    XvTokens *tokens = &job->workspace->tokens;
    int L = job->options->answer_tokens;
    XvEncoding encoding = {.has_end = true, .max_tokens = L};
    if (!xv_encode(job->sampler->vocabulary, encoding, text, tokens, job->error)) {
        return false;
    }
    pad_answer(job->sampler, row, row + L);
    for (int i = 0; i < tokens->count; i++) {
        row[i] = tokens->ids[i];
        row[L + i] = 1;
    }
    return true;
}

bool xv_sample_prompt(const XvSampler *sampler, XvWorkspace *workspace, int32_t *ids, XvError *error)
{
    XvTokens *tokens = &workspace->tokens;
    int P = sampler->options->prompt_tokens;
    if (!xv_encode(sampler->vocabulary, (XvEncoding){.has_end = false}, sampler->options->prompt, tokens,
                   error)) {
        return false;
    }
    if (tokens->count != P) {
        return xv_fail(
            error, "the prompt \"%s\" has %d tokens with the start token; input prompt_ids has room for %d",
            sampler->options->prompt, tokens->count, P);
    }
    memcpy(ids, tokens->ids, (size_t)P * sizeof *ids);
    return true;
}
