// The driver: rounds over the graph, each rebuilding the live nodes in order. A node is first offered to the
// rules, then looked up among the equal nodes built so far. Nodes that rules build are entered too, so that
// later equals find them; two equal nodes built inside one rule are merged in the next round.
#include "compiler/simplify.h"

#include "compiler/rewrite.h"
#include "compiler/simplify_internal.h"

#include <string.h>

enum { MAX_ROUNDS = 64 };

typedef struct Table {
    Arena *arena;
    NodeId *slots;  // NO_NODE where free
    int n_slots;    // a power of two
    int n_entries;
    int n_seen;  // nodes of the graph entered so far
} Table;

const Node *simplify_input(const Simplifier *s, const Node *node, int i)
{
    return &s->build.graph->nodes[node->inputs[i]];
}

bool simplify_is_sole_user(const Simplifier *s, int i)
{
    return s->uses[s->from->nodes[s->old].inputs[i]] == 1;
}

// Equality --------------------------------------------------------------------------------------------------

static bool is_commutative(Op op)
{
    return op == OP_ADD || op == OP_MUL || op == OP_EQ || op == OP_NE || op == OP_AND || op == OP_OR;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static uint64_t number_bits(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

// Order of inputs does not count for commutative ops.
static uint64_t node_hash(const Node *node)
{
    uint64_t hash = mix((uint64_t)node->op, (uint64_t)node->dtype);
    for (int i = 0; i < node->shape.rank; i++) {
        hash = mix(hash, (uint64_t)node->shape.dim[i]);
    }
    uint64_t sum = 0;
    for (int i = 0; i < node->n_inputs; i++) {
        sum += mix(is_commutative(node->op) ? 7 : 7 + (uint64_t)i, (uint64_t)node->inputs[i]);
    }
    hash = mix(hash, sum);
    const Attr *attr = &node->attr;
    hash = mix(mix(hash, number_bits(attr->number)), (uint64_t)(uint32_t)attr->index);
    hash = mix(mix(hash, (uint64_t)(uint32_t)attr->axis), attr->axes + (attr->is_tf32 ? 1u << 31 : 0));
    for (int i = 0; i < node->shape.rank; i++) {
        uint64_t words = (uint64_t)attr->start[i] * 31 + (uint64_t)attr->step[i];
        hash = mix(hash, words * 31 + (uint64_t)attr->dims[i]);
    }
    return hash;
}

// Field by field: the struct has padding.
static bool attr_equal(const Attr *a, const Attr *b)
{
    return number_bits(a->number) == number_bits(b->number) && a->index == b->index && a->axis == b->axis &&
           a->axes == b->axes && a->is_tf32 == b->is_tf32 && a->is_late == b->is_late &&
           memcmp(a->dims, b->dims, sizeof a->dims) == 0 &&
           memcmp(a->start, b->start, sizeof a->start) == 0 && memcmp(a->step, b->step, sizeof a->step) == 0;
}

static bool inputs_equal(const Node *a, const Node *b)
{
    if (a->n_inputs != b->n_inputs) {
        return false;
    }
    if (is_commutative(a->op) && a->inputs[0] == b->inputs[1] && a->inputs[1] == b->inputs[0]) {
        return true;
    }
    for (int i = 0; i < a->n_inputs; i++) {
        if (a->inputs[i] != b->inputs[i]) {
            return false;
        }
    }
    return true;
}

static bool nodes_equal(const Node *a, const Node *b)
{
    return a->op == b->op && a->dtype == b->dtype && shape_equal(&a->shape, &b->shape) &&
           inputs_equal(a, b) && attr_equal(&a->attr, &b->attr);
}

// The slot that holds a node equal to `node`, or the free one where it belongs.
static NodeId *find_slot(const Table *table, const Graph *graph, const Node *node)
{
    uint64_t mask = (uint64_t)table->n_slots - 1;
    uint64_t at = node_hash(node) & mask;
    while (table->slots[at] != NO_NODE && !nodes_equal(&graph->nodes[table->slots[at]], node)) {
        at = (at + 1) & mask;
    }
    return &table->slots[at];
}

static void resize(Table *table, const Graph *graph, int n_slots)
{
    const NodeId *old = table->slots;
    int n_old = table->n_slots;
    table->n_slots = n_slots;
    table->slots = arena_alloc(table->arena, (size_t)n_slots * sizeof *table->slots);
    for (int i = 0; i < n_slots; i++) {
        table->slots[i] = NO_NODE;
    }
    for (int i = 0; i < n_old; i++) {
        if (old[i] != NO_NODE) {
            *find_slot(table, graph, &graph->nodes[old[i]]) = old[i];
        }
    }
}

// Enters the nodes that were appended since the last call.
static void enter_new(Table *table, const Graph *graph)
{
    for (; table->n_seen < graph->n_nodes; table->n_seen++) {
        if (2 * table->n_entries >= table->n_slots) {
            resize(table, graph, 2 * table->n_slots);
        }
        NodeId *slot = find_slot(table, graph, &graph->nodes[table->n_seen]);
        if (*slot == NO_NODE) {
            *slot = table->n_seen;
            table->n_entries++;
        }
    }
}

// Rounds ----------------------------------------------------------------------------------------------------

typedef struct Round {
    Simplifier simplifier;
    SimplifyRule *first;  // tried before the ordinary rules, or NULL
    Table table;
    NodeId *map;
    int n_changes;
} Round;

static NodeId apply_rules(Round *round, const Node *node)
{
    Simplifier *s = &round->simplifier;
    NodeId found = round->first != NULL ? round->first(s, node) : NO_NODE;
    found = found != NO_NODE ? found : simplify_algebra(s, node);
    return found != NO_NODE ? found : simplify_move(s, node);
}

static NodeId rebuild(Round *round, const Node *node)
{
    Graph *graph = round->simplifier.build.graph;
    NodeId id = apply_rules(round, node);
    if (id != NO_NODE) {
        round->n_changes++;
    } else {
        id = *find_slot(&round->table, graph, node);
        if (id != NO_NODE) {
            round->n_changes++;
        } else {
            id = graph_add(graph, node->op, node->dtype, &node->shape, node->inputs, node->n_inputs,
                           &node->attr, &round->simplifier.build.origin);
        }
    }
    enter_new(&round->table, graph);
    if (graph->nodes[id].name == NULL) {
        graph->nodes[id].name = node->name;
    }
    return id;
}

static void visit(Round *round, NodeId id)
{
    Simplifier *s = &round->simplifier;
    Node node = s->from->nodes[id];
    NodeId few[8];
    Arena *arena = s->build.graph->arena;
    NodeId *inputs = node.n_inputs <= 8 ? few : arena_alloc(arena, (size_t)node.n_inputs * sizeof *inputs);
    for (int i = 0; i < node.n_inputs; i++) {
        inputs[i] = round->map[node.inputs[i]];
    }
    node.inputs = inputs;
    s->old = id;
    s->build.origin = node_origin(s->from, id);
    round->map[id] = rebuild(round, &node);
}

// One round; *n_changes says how many nodes were replaced, merged or dropped.
static Graph *run_round(Arena *arena, const Graph *graph, SimplifyRule *first, int *n_changes)
{
    Round round = {.first = first, .map = graph_new_map(arena, graph), .table = {.arena = arena}};
    Graph *to = graph_new_rewrite(arena, graph);
    round.simplifier.build.graph = to;
    round.simplifier.from = graph;
    round.simplifier.uses = graph_use_counts(arena, graph);
    resize(&round.table, to, 1024);
    const bool *is_live = graph_live_nodes(arena, graph);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        if (is_live[id]) {
            visit(&round, id);
        } else {
            round.n_changes++;
        }
    }
    graph_copy_outputs(to, graph, round.map);
    *n_changes = round.n_changes;
    return to;
}

Graph *simplify_with(Arena *arena, const Graph *graph, SimplifyRule *first)
{
    Graph *result = NULL;
    int n_changes = 1;
    for (int i = 0; i < MAX_ROUNDS && n_changes > 0; i++) {
        result = run_round(arena, graph, first, &n_changes);
        graph = result;
    }
    return n_changes > 0 ? graph_prune(arena, result) : result;
}

Graph *simplify(Arena *arena, const Graph *graph)
{
    return simplify_with(arena, graph, NULL);
}
