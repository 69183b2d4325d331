// The mask generator against recorded calls of the official one, draw by draw, and its counts.
#include "data_draws.h"
#include "data_golden.h"

#include "runtime/data/masking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int read_ints(const cJSON *list, int32_t *values)
{
    int count = 0;
    for (const cJSON *item = list->child; item; item = item->next) {
        values[count++] = item->valueint;
    }
    return count;
}

static bool same_set(const int32_t *a, const int32_t *b, int count)
{
    for (int i = 0; i < count; i++) {
        bool found = false;
        for (int k = 0; k < count; k++) {
            found |= a[i] == b[k];
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static XvMaskOptions read_options(const cJSON *config)
{
    return (XvMaskOptions){
        .prob = golden_number(config, "mask_prob"),
        .max = golden_int(config, "mask_max"),
        .skipgram_prb = golden_number(config, "skipgram_prb"),
        .skipgram_size = golden_int(config, "skipgram_size"),
        .whole_word = cJSON_IsTrue(golden_get(config, "mask_whole_word")),
    };
}

// "##" starts a continuation; with the RoBERTa rule everything but a start mark does, except the first two
// tokens.
static bool continues(const char *piece, int at, bool is_roberta)
{
    if (is_roberta) {
        return at > 1 && strncmp(piece, "\xC4\xA0", 2) != 0;
    }
    return strncmp(piece, "##", 2) == 0;
}

static bool replay(const cJSON *line)
{
    const cJSON *config = golden_get(line, "config");
    bool is_roberta = cJSON_IsTrue(golden_get(config, "use_roberta"));
    XvMaskOptions options = read_options(config);
    uint8_t is_continuation[XV_MAX_TOKENS];
    int n_tokens = 0;
    for (const cJSON *piece = golden_get(line, "tokens")->child; piece; piece = piece->next, n_tokens++) {
        is_continuation[n_tokens] = continues(piece->valuestring, n_tokens, is_roberta);
    }

    Recording recording = {golden_get(line, "draws")->child, false};
    XvDraws draws = recorded_draws(&recording);
    int32_t positions[XV_MAX_TOKENS], expected[XV_MAX_TOKENS], ids[XV_MAX_TOKENS], masked[XV_MAX_TOKENS];
    int count = xv_mask_choose(&options, is_continuation, n_tokens, &draws, positions);
    int n_expected = read_ints(golden_get(line, "masked_pos"), expected);
    if (count != n_expected || !same_set(positions, expected, count)) {
        return false;
    }
    // The official order is that of a Python set; the remaining draws belong to it.
    read_ints(golden_get(line, "ids"), ids);
    bool is_bert = strcmp(golden_string(line, "tokenizer"), "bert-base-uncased") == 0;
    XvMaskVocabulary vocabulary = {is_bert ? 103 : 50264, is_bert ? 30522 : 50265};
    int32_t labels[XV_MAX_TOKENS];
    read_ints(golden_get(line, "masked_ids"), labels);
    for (int i = 0; i < count; i++) {
        if (labels[i] != ids[expected[i]]) {
            return false;
        }
    }
    xv_mask_replace(&vocabulary, expected, count, &draws, ids);
    read_ints(golden_get(line, "ids_masked"), masked);
    return memcmp(ids, masked, (size_t)n_tokens * sizeof *ids) == 0 && !recording.is_wrong && !recording.next;
}

static void test_traces(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/mlm/masking_traces.jsonl");
    int wrong = 0;
    for (int i = 0; i < lines.count; i++) {
        if (!replay(lines.items[i])) {
            print_error("line %d differs\n", i + 1);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_true(lines.count >= 100);
    golden_lines_free(&lines);
}

static void test_counts(void **state)
{
    (void)state;
    XvMaskOptions options = {.prob = 0.25, .max = 8};
    const int expected[][2] = {{2, 1},  {3, 1},  {6, 2},  {10, 2}, {14, 4}, {18, 4},
                               {22, 6}, {26, 6}, {30, 8}, {34, 8}, {40, 8}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(xv_mask_count(&options, expected[i][0]), expected[i][1]);
    }
}

// The shares of replacements and the bounds of positions, over many drawn masks.
static void test_drawn(void **state)
{
    (void)state;
    XvMaskOptions options = {
        .prob = 0.25, .max = 8, .skipgram_prb = 0.2, .skipgram_size = 3, .whole_word = true};
    XvMaskVocabulary vocabulary = {103, 30522};
    uint8_t is_continuation[20] = {[5] = 1, [6] = 1, [19] = 1};
    int masked = 0, kept = 0, total = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        XvStream stream = xv_stream(xv_key(9, seed));
        XvDraws draws = xv_stream_draws(&stream);
        int32_t positions[8], ids[20];
        int count = xv_mask_choose(&options, is_continuation, 20, &draws, positions);
        assert_in_range(count, 1, 5);
        for (int i = 0; i < 20; i++) {
            ids[i] = 5000 + i;
        }
        xv_mask_replace(&vocabulary, positions, count, &draws, ids);
        for (int i = 0; i < count; i++) {
            assert_in_range(positions[i], 1, 19);
            masked += ids[positions[i]] == 103;
            kept += ids[positions[i]] == 5000 + positions[i];
        }
        total += count;
    }
    assert_in_range(masked * 1000 / total, 785, 815);  // 80 %, four standard deviations
    assert_in_range(kept * 1000 / total, 88, 112);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traces),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
