// Messages with source lines and carets; see diag.h.
#include "compiler/base/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static size_t line_begin(Span span)
{
    size_t at = span.begin < span.source->length ? span.begin : span.source->length;
    while (at > 0 && span.source->text[at - 1] != '\n') {
        at--;
    }
    return at;
}

static size_t line_end(Span span)
{
    size_t at = span.begin < span.source->length ? span.begin : span.source->length;
    while (at < span.source->length && span.source->text[at] != '\n') {
        at++;
    }
    return at;
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xC0u) == 0x80u;
}

int span_line(Span span)
{
    if (!span.source) {
        return 0;
    }
    int line = 1;
    for (size_t i = 0; i < span.begin && i < span.source->length; i++) {
        line += span.source->text[i] == '\n';
    }
    return line;
}

int span_column(Span span)
{
    if (!span.source) {
        return 0;
    }
    int column = 1;
    for (size_t i = line_begin(span); i < span.begin && i < span.source->length; i++) {
        column += !is_continuation(span.source->text[i]);
    }
    return column;
}

Span span_join(Span a, Span b)
{
    if (!a.source || a.source != b.source) {
        return a.source ? a : b;
    }
    return (Span){a.source, a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}

const char *diag_place(Arena *arena, Span span)
{
    return span.source ? arena_format(arena, "%s:%d", span.source->name, span_line(span)) : "built in";
}

const char *diag_source_line(Arena *arena, Span span)
{
    if (!span.source) {
        return "";
    }
    size_t begin = line_begin(span);
    size_t end = line_end(span);
    while (begin < end && (span.source->text[begin] == ' ' || span.source->text[begin] == '\t')) {
        begin++;
    }
    return arena_copy(arena, span.source->text + begin, end - begin);
}

// The source line with tabs as spaces and control bytes as '?', and carets under the span's part of it.
static void print_excerpt(FILE *stream, Span span)
{
    enum { WIDEST = 400 };
    size_t begin = line_begin(span);
    size_t end = line_end(span);
    size_t first = span.begin > begin + WIDEST / 2 ? span.begin - WIDEST / 2 : begin;
    end = end > first + WIDEST ? first + WIDEST : end;
    fputs("    ", stream);
    for (size_t i = first; i < end; i++) {
        unsigned char byte = (unsigned char)span.source->text[i];
        fputc(byte == '\t' ? ' ' : byte < 32 || byte == 127 ? '?' : byte, stream);
    }
    fputs("\n    ", stream);
    for (size_t i = first; i < span.begin && i < end; i++) {
        if (!is_continuation(span.source->text[i])) {
            fputc(' ', stream);
        }
    }
    fputc('^', stream);
    for (size_t i = span.begin + 1; i < span.end && i < end; i++) {
        if (!is_continuation(span.source->text[i])) {
            fputc('~', stream);
        }
    }
    fputc('\n', stream);
}

static void print_message(Diag *diag, Span span, const char *kind, const char *format, va_list args)
{
    if (span.source) {
        fprintf(diag->stream, "%s:%d:%d: ", span.source->name, span_line(span), span_column(span));
    }
    fprintf(diag->stream, "%s: ", kind);
    vfprintf(diag->stream, format, args);
    fputc('\n', diag->stream);
    if (span.source) {
        print_excerpt(diag->stream, span);
    }
}

void diag_error(Diag *diag, Span span, const char *format, ...)
{
    if (++diag->n_errors > DIAG_MAX_ERRORS) {
        return;
    }
    va_list args;
    va_start(args, format);
    print_message(diag, span, "error", format, args);
    va_end(args);
}

void diag_warning(Diag *diag, Span span, const char *format, ...)
{
    diag->n_warnings++;
    va_list args;
    va_start(args, format);
    print_message(diag, span, "warning", format, args);
    va_end(args);
}

void diag_note(Diag *diag, Span span, const char *format, ...)
{
    if (diag->n_errors > DIAG_MAX_ERRORS) {
        return;
    }
    va_list args;
    va_start(args, format);
    print_message(diag, span, "note", format, args);
    va_end(args);
}

void diag_finish(Diag *diag)
{
    if (diag->n_errors > DIAG_MAX_ERRORS) {
        fprintf(diag->stream, "%d errors; the first %d are shown\n", diag->n_errors, (int)DIAG_MAX_ERRORS);
    }
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

// Levenshtein distance, or something above `limit`.
static int distance(const char *a, const char *b, int limit)
{
    enum { LONGEST = 64 };
    int n = (int)strlen(a);
    int m = (int)strlen(b);
    if (n > LONGEST || m > LONGEST || abs(n - m) > limit) {
        return limit + 1;
    }
    int row[LONGEST + 1];
    for (int j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (int i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[m];
}

const char *diag_nearest(const char *name, const char *const *candidates, int n_candidates)
{
    int limit = strlen(name) < 4 ? 1 : 2;
    int best = limit + 1;
    const char *nearest = NULL;
    for (int i = 0; i < n_candidates; i++) {
        int d = distance(name, candidates[i], limit);
        if (d < best && d > 0) {
            best = d;
            nearest = candidates[i];
        }
    }
    return nearest;
}

_Noreturn void diag_bug(const char *file, int line, const char *format, ...)
{
    fprintf(stderr, "%s:%d: internal error: ", file, line);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
