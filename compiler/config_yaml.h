// YAML and JSON texts as trees with places. JSON is read as the YAML 1.2 it is, so that both have positions.
#pragma once

#include "compiler/config.h"

typedef struct ConfigNode {
    bool is_group;
    Span span;
    ConfigValue value;               // unless is_group; groups in lists are left out
    Span left_out;                   // the first such group
    const struct ConfigNode *first;  // is_group: members in order
    const struct ConfigNode *next;
    Sym key;  // of a member
    Span key_span;
} ConfigNode;

// The tree of the text from byte `begin` on, or NULL after errors. Scalars follow the YAML 1.2 core schema:
// 1e-4 is a number, `yes` is text. A key given twice in one group is an error.
const ConfigNode *config_parse(const ParseContext *context, const Source *source, uint32_t begin);
