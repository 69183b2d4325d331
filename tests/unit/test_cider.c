// runtime/metrics/cider.h: CIDEr-D and the rewards of self-critical training against the official scorer's numbers.
#include "data_golden.h"

#include "runtime/metrics/cider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *item_text(const cJSON *list, int i)
{
    return cJSON_GetArrayItem(list, i)->valuestring;
}

static void check_scores(const double *scores, const cJSON *expected)
{
    const cJSON *item = expected->child;
    for (int i = 0; item; i++, item = item->next) {
        if (!(fabs(scores[i] - item->valuedouble) <= 1e-9 * fmax(1, fabs(item->valuedouble)))) {
            fail_msg("sentence %d: %.12g, expected %.12g", i, scores[i], item->valuedouble);
        }
    }
}

// A batch made of lists of texts; references of image i are the list `references[i]`.
typedef struct Texts {
    XvCiderBatch batch;
    const char **sentences, **references;
    int64_t *image_of;
} Texts;

static Texts texts_new(int64_t n, const cJSON *references)
{
    Texts texts = {.sentences = calloc((size_t)n, sizeof *texts.sentences),
                   .image_of = calloc((size_t)n, sizeof *texts.image_of)};
    int per_image = 0, n_images = cJSON_GetArraySize(references);
    for (const cJSON *list = references->child; list; list = list->next) {
        per_image = cJSON_GetArraySize(list) > per_image ? cJSON_GetArraySize(list) : per_image;
    }
    texts.references = calloc((size_t)(n_images * per_image), sizeof *texts.references);
    int image = 0;
    for (const cJSON *list = references->child; list; list = list->next, image++) {
        for (int j = 0; j < cJSON_GetArraySize(list); j++) {
            texts.references[image * per_image + j] = item_text(list, j);
        }
    }
    texts.batch = (XvCiderBatch){.sentences = texts.sentences,
                                 .n = n,
                                 .image_of = texts.image_of,
                                 .references = texts.references,
                                 .n_images = n_images,
                                 .per_image = per_image};
    return texts;
}

static void texts_free(Texts *texts)
{
    free(texts->sentences);
    free(texts->references);
    free(texts->image_of);
}

static cJSON *read_json(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    cJSON *json = cJSON_Parse(text);
    free(text);
    assert_non_null(json);
    return json;
}

static void write_frequencies(const char *path, const cJSON *cached)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#ref_len\t%.17g\n", golden_number(cached, "ref_len"));
    for (const cJSON *row = golden_get(cached, "document_frequency")->child; row; row = row->next) {
        const cJSON *words = golden_get(row, "ngram");
        for (int i = 0; i < cJSON_GetArraySize(words); i++) {
            fprintf(file, "%s%s", i ? " " : "", item_text(words, i));
        }
        fprintf(file, "\t%g\n", golden_number(row, "df"));
    }
    fclose(file);
}

static void test_recorded_case(void **state)
{
    (void)state;
    cJSON *json = read_json("tests/data/metrics/ciderd.json");
    const cJSON *hypotheses = golden_get(json, "hypotheses");
    int64_t n = cJSON_GetArraySize(hypotheses);
    Texts texts = texts_new(n, golden_get(json, "images"));
    int i = 0;
    for (const cJSON *item = hypotheses->child; item; item = item->next, i++) {
        texts.sentences[i] = golden_string(item, "text");
        texts.image_of[i] = golden_int(item, "image");
        char *wrapped = xv_cider_wrapped(texts.sentences[i]);
        assert_string_equal(wrapped, item_text(golden_get(json, "wrapped_hypotheses"), i));
        free(wrapped);
    }
    double *scores = calloc((size_t)n, sizeof *scores);
    XvError error = {{0}};
    XvNgramTable *table = xv_ngram_table_new();
    assert_true(xv_cider_rewards(table, &texts.batch, scores, &error));
    check_scores(scores, golden_get(golden_get(json, "corpus_mode"), "scores"));

    char *folder = golden_folder(), path[256];
    snprintf(path, sizeof path, "%s/df.tsv", folder);
    write_frequencies(path, golden_get(json, "cached_mode"));
    assert_true(xv_ngram_table_read(table, path, &error));
    int32_t known = xv_ngram_count(table);
    for (int round = 0; round < 3; round++) {
        assert_true(xv_cider_rewards(table, &texts.batch, scores, &error));
        check_scores(scores, golden_get(golden_get(json, "cached_mode"), "scores"));
        assert_int_equal(xv_ngram_count(table), known);  // nothing of a batch stays
    }
    xv_ngram_table_free(table);
    golden_remove(folder);
    free(folder);
    free(scores);
    texts_free(&texts);
    cJSON_Delete(json);
}

