// C names of values; see names.h.
#include "codegen/names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const char *name_identifier(Arena *arena, const char *text, bool drop_numbers)
{
    size_t length = strlen(text);
    char *out = arena_alloc(arena, length + 2);
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        size_t end = i;
        bool is_number = true;
        while (end < length && text[end] != '.') {
            is_number &= isdigit((unsigned char)text[end]) != 0;
            end++;
        }
        if (!(drop_numbers && is_number)) {
            if (used > 0) {
                out[used++] = '_';
            }
            for (size_t j = i; j < end; j++) {
                out[used++] = isalnum((unsigned char)text[j]) ? text[j] : '_';
            }
        }
        i = end + 1;
    }
    out[used] = 0;
    return out;
}

NodeId storage_root(const Program *program, NodeId node)
{
    while (program->storage[node].same_as != NO_NODE) {
        node = program->storage[node].same_as;
    }
    return node;
}

// Open hashing over the names given so far: maps a base name to how often it occurred.
typedef struct NameCount {
    const char *base;
    int count;
} NameCount;

static int count_name(NameCount *table, size_t size, const char *base)
{
    size_t hash = 5381;
    for (const char *p = base; *p; p++) {
        hash = hash * 33 + (unsigned char)*p;
    }
    size_t slot = hash % size;
    while (table[slot].base && strcmp(table[slot].base, base) != 0) {
        slot = (slot + 1) % size;
    }
    table[slot].base = base;
    return ++table[slot].count;
}

static const char *base_name(Arena *arena, const Graph *graph, NodeId id)
{
    const Node *node = &graph->nodes[id];
    if (node->op == OP_INPUT) {
        return name_identifier(arena, graph->inputs[node->attr.index].name, false);
    }
    const char *path = node->path ? name_identifier(arena, node->path, false) : "";
    const char *last = node->name ? name_identifier(arena, node->name, false) : op_info(node->op)->name;
    size_t size = strlen(path) + strlen(last) + 2;
    char *text = arena_alloc(arena, size);
    snprintf(text, size, "%s%s%s", path, *path ? "_" : "", last);
    return text;
}

ValueNames name_values(Arena *arena, const Program *program)
{
    const Graph *graph = program->graph;
    size_t size = 2 * (size_t)graph->n_nodes + 16;
    NameCount *table = arena_alloc(arena, size * sizeof *table);
    memset(table, 0, size * sizeof *table);
    ValueNames names = {arena_alloc(arena, ((size_t)graph->n_nodes + 1) * sizeof(char *))};
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        names.name[id] = NULL;
        const Storage *storage = &program->storage[id];
        if (!storage->is_stored || storage->region != REGION_ARENA) {
            continue;
        }
        const char *base = base_name(arena, graph, id);
        int count = count_name(table, size, base);
        size_t length = strlen(base) + 16;
        char *text = arena_alloc(arena, length);
        if (count == 1) {
            snprintf(text, length, "v_%s", base);
        } else {
            snprintf(text, length, "v_%s_%d", base, count);
        }
        names.name[id] = text;
    }
    return names;
}
