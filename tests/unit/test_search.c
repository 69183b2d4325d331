// runtime/decode/search.h: greedy, sampled and beam search over a made-up language against slow, literal versions.
#include "runtime/base/random.h"
#include "runtime/decode/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 5, MOST_ROWS = 4, VOCABULARY = 23, MOST_LENGTH = 24, PROMPT = 3, END = 7, PAD = 0 };

// Scores depend on all that a row has seen, so a row that goes on from the wrong one is noticed.
typedef struct Language {
    int64_t rows_per_item;
    int32_t seen[ITEMS * MOST_ROWS][MOST_LENGTH];
    int64_t length;
    float logits[ITEMS * MOST_ROWS * VOCABULARY];
    int64_t n_calls;
    double end_bonus;
} Language;

static const int32_t PROMPTS[ITEMS][PROMPT] = {{1, 2, 3}, {1, 2, 4}, {1, 5, 3}, {2, 2, 3}, {1, 9, 9}};

static void score(double end_bonus, const int32_t *ids, int64_t length, float *logits)
{
    uint64_t key = 17;
    for (int64_t i = 0; i < length; i++) {
        key = xv_key(key, (uint64_t)ids[i]);
    }
    XvStream stream = xv_stream(key);
    for (int v = 0; v < VOCABULARY; v++) {
        logits[v] = (float)(2 * xv_stream_normal(&stream) + (v == END ? end_bonus : 0));
    }
}

static const float *start(void *state)
{
    Language *language = state;
    language->length = PROMPT;
    for (int i = 0; i < ITEMS; i++) {
        for (int64_t k = 0; k < language->rows_per_item; k++) {
            memcpy(language->seen[i * language->rows_per_item + k], PROMPTS[i], sizeof PROMPTS[i]);
        }
        score(language->end_bonus, PROMPTS[i], PROMPT, language->logits + i * VOCABULARY);
    }
    return language->logits;
}

static const float *advance(void *state, const int32_t *tokens, const int32_t *parents)
{
    Language *language = state;
    int64_t rows = ITEMS * language->rows_per_item;
    int32_t old[ITEMS * MOST_ROWS][MOST_LENGTH];
    memcpy(old, language->seen, sizeof old);
    for (int64_t r = 0; r < rows; r++) {
        int64_t parent = parents ? parents[r] : r;
        assert_int_equal(parent / language->rows_per_item, r / language->rows_per_item);
        memcpy(language->seen[r], old[parent], sizeof old[parent]);
        language->seen[r][language->length] = tokens[r];
    }
    language->length++;
    language->n_calls++;
    for (int64_t r = 0; r < rows; r++) {
        score(language->end_bonus, language->seen[r], language->length, language->logits + r * VOCABULARY);
    }
    return language->logits;
}

static XvScorer scorer_of(Language *language)
{
    return (XvScorer){.state = language,
                      .n_items = ITEMS,
                      .rows_per_item = language->rows_per_item,
                      .vocabulary = VOCABULARY,
                      .start = start,
                      .advance = advance};
}

static const XvPrompt prompt = {.ids = &PROMPTS[0][0], .length = PROMPT};

static void log_softmax(double end_bonus, const int32_t *ids, int64_t length, double *out)
{
    float logits[VOCABULARY];
    double sum = 0;
    score(end_bonus, ids, length, logits);
    for (int v = 0; v < VOCABULARY; v++) {
        sum += exp((double)logits[v]);
    }
    for (int v = 0; v < VOCABULARY; v++) {
        out[v] = (double)logits[v] - log(sum);
    }
}

// Plain searches ----------------------------------------------------------------------------------------------------

// What one row of a plain search must give, chosen tokens in `given` or the likeliest.
static void check_row(const XvSequences *found, int64_t row, const int32_t *first, const int32_t *given,
                      int64_t stride)
{
    int32_t ids[MOST_LENGTH];
    double sum = 0;
    int64_t length = PROMPT;
    bool is_ended = false;
    memcpy(ids, first, sizeof PROMPTS[0]);
    for (; length < found->width && !is_ended; length++) {
        double scores[VOCABULARY];
        int best = 0;
        log_softmax(1.0, ids, length, scores);
        for (int v = 1; v < VOCABULARY; v++) {
            best = scores[v] > scores[best] ? v : best;
        }
        ids[length] = given ? given[(length - PROMPT) * stride] : best;
        sum += scores[ids[length]];
        is_ended = ids[length] == END;
    }
    assert_int_equal(found->lengths[row], length);
    assert_true(fabs((double)found->scores[row] - sum / (double)(length - PROMPT)) < 1e-5);
    for (int64_t i = 0; i < found->width; i++) {
        int32_t expected = i < length ? ids[i] : PAD;
        assert_int_equal(found->tokens[row * found->width + i], expected);
        expected = !is_ended && i == found->width - 1 ? END : expected;
        assert_int_equal(found->ids[row * found->width + i], expected);
    }
}

