// Small copies made of nothing but parameters and inputs, as the tables of relative positions that every layer gathers,
// become one kernel where they have the same shape: it runs when the first of them is needed. See fuse_internal.h.
#include "compiler/fuse_internal.h"

enum { SMALL_COPY = 1 << 18, MAX_COPIES = 32 };

// Whether no library call has to run before the value is computed.
static bool is_early(const Fusion *fusion, NodeId id)
{
    const NodeList *deps = &fusion->values[id].deps;
    for (int i = 0; i < deps->n_items; i++) {
        NodeId dep = deps->items[i];
        if (fusion->values[dep].role != ROLE_COMPUTE || !is_early(fusion, dep)) {
            return false;
        }
    }
    return true;
}

static NodeId early_copy(const Fusion *fusion, int group)
{
    const Group *g = &fusion->groups[group];
    if (g->is_gone || g->n_members != 1) {
        return NO_NODE;
    }
    NodeId id = g->members[0].node;
    const Node *node = fusion_node(fusion, id);
    bool is_copy =
        node->op == OP_TAKE && fusion->values[id].places && shape_count(&node->shape) <= SMALL_COPY;
    return is_copy && is_early(fusion, id) ? id : NO_NODE;
}

static Bridge bridge_of(const Fusion *fusion, NodeId id)
{
    return fusion->groups[fusion->values[id].group].members[fusion->member_of[id]].at;
}

static bool merge_copies(Fusion *fusion, NodeId a, NodeId b)
{
    int group_a = fusion->values[a].group, group_b = fusion->values[b].group;
    const Bridge of_a = bridge_of(fusion, a), of_b = bridge_of(fusion, b);
    return fusion->groups[group_a].n_members < MAX_COPIES &&
           shape_equal(&fusion_node(fusion, a)->shape, &fusion_node(fusion, b)->shape) &&
           group_merge(fusion, (Side){group_a, &of_a}, (Side){group_b, &of_b});
}

void fuse_early(Fusion *fusion)
{
    NodeList firsts = {.items = NULL};  // of the kernels made so far
    for (int i = 0; i < fusion->n_groups && fusion->is_fused; i++) {
        NodeId id = early_copy(fusion, i);
        bool is_merged = id == NO_NODE;
        for (int j = 0; j < firsts.n_items && !is_merged; j++) {
            is_merged = merge_copies(fusion, firsts.items[j], id);
        }
        if (!is_merged) {
            list_add(fusion, &firsts, id);
        }
    }
}
