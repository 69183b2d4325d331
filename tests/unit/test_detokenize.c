// runtime/data/detokenize.h: tokens back to text against the official results.
#include "data_golden.h"

#include "runtime/data/detokenize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

static void test_official(void **state)
{
    GoldenLines lines = golden_lines("tests/data/text/decode.jsonl");
    assert_true(lines.count > 150);
    for (int i = 0; i < lines.count; i++) {
        const cJSON *list = golden_get(lines.items[i], "ids");
        int32_t ids[512];
        int n_ids = 0;
        for (const cJSON *id = list->child; id; id = id->next) {
            ids[n_ids++] = (int32_t)id->valuedouble;
        }
        bool is_skipping = cJSON_IsTrue(golden_get(lines.items[i], "skip_special_tokens"));
        XvError error = {{0}};
        char *text = xv_detokenize(*state, ids, n_ids, !is_skipping, &error);
        assert_non_null(text);
        assert_string_equal(text, golden_string(lines.items[i], "text"));
        free(text);
    }
    golden_lines_free(&lines);
}

static void test_edges(void **state)
{
    XvError error = {{0}};
    const int32_t outside[] = {101, 30522};
    assert_null(xv_detokenize(*state, outside, 2, false, &error));
    assert_non_null(strstr(error.text, "30522"));
    char *nothing = xv_detokenize(*state, outside, 1, false, &error);
    assert_string_equal(nothing, "");
    free(nothing);
    assert_string_equal(xv_text_behind("a picture of a dog", 13), "a dog");
    assert_string_equal(xv_text_behind("\xC3\xA9t\xC3\xA9 ici", 4), "ici");
    assert_string_equal(xv_text_behind("short", 13), "");
    assert_int_equal(xv_text_characters("\xC3\xA9t\xC3\xA9"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_official), cmocka_unit_test(test_edges)};
    return cmocka_run_group_tests(tests, open_vocabulary, close_vocabulary);
}
