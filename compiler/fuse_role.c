// What every node is; see fuse_internal.h.
#include "compiler/fuse_internal.h"

#include "compiler/base/vec.h"
#include "compiler/rewrite.h"

enum { MAX_GENERATOR_OPS = 16 };

void list_add(Fusion *fusion, NodeList *list, NodeId id)
{
    VEC_PUSH(fusion->arena, list->items, list->n_items, list->capacity, id);
}

void list_add_once(Fusion *fusion, NodeList *list, NodeId id)
{
    for (int i = 0; i < list->n_items; i++) {
        if (list->items[i] == id) {
            return;
        }
    }
    list_add(fusion, list, id);
}

bool role_is_value(Role role)
{
    return role == ROLE_SOURCE || role == ROLE_GENERATOR || role == ROLE_COMPUTE || role == ROLE_LIBRARY ||
           role == ROLE_ASSEMBLED;
}

bool node_is_library(const Fusion *fusion, NodeId id)
{
    switch (fusion_node(fusion, id)->op) {
    case OP_MATMUL:
    case OP_ATTENTION:
    case OP_ATTENTION_GRAD:
    case OP_SCATTER_ADD:
    case OP_SAMPLE:
    case OP_TOP_K: return true;
    case OP_ALL_GATHER:
    case OP_OWN_ROWS: return !move_is_plain(fusion->graph, id);
    default: return false;
    }
}

bool node_is_dear(const Fusion *fusion, NodeId id)
{
    switch (fusion_node(fusion, id)->op) {
    case OP_EXP:
    case OP_LOG:
    case OP_TANH:
    case OP_ERF:
    case OP_SIGMOID:
    case OP_GELU:
    case OP_GELU_GRAD:
    case OP_POW:
    case OP_KEEP: return true;
    default: return false;
    }
}

NodeId chain_base(const Fusion *fusion, NodeId id)
{
    while (fusion->values[id].role == ROLE_MOVE && move_is_plain(fusion->graph, id)) {
        id = fusion_node(fusion, id)->inputs[0];
    }
    return id;
}

static int input_count(const Fusion *fusion, NodeId id)
{
    return fusion_node(fusion, id)->n_inputs;
}

// Elementwise on nothing but generators, and small. `ops` counts what it costs to make one element.
static bool is_generated(const Fusion *fusion, NodeId id, const int *ops, int *cost)
{
    const Node *node = fusion_node(fusion, id);
    OpClass class = op_info(node->op)->class;
    bool is_move = class == CLASS_MOVE && (move_is_plain(fusion->graph, id) || node->op == OP_PAD);
    if ((class != CLASS_ELEMENTWISE && !is_move) || node_is_dear(fusion, id)) {
        return false;
    }
    *cost = is_move ? 0 : 1;
    for (int i = 0; i < node->n_inputs; i++) {
        NodeId input = node->inputs[i];
        bool is_generator = ops[input] > 0 && fusion_node(fusion, input)->op != OP_KEEP;
        if (!is_generator) {
            return false;
        }
        *cost += ops[input];
    }
    return *cost <= MAX_GENERATOR_OPS;
}

static Role first_role(const Fusion *fusion, NodeId id, int *ops)
{
    const Node *node = fusion_node(fusion, id);
    OpClass class = op_info(node->op)->class;
    if (node->op == OP_INPUT || node->op == OP_PARAM) {
        return ROLE_SOURCE;
    }
    if (node->op == OP_CONST || node->op == OP_IOTA || (node->op == OP_KEEP && fusion->is_fused)) {
        ops[id] = 1;
        return ROLE_GENERATOR;
    }
    if (node_is_library(fusion, id) || class == CLASS_RESULT) {
        return ROLE_LIBRARY;
    }
    int cost = 0;
    if (fusion->is_fused && is_generated(fusion, id, ops, &cost)) {
        ops[id] = cost;
        return ROLE_GENERATOR;
    }
    bool is_move = class == CLASS_MOVE || class == CLASS_COLLECTIVE;
    return is_move && fusion->is_fused ? ROLE_MOVE : ROLE_COMPUTE;
}

