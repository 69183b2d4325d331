// Mask generator; see masking.h. Names follow TextMaskingGenerator of dataset/pretrain_dataset.py.
#include "runtime/data/masking.h"

#include <math.h>

typedef struct Span {
    int begin, end;
} Span;

int xv_mask_count(const XvMaskOptions *options, int n_tokens)
{
    int wanted = (int)nearbyint(n_tokens * options->prob);  // ties to even, the default rounding mode
    wanted = wanted < 1 ? 1 : wanted;
    return wanted < options->max ? wanted : options->max;
}

static Span word_around(Span span, const uint8_t *is_continuation, int n_tokens)
{
    while (span.begin > 0 && is_continuation[span.begin]) {
        span.begin--;
    }
    while (span.end < n_tokens && is_continuation[span.end]) {
        span.end++;
    }
    return span;
}

static Span draw_span(const XvMaskOptions *options, int position, const XvDraws *draws)
{
    bool may_be_long = options->skipgram_prb > 0 && options->skipgram_size >= 2;
    if (may_be_long && draws->uniform(draws->state) < options->skipgram_prb) {
        return (Span){position, position + draws->between(draws->state, 2, options->skipgram_size)};
    }
    return (Span){position, position + 1};
}

// Marks the span's positions up to the first one outside 1..n_tokens-1; returns how many are new.
static int mark_span(Span span, int n_tokens, bool *is_chosen)
{
    int added = 0;
    for (int i = span.begin; i < span.end && i > 0 && i < n_tokens; i++) {
        added += !is_chosen[i];
        is_chosen[i] = true;
    }
    return added;
}

int xv_mask_choose(const XvMaskOptions *options, const uint8_t *is_continuation, int n_tokens,
                   const XvDraws *draws, int32_t *positions)
{
    bool is_chosen[XV_MAX_TOKENS] = {false};
    int32_t order[XV_MAX_TOKENS];
    for (int i = 1; i < n_tokens; i++) {
        order[i - 1] = i;
    }
    draws->shuffle(draws->state, order, n_tokens - 1);

    int wanted = xv_mask_count(options, n_tokens);
    int chosen = 0;
    for (int i = 0; i < n_tokens - 1 && chosen < wanted; i++) {
        if (is_chosen[order[i]]) {
            continue;
        }
        Span span = draw_span(options, order[i], draws);
        if (options->whole_word) {
            span = word_around(span, is_continuation, n_tokens);
        }
        chosen += mark_span(span, n_tokens, is_chosen);
    }

    int count = 0;
    for (int i = 1; i < n_tokens; i++) {
        if (is_chosen[i]) {
            order[count++] = i;
        }
    }
    if (count > wanted) {
        draws->shuffle(draws->state, order, count);
        count = wanted;
    }
    for (int i = 0; i < count; i++) {
        positions[i] = order[i];
    }
    return count;
}

void xv_mask_replace(const XvMaskVocabulary *vocabulary, const int32_t *positions, int count,
                     const XvDraws *draws, int32_t *ids)
{
    for (int i = 0; i < count; i++) {
        if (draws->uniform(draws->state) < 0.8) {
            ids[positions[i]] = vocabulary->mask_id;
        } else if (draws->uniform(draws->state) < 0.5) {
            ids[positions[i]] = draws->between(draws->state, 0, vocabulary->count - 1);
        }
    }
}
