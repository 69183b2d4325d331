// A hash map from pointers (interned names, nodes) to pointers, iterated in insertion order.
#pragma once

#include "compiler/base/arena.h"

#include <stdbool.h>

typedef struct MapEntry {
    const void *key;
    void *value;
} MapEntry;

typedef struct Map {
    Arena *arena;
    MapEntry *entries;  // in insertion order
    int n_entries, entry_capacity;
    int *slots;  // index into entries + 1, 0 for free
    int n_slots;
} Map;

Map *map_new(Arena *arena);
// NULL when the key is absent.
void *map_get(const Map *map, const void *key);
bool map_has(const Map *map, const void *key);
// Adds or replaces.
void map_set(Map *map, const void *key, void *value);
