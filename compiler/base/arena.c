// Bump allocation in chunks that double; see arena.h.
#include "compiler/base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CHUNK = 1 << 16, LARGEST_CHUNK = 1 << 24, ALIGNMENT = 16 };

typedef struct Chunk {
    struct Chunk *next;
    size_t size, used;  // of `bytes`
    _Alignas(ALIGNMENT) char bytes[];
} Chunk;

struct Arena {
    Chunk *chunks;  // newest first
    size_t used;
};

static void *allocated(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory) {
        fprintf(stderr, "xvlmc: out of memory (%zu bytes)\n", size);
        exit(1);
    }
    return memory;
}

Arena *arena_new(void)
{
    return allocated(sizeof(Arena));
}

void arena_free(Arena *arena)
{
    if (!arena) {
        return;
    }
    for (Chunk *chunk = arena->chunks; chunk;) {
        Chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(arena);
}

static void add_chunk(Arena *arena, size_t needed)
{
    size_t size = arena->chunks ? 2 * arena->chunks->size : FIRST_CHUNK;
    size = size > LARGEST_CHUNK ? LARGEST_CHUNK : size;
    size = size < needed ? needed : size;
    Chunk *chunk = allocated(sizeof(Chunk) + size);
    chunk->size = size;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
}

void *arena_alloc(Arena *arena, size_t size)
{
    size_t rounded = (size + ALIGNMENT) & ~(size_t)(ALIGNMENT - 1);
    if (!arena->chunks || arena->chunks->size - arena->chunks->used < rounded) {
        add_chunk(arena, rounded);
    }
    char *memory = arena->chunks->bytes + arena->chunks->used;
    arena->chunks->used += rounded;
    arena->used += rounded;
    return memory;
}

char *arena_copy(Arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);
    memcpy(copy, text, length);
    return copy;
}

char *arena_format(Arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = arena_alloc(arena, (size_t)length + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

size_t arena_used(const Arena *arena)
{
    return arena->used;
}
