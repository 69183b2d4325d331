// One error message on its way to the user.
//
// Functions that can fail take an `XvError *` and return false (or NULL) after filling it. The message names
// the file, line or field that is wrong and what to do; callers add context by prefixing, never by replacing.
#pragma once

#include <stdarg.h>
#include <stdbool.h>

typedef struct XvError {
    char text[1024];  // empty while nothing went wrong
} XvError;

// Writes the message and returns false, so that a function can end with `return xv_fail(error, ...)`.
bool xv_fail(XvError *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Puts "context: " in front of an existing message; returns false.
bool xv_fail_in(XvError *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
