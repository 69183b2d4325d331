// Which computed values are stored; see fuse_internal.h. A value that only its own group needs stays in registers. One
// that another group needs is stored, unless it is cheap to compute again from what is stored anyway. Rounding to two
// bytes is for memory: a rounded value that another group needs is stored, never rounded again there.
#include "compiler/fuse_internal.h"

enum { MAX_AGAIN_OPS = 16 };

typedef struct Store {
    Fusion *fusion;
    NodeList *consumers;  // per node: computed nodes that read it
} Store;

// What computing a value once more takes.
typedef struct Again {
    NodeId value;
    Level level;
    int ops, n_dear;
    int64_t loads;         // elements of stored values
    int64_t new_elements;  // of values that would have to be stored for it
    NodeList new_values;
    NodeList seen;
} Again;

static int64_t count_of(const Fusion *fusion, NodeId id)
{
    return shape_count(&fusion_node(fusion, id)->shape);
}

static Level level_of(const Fusion *fusion, NodeId id)
{
    return fusion->groups[fusion->values[id].group].members[fusion->member_of[id]].at.level;
}

static bool is_reduction(const Fusion *fusion, NodeId id)
{
    return op_info(fusion_node(fusion, id)->op)->class == CLASS_REDUCE;
}

static bool is_seen(const Again *again, NodeId id)
{
    for (int i = 0; i < again->seen.n_items; i++) {
        if (again->seen.items[i] == id) {
            return true;
        }
    }
    return false;
}

static bool is_rounding(const Fusion *fusion, NodeId id)
{
    const Node *node = fusion_node(fusion, id);
    return fusion->values[id].role == ROLE_COMPUTE && node->op == OP_CAST && dtype_is_low(node->dtype);
}

static void visit_inputs(Fusion *fusion, NodeId id, Again *again);

static void visit(Fusion *fusion, NodeId id, Again *again)
{
    const Value *value = &fusion->values[id];
    if (is_seen(again, id) || again->ops > MAX_AGAIN_OPS) {
        return;
    }
    list_add(fusion, &again->seen, id);
    if (value->places || is_rounding(fusion, id)) {
        if (!value->places) {
            list_add(fusion, &again->new_values, id);
        }
        int64_t count = count_of(fusion, id);
        int64_t whole = count_of(fusion, again->value);
        again->loads += count < whole ? count : whole;
    } else if (value->role == ROLE_COMPUTE &&
               (is_reduction(fusion, id) ||
                (again->level == LEVEL_FULL && level_of(fusion, id) != LEVEL_FULL))) {
        again->new_elements += count_of(fusion, id);
        list_add(fusion, &again->new_values, id);
    } else {
        bool is_made = value->role == ROLE_COMPUTE || value->role == ROLE_GENERATOR;
        again->ops += is_made && op_info(fusion_node(fusion, id)->op)->class != CLASS_SOURCE;
        again->n_dear += node_is_dear(fusion, id);
        visit_inputs(fusion, id, again);
    }
}

static void visit_inputs(Fusion *fusion, NodeId id, Again *again)
{
    const Node *node = fusion_node(fusion, id);
    for (int i = 0; i < node->n_inputs; i++) {
        visit(fusion, node->inputs[i], again);
    }
}

// The groups that need the value, other than its own.
static int other_groups(const Store *store, NodeId id, bool *has_own, int64_t *largest)
{
    const Fusion *fusion = store->fusion;
    const NodeList *consumers = &store->consumers[id];
    int groups[3] = {-1, -1, -1};
    int n_groups = 0;
    *has_own = false;
    *largest = 0;
    for (int i = 0; i < consumers->n_items; i++) {
        int group = fusion->values[consumers->items[i]].group;
        int64_t count = count_of(fusion, consumers->items[i]);
        *has_own = *has_own || group == fusion->values[id].group;
        if (group == fusion->values[id].group || group == groups[0] || group == groups[1] ||
            group == groups[2]) {
            continue;
        }
        *largest = count > *largest ? count : *largest;
        if (n_groups < 3) {
            groups[n_groups] = group;
        }
        n_groups++;
    }
    return n_groups;
}

// One stored value of its size may be read instead of it, or a few if it has no other place to be computed.
static bool is_cheap_again(Fusion *fusion, Again *again, int n_groups, bool is_needed_here, int64_t largest)
{
    int64_t count = count_of(fusion, again->value);
    int64_t allowed = n_groups == 1 && !is_needed_here ? 3 * count + count / 4 : count + count / 4;
    bool is_grown = largest > 2 * count;
    visit_inputs(fusion, again->value, again);
    again->ops++;
    again->n_dear += node_is_dear(fusion, again->value);
    return again->loads <= allowed && 4 * again->new_elements <= count && again->ops <= MAX_AGAIN_OPS &&
           (again->n_dear == 0 || (n_groups <= 2 && !is_grown));
}

static void decide(Store *store, NodeId id)
{
    Fusion *fusion = store->fusion;
    bool is_needed_here;
    int64_t largest;
    int n_groups = other_groups(store, id, &is_needed_here, &largest);
    if (n_groups == 0 || fusion->values[id].places) {
        return;
    }
    Again again = {.value = id, .level = level_of(fusion, id)};
    bool is_kept = is_reduction(fusion, id) || is_rounding(fusion, id);
    if (is_kept || !is_cheap_again(fusion, &again, n_groups, is_needed_here, largest)) {
        place_itself(fusion, id);
        return;
    }
    for (int i = 0; i < again.new_values.n_items; i++) {
        place_itself(fusion, again.new_values.items[i]);
    }
}

void fuse_store(Fusion *fusion)
{
    int n_nodes = fusion->graph->n_nodes;
    Store store = {fusion, arena_alloc(fusion->arena, ((size_t)n_nodes + 1) * sizeof *store.consumers)};
    for (NodeId id = 0; id < n_nodes; id++) {
        const Value *value = &fusion->values[id];
        for (int i = 0; i < value->deps.n_items && value->role == ROLE_COMPUTE; i++) {
            list_add(fusion, &store.consumers[value->deps.items[i]], id);
        }
    }
    for (NodeId id = 0; id < n_nodes; id++) {
        if (fusion->values[id].role == ROLE_COMPUTE) {
            decide(&store, id);
        }
    }
}

bool group_is_live(const Fusion *fusion, int group)
{
    const Group *g = &fusion->groups[group];
    for (int i = 0; i < g->n_members && !g->is_gone; i++) {
        if (fusion->values[g->members[i].node].places) {
            return true;
        }
    }
    return false;
}
