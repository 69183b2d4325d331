// Making two groups one; see fuse_internal.h. One of them hosts: its domain stays, and every member of the other (the
// guest) is expressed in it. That is possible when the guest has no reduction (its loops are free) or when the guest's
// lanes and reduce loops are exactly the host's.
#include "compiler/fuse_internal.h"

enum { MAX_MEMBERS = 400 };

typedef struct Merge {
    Fusion *fusion;
    int host, guest;
    const Bridge *of_host, *of_guest;  // the same elements in both
    IndexMap to_guest;                 // the guest's variables in terms of the host's
    IndexMap to_host;                  // the host's variables in terms of the guest's
    Level level;                       // what the guest's FULL members become
    Member *members;                   // the guest's members in the host's domain
} Merge;

static const IndexExpr *lane_of(const Merge *merge, const Domain *domain)
{
    return index_variable(merge->fusion->pool, INDEX_LANE, 0, domain->lanes);
}

static void find_map(Merge *merge, const Bridge *from, const Bridge *to, IndexMap *map)
{
    IndexPool *pool = merge->fusion->pool;
    IndexMap element = {.lane = NULL};
    for (int i = 0; i < from->access.rank; i++) {
        element.row[i] = from->access.at[i];
    }
    *map = (IndexMap){.lane = NULL};
    for (int i = 0; i < MAX_RANK; i++) {
        map->row[i] = to->inverse.row[i] ? index_substitute(pool, to->inverse.row[i], &element) : NULL;
        map->reduce[i] =
            to->inverse.reduce[i] ? index_substitute(pool, to->inverse.reduce[i], &element) : NULL;
    }
    map->lane = to->inverse.lane ? index_substitute(pool, to->inverse.lane, &element) : NULL;
}

// Rows become rows, lanes and reduce loops stay what they are.
static bool keeps_structure(const Merge *merge, const IndexMap *map, const Domain *from, const Domain *to)
{
    if (map->lane != lane_of(merge, from)) {
        return false;
    }
    for (int i = 0; i < to->n_reduce; i++) {
        if (map->reduce[i] != index_variable(merge->fusion->pool, INDEX_REDUCE, i, to->reduce[i])) {
            return false;
        }
    }
    for (int i = 0; i < to->n_rows; i++) {
        if (!map->row[i] || index_uses(map->row[i], INDEX_LANE) || index_uses(map->row[i], INDEX_REDUCE)) {
            return false;
        }
    }
    return true;
}

static bool same_loops(const Domain *a, const Domain *b)
{
    bool is_same = a->lanes == b->lanes && a->n_reduce == b->n_reduce;
    for (int i = 0; is_same && i < a->n_reduce; i++) {
        is_same = a->reduce[i] == b->reduce[i];
    }
    return is_same;
}

// Finds the maps; false if the guest does not fit into the host.
static bool find_maps(Merge *merge)
{
    const Domain *host = &merge->fusion->groups[merge->host].domain;
    const Domain *guest = &merge->fusion->groups[merge->guest].domain;
    Level of_host = merge->of_host->level;
    Level of_guest = merge->of_guest->level;
    if (of_host == LEVEL_COLUMN || of_guest == LEVEL_COLUMN || (guest->is_fixed && !host->is_fixed)) {
        return false;
    }
    bool both_rows = of_host == LEVEL_ROW && of_guest == LEVEL_ROW && guest->is_fixed;
    if (of_guest != LEVEL_FULL && !both_rows) {
        return false;
    }
    if (guest->is_fixed && (!same_loops(host, guest) || of_host != of_guest)) {
        return false;
    }
    merge->level = of_host;
    find_map(merge, merge->of_host, merge->of_guest, &merge->to_guest);
    find_map(merge, merge->of_guest, merge->of_host, &merge->to_host);
    if (both_rows) {
        if (host->n_reduce > 0) {
            return false;
        }
        merge->to_guest.lane = lane_of(merge, host);
        merge->to_host.lane = lane_of(merge, guest);
    }
    return !guest->is_fixed || (keeps_structure(merge, &merge->to_guest, host, guest) &&
                                keeps_structure(merge, &merge->to_host, guest, host));
}

