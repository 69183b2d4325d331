// Groups of computed nodes, grown in topological order: every node starts as a group of its own and is merged with the
// groups of what it reads, then with groups that read the same values; see fuse_internal.h.
#include "compiler/fuse_internal.h"

#include "compiler/base/vec.h"

enum { MAX_CHAIN = 48, MAX_SIBLINGS = 4, SMALLEST_SHARED = 32 };

// The movement chain from an input of a member down to a value.
typedef struct Link {
    NodeId moves[MAX_CHAIN];  // from the input downwards
    int n_moves;
    NodeId base;
} Link;

static bool find_link(const Fusion *fusion, NodeId input, Link *link)
{
    link->n_moves = 0;
    NodeId id = input;
    while (fusion->values[id].role == ROLE_MOVE) {
        if (!move_is_plain(fusion->graph, id) || link->n_moves == MAX_CHAIN ||
            fusion_node(fusion, id)->op == OP_SLICE) {
            return false;
        }
        link->moves[link->n_moves++] = id;
        id = fusion_node(fusion, id)->inputs[0];
    }
    link->base = id;
    return true;
}

static const Member *member_at(const Fusion *fusion, NodeId id)
{
    return &fusion->groups[fusion->values[id].group].members[fusion->member_of[id]];
}

static const Bridge *needed_by(const Member *member)
{
    return member->is_reduction ? &member->input : &member->at;
}

// The base's elements in the domain of the group that reads it.
static bool bridge_down(Fusion *fusion, NodeId reader, const Link *link, Bridge *bridge)
{
    *bridge = *needed_by(member_at(fusion, reader));
    const Domain *domain = &fusion->groups[fusion->values[reader].group].domain;
    for (int i = 0; i < link->n_moves; i++) {
        NodeId move = link->moves[i];
        if (move_is_bijective(fusion->graph, move)) {
            *bridge = bridge_pull(fusion, move, bridge);
        } else if (!bridge_shrink(fusion, domain, move, bridge, bridge)) {
            return false;
        }
    }
    return true;
}

// The input's elements in the domain of the group that computes the base.
static bool bridge_up(Fusion *fusion, const Link *link, Bridge *bridge)
{
    *bridge = member_at(fusion, link->base)->at;
    const Domain *domain = &fusion->groups[fusion->values[link->base].group].domain;
    for (int i = link->n_moves - 1; i >= 0; i--) {
        NodeId move = link->moves[i];
        if (move_is_bijective(fusion->graph, move)) {
            *bridge = bridge_push(fusion, move, bridge);
        } else if (!bridge_expand(fusion, domain, move, bridge, bridge)) {
            return false;
        }
    }
    return true;
}

static void merge_with_base(Fusion *fusion, NodeId reader, const Link *link)
{
    int from = fusion->values[link->base].group;
    int to = fusion->values[reader].group;
    Bridge bridge;
    if (from == to) {
        return;
    }
    if (bridge_down(fusion, reader, link, &bridge)) {
        Bridge of_base = member_at(fusion, link->base)->at;
        group_merge(fusion, (Side){from, &of_base}, (Side){to, &bridge});
    } else if (bridge_up(fusion, link, &bridge)) {
        Bridge needed = *needed_by(member_at(fusion, reader));
        group_merge(fusion, (Side){from, &bridge}, (Side){to, &needed});
    }
}

static void merge_with_siblings(Fusion *fusion, NodeId reader, int input, const Link *link)
{
    NodeList *readers = &fusion->readers[link->base];
    int n_tried = 0;
    for (int i = readers->n_items - 1; i >= 0 && n_tried < MAX_SIBLINGS; i--) {
        NodeId sibling = readers->items[i] / 4;
        int group = fusion->values[sibling].group;
        Bridge mine;
        Bridge theirs;
        Link other;
        if (group == fusion->values[reader].group) {
            continue;
        }
        n_tried++;
        if (find_link(fusion, fusion_node(fusion, sibling)->inputs[readers->items[i] % 4], &other) &&
            bridge_down(fusion, sibling, &other, &theirs) && bridge_down(fusion, reader, link, &mine)) {
            group_merge(fusion, (Side){group, &theirs}, (Side){fusion->values[reader].group, &mine});
        }
    }
    list_add(fusion, readers, 4 * reader + input);
}

static bool is_shared(const Fusion *fusion, NodeId value)
{
    Role role = fusion->values[value].role;
    return role != ROLE_GENERATOR && role_is_value(role) &&
           shape_count(&fusion_node(fusion, value)->shape) >= SMALLEST_SHARED;
}

static void add_node(Fusion *fusion, NodeId id)
{
    Group single = group_single(fusion, id);
    VEC_PUSH(fusion->arena, fusion->groups, fusion->n_groups, fusion->group_capacity, single);
    fusion->values[id].group = fusion->n_groups - 1;
    fusion->member_of[id] = 0;
    const Node *node = fusion_node(fusion, id);
    OpClass class = op_info(node->op)->class;
    bool is_copy = class == CLASS_MOVE || class == CLASS_COLLECTIVE;
    Link link;
    if (fusion->beside[id] != NO_NODE) {
        return;
    }
    for (int i = 0; i < node->n_inputs && fusion->is_fused && !is_copy && !node->attr.is_late; i++) {
        if (find_link(fusion, node->inputs[i], &link) && fusion->values[link.base].role == ROLE_COMPUTE) {
            merge_with_base(fusion, id, &link);
        }
    }
    for (int i = 0; i < node->n_inputs && i < 4 && fusion->is_fused && !is_copy; i++) {
        if (find_link(fusion, node->inputs[i], &link) && is_shared(fusion, link.base)) {
            merge_with_siblings(fusion, id, i, &link);
        }
    }
}

// Into the kernel of a value of the same shape, which does not depend on it.
static void merge_beside(Fusion *fusion, NodeId id)
{
    NodeId other = fusion->beside[id];
    if (other != NO_NODE && fusion->values[other].role == ROLE_COMPUTE) {
        const Bridge of_other = member_at(fusion, other)->at, of_id = member_at(fusion, id)->at;
        group_merge(fusion, (Side){fusion->values[other].group, &of_other},
                    (Side){fusion->values[id].group, &of_id});
    }
}

void fuse_groups(Fusion *fusion)
{
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        if (fusion->values[id].role == ROLE_COMPUTE) {
            add_node(fusion, id);
        }
    }
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        if (fusion->values[id].role == ROLE_COMPUTE) {
            merge_beside(fusion, id);
        }
    }
}
