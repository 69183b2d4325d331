// WordPiece against the official results, and vocabularies that are no vocabularies.
#include "data_golden.h"

#include "runtime/data/wordpiece.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VOCABULARY "tests/data/vocab/bert-base-uncased-vocab.txt"

static int open_vocabulary(void **state)
{
    XvError error;
    *state = xv_vocabulary_open(VOCABULARY, &error);
    return *state ? 0 : -1;
}

static int close_vocabulary(void **state)
{
    xv_vocabulary_close(*state);
    return 0;
}

static void test_specials(void **state)
{
    XvSpecialIds ids = xv_vocabulary_specials(*state);
    assert_int_equal(xv_vocabulary_count(*state), 30522);
    assert_int_equal(ids.pad, 0);
    assert_int_equal(ids.unk, 100);
    assert_int_equal(ids.cls, 101);
    assert_int_equal(ids.sep, 102);
    assert_int_equal(ids.mask, 103);
    assert_int_equal(xv_vocabulary_find(*state, "##ing", 5), 2075);
    assert_int_equal(xv_vocabulary_find(*state, "##ingx", 5), 2075);
    assert_int_equal(xv_vocabulary_find(*state, "no such piece", 13), -1);
    assert_string_equal(xv_vocabulary_piece(*state, 2075), "##ing");
}

static void test_wordpiece(void **state)
{
    GoldenLines lines = golden_lines("tests/data/text/bert_wordpiece.jsonl");
    XvTokens tokens = {0};
    XvError error;
    int wrong = 0;
    for (int i = 0; i < lines.count; i++) {
        const char *text = golden_string(lines.items[i], "text");
        const cJSON *ids = golden_get(lines.items[i], "ids");
        tokens.count = 0;
        assert_true(xv_wordpiece(*state, text, &tokens, &error));
        bool same = tokens.count == cJSON_GetArraySize(ids);
        const cJSON *id = ids->child;
        const cJSON *piece = golden_get(lines.items[i], "tokens")->child;
        for (int k = 0; same && k < tokens.count; k++, id = id->next, piece = piece->next) {
            bool continues = strncmp(piece->valuestring, "##", 2) == 0;
            same = tokens.ids[k] == id->valueint &&
                   (tokens.is_continuation[k] == continues || strcmp(piece->valuestring, "##") == 0);
        }
        if (!same) {
            print_error("line %d: %s\n", i + 1, text);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_true(lines.count > 500);
    xv_tokens_free(&tokens);
    golden_lines_free(&lines);
}

static void test_split(void **state)
{
    XvTokens tokens = {0};
    XvError error;
    assert_true(
        xv_wordpiece_split(*state, " surf ##board nosuchpiece ##nosuchpiece [MASK]\n", &tokens, &error));
    const int32_t ids[] = {14175, 6277, 100, 100, 103};
    const uint8_t continues[] = {0, 1, 0, 1, 0};
    assert_int_equal(tokens.count, 5);
    assert_memory_equal(tokens.ids, ids, sizeof ids);
    assert_memory_equal(tokens.is_continuation, continues, sizeof continues);
    xv_tokens_free(&tokens);
}

static void test_bad_vocabularies(void **state)
{
    (void)state;
    XvError error;
    assert_null(xv_vocabulary_open("tests/data/no such file", &error));
    assert_non_null(strstr(error.text, "tests/data/no such file"));
    char *folder = golden_folder();
    char path[4096];
    snprintf(path, sizeof path, "%s/vocab.txt", folder);
    golden_write(path, "[PAD]\n[UNK]\n[CLS]\na\n");
    assert_null(xv_vocabulary_open(path, &error));
    assert_non_null(strstr(error.text, "[MASK]"));
    golden_write(path, "");
    assert_null(xv_vocabulary_open(path, &error));

    golden_write(
        path, "[PAD]\r\n[UNK]\r\n[CLS]\r\n[MASK]\r\na\r\na");  // Windows line ends; equal lines; no last end
    XvVocabulary *vocabulary = xv_vocabulary_open(path, &error);
    assert_non_null(vocabulary);
    assert_int_equal(xv_vocabulary_count(vocabulary), 6);
    assert_int_equal(xv_vocabulary_find(vocabulary, "a", 1), 5);
    assert_int_equal(xv_vocabulary_specials(vocabulary).sep, -1);
    xv_vocabulary_close(vocabulary);
    golden_remove(folder);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_specials),
        cmocka_unit_test(test_wordpiece),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_bad_vocabularies),
    };
    return cmocka_run_group_tests(tests, open_vocabulary, close_vocabulary);
}
