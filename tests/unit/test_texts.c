// Texts on their way in and out: JSON as Python reads it, UTF-8, and the official cleaners.
#include "data_golden.h"

#include "runtime/data/caption.h"
#include "runtime/data/json_line.h"
#include "runtime/data/json_write.h"
#include "runtime/data/unicode.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef char *Cleaner(const char *text, int max_words, XvError *error);

static void check_cleaner(const char *path, Cleaner *clean)
{
    GoldenLines lines = golden_lines(path);
    int wrong = 0;
    for (int i = 0; i < lines.count; i++) {
        const char *text = golden_string(lines.items[i], "text");
        XvError error = {""};
        char *out = clean(text, golden_int(lines.items[i], "max_words"), &error);
        const cJSON *expected = xv_json_member(lines.items[i], "out");
        bool same = expected ? out && strcmp(out, expected->valuestring) == 0 : !out && error.text[0];
        if (!same) {
            print_error("line %d: \"%s\" gave \"%s\"\n", i + 1, text, out ? out : "(nothing)");
            wrong++;
        }
        free(out);
    }
    assert_int_equal(wrong, 0);
    assert_true(lines.count > 400);
    golden_lines_free(&lines);
}

static void test_pre_caption(void **state)
{
    (void)state;
    check_cleaner("tests/data/text/pre_caption.jsonl", xv_pre_caption);
}

static void test_pre_question(void **state)
{
    (void)state;
    check_cleaner("tests/data/text/pre_question.jsonl", xv_pre_question);
}

static void test_final_sigma(void **state)
{
    (void)state;
    struct {
        const char *text, *lower;
    } const cases[] = {
        {"ΣΑΣ", "σας"}, {"Σ", "σ"}, {"ΑΣ’ Α", "ας’ α"}, {"ΑΣ’Α", "ασ’α"}, {"Α\xCC\x81Σ", "α\xCC\x81ς"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t points[32], lower[64];
        char text[64];
        int used = 0, count = xv_utf8_decode(cases[i].text, points);
        count = xv_lower_text(points, count, lower);
        for (int k = 0; k < count; k++) {
            used += xv_utf8_encode(lower[k], text + used);
        }
        text[used] = '\0';
        assert_string_equal(text, cases[i].lower);
    }
}

static void test_utf8(void **state)
{
    (void)state;
    assert_int_equal(xv_utf8_valid("aé€😀", 10), 10);
    assert_int_equal(xv_utf8_valid("ab\xC3", 3), 2);            // cut off
    assert_int_equal(xv_utf8_valid("\xED\xA0\x80", 3), 0);      // surrogate
    assert_int_equal(xv_utf8_valid("\xC0\xAF", 2), 0);          // overlong
    assert_int_equal(xv_utf8_valid("\xF4\x90\x80\x80", 4), 0);  // above U+10FFFF
}

// Documents that Python's json module takes or refuses.
static void test_json_edges(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/text/json_edge.jsonl");
    int wrong = 0;
    for (int i = 0; i < lines.count; i++) {
        const char *document = golden_string(lines.items[i], "doc");
        XvError error = {""};
        cJSON *tree = xv_json_parse_line(document, strlen(document), &error);
        if ((tree != NULL) != cJSON_IsTrue(golden_get(lines.items[i], "ok")) || (!tree && !error.text[0])) {
            print_error("line %d: %s: %s\n", i + 1, document, tree ? "taken" : error.text);
            wrong++;
        }
        cJSON_Delete(tree);
    }
    assert_int_equal(wrong, 0);
    assert_true(lines.count > 40);
    golden_lines_free(&lines);
}

static void test_json_numbers(void **state)
{
    (void)state;
    const char line[] = "[NaN, Infinity, -Infinity, 1e400, -0, 3e0, 12.5, -4]";
    XvError error;
    cJSON *tree = xv_json_parse_line(line, strlen(line), &error);
    assert_non_null(tree);
    const double expected[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, (double)INFINITY, 0, 3, 12.5,
                               -4};
    for (int i = 0; i < 8; i++) {
        double value = cJSON_GetArrayItem(tree, i)->valuedouble;
        assert_true(isnan(expected[i]) ? isnan(value) : value == expected[i]);
    }
    cJSON_Delete(tree);
}

// Where and why; and nesting that would exhaust the stack.
static void test_json_reasons(void **state)
{
    (void)state;
    const struct {
        const char *line, *reason;
    } cases[] = {
        {"{\"a\": 1,}", "column 9: a key"},
        {"{\"a\" 1}", "column 6: a colon"},
        {"{\"a\": tru}", "column 7: a value"},
        {"[1 2]", "column 4: a comma"},
        {"{\"a\": \"b", "column 7: a text"},
        {"{\"a\": \"\t\"}", "column 8: a control"},
        {"{\"a\": \"\\x\"}", "column 8: an escape"},
        {"{} x", "column 4: something"},
        {"[-]", "column 3: a digit"},
        {"[1", "column 3: a comma"},
        {"[", "column 2: the document ends"},
        {"\"\xC3(\"", "column 2: byte 0xC3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        XvError error = {""};
        assert_null(xv_json_parse_line(cases[i].line, strlen(cases[i].line), &error));
        if (strncmp(error.text, cases[i].reason, strlen(cases[i].reason)) != 0) {
            fail_msg("%s: %s", cases[i].line, error.text);
        }
    }
    enum { DEEP = 100000 };
    char *deep = malloc(DEEP + 1);
    memset(deep, '[', DEEP);
    deep[DEEP] = '\0';
    XvError error = {""};
    assert_null(xv_json_parse_line(deep, DEEP, &error));
    assert_non_null(strstr(error.text, "inside each other"));
    free(deep);
}

static void test_invalid_utf8(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/text/invalid_utf8.jsonl");
    for (int i = 0; i < lines.count; i++) {
        const char *hex = golden_string(lines.items[i], "hex");
        char bytes[256];
        size_t length = strlen(hex) / 2;
        for (size_t k = 0; k < length; k++) {
            unsigned value;
            assert_int_equal(sscanf(hex + 2 * k, "%2x", &value), 1);
            bytes[k] = (char)value;
        }
        bytes[length] = '\0';
        bool is_valid = xv_utf8_valid(bytes, length) == length;
        assert_int_equal(is_valid, cJSON_IsTrue(golden_get(lines.items[i], "valid")));
        int32_t points[256];
        assert_true(xv_utf8_decode(bytes, points) <= (int)length);
    }
    assert_true(lines.count >= 30);
    golden_lines_free(&lines);
}

// What is written is ASCII and reads back as the same text, whatever it holds.
static void test_json_write(void **state)
{
    (void)state;
    const char *text = "\"q\" \\ \t\n\x01\x7F é€😀 \xC0\x80 \xED\xA0\x80";
    char line[256] = "";
    FILE *file = fmemopen(line, sizeof line, "w");
    xv_json_put_text(file, text);
    fclose(file);
    for (const char *c = line; *c; c++) {
        assert_true(*c >= ' ' && *c < 0x7F);
    }
    XvError error;
    cJSON *tree = xv_json_parse_line(line, strlen(line), &error);
    assert_non_null(tree);
    assert_string_equal(tree->valuestring, text);
    cJSON_Delete(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pre_caption),  cmocka_unit_test(test_pre_question),
        cmocka_unit_test(test_final_sigma),  cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_json_edges),   cmocka_unit_test(test_json_numbers),
        cmocka_unit_test(test_json_reasons), cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_json_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
