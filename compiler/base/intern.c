// A growing open-addressing table of strings; see intern.h.
#include "compiler/base/intern.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct Slot {
    Sym text;
    size_t length;
    uint64_t hash;
} Slot;

struct Interner {
    Arena *arena;
    Slot *slots;
    size_t capacity, used;
};

Interner *interner_new(Arena *arena)
{
    Interner *interner = arena_alloc(arena, sizeof *interner);
    interner->arena = arena;
    interner->capacity = 1024;
    interner->slots = arena_alloc(arena, interner->capacity * sizeof(Slot));
    return interner;
}

static uint64_t hash_of(const char *text, size_t length)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001B3u;
    }
    return hash;
}

static Slot *find(Slot *slots, size_t capacity, const char *text, size_t length, uint64_t hash)
{
    size_t i = hash & (capacity - 1);
    while (slots[i].text) {
        if (slots[i].hash == hash && slots[i].length == length && memcmp(slots[i].text, text, length) == 0) {
            break;
        }
        i = (i + 1) & (capacity - 1);
    }
    return &slots[i];
}

static void grow(Interner *interner)
{
    size_t capacity = 2 * interner->capacity;
    Slot *slots = arena_alloc(interner->arena, capacity * sizeof(Slot));
    for (size_t i = 0; i < interner->capacity; i++) {
        const Slot *old = &interner->slots[i];
        if (old->text) {
            *find(slots, capacity, old->text, old->length, old->hash) = *old;
        }
    }
    interner->slots = slots;
    interner->capacity = capacity;
}

Sym intern_length(Interner *interner, const char *text, size_t length)
{
    if (2 * interner->used >= interner->capacity) {
        grow(interner);
    }
    uint64_t hash = hash_of(text, length);
    Slot *slot = find(interner->slots, interner->capacity, text, length, hash);
    if (!slot->text) {
        *slot = (Slot){arena_copy(interner->arena, text, length), length, hash};
        interner->used++;
    }
    return slot->text;
}

Sym intern(Interner *interner, const char *text)
{
    return intern_length(interner, text, strlen(text));
}

Sym intern_format(Interner *interner, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length < (int)sizeof text) {
        return intern_length(interner, text, (size_t)length);
    }
    char *longer = arena_alloc(interner->arena, (size_t)length + 1);
    va_start(args, format);
    vsnprintf(longer, (size_t)length + 1, format, args);
    va_end(args);
    return intern_length(interner, longer, (size_t)length);
}
