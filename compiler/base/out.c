// Growing text with indentation, and files written only when they change; see out.h.
#include "compiler/base/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct Out {
    Arena *arena;
    char *text;
    size_t length, capacity;
    int depth;
};

Out *out_new(Arena *arena)
{
    Out *out = arena_alloc(arena, sizeof *out);
    out->arena = arena;
    out->capacity = 1024;
    out->text = arena_alloc(arena, out->capacity);
    return out;
}

static void reserve(Out *out, size_t more)
{
    if (out->length + more + 1 <= out->capacity) {
        return;
    }
    size_t capacity = out->capacity;
    while (out->length + more + 1 > capacity) {
        capacity *= 2;
    }
    char *grown = arena_alloc(out->arena, capacity);
    memcpy(grown, out->text, out->length + 1);
    out->text = grown;
    out->capacity = capacity;
}

static void append(Out *out, const char *text, size_t length)
{
    reserve(out, length);
    memcpy(out->text + out->length, text, length);
    out->length += length;
    out->text[out->length] = 0;
}

static void append_format(Out *out, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    reserve(out, (size_t)length);
    vsnprintf(out->text + out->length, (size_t)length + 1, format, again);
    va_end(again);
    out->length += (size_t)length;
}

static void indent(Out *out)
{
    for (int i = 0; i < out->depth; i++) {
        append(out, "    ", 4);
    }
}

static void line_of(Out *out, const char *format, va_list args, const char *end)
{
    size_t start = out->length;
    indent(out);
    size_t text = out->length;
    append_format(out, format, args);
    bool is_empty = out->length == text;
    if (is_empty && !*end) {
        out->length = start;
    }
    if (!is_empty && *end) {
        append(out, " ", 1);
    }
    append(out, end, strlen(end));
    append(out, "\n", 1);
}

void out_line(Out *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line_of(out, format, args, "");
    va_end(args);
}

void out_open(Out *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line_of(out, format, args, "{");
    va_end(args);
    out->depth++;
}

void out_close(Out *out, const char *format, ...)
{
    out->depth--;
    indent(out);
    append(out, "}", 1);
    va_list args;
    va_start(args, format);
    append_format(out, format, args);
    va_end(args);
    append(out, "\n", 1);
}

void out_raw(Out *out, const char *text)
{
    append(out, text, strlen(text));
}

const char *out_text(const Out *out)
{
    return out->text;
}

static bool is_same(const Out *out, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        return false;
    }
    char buffer[65536];
    size_t at = 0;
    bool same = true;
    size_t got;
    while (same && (got = fread(buffer, 1, sizeof buffer, file)) > 0) {
        same = at + got <= out->length && memcmp(buffer, out->text + at, got) == 0;
        at += got;
    }
    same = same && at == out->length && !ferror(file);
    fclose(file);
    return same;
}

static bool fail(const char *path)
{
    fprintf(stderr, "%s: cannot be written: %s\n", path, strerror(errno));
    return false;
}

bool out_save(const Out *out, const char *path)
{
    if (is_same(out, path)) {
        return true;
    }
    char *temporary = arena_format(out->arena, "%s.%ld.tmp", path, (long)getpid());
    FILE *file = fopen(temporary, "wb");
    if (!file) {
        return fail(path);
    }
    bool is_written = fwrite(out->text, 1, out->length, file) == out->length;
    is_written = fclose(file) == 0 && is_written;
    if (!is_written || rename(temporary, path) != 0) {
        bool result = fail(path);
        unlink(temporary);
        return result;
    }
    return true;
}
