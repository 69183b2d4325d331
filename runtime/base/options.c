// Parsing and printing of option tables; see options.h.
#include "runtime/base/options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int xv_edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 31 };
    int row[LONGEST + 1];
    int n_a = (int)strnlen(a, LONGEST), n_b = (int)strnlen(b, LONGEST);
    for (int j = 0; j <= n_b; j++) {
        row[j] = j;
    }
    for (int i = 1; i <= n_a; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n_b; j++) {
            int replaced = diagonal + (a[i - 1] != b[j - 1]);
            int gap = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replaced < gap ? replaced : gap;
        }
    }
    return row[n_b];
}

static const XvOption *find_option(const XvOption *options, int n_options, const char *name, size_t length)
{
    for (int i = 0; i < n_options; i++) {
        if (strlen(options[i].name) == length && strncmp(options[i].name, name, length) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

static bool fail_unknown(const XvOption *options, int n_options, const char *argument, XvError *error)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(argument, "="), argument);
    const char *nearest = NULL;
    int best = 3;
    for (int i = 0; i < n_options; i++) {
        int distance = xv_edit_distance(options[i].name, name);
        if (distance < best) {
            best = distance;
            nearest = options[i].name;
        }
    }
    if (nearest) {
        return xv_fail(error, "unknown option %s; did you mean %s?", name, nearest);
    }
    return xv_fail(error, "unknown option %s", name);
}

static bool parse_integer(const XvOption *option, const char *text, XvError *error)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end || errno) {
        return xv_fail(error, "%s needs a whole number, got \"%s\"", option->name, text);
    }
    if (number < option->low || number > option->high) {
        return xv_fail(error, "%s must lie in %" PRId64 "..%" PRId64 ", got %lld", option->name, option->low,
                       option->high, number);
    }
    *(int64_t *)option->value = number;
    return true;
}

static bool parse_real(const XvOption *option, const char *text, XvError *error)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !isfinite(number)) {
        return xv_fail(error, "%s needs a number, got \"%s\"", option->name, text);
    }
    if (number < (double)option->low || number > (double)option->high) {
        return xv_fail(error, "%s must lie in %" PRId64 "..%" PRId64 ", got %s", option->name, option->low,
                       option->high, text);
    }
    *(double *)option->value = number;
    return true;
}

static bool parse_value(const XvOption *option, const char *text, XvError *error)
{
    switch (option->kind) {
    case XV_OPTION_INTEGER: return parse_integer(option, text, error);
    case XV_OPTION_REAL: return parse_real(option, text, error);
    default: *(const char **)option->value = text; return true;
    }
}

// Reads the option argv[*at], and its value, which may be the next argument.
static bool parse_one(const XvOption *option, int argc, char **argv, int *at, XvError *error)
{
    const char *equals = strchr(argv[*at], '=');
    if (option->kind == XV_OPTION_FLAG) {
        if (equals) {
            return xv_fail(error, "%s takes no value", option->name);
        }
        *(bool *)option->value = true;
        return true;
    }
    const char *text = equals ? equals + 1 : *at + 1 < argc ? argv[++*at] : NULL;
    if (!text) {
        return xv_fail(error, "%s needs a value", option->name);
    }
    return parse_value(option, text, error);
}

static bool is_operand(const char *argument)
{
    return argument[0] != '-' || argument[1] == '\0';
}

bool xv_options_parse_some(const XvOption *options, int n_options, int *argc, char **argv, XvError *error)
{
    int n_operands = 0;
    bool are_all_operands = false;
    for (int i = 1; i < *argc; i++) {
        if (are_all_operands || is_operand(argv[i])) {
            argv[++n_operands] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            are_all_operands = true;
            continue;
        }
        const XvOption *option = find_option(options, n_options, argv[i], strcspn(argv[i], "="));
        if (!option) {
            return fail_unknown(options, n_options, argv[i], error);
        }
        if (!parse_one(option, *argc, argv, &i, error)) {
            return false;
        }
    }
    *argc = n_operands + 1;
    return true;
}

bool xv_options_parse(const XvOption *options, int n_options, int argc, char **argv, XvError *error)
{
    for (int i = 1; i < argc; i++) {
        const XvOption *option = find_option(options, n_options, argv[i], strcspn(argv[i], "="));
        if (!option) {
            return fail_unknown(options, n_options, argv[i], error);
        }
        if (!parse_one(option, argc, argv, &i, error)) {
            return false;
        }
    }
    return true;
}

void xv_options_print(FILE *file, const XvOption *options, int n_options)
{
    for (int i = 0; i < n_options; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", options[i].name, options[i].argument ? options[i].argument : "");
        fprintf(file, "  %-20s %s\n", left, options[i].help);
    }
}