static Bridge moved_bridge(const Merge *merge, const Bridge *bridge)
{
    IndexPool *pool = merge->fusion->pool;
    const Domain *host = &merge->fusion->groups[merge->host].domain;
    Bridge result = {.level = bridge->level == LEVEL_FULL ? merge->level : bridge->level};
    if (merge->fusion->groups[merge->guest].domain.is_fixed) {
        result.level = bridge->level;
    }
    result.access = access_substitute(pool, &bridge->access, &merge->to_guest);
    bool has_rows = result.level != LEVEL_COLUMN;
    for (int i = 0; i < host->n_rows && has_rows; i++) {
        result.inverse.row[i] = index_substitute(pool, merge->to_host.row[i], &bridge->inverse);
    }
    for (int i = 0; i < host->n_reduce && result.level == LEVEL_FULL; i++) {
        result.inverse.reduce[i] = index_substitute(pool, merge->to_host.reduce[i], &bridge->inverse);
    }
    if (result.level != LEVEL_ROW) {
        result.inverse.lane = index_substitute(pool, merge->to_host.lane, &bridge->inverse);
    }
    return result;
}

static void move_members(Merge *merge)
{
    const Group *guest = &merge->fusion->groups[merge->guest];
    merge->members = arena_alloc(merge->fusion->arena, (size_t)guest->n_members * sizeof *merge->members);
    for (int i = 0; i < guest->n_members; i++) {
        const Member *member = &guest->members[i];
        merge->members[i] = *member;
        merge->members[i].at = moved_bridge(merge, &member->at);
        if (member->is_reduction) {
            merge->members[i].input = moved_bridge(merge, &member->input);
        }
    }
}

// Edges between the two -------------------------------------------------------------------------------------------

// The member that a node would be after the merge, or NULL.
static const Member *member_after(const Merge *merge, NodeId id)
{
    const Fusion *fusion = merge->fusion;
    const Value *value = &fusion->values[id];
    if (value->role != ROLE_COMPUTE) {
        return NULL;
    }
    if (value->group == merge->host) {
        return &fusion->groups[merge->host].members[fusion->member_of[id]];
    }
    return value->group == merge->guest ? &merge->members[fusion->member_of[id]] : NULL;
}

static bool reads_inside(const Merge *merge, NodeId id)
{
    const Fusion *fusion = merge->fusion;
    const Value *value = &fusion->values[id];
    if (value->role == ROLE_COMPUTE) {
        return member_after(merge, id) != NULL;
    }
    bool goes_on = value->role == ROLE_MOVE || value->role == ROLE_GENERATOR || value->role == ROLE_ABSORBED;
    for (int i = 0; goes_on && i < fusion_node(fusion, id)->n_inputs; i++) {
        if (reads_inside(merge, fusion_node(fusion, id)->inputs[i])) {
            return true;
        }
    }
    return false;
}

// Whether an input is outside, or is the member's value at exactly the point where the user needs it.
static bool is_edge_good(const Merge *merge, NodeId input, const Bridge *needed)
{
    const Fusion *fusion = merge->fusion;
    Access access = needed->access;
    NodeId id = input;
    while (fusion->values[id].role == ROLE_MOVE && move_is_plain(fusion->graph, id)) {
        access = access_pull(fusion->pool, fusion->graph, id, &access);
        id = fusion_node(fusion, id)->inputs[0];
    }
    const Member *member = member_after(merge, id);
    if (!member) {
        return fusion->values[id].role != ROLE_MOVE || !reads_inside(merge, id);
    }
    bool has_loops = fusion->groups[merge->host].domain.n_reduce > 0;
    bool is_late = member->at.level == LEVEL_COLUMN ||
                   (has_loops && needed->level == LEVEL_FULL && member->at.level != LEVEL_FULL);
    return !is_late && access_equal(&access, &member->at.access);
}

static bool are_edges_good(const Merge *merge, const Member *members, int n_members, int other)
{
    const Fusion *fusion = merge->fusion;
    for (int i = 0; i < n_members; i++) {
        const NodeList *deps = &fusion->values[members[i].node].deps;
        bool crosses = false;
        for (int j = 0; j < deps->n_items && !crosses; j++) {
            const Value *value = &fusion->values[deps->items[j]];
            crosses = value->role == ROLE_COMPUTE && value->group == other;
        }
        const Node *node = fusion_node(fusion, members[i].node);
        const Bridge *needed = members[i].is_reduction ? &members[i].input : &members[i].at;
        bool is_copy =
            fusion->values[members[i].node].role == ROLE_COMPUTE && op_info(node->op)->class == CLASS_MOVE;
        if (crosses && is_copy) {
            return false;
        }
        for (int j = 0; crosses && j < node->n_inputs; j++) {
            if (!is_edge_good(merge, node->inputs[j], needed)) {
                return false;
            }
        }
    }
    return true;
}

// Paths through third units ---------------------------------------------------------------------------------------

// The unit of a value by one of its nodes.
static NodeId unit_of(const Fusion *fusion, NodeId value)
{
    int group = fusion->values[value].group;
    return group >= 0 ? fusion->groups[group].members[0].node : fusion->values[value].call;
}

