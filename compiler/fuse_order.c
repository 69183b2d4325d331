// The order of the steps: every value is written before it is read, and otherwise steps stay where the graph has their
// last node, so that gradients are computed where their operands die; see fuse_internal.h.
#include "compiler/fuse_internal.h"

enum { MAX_TOGETHER = 8, SMALL_ELEMENTS = 1 << 18 };

typedef struct Order {
    Fusion *fusion;
    Unit *units;
    int n_units;
    int *unit_of;         // per node: of a computed value or a call, or -1
    int *n_waiting;       // per unit: producers that have not run
    NodeList *followers;  // per unit: units that read from it
    int *heap;            // ready units, smallest key first
    int n_heap;
} Order;

// What a kernel loads: everything stored below its stored members that it does not compute itself.
static void collect_reads(Fusion *fusion, int group, NodeId id, NodeList *reads)
{
    const Value *value = &fusion->values[id];
    bool is_inside = value->role == ROLE_COMPUTE && value->group == group;
    if (fusion->stamp[id] == fusion->now) {
        return;
    }
    fusion->stamp[id] = fusion->now;
    if (value->places && !is_inside) {
        list_add(fusion, reads, id);
        return;
    }
    const Node *node = fusion_node(fusion, id);
    for (int i = 0; i < node->n_inputs; i++) {
        collect_reads(fusion, group, node->inputs[i], reads);
    }
}

static void add_group_unit(Order *order, int group)
{
    Fusion *fusion = order->fusion;
    Unit *unit = &order->units[order->n_units];
    *unit = (Unit){.group = group, .call = NO_NODE};
    const Group *g = &fusion->groups[group];
    fusion->now++;
    for (int i = 0; i < g->n_members; i++) {
        NodeId id = g->members[i].node;
        order->unit_of[id] = order->n_units;
        if (fusion->values[id].places) {
            collect_reads(fusion, group, id, &unit->reads);
            unit->key = id;
        }
    }
    order->n_units++;
}

static void add_call_unit(Order *order, NodeId call)
{
    Fusion *fusion = order->fusion;
    const Node *node = fusion_node(fusion, call);
    Unit *unit = &order->units[order->n_units];
    *unit = (Unit){.group = -1, .call = call, .key = call};
    int n_operands = node->op == OP_MATMUL ? 2 : node->n_inputs;
    for (int i = 0; i < n_operands; i++) {
        list_add_once(fusion, &unit->reads,
                      operand_view(fusion, node->inputs[i], operand_need(node, i)).value);
    }
    if (fusion->bias[call] != NO_NODE) {
        list_add_once(fusion, &unit->reads, operand_view(fusion, fusion->bias[call], NEED_DENSE).value);
    }
    if (op_info(node->op)->class == CLASS_COLLECTIVE) {
        unit->key = node->inputs[0];  // sent as soon as it is there
    }
    if (fusion->accumulated[call] != NO_NODE) {
        list_add_once(fusion, &unit->reads, fusion->accumulated[call]);
        unit->key = fusion->accumulated[call] > call ? fusion->accumulated[call] : call;
    }
    order->unit_of[call] = order->n_units++;
}

// A small table's gradient that nothing waits for.
static bool may_wait(const Order *order, const Unit *unit)
{
    const Fusion *fusion = order->fusion;
    if (unit->group >= 0 || fusion_node(fusion, unit->call)->op != OP_SCATTER_ADD) {
        return false;
    }
    const Node *node = fusion_node(fusion, unit->call);
    return fusion->accumulated[unit->call] == NO_NODE && value_is_last(fusion, unit->call) &&
           shape_count(&fusion_node(fusion, node->inputs[1])->shape) <= SMALL_ELEMENTS &&
           shape_count(&node->shape) <= SMALL_ELEMENTS;
}

// Such calls wait for each other, a few at a time, so that a target can make one launch of them.
static void gather_small_calls(Order *order)
{
    Unit *waiting[MAX_TOGETHER];
    int n_waiting = 0;
    for (int i = 0; i < order->n_units; i++) {
        if (may_wait(order, &order->units[i])) {
            waiting[n_waiting++] = &order->units[i];
        }
        for (int j = 0; n_waiting == MAX_TOGETHER && j < MAX_TOGETHER; j++) {
            waiting[j]->key = waiting[MAX_TOGETHER - 1]->key;
        }
        n_waiting %= MAX_TOGETHER;
    }
    for (int j = 0; j + 1 < n_waiting; j++) {
        waiting[j]->key = waiting[n_waiting - 1]->key;
    }
}

