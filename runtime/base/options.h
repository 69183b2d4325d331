// Command line options from a table: "--name value", "--name=value" and "--flag".
//
// A command lists its options once; the same rows parse the command line and print the help.
#pragma once

#include "runtime/base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// Exit status of every command.
enum {
    XV_EXIT_OK = 0,
    XV_EXIT_FAILED = 1,  // the work could not be done: a file, a value, the machine
    XV_EXIT_USAGE = 2,   // the command line makes no sense
};

typedef enum XvOptionKind { XV_OPTION_TEXT, XV_OPTION_INTEGER, XV_OPTION_REAL, XV_OPTION_FLAG } XvOptionKind;

typedef struct XvOption {
    const char *name;      // "--train"
    const char *argument;  // what stands for the value in the help, "N"; NULL for a flag
    XvOptionKind kind;
    void *value;        // const char **, int64_t *, double * or bool *; keeps its default without the option
    int64_t low, high;  // accepted range of a number
    const char *help;
} XvOption;

// Reads argv[1..argc-1] into the values. Texts point into argv. Unknown options, missing values, values that
// are not numbers or out of range fail with a message that names the option.
bool xv_options_parse(const XvOption *options, int n_options, int argc, char **argv, XvError *error);

// The same for commands that also take operands: arguments that do not start with a dash, a lone dash, and all that
// follow "--". Afterwards argv[1..*argc-1] are the operands, in order.
bool xv_options_parse_some(const XvOption *options, int n_options, int *argc, char **argv, XvError *error);

// One aligned line per option.
void xv_options_print(FILE *file, const XvOption *options, int n_options);

// Number of single-character insertions, deletions and replacements that turn one word into the other; words
// are compared up to 31 characters. Serves "did you mean".
int xv_edit_distance(const char *a, const char *b);
