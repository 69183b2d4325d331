// Packs of linear layers; see pack.h.
#include "compiler/pack.h"

#include "compiler/build.h"
#include "compiler/rewrite.h"

#include <string.h>

enum { MAX_LINEARS = 16, ALIGNMENT = 16 };

struct Packs {
    Arena *arena;
    Interner *names;
    Parameter *parameters;  // of the task, then packs
    int n_own, n_all;
    int *pack_of;  // per parameter: the pack that it is a part of; -1: none
};

// ADD(RESHAPE(rows W^T), bias); the RESHAPE may be missing.
typedef struct Linear {
    NodeId rows, sum;
    int weight, bias;  // parameters
} Linear;

typedef struct Group {
    NodeId rows;
    int linears[MAX_LINEARS];
    int n_linears;
    bool is_good;
    int weights, biases;  // the packs
    NodeId result;        // new graph: all sums side by side
} Group;

typedef struct Packer {
    Packs *packs;
    bool across_modules;
    const Graph *from;
    const int *uses;
    NodeId *user;  // per node: its last user
    Linear *linears;
    int n_linears;
    Group *groups;
    int n_groups;
    int *group_of;    // per node: the group whose sum it is; -1
    int *n_products;  // per parameter: linears with this matrix, with this bias
    int *n_uses;      // per parameter: of any kind
} Packer;

Packs *packs_new(Arena *arena, Interner *names, const Task *task)
{
    Packs *packs = arena_alloc(arena, sizeof *packs);
    int n = task->n_parameters;
    *packs = (Packs){.arena = arena, .names = names, .n_own = n, .n_all = n};
    packs->parameters = arena_alloc(arena, (2 * (size_t)n + 1) * sizeof *packs->parameters);
    packs->pack_of = arena_alloc(arena, (2 * (size_t)n + 1) * sizeof *packs->pack_of);
    for (int i = 0; i < n; i++) {
        packs->parameters[i] = task->parameters[i];
    }
    for (int i = 0; i < 2 * n; i++) {
        packs->pack_of[i] = -1;
    }
    return packs;
}

// Finding -----------------------------------------------------------------------------------------------------------

static const Node *node_at(const Packer *packer, NodeId id)
{
    return &packer->from->nodes[id];
}

// The parameter behind RESHAPE and EXPAND, or -1.
static int bias_of(const Packer *packer, NodeId id)
{
    const Node *node = node_at(packer, id);
    while (node->op == OP_EXPAND || node->op == OP_RESHAPE) {
        node = node_at(packer, node->inputs[0]);
    }
    return node->op == OP_PARAM && node->shape.rank == 1 ? node->attr.index : -1;
}

static int matrix_of(const Packer *packer, NodeId id)
{
    const Node *permute = node_at(packer, id);
    if (permute->op != OP_PERMUTE || permute->shape.rank != 2) {
        return -1;
    }
    const Node *parameter = node_at(packer, permute->inputs[0]);
    return parameter->op == OP_PARAM && permute->attr.dims[0] == 1 ? parameter->attr.index : -1;
}

static bool find_linear(const Packer *packer, NodeId id, Linear *linear)
{
    const Node *product = node_at(packer, id);
    if (product->op != OP_MATMUL || product->n_inputs != 2 || product->shape.rank != 2 ||
        packer->uses[id] != 1) {
        return false;
    }
    NodeId sum = packer->user[id];
    if (sum != NO_NODE && node_at(packer, sum)->op == OP_RESHAPE && packer->uses[sum] == 1) {
        sum = packer->user[sum];
    }
    if (sum == NO_NODE || node_at(packer, sum)->op != OP_ADD) {
        return false;
    }
    const Node *add = node_at(packer, sum);
    int bias = bias_of(packer, add->inputs[1]) >= 0 ? bias_of(packer, add->inputs[1])
                                                    : bias_of(packer, add->inputs[0]);
    *linear = (Linear){.rows = product->inputs[0],
                       .sum = sum,
                       .weight = matrix_of(packer, product->inputs[1]),
                       .bias = bias};
    int64_t width = add->shape.dim[add->shape.rank - 1];
    return linear->weight >= 0 && bias >= 0 && width == product->shape.dim[1] &&
           packer->from->parameters[bias].shape.dim[0] == width;
}

