// Command line options from a table: "--name value", "--name=value" and "--flag".
//
// A tool lists its options once; the same rows parse the command line and print the help.
#pragma once

#include "runtime/base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum XvOptionKind { XV_OPTION_TEXT, XV_OPTION_INTEGER, XV_OPTION_FLAG } XvOptionKind;

typedef struct XvOption {
    const char *name;      // "--train"
    const char *argument;  // what stands for the value in the help, "N"; NULL for a flag
    XvOptionKind kind;
    void *value;           // const char **, int64_t * or bool *; keeps its default when the option is absent
    int64_t low, high;     // accepted range of an integer
    const char *help;
} XvOption;

// Reads argv[1..argc-1] into the values. Texts point into argv. Unknown options, missing values, values that
// are not integers or out of range fail with a message that names the option.
bool xv_options_parse(const XvOption *options, int n_options, int argc, char **argv, XvError *error);

// One aligned line per option.
void xv_options_print(FILE *file, const XvOption *options, int n_options);

// Number of single-character insertions, deletions and replacements that turn one word into the other; words
// are compared up to 31 characters. Serves "did you mean".
int xv_edit_distance(const char *a, const char *b);