// ADD(x, SCATTER_ADD) where both die there: the call adds to x. The ADD is the call's value.
static void find_scatter_sums(Fusion *fusion)
{
    for (NodeId id = 0; fusion->is_fused && id < fusion->graph->n_nodes; id++) {
        const Node *node = fusion_node(fusion, id);
        if (node->op != OP_ADD || fusion->values[id].role != ROLE_COMPUTE) {
            continue;
        }
        for (int i = 1; i >= 0; i--) {
            NodeId scatter = node->inputs[i];
            NodeId other = node->inputs[1 - i];
            const Value *value = &fusion->values[scatter];
            const Value *from = &fusion->values[other];
            bool is_scatter = fusion_node(fusion, scatter)->op == OP_SCATTER_ADD &&
                              value->users.n_items == 1 && !value->is_output &&
                              fusion->accumulated[scatter] == NO_NODE && scatter != other;
            bool is_widened = fusion_node(fusion, other)->op == OP_CAST;  // no more than a copy
            bool dies = (from->role == ROLE_LIBRARY || from->role == ROLE_COMPUTE) && !is_widened &&
                        from->users.n_items == 1 && !from->is_output;
            if (is_scatter && dies && from->role != ROLE_ABSORBED) {
                fusion->accumulated[scatter] = other;
                fusion->values[scatter].role = ROLE_ABSORBED;
                fusion->values[id].role = ROLE_LIBRARY;
                fusion->values[id].call = scatter;
                break;
            }
        }
    }
}

// What a CAST widens, which is how the value is stored; else the value itself.
static NodeId narrow_form(const Fusion *fusion, NodeId id)
{
    const Node *node = fusion_node(fusion, id);
    bool is_widening = node->op == OP_CAST && node->dtype == DTYPE_F32 &&
                       dtype_is_low(fusion_node(fusion, node->inputs[0])->dtype);
    return is_widening ? node->inputs[0] : id;
}

// The vector of N elements that an operand of an ADD repeats along all dimensions but the last, as it is stored; or
// NO_NODE.
static NodeId repeated_vector(const Fusion *fusion, NodeId id, int64_t n)
{
    id = narrow_form(fusion, id);
    while (fusion_node(fusion, id)->op == OP_RESHAPE || fusion_node(fusion, id)->op == OP_EXPAND) {
        const Node *node = fusion_node(fusion, id);
        NodeId input = node->inputs[0];
        const Shape *shape = &fusion_node(fusion, input)->shape;
        bool keeps_last =
            shape->rank > 0 && shape->dim[shape->rank - 1] == node->shape.dim[node->shape.rank - 1];
        if (!keeps_last) {
            return NO_NODE;
        }
        id = narrow_form(fusion, input);
        if (shape_count(shape) == n) {
            Role role = fusion->values[chain_base(fusion, id)].role;
            return role == ROLE_SOURCE || role == ROLE_COMPUTE || role == ROLE_LIBRARY ? id : NO_NODE;
        }
    }
    return NO_NODE;
}

// Whether some kernel computes with the value, so that it can do as well what made it.
static bool feeds_kernel(const Fusion *fusion, NodeId id)
{
    const NodeList *users = &fusion->values[id].users;
    for (int i = 0; i < users->n_items; i++) {
        NodeId user = users->items[i];
        bool is_plain = fusion->values[user].role == ROLE_MOVE && move_is_plain(fusion->graph, user);
        if (is_plain ? feeds_kernel(fusion, user) : fusion->values[user].role != ROLE_LIBRARY) {
            return true;
        }
    }
    return false;
}

// The product below an operand of an ADD, seen with the same last dimension, which nothing else reads; or NO_NODE.
static NodeId lone_product(const Fusion *fusion, NodeId id)
{
    int64_t n = fusion_node(fusion, id)->shape.dim[fusion_node(fusion, id)->shape.rank - 1];
    while (fusion_node(fusion, id)->op == OP_RESHAPE && fusion->values[id].users.n_items == 1 &&
           !fusion->values[id].is_output) {
        id = fusion_node(fusion, id)->inputs[0];
    }
    const Node *node = fusion_node(fusion, id);
    const Value *value = &fusion->values[id];
    bool is_alone = node->op == OP_MATMUL && value->role == ROLE_LIBRARY && value->users.n_items == 1 &&
                    !value->is_output && fusion->accumulated[id] == NO_NODE;
    return is_alone && node->shape.dim[node->shape.rank - 1] == n ? id : NO_NODE;
}

// The ADD that a value is, or that it rounds and nothing else reads; NO_NODE.
static NodeId sum_below(const Fusion *fusion, NodeId id)
{
    const Node *node = fusion_node(fusion, id);
    if (node->op == OP_CAST && dtype_is_low(node->dtype)) {
        id = node->inputs[0];
        bool is_alone = fusion->values[id].users.n_items == 1 && !fusion->values[id].is_output;
        return is_alone && fusion_node(fusion, id)->op == OP_ADD ? id : NO_NODE;
    }
    return node->op == OP_ADD ? id : NO_NODE;
}