// "encoder.layer.3.attention.self" of "encoder.layer.3.attention.self.query.weight".
static bool is_same_module(Sym a, Sym b)
{
    size_t length = 0;
    int n_dots = 0;
    for (size_t i = strlen(a); i > 0 && n_dots < 2; i--) {
        n_dots += a[i - 1] == '.';
        length = i;
    }
    return n_dots == 2 && strncmp(a, b, length) == 0 && strchr(b + length, '.') == strrchr(b, '.');
}

static bool fits(const Packer *packer, const Group *group, const Linear *linear)
{
    const Linear *first = &packer->linears[group->linears[0]];
    const Shape *a = &node_at(packer, first->sum)->shape, *b = &node_at(packer, linear->sum)->shape;
    const Parameter *all = packer->from->parameters;
    bool is_alike = a->rank == b->rank && group->n_linears < MAX_LINEARS && group->rows == linear->rows &&
                    all[first->weight].is_trainable == all[linear->weight].is_trainable &&
                    all[first->bias].is_trainable == all[linear->bias].is_trainable;
    for (int i = 0; is_alike && i + 1 < a->rank; i++) {
        is_alike = a->dim[i] == b->dim[i];
    }
    for (int i = 0; is_alike && i < group->n_linears; i++) {
        is_alike = packer->linears[group->linears[i]].weight != linear->weight;
    }
    return is_alike &&
           (packer->across_modules || is_same_module(all[first->weight].name, all[linear->weight].name));
}

static void add_linear(Packer *packer, int index)
{
    const Linear *linear = &packer->linears[index];
    packer->n_products[linear->weight]++;
    packer->n_products[linear->bias]++;
    for (int i = packer->n_groups - 1; i >= 0; i--) {
        Group *group = &packer->groups[i];
        if (group->rows == linear->rows && fits(packer, group, linear)) {
            group->linears[group->n_linears++] = index;
            return;
        }
    }
    packer->groups[packer->n_groups++] =
        (Group){.rows = linear->rows, .linears = {index}, .n_linears = 1, .result = NO_NODE};
}

static void find_groups(Packer *packer)
{
    size_t room = (size_t)packer->from->n_nodes + 1;
    packer->linears = arena_alloc(packer->packs->arena, room * sizeof *packer->linears);
    packer->groups = arena_alloc(packer->packs->arena, room * sizeof *packer->groups);
    for (NodeId id = 0; id < packer->from->n_nodes; id++) {
        if (find_linear(packer, id, &packer->linears[packer->n_linears])) {
            add_linear(packer, packer->n_linears++);
        }
    }
}

// Choosing ----------------------------------------------------------------------------------------------------------

// How often each parameter is used in the end, behind all movement that it goes through.
static int *count_uses(const Packer *packer)
{
    const Graph *from = packer->from;
    int *parameter = arena_alloc(packer->packs->arena, ((size_t)from->n_nodes + 1) * sizeof *parameter);
    int *counts = arena_alloc(packer->packs->arena, ((size_t)from->n_parameters + 1) * sizeof *counts);
    for (NodeId id = 0; id < from->n_nodes; id++) {
        const Node *node = node_at(packer, id);
        bool is_move = node->op == OP_RESHAPE || node->op == OP_EXPAND || node->op == OP_PERMUTE;
        parameter[id] = node->op == OP_PARAM ? node->attr.index : is_move ? parameter[node->inputs[0]] : -1;
        for (int i = 0; i < node->n_inputs && !is_move; i++) {
            int used = parameter[node->inputs[i]];
            counts[used < 0 ? from->n_parameters : used]++;
        }
    }
    for (int i = 0; i < from->n_outputs; i++) {
        int used = parameter[from->outputs[i].node];
        counts[used < 0 ? from->n_parameters : used]++;
    }
    return counts;
}

static bool are_members_alone(const Packer *packer, const Group *group, bool is_bias)
{
    for (int i = 0; i < group->n_linears; i++) {
        const Linear *linear = &packer->linears[group->linears[i]];
        int parameter = is_bias ? linear->bias : linear->weight;
        int64_t count = shape_count(&packer->from->parameters[parameter].shape);
        if (count % ALIGNMENT != 0 || packer->n_uses[parameter] != packer->n_products[parameter]) {
            return false;
        }
    }
    return true;
}

