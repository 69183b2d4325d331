// Growable arrays in an arena: three fields (items, n_items, capacity) and one macro.
//
//     Node *nodes; int n_nodes, node_capacity;
//     VEC_PUSH(arena, nodes, n_nodes, node_capacity, node);
//
// Growing copies to a new block; pointers into the old one stay readable but stale.
#pragma once

#include "compiler/base/arena.h"

#include <string.h>

#define VEC_PUSH(arena, items, n_items, capacity, ...)                                 \
    do {                                                                               \
        if ((n_items) == (capacity)) {                                                 \
            (capacity) = (capacity) ? 2 * (capacity) : 8;                              \
            void *grown_ = arena_alloc((arena), (size_t)(capacity) * sizeof *(items)); \
            if ((n_items) > 0) {                                                       \
                memcpy(grown_, (items), (size_t)(n_items) * sizeof *(items));          \
            }                                                                          \
            (items) = grown_;                                                          \
        }                                                                              \
        (items)[(n_items)++] = (__VA_ARGS__);                                          \
    } while (0)
