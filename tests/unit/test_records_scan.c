// Finding the records of arrays and lines, in pieces of any size; arrays that are broken.
#include "data_golden.h"

#include "runtime/data/records.h"
#include "runtime/data/records_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Found {
    int64_t starts[16];
    int count, blanks;
} Found;

static bool on_record(void *context, int64_t start)
{
    Found *found = context;
    found->starts[found->count++] = start;
    return found->count < 16;
}

static bool on_blank(void *context)
{
    ((Found *)context)->blanks++;
    return true;
}

// The fault, or NULL; the text is handed over in pieces of `step` bytes.
static const char *scan(const char *text, size_t step, Found *found, XvRecordScan *out)
{
    *found = (Found){.count = 0};
    XvRecordScan state = xv_record_scan(found, on_record, on_blank);
    size_t length = strlen(text);
    bool ok = true;
    for (size_t at = 0; at < length && ok; at += step) {
        ok = xv_record_scan_bytes(&state, text + at, length - at < step ? length - at : step);
    }
    ok = ok && xv_record_scan_end(&state);
    *out = state;
    assert_true(ok == (state.fault == NULL));
    return state.fault;
}

static void test_array(void **state)
{
    (void)state;
    const char *text =
        " \n[{\"a\": \"]},{\\\"[\"},\n  {\"b\": [1, {\"c\": []}]} ,\"text\\\\\", 12 , [[]]\n]\n";
    const char *records[] = {"{\"a\": \"]},{\\\"[\"}", "{\"b\": [1, {\"c\": []}]}", "\"text\\\\\"", "12",
                             "[[]]"};
    for (size_t step = 1; step < 80; step += 3) {
        Found found;
        XvRecordScan end;
        assert_null(scan(text, step, &found, &end));
        assert_true(xv_record_scan_is_array(&end));
        assert_int_equal(found.count, 5);
        for (int i = 0; i < 5; i++) {
            size_t start = (size_t)found.starts[i];
            size_t next = i < 4 ? (size_t)found.starts[i + 1] : strlen(text);
            size_t length = xv_record_length(text + start, next - start, true);
            assert_int_equal(length, strlen(records[i]));
            assert_memory_equal(text + start, records[i], length);
        }
    }
}

static void test_empty(void **state)
{
    (void)state;
    const char *texts[] = {"", " \n ", "[]", " [ ] \n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        Found found;
        XvRecordScan end;
        assert_null(scan(texts[i], 1, &found, &end));
        assert_int_equal(found.count, 0);
    }
}

static void test_faults(void **state)
{
    (void)state;
    const struct {
        const char *text, *fault;
        int64_t line, column;
    } cases[] = {
        {"[{}, {}", "cut off", 1, 8},
        {"[{},\n{\"a\": \"b", "cut off", 2, 9},
        {"[{},\n ]", "record is expected", 2, 2},
        {"[,{}]", "record is expected", 1, 2},
        {"[{} {}]", "',' or ']'", 1, 5},
        {"[{}}]", "more brackets", 1, 4},
        {"[{}]\n{}", "follows the end", 2, 1},
        {"[1 \"a\"]", "',' or ']'", 1, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 1; step < 20; step += 18) {
            Found found;
            XvRecordScan end;
            const char *fault = scan(cases[i].text, step, &found, &end);
            assert_non_null(fault);
            assert_non_null(strstr(fault, cases[i].fault));
            assert_int_equal(end.line, cases[i].line);
            assert_int_equal(end.offset - end.line_start + 1, cases[i].column);
        }
    }
}

// Through the files: places, and the message of a file that was cut off.
static void test_files(void **state)
{
    (void)state;
    char *folder = golden_folder();
    char path[4096], lines[4096];
    snprintf(path, sizeof path, "%s/array.json", folder);
    snprintf(lines, sizeof lines, "%s/lines.jsonl", folder);
    golden_write(path, "[{\"n\": 1}, {\"n\": 2},\n\n   {\"n\": 3}]");
    golden_write(lines, "{\"n\": 4}\n\n{\"n\": 5}\n");
    const char *paths[] = {path, lines};
    XvError error = {""};
    XvRecordFiles *files = xv_records_open(paths, 2, &error);
    assert_non_null(files);
    assert_int_equal(xv_records_count(files), 5);
    const int64_t places[5][2] = {{1, 2}, {1, 12}, {3, 4}, {1, 1}, {3, 1}};
    XvBytes text = {0};
    for (int i = 0; i < 5; i++) {
        char expected[16];
        snprintf(expected, sizeof expected, "{\"n\": %d}", i + 1);
        assert_true(xv_records_read(files, i, &text, &error));
        assert_string_equal((char *)text.data, expected);
        XvRecordPlace place = xv_records_place(files, i);
        assert_string_equal(place.path, i < 3 ? path : lines);
        assert_int_equal(place.line, places[i][0]);
        assert_int_equal(place.column, places[i][1]);
    }
    xv_bytes_free(&text);
    xv_records_close(files);

    golden_write(path, "[{\"n\": 1},\n{\"n\": 2}");
    assert_null(xv_records_open(paths, 2, &error));
    assert_non_null(strstr(error.text, "array.json:2:9: the array is not closed"));
    golden_remove(folder);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_array),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
