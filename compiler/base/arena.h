// Bump allocation: memory is taken in order and given back all at once. Never returns NULL (out of memory aborts
// with a message); memory is zeroed.
#pragma once

#include <stddef.h>

typedef struct Arena Arena;

Arena *arena_new(void);
void arena_free(Arena *arena);

// `size` zeroed bytes, aligned for any type; valid until arena_free. Size 0 gives a unique pointer.
void *arena_alloc(Arena *arena, size_t size);

// A copy of `length` bytes with a terminating zero behind them.
char *arena_copy(Arena *arena, const char *text, size_t length);

// printf into the arena.
char *arena_format(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Bytes handed out so far.
size_t arena_used(const Arena *arena);