static int member_of(const Packer *packer, const Group *group, int i, bool is_bias)
{
    const Linear *linear = &packer->linears[group->linears[i]];
    return is_bias ? linear->bias : linear->weight;
}

// The own parameters in a group, in order: those of members that are packs themselves one by one.
static int list_members(const Packer *packer, const Group *group, bool is_bias, int *members)
{
    int n_members = 0;
    for (int i = 0; i < group->n_linears; i++) {
        int index = member_of(packer, group, i, is_bias);
        const Parameter *member = &packer->packs->parameters[index];
        for (int j = 0; j < (member->members ? member->n_members : 1); j++) {
            members[n_members++] = member->members ? member->members[j] : index;
        }
    }
    return n_members;
}

static int count_members(const Packer *packer, const Group *group, bool is_bias)
{
    int n_members = 0;
    for (int i = 0; i < group->n_linears; i++) {
        const Parameter *member = &packer->packs->parameters[member_of(packer, group, i, is_bias)];
        n_members += member->members ? member->n_members : 1;
    }
    return n_members;
}

// The pack of exactly these members in this order, made if all are free; -1.
static int find_pack(Packer *packer, const Group *group, bool is_bias)
{
    Packs *packs = packer->packs;
    int first = member_of(packer, group, 0, is_bias), pack = packs->pack_of[first];
    int n_members = count_members(packer, group, is_bias);
    int *members = arena_alloc(packs->arena, (size_t)n_members * sizeof *members);
    list_members(packer, group, is_bias, members);
    bool is_free = pack < 0;
    bool is_same = !is_free && packs->parameters[pack].n_members == n_members;
    for (int i = 0; i < group->n_linears; i++) {
        is_free = is_free && packs->pack_of[member_of(packer, group, i, is_bias)] < 0;
    }
    for (int i = 0; is_same && i < n_members; i++) {
        is_same = packs->parameters[pack].members[i] == members[i];
    }
    if (is_same || !is_free) {
        return is_same ? pack : -1;
    }
    Parameter made = packs->parameters[first];
    made.shape.dim[0] = 0;
    for (int i = 0; i < group->n_linears; i++) {
        int member = member_of(packer, group, i, is_bias);
        made.shape.dim[0] += packs->parameters[member].shape.dim[0];
        packs->pack_of[member] = packs->n_all;
    }
    made.members = members;
    made.n_members = n_members;
    made.name = intern_format(packs->names, "%s.pack", made.name);
    packs->parameters[packs->n_all] = made;
    return packs->n_all++;
}

// A member's products must all be in groups of the same pack: otherwise its gradient would have two homes.
static void choose(Packer *packer)
{
    int *n_packed =
        arena_alloc(packer->packs->arena, (size_t)packer->from->n_parameters * sizeof *n_packed + 1);
    for (int i = 0; i < packer->n_groups; i++) {
        Group *group = &packer->groups[i];
        group->is_good = group->n_linears > 1 && are_members_alone(packer, group, false) &&
                         are_members_alone(packer, group, true);
        group->weights = group->is_good ? find_pack(packer, group, false) : -1;
        group->biases = group->weights >= 0 ? find_pack(packer, group, true) : -1;
        group->is_good = group->biases >= 0;
        for (int j = 0; group->is_good && j < group->n_linears; j++) {
            n_packed[member_of(packer, group, j, false)]++;
        }
    }
    for (int i = 0; i < packer->n_groups; i++) {
        Group *group = &packer->groups[i];
        for (int j = 0; group->is_good && j < group->n_linears; j++) {
            int weight = member_of(packer, group, j, false);
            group->is_good = n_packed[weight] == packer->n_products[weight];
        }
        for (int j = 0; group->is_good && j < group->n_linears; j++) {
            packer->group_of[packer->linears[group->linears[j]].sum] = i;
        }
    }
}

// Building ----------------------------------------------------------------------------------------------------------

static NodeId pack_node(Build *build, const Packs *packs, int pack)
{
    Attr attr = {.index = pack};
    return graph_add(build->graph, OP_PARAM, DTYPE_F32, &packs->parameters[pack].shape, NULL, 0, &attr,
                     &build->origin);
}

