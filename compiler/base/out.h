// A text under construction that knows its indentation. The only place that writes generated text to files.
#pragma once

#include "compiler/base/arena.h"

#include <stdbool.h>

typedef struct Out Out;

Out *out_new(Arena *arena);

// One line at the current depth. An empty text gives an empty line; a text that starts with '#' (pragmas, directives)
// is indented like any other.
void out_line(Out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The line followed by " {" (just "{" for an empty text); what follows is one level deeper.
void out_open(Out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Back one level: "}" followed by the text.
void out_close(Out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Text as it is, without indentation.
void out_raw(Out *out, const char *text);

// The whole text so far; valid until the next call.
const char *out_text(const Out *out);

// Writes the text to `path` through a temporary file in the same folder, unless the file already holds it. False
// with a message on stderr naming the file and the reason.
bool out_save(const Out *out, const char *path);