// Rewards and loss of the official criterion.
static void test_rewards(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/metrics/scst_reward.jsonl");
    XvError error = {{0}};
    XvNgramTable *cached = xv_ngram_table_new(), *corpus = xv_ngram_table_new();
    assert_true(xv_ngram_table_read(cached, "tests/data/metrics/scst_document_frequency.tsv", &error));
    assert_true(xv_ngram_documents(cached) == 400);
    for (int l = 0; l < lines.count; l++) {
        const cJSON *row = lines.items[l], *sample = golden_get(row, "sample"),
                    *greedy = golden_get(row, "greedy");
        int images = cJSON_GetArraySize(golden_get(row, "gt")), n_samples = cJSON_GetArraySize(sample);
        int n = cJSON_GetArraySize(golden_get(row, "ciderd"));
        Texts texts = texts_new(n, golden_get(row, "gt"));
        for (int i = 0; i < n; i++) {
            texts.sentences[i] = i < n_samples ? item_text(sample, i) : item_text(greedy, i - n_samples);
            texts.image_of[i] = i < n_samples ? i / (n_samples / images) : i - n_samples;
        }
        double *scores = calloc((size_t)n, sizeof *scores);
        bool is_cached = strcmp(golden_string(row, "df"), "cached") == 0;
        assert_true(xv_cider_rewards(is_cached ? cached : corpus, &texts.batch, scores, &error));
        check_scores(scores, golden_get(row, "ciderd"));
        free(scores);
        texts_free(&texts);
    }
    xv_ngram_table_free(cached);
    xv_ngram_table_free(corpus);
    golden_lines_free(&lines);
}

// The check values of the facts: given frequencies, two images.
static void test_check_values(void **state)
{
    (void)state;
    char *folder = golden_folder(), path[256];
    snprintf(path, sizeof path, "%s/df.tsv", folder);
    golden_write(
        path, "#ref_len\t3\na\t3\ndog\t1\ncat\t1\nruns\t2\n<eos>\t3\na dog\t1\ndog runs\t1\nruns <eos>\t2\n");
    XvError error = {{0}};
    XvNgramTable *table = xv_ngram_table_new();
    assert_true(xv_ngram_table_read(table, path, &error));
    const char *sentences[] = {"a dog runs", " a dog runs. "},
               *references[] = {"a dog runs", "a dog runs fast", "a cat", "the cat sits"};
    int64_t image_of[] = {0, 1};
    XvCiderBatch batch = {.sentences = sentences,
                          .n = 2,
                          .image_of = image_of,
                          .references = references,
                          .n_images = 2,
                          .per_image = 2};
    double scores[2];
    assert_true(xv_cider_rewards(table, &batch, scores, &error));
    assert_true(fabs(scores[0] - 7.2457689) < 1e-7);
    assert_true(scores[1] == 0);
    xv_ngram_table_free(table);
    golden_remove(folder);
    free(folder);
}

static void test_broken_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {{"", "is empty"},
                 {"a dog\t3\n", ":1: the first line"},
                 {"#ref_len\t0\n", ":1: the first line"},
                 {"#ref_len\t5\na dog\n", ":2: there is no tab"},
                 {"#ref_len\t5\na\t1\na dog\tmany\n", ":3: what follows"},
                 {"#ref_len\t5\na\t-1\n", ":2: what follows"}};
    char *folder = golden_folder(), path[256];
    snprintf(path, sizeof path, "%s/df.tsv", folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        XvError error = {{0}};
        XvNgramTable *table = xv_ngram_table_new();
        golden_write(path, cases[i].text);
        assert_false(xv_ngram_table_read(table, path, &error));
        assert_non_null(strstr(error.text, cases[i].message));
        xv_ngram_table_free(table);
    }
    XvError error = {{0}};
    XvNgramTable *table = xv_ngram_table_new();
    assert_false(xv_ngram_table_read(table, "tests/data/nothing.tsv", &error));
    xv_ngram_table_free(table);
    golden_remove(folder);
    free(folder);
}

// Pickles of the official layout (protocol 0, words as Python 2 keeps them), and pickles of another.
static void test_pickles(void **state)
{
    (void)state;
    static const char good[] =
        "(dp0\nS'ref_len'\np1\nF7.0\nsS'document_frequency'\np2\n(dp3\n(S'a'\nS'dog'\ntp4\nF3.0\n"
        "s(S'a'\ntp5\nF5.0\nss.";
    static const char *const bad[] = {
        "(dp0\nS'ref_len'\nF7.0\ns.", "(lp0\n.",
        "(dp0\nS'ref_len'\nF7.0\nsS'document_frequency'\n(dp3\nS'a'\nF3.0\nss."};
    char *folder = golden_folder(), path[256];
    snprintf(path, sizeof path, "%s/words.p", folder);
    golden_write(path, good);
    XvError error = {{0}};
    XvNgramTable *table = xv_ngram_table_new();
    XvNgrams ngrams;
    assert_true(xv_ngram_table_open(table, path, &error));
    assert_true(xv_ngram_documents(table) == 7);
    assert_int_equal(xv_ngram_count(table), 2);
    assert_true(xv_ngrams_of(table, "a  dog\t", &ngrams));
    assert_int_equal(ngrams.n_items, 3);
    assert_true(xv_ngram_frequency(table, ngrams.items[0].id) == 3);  // "a dog"
    assert_true(xv_ngram_frequency(table, ngrams.items[1].id) == 5);
    assert_true(xv_ngram_frequency(table, ngrams.items[2].id) == 0);
    xv_ngrams_free(&ngrams);
    xv_ngram_table_free(table);
    for (int i = 0; i < 3; i++) {
        table = xv_ngram_table_new();
        golden_write(path, bad[i]);
        assert_false(xv_ngram_table_open(table, path, &error));
        assert_non_null(strstr(error.text, "words.p"));
        xv_ngram_table_free(table);
    }
    golden_remove(folder);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_case), cmocka_unit_test(test_rewards),
        cmocka_unit_test(test_check_values),  cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_pickles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