// ADD(a b, vector) that would be a kernel of its own: the call adds the vector. The ADD, or what rounds it, is the
// call's value.
static void find_biases(Fusion *fusion)
{
    for (NodeId id = 0; fusion->is_fused && id < fusion->graph->n_nodes; id++) {
        NodeId sum = sum_below(fusion, id);
        const Node *node = fusion_node(fusion, sum == NO_NODE ? id : sum);
        if (sum == NO_NODE || node->shape.rank == 0 || fusion->values[id].role != ROLE_COMPUTE ||
            fusion->values[sum].role != ROLE_COMPUTE || feeds_kernel(fusion, id)) {
            continue;
        }
        for (int i = 0; i < 2; i++) {
            NodeId product = lone_product(fusion, node->inputs[i]);
            NodeId vector =
                repeated_vector(fusion, node->inputs[1 - i], node->shape.dim[node->shape.rank - 1]);
            if (product != NO_NODE && vector != NO_NODE) {
                fusion->bias[product] = vector;
                fusion->values[product].role = ROLE_ABSORBED;
                fusion->values[sum].role = ROLE_ABSORBED;
                fusion->values[id].role = ROLE_LIBRARY;
                fusion->values[id].call = product;
                break;
            }
        }
    }
}

static void find_users(Fusion *fusion, const bool *is_live)
{
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        for (int i = 0; is_live[id] && i < input_count(fusion, id); i++) {
            list_add(fusion, &fusion->values[fusion_node(fusion, id)->inputs[i]].users, id);
        }
    }
    for (int i = 0; i < fusion->graph->n_outputs; i++) {
        fusion->values[fusion->graph->outputs[i].node].is_output = true;
    }
}

void fuse_roles(Fusion *fusion)
{
    const Graph *graph = fusion->graph;
    bool *is_live = graph_live_nodes(fusion->arena, graph);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        is_live[id] = is_live[id] || (node->op == OP_RESULT && is_live[node->inputs[0]]);
    }
    int *ops = arena_alloc(fusion->arena, ((size_t)graph->n_nodes + 1) * sizeof *ops);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        Value *value = &fusion->values[id];
        const Node *node = &graph->nodes[id];
        value->group = -1;
        value->call = node->op == OP_RESULT ? node->inputs[0] : node_is_library(fusion, id) ? id : NO_NODE;
        value->role = is_live[id] ? first_role(fusion, id, ops) : ROLE_DEAD;
        fusion->accumulated[id] = fusion->bias[id] = fusion->sums[id] = NO_NODE;
        if (node->op == OP_MATMUL && node->n_inputs == 3 && is_live[id]) {
            fusion->accumulated[id] = node->inputs[2];
        }
    }
    find_users(fusion, is_live);
    find_scatter_sums(fusion);
    find_biases(fusion);
}

void role_make_copy(Fusion *fusion, NodeId id)
{
    XV_ASSERT(fusion->values[id].role == ROLE_MOVE || fusion->values[id].role == ROLE_GENERATOR);
    fusion->values[id].role = ROLE_COMPUTE;
}

bool value_is_last(const Fusion *fusion, NodeId id)
{
    const NodeList *users = &fusion->values[id].users;
    for (int i = 0; i < users->n_items; i++) {
        if (fusion->values[users->items[i]].role != ROLE_MOVE || !value_is_last(fusion, users->items[i])) {
            return false;
        }
    }
    return true;
}

// Dependencies ---------------------------------------------------------------------------------------------------

static void add_bases(Fusion *fusion, NodeId id, NodeList *deps);

static void add_inputs(Fusion *fusion, NodeId id, NodeList *deps)
{
    for (int i = 0; i < input_count(fusion, id); i++) {
        add_bases(fusion, fusion_node(fusion, id)->inputs[i], deps);
    }
}

static void add_bases(Fusion *fusion, NodeId id, NodeList *deps)
{
    const Value *value = &fusion->values[id];
    switch (value->role) {
    case ROLE_COMPUTE:
    case ROLE_LIBRARY: list_add_once(fusion, deps, id); break;
    case ROLE_ASSEMBLED:
        for (int i = 0; i < value->deps.n_items; i++) {
            list_add_once(fusion, deps, value->deps.items[i]);
        }
        break;
    case ROLE_MOVE:
    case ROLE_ABSORBED:
    case ROLE_GENERATOR: add_inputs(fusion, id, deps); break;
    case ROLE_SOURCE:
    case ROLE_DEAD: break;
    }
}

void role_collect_deps(Fusion *fusion)
{
    for (NodeId id = 0; id < fusion->graph->n_nodes; id++) {
        Value *value = &fusion->values[id];
        if (value->role == ROLE_COMPUTE || value->role == ROLE_ASSEMBLED) {
            add_inputs(fusion, id, &value->deps);
        } else if (value->call == id) {
            add_inputs(fusion, id, &value->deps);
            if (fusion->accumulated[id] != NO_NODE) {
                list_add_once(fusion, &value->deps, fusion->accumulated[id]);
            }
            if (fusion->bias[id] != NO_NODE) {
                add_bases(fusion, fusion->bias[id], &value->deps);
            }
        }
    }
}
