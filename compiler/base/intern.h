// Interned names: equal text gives the same pointer, so names are compared with ==. A Sym is an ordinary C string.
#pragma once

#include "compiler/base/arena.h"

typedef const char *Sym;

typedef struct Interner Interner;

Interner *interner_new(Arena *arena);
Sym intern(Interner *interner, const char *text);
Sym intern_length(Interner *interner, const char *text, size_t length);
Sym intern_format(Interner *interner, const char *format, ...) __attribute__((format(printf, 2, 3)));