static int producer_of(const Order *order, NodeId value)
{
    const Value *v = &order->fusion->values[value];
    return v->role == ROLE_LIBRARY   ? order->unit_of[v->call]
           : v->role == ROLE_COMPUTE ? order->unit_of[value]
                                     : -1;
}

static void add_edge(Order *order, int unit, NodeId value)
{
    const Value *v = &order->fusion->values[value];
    if (v->role == ROLE_ASSEMBLED) {
        for (int i = 0; i < v->deps.n_items; i++) {
            add_edge(order, unit, v->deps.items[i]);
        }
        return;
    }
    int producer = producer_of(order, value);
    if (producer >= 0 && producer != unit) {
        list_add(order->fusion, &order->followers[producer], unit);
        order->n_waiting[unit]++;
    }
}

static bool runs_before(const Order *order, int a, int b)
{
    return order->units[a].key < order->units[b].key;
}

static void heap_push(Order *order, int unit)
{
    int at = order->n_heap++;
    while (at > 0 && runs_before(order, unit, order->heap[(at - 1) / 2])) {
        order->heap[at] = order->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    order->heap[at] = unit;
}

static int heap_pop(Order *order)
{
    int first = order->heap[0];
    int moved = order->heap[--order->n_heap];
    int at = 0;
    for (;;) {
        int child = 2 * at + 1;
        if (child + 1 < order->n_heap && runs_before(order, order->heap[child + 1], order->heap[child])) {
            child++;
        }
        if (child >= order->n_heap || !runs_before(order, order->heap[child], moved)) {
            break;
        }
        order->heap[at] = order->heap[child];
        at = child;
    }
    order->heap[at] = moved;
    return first;
}

static void collect_units(Order *order)
{
    Fusion *fusion = order->fusion;
    for (int i = 0; i < fusion->n_groups; i++) {
        if (group_is_live(fusion, i)) {
            add_group_unit(order, i);
        }
    }
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        if (fusion->values[id].call == id && fusion->values[id].role != ROLE_DEAD) {
            add_call_unit(order, id);
        }
    }
    if (fusion->is_fused) {
        gather_small_calls(order);
    }
    for (int i = 0; i < order->n_units; i++) {
        for (int j = 0; j < order->units[i].reads.n_items; j++) {
            add_edge(order, i, order->units[i].reads.items[j]);
        }
    }
}

Unit *fuse_order(Fusion *fusion, int *n_units)
{
    size_t most = (size_t)fusion->n_groups + (size_t)fusion->graph->n_nodes + 1;
    Order order = {.fusion = fusion, .units = arena_alloc(fusion->arena, most * sizeof *order.units)};
    order.unit_of = arena_alloc(fusion->arena, most * sizeof *order.unit_of);
    order.n_waiting = arena_alloc(fusion->arena, most * sizeof *order.n_waiting);
    order.followers = arena_alloc(fusion->arena, most * sizeof *order.followers);
    order.heap = arena_alloc(fusion->arena, most * sizeof *order.heap);
    for (size_t i = 0; i < most; i++) {
        order.unit_of[i] = -1;
    }
    collect_units(&order);
    for (int i = 0; i < order.n_units; i++) {
        if (order.n_waiting[i] == 0) {
            heap_push(&order, i);
        }
    }
    Unit *sorted = arena_alloc(fusion->arena, most * sizeof *sorted);
    while (order.n_heap > 0) {
        int unit = heap_pop(&order);
        sorted[(*n_units)++] = order.units[unit];
        for (int i = 0; i < order.followers[unit].n_items; i++) {
            int follower = order.followers[unit].items[i];
            if (--order.n_waiting[follower] == 0) {
                heap_push(&order, follower);
            }
        }
    }
    if (*n_units != order.n_units) {
        XV_BUG("%d of %d steps wait for each other", order.n_units - *n_units, order.n_units);
    }
    return sorted;
}