static void push_deps(Fusion *fusion, NodeId node, const Merge *merge, int *depth)
{
    const Group *host = &fusion->groups[merge->host];
    const Group *guest = &fusion->groups[merge->guest];
    NodeId first = host->first < guest->first ? host->first : guest->first;
    const NodeList *deps = &fusion->values[node].deps;
    for (int i = 0; i < deps->n_items; i++) {
        NodeId value = deps->items[i];
        NodeId unit = unit_of(fusion, value);
        int group = fusion->values[value].group;
        NodeId last = group >= 0 ? fusion->groups[group].last : value;
        if (last >= first && fusion->stamp[unit] != fusion->now) {
            fusion->stamp[unit] = fusion->now;
            fusion->stack[(*depth)++] = unit;
        }
    }
}

// Whether one of the two groups is reached again from the inputs of both through other units.
static bool has_path_between(Merge *merge)
{
    Fusion *fusion = merge->fusion;
    NodeId host = fusion->groups[merge->host].members[0].node;
    NodeId guest = fusion->groups[merge->guest].members[0].node;
    int depth = 0;
    fusion->now++;
    fusion->stamp[host] = fusion->now;
    fusion->stamp[guest] = fusion->now;
    for (int side = 0; side < 2; side++) {
        const Group *group = &fusion->groups[side ? merge->guest : merge->host];
        for (int i = 0; i < group->n_members; i++) {
            push_deps(fusion, group->members[i].node, merge, &depth);
        }
    }
    // From here on, reaching either of them is a path.
    while (depth > 0) {
        NodeId unit = fusion->stack[--depth];
        int group = fusion->values[unit].role == ROLE_COMPUTE ? fusion->values[unit].group : -1;
        int n_nodes = group >= 0 ? fusion->groups[group].n_members : 1;
        for (int i = 0; i < n_nodes; i++) {
            NodeId node = group >= 0 ? fusion->groups[group].members[i].node : unit;
            const NodeList *deps = &fusion->values[node].deps;
            for (int j = 0; j < deps->n_items; j++) {
                NodeId reached = unit_of(fusion, deps->items[j]);
                if (reached == host || reached == guest) {
                    return true;
                }
            }
            push_deps(fusion, node, merge, &depth);
        }
    }
    return false;
}

// Doing it --------------------------------------------------------------------------------------------------------

static void commit(Merge *merge)
{
    Fusion *fusion = merge->fusion;
    Group *host = &fusion->groups[merge->host];
    Group *guest = &fusion->groups[merge->guest];
    int n_members = host->n_members + guest->n_members;
    Member *members = host->members;
    if (n_members > host->capacity) {
        host->capacity = 2 * n_members;
        members = arena_alloc(fusion->arena, (size_t)host->capacity * sizeof *members);
    }
    int i = host->n_members - 1;
    int j = guest->n_members - 1;
    for (int k = n_members - 1; k >= 0; k--) {
        bool takes_host = j < 0 || (i >= 0 && host->members[i].node > merge->members[j].node);
        members[k] = takes_host ? host->members[i--] : merge->members[j--];
        fusion->values[members[k].node].group = merge->host;
        fusion->member_of[members[k].node] = k;
    }
    host->members = members;
    host->n_members = n_members;
    host->first = members[0].node;
    host->last = members[n_members - 1].node;
    guest->is_gone = true;
}

static bool merge_as(Fusion *fusion, Side host, Side guest)
{
    Merge merge = {.fusion = fusion,
                   .host = host.group,
                   .guest = guest.group,
                   .of_host = host.bridge,
                   .of_guest = guest.bridge};
    if (!find_maps(&merge)) {
        return false;
    }
    move_members(&merge);
    const Group *group = &fusion->groups[host.group];
    const Group *other = &fusion->groups[guest.group];
    bool is_good = are_edges_good(&merge, group->members, group->n_members, guest.group) &&
                   are_edges_good(&merge, merge.members, other->n_members, host.group) &&
                   !has_path_between(&merge);
    if (is_good) {
        commit(&merge);
    }
    return is_good;
}

bool group_merge(Fusion *fusion, Side a, Side b)
{
    const Group *group_a = &fusion->groups[a.group];
    const Group *group_b = &fusion->groups[b.group];
    if (a.group == b.group || group_a->n_members + group_b->n_members > MAX_MEMBERS) {
        return false;
    }
    bool a_hosts = group_a->domain.is_fixed != group_b->domain.is_fixed
                       ? group_a->domain.is_fixed
                       : group_a->n_members >= group_b->n_members;
    return a_hosts ? merge_as(fusion, a, b) : merge_as(fusion, b, a);
}
