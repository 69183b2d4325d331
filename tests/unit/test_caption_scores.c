// runtime/metrics/caption_scores.h: BLEU, ROUGE-L and CIDEr against the numbers of pycocoevalcap.
#include "data_golden.h"

#include "runtime/metrics/caption_scores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64, MOST_REFERENCES = 8 };

typedef struct Set {
    XvCaptionSet set;
    const char *captions[MOST], *references[MOST * MOST_REFERENCES];
    int n_references[MOST];
    int64_t n_all;
} Set;

static void add(Set *set, const char *caption, const cJSON *references)
{
    int64_t i = set->set.n++;
    set->captions[i] = caption;
    set->n_references[i] = cJSON_GetArraySize(references);
    for (const cJSON *reference = references->child; reference; reference = reference->next) {
        set->references[set->n_all++] = reference->valuestring;
    }
    set->set.captions = set->captions;
    set->set.references = set->references;
    set->set.n_references = set->n_references;
}

static void check(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-9 * fmax(fabs(expected), 1e-3))) {
        fail_msg("%.15g, expected %.15g", got, expected);
    }
}

static void check_all(const XvCaptionScores *scores, const cJSON *expected)
{
    static const char *const names[] = {"Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4"};
    for (int n = 0; n < XV_BLEU_ORDERS; n++) {
        check(scores->bleu[n], golden_number(expected, names[n]));
    }
    check(scores->rouge_l, golden_number(expected, "ROUGE_L"));
}

static cJSON *read_json(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    static char text[1 << 16];
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    return json;
}

// Real captions with five references: each, and together.
static void test_captions(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/metrics/caption_scores.jsonl");
    cJSON *json = read_json("tests/data/metrics/caption_scores.json");
    Set *set = calloc(1, sizeof *set);
    XvCaptionScores all, each[MOST];
    XvError error = {{0}};
    for (int i = 0; i < lines.count; i++) {
        add(set, golden_string(lines.items[i], "caption_tok"), golden_get(lines.items[i], "references_tok"));
    }
    assert_true(xv_caption_scores(&set->set, &all, each, &error));
    for (int i = 0; i < lines.count; i++) {
        check_all(&each[i], lines.items[i]);
    }
    check_all(&all, golden_get(json, "first_10"));
    check(all.cider, golden_number(golden_get(json, "first_10"), "CIDEr"));
    free(set);
    cJSON_Delete(json);
    golden_lines_free(&lines);
}

// Empty captions, one word, nothing in common, repetitions.
static void test_degenerate(void **state)
{
    (void)state;
    cJSON *json = read_json("tests/data/metrics/caption_scores.json");
    const cJSON *toy = golden_get(json, "toy"), *items = golden_get(toy, "items");
    Set *set = calloc(1, sizeof *set);
    XvCaptionScores all, each[MOST];
    XvError error = {{0}};
    for (const cJSON *item = items->child; item; item = item->next) {
        add(set, golden_string(item, "caption"), golden_get(item, "references"));
    }
    assert_true(set->set.n >= 5);
    assert_true(xv_caption_scores(&set->set, &all, each, &error));
    int i = 0;
    for (const cJSON *item = items->child; item; item = item->next, i++) {
        for (int n = 0; n < XV_BLEU_ORDERS; n++) {
            check(each[i].bleu[n], cJSON_GetArrayItem(golden_get(item, "Bleu"), n)->valuedouble);
        }
        check(each[i].rouge_l, golden_number(item, "ROUGE_L"));
        check(each[i].cider, golden_number(item, "CIDEr"));
    }
    check_all(&all, golden_get(toy, "corpus"));
    check(all.cider, golden_number(golden_get(toy, "corpus"), "CIDEr"));
    free(set);
    cJSON_Delete(json);
}

static void test_refusals(void **state)
{
    (void)state;
    const char *captions[] = {"a dog"};
    int none[] = {0};
    XvCaptionScores all;
    XvError error = {{0}};
    assert_false(xv_caption_scores(&(XvCaptionSet){captions, captions, none, 1}, &all, NULL, &error));
    assert_non_null(strstr(error.text, "no reference"));
    assert_false(xv_caption_scores(&(XvCaptionSet){captions, captions, none, 0}, &all, NULL, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captions),
        cmocka_unit_test(test_degenerate),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
