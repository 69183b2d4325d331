// Sources, spans and messages with carets.
//
//     models/x.dsl:12:9: error: matmul needs equal inner dimensions, got 768 and 512
//         y = x @ w
//             ^~~~~
//     models/x.dsl:3:5: note: w was declared here
//
// Nothing here exits: a phase reports what it finds and ends by returning false. After 20 errors the rest is counted
// but not printed.
#pragma once

#include "compiler/base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// One text, kept for the whole run.
typedef struct Source {
    const char *name;  // as messages show it
    const char *text;  // zero-terminated, may contain zero bytes before `length`
    size_t length;
} Source;

// Part of a source: bytes begin..end-1. A span without source ({0}) stands for "no place".
typedef struct Span {
    const Source *source;
    uint32_t begin, end;
} Span;

typedef struct Diag {
    FILE *stream;  // where messages go (stderr)
    int n_errors, n_warnings;
} Diag;

enum { DIAG_MAX_ERRORS = 20 };

void diag_error(Diag *diag, Span span, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_warning(Diag *diag, Span span, const char *format, ...) __attribute__((format(printf, 3, 4)));
// Belongs to the message before it and is dropped with it.
void diag_note(Diag *diag, Span span, const char *format, ...) __attribute__((format(printf, 3, 4)));
// "12 errors" at the end of a run, if some were not printed.
void diag_finish(Diag *diag);

// From the first byte of a to the last of b.
Span span_join(Span a, Span b);
int span_line(Span span);    // of its first byte, from 1; 0 without source
int span_column(Span span);  // in code points, from 1
// "models/swin.dsl:93", or "built in" without source.
const char *diag_place(Arena *arena, Span span);
// The text of the span's first line, trimmed.
const char *diag_source_line(Arena *arena, Span span);

// The candidate nearest to `name` if at most 2 edits away (1 for names shorter than 4), else NULL.
const char *diag_nearest(const char *name, const char *const *candidates, int n_candidates);

// Broken invariant of the compiler itself: prints file and line of the check and aborts.
_Noreturn void diag_bug(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define XV_BUG(...) diag_bug(__FILE__, __LINE__, __VA_ARGS__)
#define XV_ASSERT(condition)                        \
    do {                                            \
        if (!(condition)) {                         \
            XV_BUG("%s does not hold", #condition); \
        }                                           \
    } while (0)
