// From text to syntax trees and back: the interface of the front end. Nothing here knows what names mean.
#pragma once

#include "compiler/base/diag.h"
#include "compiler/base/intern.h"
#include "compiler/base/out.h"
#include "dsl/ast.h"

// What the front end works with; all borrowed. Trees, texts and names live in the arena.
typedef struct ParseContext {
    Arena *arena;
    Interner *names;
    Diag *diag;
} ParseContext;

// A file as a source, kept as long as the arena; NULL with errno set when it cannot be read (EFBIG above 64
// MiB).
const Source *source_read(Arena *arena, const char *path);

// The path without "." and, where a folder stands before it, ".."; links are not looked at.
const char *path_normalised(Arena *arena, const char *path);

// Parses one text; imports are listed, not followed. Errors are reported and what could be understood is
// returned, never NULL: compare context->diag->n_errors.
AstFile *parse_source(const ParseContext *context, const Source *source);

// Parses the file and, once each, the files it imports, found relative to the importing file. The result is a
// list through AstFile.next in which a file stands behind the files it imports (cycles aside), so the last
// one is `path`. NULL when errors were reported.
AstFile *load_files(const ParseContext *context, const char *path);

// Prints the text in its canonical form: same tree, same comments, single blank lines kept. Formatting a
// formatted text changes nothing. False when the text has errors, which were reported; then nothing is
// printed.
bool format_source(const ParseContext *context, const Source *source, Out *out);

// The canonical text of one expression, on one line.
const char *expr_text(Arena *arena, const AstExpr *expr);
