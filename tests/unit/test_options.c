// Command lines: options, operands, and messages.
#include "runtime/base/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct Values {
    const char *name;
    int64_t count;
    double share;
    bool is_fast;
} Values;

enum { N_OPTIONS = 4 };

static void list(Values *values, XvOption options[N_OPTIONS])
{
    *values = (Values){"unset", 7, 0.5, false};
    options[0] = (XvOption){"--name", "NAME", XV_OPTION_TEXT, &values->name, 0, 0, "a name"};
    options[1] = (XvOption){"--count", "N", XV_OPTION_INTEGER, &values->count, 1, 9, "a number"};
    options[2] = (XvOption){"--share", "X", XV_OPTION_REAL, &values->share, 0, 1, "a share"};
    options[3] = (XvOption){"--fast", NULL, XV_OPTION_FLAG, &values->is_fast, 0, 0, "be fast"};
}

static void test_operands(void **state)
{
    (void)state;
    Values values;
    XvOption options[N_OPTIONS];
    XvError error = {""};
    char *argv[] = {"tool", "a", "--name", "-", "-", "--count=3", "b", "--fast", "--", "--name", "c", NULL};
    int argc = 11;
    list(&values, options);
    assert_true(xv_options_parse_some(options, N_OPTIONS, &argc, argv, &error));
    assert_string_equal(values.name, "-");
    assert_int_equal(values.count, 3);
    assert_true(values.is_fast);
    const char *const operands[] = {"a", "-", "b", "--name", "c"};
    assert_int_equal(argc, 6);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(argv[1 + i], operands[i]);
    }
}

static void test_without_operands(void **state)
{
    (void)state;
    Values values;
    XvOption options[N_OPTIONS];
    XvError error = {""};
    list(&values, options);
    assert_true(xv_options_parse(options, N_OPTIONS, 3, (char *[]){"tool", "--share", "0.25"}, &error));
    assert_true(values.share == 0.25);
    assert_int_equal(values.count, 7);
    assert_false(xv_options_parse(options, N_OPTIONS, 2, (char *[]){"tool", "a"}, &error));
    assert_non_null(strstr(error.text, "unknown option a"));
}

static void test_messages(void **state)
{
    (void)state;
    static const struct {
        char *argument, *message;
    } cases[] = {{"--nmae=x", "did you mean --name?"},
                 {"--name", "needs a value"},
                 {"--count=ten", "whole number"},
                 {"--count=10", "1..9"},
                 {"--share=2", "0..1"},
                 {"--fast=yes", "takes no value"},
                 {"-x", "unknown option -x"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Values values;
        XvOption options[N_OPTIONS];
        XvError error = {""};
        int argc = 2;
        list(&values, options);
        assert_false(xv_options_parse_some(options, N_OPTIONS, &argc,
                                           (char *[]){"tool", cases[i].argument, NULL}, &error));
        if (!strstr(error.text, cases[i].message)) {
            fail_msg("%s: %s", cases[i].argument, error.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_without_operands),
        cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