static void test_greedy(void **state)
{
    (void)state;
    for (int64_t width = PROMPT + 1; width <= 20; width += 4) {
        Language language = {.rows_per_item = 1, .end_bonus = 1.0};
        XvScorer scorer = scorer_of(&language);
        XvSearch search = {.max_length = width, .min_length = width, .end_id = END, .pad_id = PAD};
        XvSequences found;
        XvError error = {{0}};
        assert_true(xv_search_plain(&scorer, &prompt, &search, false, &found, &error));
        assert_int_equal(found.n, ITEMS);
        assert_int_equal(found.width, width);
        for (int i = 0; i < ITEMS; i++) {
            check_row(&found, i, PROMPTS[i], NULL, 0);
        }
        assert_true(language.n_calls < width - PROMPT);  // the last token is looked at by nobody
        xv_sequences_free(&found);
    }
}

static void test_given_draws(void **state)
{
    (void)state;
    enum { WIDTH = 12, ROWS = ITEMS * 3 };
    int32_t draws[(WIDTH - PROMPT) * ROWS];
    XvStream stream = xv_stream(5);
    for (int i = 0; i < (WIDTH - PROMPT) * ROWS; i++) {
        draws[i] = (int32_t)xv_stream_below(&stream, VOCABULARY);
        draws[i] = i % 40 == 9   ? END
                   : i % 17 == 3 ? PAD
                                 : draws[i];  // the pad token may be drawn, and goes on
    }
    Language language = {.rows_per_item = 3, .end_bonus = 1.0};
    XvScorer scorer = scorer_of(&language);
    XvSearch search = {
        .max_length = WIDTH, .end_id = END, .pad_id = PAD, .draws = draws, .n_draw_steps = WIDTH - PROMPT};
    XvSequences found;
    XvError error = {{0}};
    assert_true(xv_search_plain(&scorer, &prompt, &search, true, &found, &error));
    for (int r = 0; r < ROWS; r++) {
        check_row(&found, r, PROMPTS[r / 3], draws + r, ROWS);
    }
    xv_sequences_free(&found);
    search.n_draw_steps = 2;
    assert_false(xv_search_plain(&scorer, &prompt, &search, true, &found, &error));
    assert_non_null(strstr(error.text, "for 2 steps"));
    search.n_draw_steps = WIDTH - PROMPT;
    draws[4] = VOCABULARY;
    assert_false(xv_search_plain(&scorer, &prompt, &search, true, &found, &error));
    assert_non_null(strstr(error.text, "token 23"));
}

// The same key draws the same; the first tokens follow the distribution.
static void test_samples(void **state)
{
    (void)state;
    int counts[VOCABULARY] = {0};
    enum { RUNS = 4000 };
    for (int run = 0; run < RUNS; run++) {
        Language language = {.rows_per_item = 2, .end_bonus = 1.0};
        XvScorer scorer = scorer_of(&language);
        XvSearch search = {
            .max_length = PROMPT + 1, .end_id = END, .pad_id = PAD, .key = xv_key(3, (uint64_t)run)};
        XvSequences found, again;
        XvError error = {{0}};
        assert_true(xv_search_plain(&scorer, &prompt, &search, true, &found, &error));
        assert_true(xv_search_plain(&scorer, &prompt, &search, true, &again, &error));
        assert_memory_equal(found.tokens, again.tokens, (size_t)(found.n * found.width) * sizeof(int32_t));
        counts[found.tokens[PROMPT]]++;
        counts[found.tokens[found.width + PROMPT]]++;
        xv_sequences_free(&found);
        xv_sequences_free(&again);
    }
    double scores[VOCABULARY];
    log_softmax(1.0, PROMPTS[0], PROMPT, scores);
    for (int v = 0; v < VOCABULARY; v++) {
        double expected = exp(scores[v]), deviation = sqrt(expected * (1 - expected) / (2 * RUNS));
        assert_true(fabs(counts[v] / (2.0 * RUNS) - expected) < 5 * deviation + 1e-4);
    }
}

// Beam search -------------------------------------------------------------------------------------------------------

typedef struct Sequence {
    int32_t ids[MOST_LENGTH];
    double score;
    int64_t length;
} Sequence;

typedef struct Literal {
    Sequence beams[MOST_ROWS];
    Sequence finished[MOST_ROWS * MOST_LENGTH * 2];
    int n_finished;
    bool is_done;
} Literal;

typedef struct Choice {
    double sum;
    int beam, token;
} Choice;

static int compare_choices(const void *a, const void *b)
{
    const Choice *x = a, *y = b;
    return x->sum < y->sum ? 1 : x->sum > y->sum ? -1 : 0;
}

static int compare_finished(const void *a, const void *b)
{
    const Sequence *x = a, *y = b;
    return x->score < y->score ? 1 : x->score > y->score ? -1 : 0;
}

static void finish(Literal *literal, int n_beams, const Sequence *sequence, double sum)
{
    Sequence *kept = &literal->finished[literal->n_finished++];
    *kept = *sequence;
    kept->score = sum / (double)sequence->length;
    qsort(literal->finished, (size_t)literal->n_finished, sizeof *literal->finished, compare_finished);
    literal->n_finished = literal->n_finished > n_beams ? n_beams : literal->n_finished;
}

