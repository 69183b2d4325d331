// Record files: the index of lines, places, folders; and the corners of JSON that the official loaders
// accept.
#include "data_golden.h"

#include "runtime/data/json_line.h"
#include "runtime/data/order.h"
#include "runtime/data/record.h"
#include "runtime/data/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Fixture {
    char *folder;
    char path[4096];
} Fixture;

static int make_folder(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);
    fixture->folder = golden_folder();
    *state = fixture;
    return 0;
}

static int remove_folder(void **state)
{
    Fixture *fixture = *state;
    golden_remove(fixture->folder);
    free(fixture->folder);
    free(fixture);
    return 0;
}

static const char *in_folder(Fixture *fixture, const char *name)
{
    snprintf(fixture->path, sizeof fixture->path, "%s/%s", fixture->folder, name);
    return fixture->path;
}

static void write_file(Fixture *fixture, const char *name, const char *text)
{
    golden_write(in_folder(fixture, name), text);
}

static void assert_record(const XvRecordFiles *files, int64_t record, const char *text, int64_t line_number)
{
    XvBytes line = {0};
    XvError error;
    assert_true(xv_records_read(files, record, &line, &error));
    assert_string_equal((char *)line.data, text);
    assert_int_equal(line.count, strlen(text));
    assert_int_equal(xv_records_place(files, record).line, line_number);
    xv_bytes_free(&line);
}

static void test_lines(void **state)
{
    Fixture *fixture = *state;
    XvError error;
    write_file(fixture, "lines.jsonl", "\n{1}\n\n \t\r\n  {2}\n{3}\r\n\n{4}");
    const char *paths[] = {fixture->path};
    XvRecordFiles *files = xv_records_open(paths, 1, &error);
    assert_non_null(files);
    assert_int_equal(xv_records_count(files), 4);
    assert_record(files, 0, "{1}", 2);
    assert_record(files, 1, "  {2}", 5);
    assert_record(files, 2, "{3}\r", 6);
    assert_record(files, 3, "{4}", 8);
    xv_records_close(files);
}

static void test_folder(void **state)
{
    Fixture *fixture = *state;
    XvError error;
    write_file(fixture, "set/part-b", "b1\nb2\n");
    write_file(fixture, "set/part-a", "a1\n");
    write_file(fixture, "set/part-c", "");
    write_file(fixture, "set/_SUCCESS", "x\n");
    write_file(fixture, "set/.hidden", "x\n");
    write_file(fixture, "set/sub/deeper", "x\n");
    write_file(fixture, "single", "s1\ns2");
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/set", fixture->folder);
    const char *paths[] = {in_folder(fixture, "single"), folder};
    XvRecordFiles *files = xv_records_open(paths, 2, &error);
    assert_non_null(files);
    const char *const texts[] = {"s1", "s2", "a1", "b1", "b2"};
    const int lines[] = {1, 2, 1, 1, 2};
    assert_int_equal(xv_records_count(files), 5);
    for (int i = 0; i < 5; i++) {
        assert_record(files, i, texts[i], lines[i]);
    }
    assert_non_null(strstr(xv_records_place(files, 4).path, "set/part-b"));
    xv_records_close(files);
}

// Lines longer than the chunks that the index is read in, and line ends on their borders.
static void test_long_lines(void **state)
{
    Fixture *fixture = *state;
    XvError error;
    const size_t lengths[] = {(1 << 20) - 1, 3, (1 << 20), 1, (1 << 21) + 5, (1 << 20) - 10};
    enum { N = sizeof lengths / sizeof *lengths };
    char *text = malloc(6 << 20), *at = text;
    for (int i = 0; i < N; i++) {
        memset(at, 'a' + i, lengths[i]);
        at += lengths[i];
        *at++ = '\n';
    }
    *at = '\0';
    write_file(fixture, "long", text);
    const char *paths[] = {fixture->path};
    XvRecordFiles *files = xv_records_open(paths, 1, &error);
    assert_non_null(files);
    assert_int_equal(xv_records_count(files), N);
    XvBytes line = {0};
    for (int i = 0; i < N; i++) {
        assert_true(xv_records_read(files, i, &line, &error));
        assert_int_equal(line.count, lengths[i]);
        assert_int_equal(line.data[0], 'a' + i);
        assert_int_equal(line.data[lengths[i] - 1], 'a' + i);
    }
    xv_bytes_free(&line);
    xv_records_close(files);
    free(text);
}

static void test_missing(void **state)
{
    Fixture *fixture = *state;
    XvError error;
    const char *paths[] = {in_folder(fixture, "not there.jsonl")};
    assert_null(xv_records_open(paths, 1, &error));
    assert_non_null(strstr(error.text, "not there.jsonl"));
    assert_null(xv_records_open(paths, 0, &error));
    write_file(fixture, "blank", "\n\n  \n");
    assert_null(xv_records_open(paths, 1, &error));
    assert_non_null(strstr(error.text, "empty"));
}