static NodeId build_group(Packer *packer, Build *build, const Group *group, const NodeId *map)
{
    const Packs *packs = packer->packs;
    Shape shape = node_at(packer, packer->linears[group->linears[0]].sum)->shape;
    shape.dim[shape.rank - 1] = packs->parameters[group->weights].shape.dim[0];
    NodeId matrix = build_transpose(build, pack_node(build, packs, group->weights));
    NodeId product = build_matmul(build, map[group->rows], matrix);
    NodeId rows = graph_reshape(build->graph, product, &shape, &build->origin);
    NodeId bias =
        graph_expand_to(build->graph, pack_node(build, packs, group->biases), &shape, &build->origin);
    return build_add(build, rows, bias);
}

static NodeId cut(Packer *packer, Build *build, const Group *group, NodeId sum)
{
    const Shape *shape = &node_at(packer, sum)->shape;
    int64_t start[MAX_RANK] = {0}, step[MAX_RANK];
    for (int i = 0; i < MAX_RANK; i++) {
        step[i] = 1;
    }
    for (int i = 0; packer->linears[group->linears[i]].sum != sum; i++) {
        const Shape *before = &node_at(packer, packer->linears[group->linears[i]].sum)->shape;
        start[shape->rank - 1] += before->dim[shape->rank - 1];
    }
    return graph_slice(build->graph, group->result, start, step, shape, &build->origin);
}

static Graph *rebuilt(Packer *packer)
{
    const Graph *from = packer->from;
    NodeId *map = graph_new_map(packer->packs->arena, from);
    Graph *to = graph_new_rewrite(packer->packs->arena, from);
    to->parameters = packer->packs->parameters;
    to->n_parameters = packer->packs->n_all;
    for (NodeId id = 0; id < from->n_nodes; id++) {
        if (packer->group_of[id] < 0) {
            map[id] = graph_copy_node(to, from, id, map);
            continue;
        }
        Group *group = &packer->groups[packer->group_of[id]];
        Build build = {to, node_origin(from, id)};
        if (group->result == NO_NODE) {
            group->result = build_group(packer, &build, group, map);
        }
        map[id] = cut(packer, &build, group, id);
    }
    graph_copy_outputs(to, from, map);
    return graph_prune(packer->packs->arena, to);
}

Graph *pack_products(Packs *packs, const Graph *graph, bool across_modules)
{
    Packer packer = {.packs = packs,
                     .across_modules = across_modules,
                     .from = graph,
                     .uses = graph_use_counts(packs->arena, graph)};
    packer.user = graph_new_map(packs->arena, graph);
    packer.group_of = arena_alloc(packs->arena, ((size_t)graph->n_nodes + 1) * sizeof *packer.group_of);
    packer.n_products =
        arena_alloc(packs->arena, ((size_t)graph->n_parameters + 1) * sizeof *packer.n_products);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        packer.group_of[id] = -1;
        for (int i = 0; i < graph->nodes[id].n_inputs; i++) {
            packer.user[graph->nodes[id].inputs[i]] = id;
        }
    }
    find_groups(&packer);
    packer.n_uses = count_uses(&packer);
    choose(&packer);
    return rebuilt(&packer);
}

// The largest pack that a parameter is in; itself if it is in none.
static int outermost(const Packs *packs, int parameter)
{
    while (packs->pack_of[parameter] >= 0) {
        parameter = packs->pack_of[parameter];
    }
    return parameter;
}

void packs_place(const Packs *packs, Task *task)
{
    int64_t *offsets = arena_alloc(packs->arena, ((size_t)packs->n_all + 1) * sizeof *offsets);
    int64_t at = 0;
    for (int i = 0; i < packs->n_own; i++) {
        const Parameter *whole = &packs->parameters[outermost(packs, i)];
        if (whole->members && whole->members[0] != i) {
            continue;
        }
        for (int j = 0; j < (whole->members ? whole->n_members : 1); j++) {
            int member = whole->members ? whole->members[j] : i;
            offsets[member] = at;
            at += (shape_count(&packs->parameters[member].shape) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        }
    }
    for (int i = packs->n_own; i < packs->n_all; i++) {
        offsets[i] = offsets[packs->parameters[i].members[0]];
    }
    task->parameters = packs->parameters;
    task->n_packs = packs->n_all - packs->n_own;
    task->offsets = offsets;
    task->parameter_count = at;
}