static void literal_step(Literal *literal, int n_beams, const XvSearch *search, double end_bonus)
{
    Choice choices[MOST_ROWS * VOCABULARY];
    Sequence next[MOST_ROWS];
    int64_t length = literal->beams[0].length;
    for (int k = 0; k < n_beams; k++) {
        double scores[VOCABULARY];
        log_softmax(end_bonus, literal->beams[k].ids, length, scores);
        for (int v = 0; v < VOCABULARY; v++) {
            double minus = v == END && length < search->min_length ? -INFINITY : 0;
            choices[k * VOCABULARY + v] = (Choice){literal->beams[k].score + scores[v] + minus, k, v};
        }
    }
    qsort(choices, (size_t)(n_beams * VOCABULARY), sizeof *choices, compare_choices);
    int filled = 0;
    for (int rank = 0; rank < 2 * n_beams && filled < n_beams; rank++) {
        const Choice *choice = &choices[rank];
        if (choice->token == END) {
            if (rank < n_beams) {
                finish(literal, n_beams, &literal->beams[choice->beam], choice->sum);
            }
            continue;
        }
        next[filled] = literal->beams[choice->beam];
        next[filled].ids[next[filled].length++] = choice->token;
        next[filled++].score = choice->sum;
    }
    assert_int_equal(filled, n_beams);
    memcpy(literal->beams, next, sizeof next);
    literal->is_done = literal->n_finished == n_beams &&
                       literal->finished[n_beams - 1].score >= choices[0].sum / (double)length;
}

static Sequence literal_beam(int item, int n_beams, const XvSearch *search, double end_bonus)
{
    Literal *literal = calloc(1, sizeof *literal);
    for (int k = 0; k < n_beams; k++) {
        memcpy(literal->beams[k].ids, PROMPTS[item], sizeof PROMPTS[item]);
        literal->beams[k].length = PROMPT;
        literal->beams[k].score = k == 0 ? 0 : -1e9;
    }
    while (literal->beams[0].length < search->max_length && !literal->is_done) {
        literal_step(literal, n_beams, search, end_bonus);
    }
    for (int k = 0; k < n_beams && !literal->is_done; k++) {
        Sequence open = literal->beams[k];
        finish(literal, n_beams, &open, open.score);
    }
    Sequence best = literal->finished[0];
    free(literal);
    return best;
}

static void check_beams(int n_beams, const XvSearch *search, double end_bonus)
{
    Language language = {.rows_per_item = n_beams, .end_bonus = end_bonus};
    XvScorer scorer = scorer_of(&language);
    XvSequences found;
    XvError error = {{0}};
    assert_true(xv_search_beam(&scorer, &prompt, search, &found, &error));
    int64_t width = 0;
    for (int i = 0; i < ITEMS; i++) {
        Sequence best = literal_beam(i, n_beams, search, end_bonus);
        width = best.length > width ? best.length : width;
        assert_true(fabs((double)found.scores[i] - best.score) < 1e-5);
        for (int64_t j = 0; j < found.width; j++) {
            int32_t expected = j < best.length ? best.ids[j] : j == best.length ? END : PAD;
            assert_int_equal(found.ids[i * found.width + j], expected);
        }
        int64_t length = best.length < search->max_length ? best.length + 1 : best.length;
        assert_int_equal(found.lengths[i], length);
    }
    assert_int_equal(found.width, width < search->max_length ? width + 1 : width);
    xv_sequences_free(&found);
}

static void test_beams(void **state)
{
    (void)state;
    for (int n_beams = 1; n_beams <= MOST_ROWS; n_beams++) {
        for (int64_t max_length = PROMPT + 1; max_length < 20; max_length += 3) {
            for (int bonus = -1; bonus <= 3; bonus++) {
                XvSearch search = {.max_length = max_length,
                                   .min_length = bonus % 2 == 0 ? 6 : 0,
                                   .end_id = END,
                                   .pad_id = PAD};
                check_beams(n_beams, &search, bonus);
            }
        }
    }
}

// What cannot be searched is said, not tried.
static void test_refusals(void **state)
{
    (void)state;
    Language language = {.rows_per_item = 1};
    XvScorer scorer = scorer_of(&language);
    XvSearch search = {.max_length = PROMPT, .end_id = END, .pad_id = PAD};
    XvSequences found;
    XvError error = {{0}};
    assert_false(xv_search_plain(&scorer, &prompt, &search, false, &found, &error));
    assert_non_null(strstr(error.text, "leaves no room"));
    assert_false(xv_search_beam(&scorer, &prompt, &search, &found, &error));
    search.max_length = 9;
    search.end_id = VOCABULARY;
    assert_false(xv_search_beam(&scorer, &prompt, &search, &found, &error));
    assert_non_null(strstr(error.text, "the end token 23"));
    search.end_id = END;
    language.end_bonus = NAN;
    assert_false(xv_search_plain(&scorer, &prompt, &search, false, &found, &error));
    assert_non_null(strstr(error.text, "not finite"));
    assert_false(xv_search_beam(&scorer, &prompt, &search, &found, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy), cmocka_unit_test(test_given_draws), cmocka_unit_test(test_samples),
        cmocka_unit_test(test_beams),  cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