static char *parse_caption(const char *json)
{
    char *line = strdup(json);
    XvError error = {""};
    cJSON *tree = xv_json_parse_line(line, strlen(line), &error);
    char *caption = NULL;
    if (tree) {
        caption = strdup(golden_string(tree, "caption"));
    } else {
        assert_true(error.text[0]);
    }
    cJSON_Delete(tree);
    free(line);
    return caption;
}

static void test_json(void **state)
{
    (void)state;
    const struct {
        const char *json, *caption;  // NULL: refused
    } cases[] = {
        {"{\"caption\": \"a\\u00e9b\"}", "aéb"},
        {"{\"caption\": \"\\ud83d\\ude00\"}", "😀"},
        {"{\"caption\": \"lone \\ud800 x\"}", "lone \xED\xA0\x80 x"},
        {"{\"caption\": \"lone \\uD800\\u0041\"}", "lone \xED\xA0\x80"
                                                   "A"},
        {"{\"caption\": \"low \\udc00\"}", "low \xED\xB0\x80"},
        {"{\"caption\": \"nul \\u0000 x\"}", "nul \xC0\x80 x"},
        {"{\"caption\": \"no escape \\\\u0000\"}", "no escape \\u0000"},
        {"{\"caption\": 1, \"caption\": \"last\"}", "last"},
        {"  {\"caption\": \"a\\/b\"}  ", "a/b"},
        {"{\"caption\": \"bad \\x escape\"}", NULL},
        {"{\"caption\": \"trailing\"} x", NULL},
        {"{\"caption\": \"two\"}{\"caption\": \"two\"}", NULL},
        {"{\"caption\": \"open", NULL},
        {"{\"caption\": \"\\u12\"}", NULL},
        {"{\"caption\": \"\xC3(\"}", NULL},
        {"{'caption': 1}", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *caption = parse_caption(cases[i].json);
        if (cases[i].caption) {
            assert_non_null(caption);
            assert_string_equal(caption, cases[i].caption);
        } else {
            assert_null(caption);
        }
        free(caption);
    }
}

static bool parse(const char *json, XvRecord *record, XvError *error)
{
    char *line = strdup(json);
    XvRecordKeys keys = {"binary", "caption"};
    bool ok = xv_record_parse(line, strlen(line), &keys, record, error);
    free(line);
    return ok;
}

static void test_record(void **state)
{
    (void)state;
    XvRecord record;
    XvError error;
    assert_true(parse("{\"binary\": \"b\", \"caption\": [\"one\", 2, \"three\"], \"elems\": ["
                      "{\"bb\": [1.9, -0.5, 3, 4], \"caption\": \"c\", \"attributes\": [\"r\", \"s\"]},"
                      "{\"bb\": [1, 2, 3], \"caption\": 7}, 5]}",
                      &record, &error));
    assert_string_equal(record.image, "b");
    assert_int_equal(record.captions.count, 3);
    assert_string_equal(record.captions.items[2], "three");
    assert_null(record.captions.items[1]);
    assert_int_equal(record.n_elements, 3);
    assert_true(record.elements[0].has_box);
    assert_int_equal(record.elements[0].box[0], 1);  // numbers are truncated
    assert_int_equal(record.elements[0].box[1], 0);
    assert_string_equal(record.elements[0].captions.items[0], "c");
    assert_string_equal(record.elements[0].attributes.items[1], "s");
    assert_false(record.elements[1].has_box);
    assert_true(record.elements[1].captions.is_present && record.elements[1].captions.count == 0);
    assert_false(record.elements[2].has_box || record.elements[2].captions.is_present);
    xv_record_free(&record);

    assert_false(parse("{\"caption\": \"x\"}", &record, &error));
    assert_non_null(strstr(error.text, "\"binary\""));
    assert_false(parse("[1]", &record, &error));
    assert_false(parse("{\"binary\": \"b\", \"elems\": {}}", &record, &error));
}

static void test_permutation(void **state)
{
    (void)state;
    const int64_t counts[] = {1, 2, 3, 10, 16, 17, 1000, 4097};
    uint8_t *seen = malloc(5000);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (uint64_t key = 0; key < 3; key++) {
            memset(seen, 0, 5000);
            for (int64_t at = 0; at < counts[i]; at++) {
                int64_t value = xv_permute(key, counts[i], at);
                assert_in_range(value, 0, counts[i] - 1);
                assert_int_equal(seen[value]++, 0);
            }
        }
    }
    int first[10] = {0}, fixed = 0;  // every value can come first, and few stay where they are
    for (uint64_t key = 0; key < 1000; key++) {
        first[xv_permute(key, 10, 0)]++;
        fixed += xv_permute(key, 1000, 500) == 500;
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(first[i], 50, 150);
    }
    assert_in_range(fixed, 0, 8);
    free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_folder, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_long_lines, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_missing, make_folder, remove_folder),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
