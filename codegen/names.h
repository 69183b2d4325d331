// C names of the values of one graph: unique, from module paths and variable names, stable under unrelated edits.
#pragma once

#include "compiler/task.h"

typedef struct ValueNames {
    const char **name;  // one per node; NULL for nodes without storage in the arena
} ValueNames;

ValueNames name_values(Arena *arena, const Program *program);

// "vision_encoder.layers.0" -> "vision_encoder_layers_0"; `drop_numbers` leaves out numeric components.
const char *name_identifier(Arena *arena, const char *text, bool drop_numbers);

// The node whose storage `node` uses in the end.
NodeId storage_root(const Program *program, NodeId node);
