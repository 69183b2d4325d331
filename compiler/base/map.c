// Pointer-keyed hash map; see map.h.
#include "compiler/base/map.h"

#include "compiler/base/vec.h"

#include <stdint.h>

Map *map_new(Arena *arena)
{
    Map *map = arena_alloc(arena, sizeof *map);
    map->arena = arena;
    return map;
}

static uint64_t mixed(const void *key)
{
    uint64_t z = (uint64_t)(uintptr_t)key;
    z = (z ^ (z >> 31)) * 0xBF58476D1CE4E5B9u;
    return z ^ (z >> 29);
}

static int *slot_of(const Map *map, const void *key)
{
    int i = (int)(mixed(key) & (uint64_t)(map->n_slots - 1));
    while (map->slots[i] && map->entries[map->slots[i] - 1].key != key) {
        i = (i + 1) & (map->n_slots - 1);
    }
    return &map->slots[i];
}

static void rehash(Map *map)
{
    map->n_slots = map->n_slots ? 2 * map->n_slots : 16;
    map->slots = arena_alloc(map->arena, (size_t)map->n_slots * sizeof *map->slots);
    for (int i = 0; i < map->n_entries; i++) {
        *slot_of(map, map->entries[i].key) = i + 1;
    }
}

bool map_has(const Map *map, const void *key)
{
    return map->n_slots > 0 && *slot_of(map, key) != 0;
}

void *map_get(const Map *map, const void *key)
{
    return map_has(map, key) ? map->entries[*slot_of(map, key) - 1].value : NULL;
}

void map_set(Map *map, const void *key, void *value)
{
    if (2 * (map->n_entries + 1) > map->n_slots) {
        rehash(map);
    }
    int *slot = slot_of(map, key);
    if (*slot) {
        map->entries[*slot - 1].value = value;
        return;
    }
    MapEntry entry = {key, value};
    VEC_PUSH(map->arena, map->entries, map->n_entries, map->entry_capacity, entry);
    *slot = map->n_entries;
}
