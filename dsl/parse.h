// From text to syntax trees and back: the interface of the front end. Nothing here knows what names mean.
#pragma once

#include "compiler/base/diag.h"
#include "compiler/base/intern.h"
#include "compiler/base/out.h"
#include "dsl/ast.h"

// What the front end works with; all borrowed. Trees, texts and names live in the arena.
typedef struct Dsl {
    Arena *arena;
    Interner *names;
    Diag *diag;
} Dsl;

// A text as a source. The bytes are copied; `name` is what messages show.
const Source *dsl_source(const Dsl *dsl, const char *name, const char *text, size_t length);

// The file as a source, or NULL after an error at `span` (an import, or {0}).
const Source *dsl_read(const Dsl *dsl, const char *path, Span span);

// Parses one text; imports are listed, not followed. NULL when errors were reported.
AstFile *dsl_parse(const Dsl *dsl, const Source *source);

// Parses the file and, once each, the files it imports, found relative to the importing file. The result is a list
// through AstFile.next in which a file stands behind the files it imports (cycles aside), so the last one is `path`.
// NULL when errors were reported.
AstFile *dsl_load(const Dsl *dsl, const char *path);

// Prints the text in its canonical form: same tree, same comments, single blank lines kept. Formatting a formatted
// text changes nothing. False when the text has errors, which were reported.
bool dsl_format(const Dsl *dsl, const Source *source, Out *out);

// The canonical text of one expression, on one line.
const char *dsl_expr_text(Arena *arena, const AstExpr *expr);
