// The policy table, and the pass that applies it; see precision.h.
//
// Every node has up to two forms in the new graph: wide, the value in its old dtype, and low, rounded to the type.
// Forms are made when they are first asked for, so a value is rounded once however many products read it. Movement
// passes the question on: what is rounded is the value below it, where the kernel that computes it can store it
// rounded.
#include "compiler/precision.h"

#include "compiler/build.h"
#include "compiler/rewrite.h"

#include <string.h>

typedef enum Asks {
    ASKS_NOTHING,   // f32 in, f32 out
    ASKS_ROUNDED,   // the inputs of the mask are rounded, and the results of the other mask
    ASKS_AS_GIVEN,  // movement: the type of what it moves
} Asks;

typedef struct Rule {
    Asks asks;
    uint32_t operands;  // bit i: input i is rounded
    uint32_t results;   // bit i: result i is rounded
} Rule;

// What no row names is computed in f32: softmax, normalisations, GELU, losses, reductions, sums.
static const Rule RULES[OP_COUNT] = {
    [OP_MATMUL] = {ASKS_ROUNDED, 1u << 0 | 1u << 1, 1u << 0},  // f32 where a parameter's gradient is summed
    [OP_ATTENTION] = {ASKS_ROUNDED, 1u << 0 | 1u << 1 | 1u << 2, 1u << 0},  // q, k, v; not the log-sum-exp
    // q, k, v, out, d_out; d_q, d_k, d_v, not the gradients of biases.
    [OP_ATTENTION_GRAD] = {ASKS_ROUNDED, 1u << 0 | 1u << 1 | 1u << 2 | 1u << 3 | 1u << 5, 7u},
    [OP_KEPT] = {ASKS_ROUNDED, 1u << 0, 1u << 0},  // sums that no product takes part in stay f32
    [OP_RESHAPE] = {ASKS_AS_GIVEN, 1u << 0, 0},
    [OP_PERMUTE] = {ASKS_AS_GIVEN, 1u << 0, 0},
    [OP_EXPAND] = {ASKS_AS_GIVEN, 1u << 0, 0},
    [OP_SLICE] = {ASKS_AS_GIVEN, 1u << 0, 0},
    [OP_PAD] = {ASKS_AS_GIVEN, 1u << 0, 0},
    [OP_ROLL] = {ASKS_AS_GIVEN, 1u << 0, 0},
    [OP_CONCAT] = {ASKS_AS_GIVEN, UINT32_MAX, 0},
    [OP_TAKE] = {ASKS_AS_GIVEN, 1u << 0, 0},  // not the index
};

static const char *const NAMES[PRECISION_COUNT] = {[PRECISION_FP32] = "fp32",
                                                   [PRECISION_TF32] = "tf32",
                                                   [PRECISION_BF16] = "bf16",
                                                   [PRECISION_FP16] = "fp16"};

const char *precision_name(Precision precision)
{
    return NAMES[precision];
}

bool precision_find(const char *name, Precision *precision)
{
    for (int i = 0; i < PRECISION_COUNT; i++) {
        if (strcmp(NAMES[i], name) == 0) {
            *precision = (Precision)i;
            return true;
        }
    }
    return false;
}

Dtype precision_dtype(Precision precision)
{
    return precision == PRECISION_BF16 ? DTYPE_BF16 : precision == PRECISION_FP16 ? DTYPE_F16 : DTYPE_F32;
}

typedef struct Lowering {
    const Graph *from;
    Graph *to;
    Dtype type;          // F32: tf32
    NodeId *wide, *low;  // per old node, or NO_NODE
    NodeId *again;       // the same as low, of layer norms and movement: computed in the backward pass
    NodeId *call;        // per old node: the op itself, which RESULTs name
    bool *is_low;        // its value is a rounded one
    bool *has_product;   // the result of a product, or a sum with one
    bool *is_gradient;   // it only goes into the gradient of a parameter
    bool *has_late;      // of a product: its result is rounded when a bias has been added
    uint8_t *late_bias;  // of the sum with it: which input is the bias, counted from 1
} Lowering;

// Analysis --------------------------------------------------------------------------------------------------------

static bool is_mover(const Node *node, int input)
{
    return RULES[node->op].asks == ASKS_AS_GIVEN && (input == 0 || node->op == OP_CONCAT);
}

// Found from the outputs backwards: every user only adds up or moves.
static void find_gradients(Lowering *lowering, Arena *arena)
{
    const Graph *graph = lowering->from;
    bool *is_used = arena_alloc(arena, (size_t)graph->n_nodes + 1);
    bool *is_spoilt = arena_alloc(arena, (size_t)graph->n_nodes + 1);
    for (int i = 0; i < graph->n_outputs; i++) {
        is_used[graph->outputs[i].node] = true;
        is_spoilt[graph->outputs[i].node] |= graph->outputs[i].kind != OUTPUT_GRADIENT;
    }
    for (NodeId id = graph->n_nodes - 1; id >= 0; id--) {
        const Node *node = &graph->nodes[id];
        lowering->is_gradient[id] = is_used[id] && !is_spoilt[id];
        for (int i = 0; is_used[id] && i < node->n_inputs; i++) {
            bool adds = node->op == OP_ADD || (node->op == OP_MATMUL && i == 2);
            bool passes = lowering->is_gradient[id] && (adds || is_mover(node, i));
            is_used[node->inputs[i]] = true;
            is_spoilt[node->inputs[i]] |= !passes;
        }
    }
}

// Per node, whether everything that reads it, where it lies, asks for it rounded; and how often it is read.
static void find_asked(const Lowering *lowering, bool *is_asked, int *uses)
{
    const Graph *graph = lowering->from;
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        is_asked[id] = true;
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        is_asked[graph->outputs[i].node] = false;
    }
    for (NodeId id = graph->n_nodes - 1; id >= 0; id--) {
        const Node *node = &graph->nodes[id];
        const Rule *rule = &RULES[node->op];
        for (int i = 0; i < node->n_inputs; i++) {
            bool asks = rule->asks == ASKS_ROUNDED && node->op != OP_KEPT && (rule->operands >> i & 1);
            bool is_plain = node->op != OP_PAD && node->op != OP_CONCAT && node->op != OP_TAKE;
            bool passes = is_plain && is_mover(node, i) && is_asked[id];
            is_asked[node->inputs[i]] = is_asked[node->inputs[i]] && (asks || passes);
            uses[node->inputs[i]]++;
        }
    }
}

// The product of two that an operand of a sum is, seen with the same last dimension; or NO_NODE.
static NodeId product_below(const Graph *graph, NodeId id, const int *uses)
{
    int64_t n = graph->nodes[id].shape.dim[graph->nodes[id].shape.rank - 1];
    while (graph->nodes[id].op == OP_RESHAPE && uses[id] == 1) {
        id = graph->nodes[id].inputs[0];
    }
    const Node *node = &graph->nodes[id];
    bool is_product = node->op == OP_MATMUL && node->n_inputs == 2 && uses[id] == 1;
    return is_product && node->shape.dim[node->shape.rank - 1] == n ? id : NO_NODE;
}

static bool is_vector(const Graph *graph, NodeId id, int64_t n)
{
    while (graph->nodes[id].op == OP_RESHAPE || graph->nodes[id].op == OP_EXPAND) {
        id = graph->nodes[id].inputs[0];
    }
    return shape_count(&graph->nodes[id].shape) == n;
}

// x W + bias that is only read rounded is rounded once, as the official linear layer rounds it, and so is the bias.
static void find_late(Lowering *lowering, Arena *arena)
{
    const Graph *graph = lowering->from;
    bool *is_asked = arena_alloc(arena, (size_t)graph->n_nodes + 1);
    int *uses = arena_alloc(arena, ((size_t)graph->n_nodes + 1) * sizeof *uses);
    find_asked(lowering, is_asked, uses);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        bool is_sum = node->op == OP_ADD && node->dtype == DTYPE_F32 && node->shape.rank > 0 && is_asked[id];
        for (int i = 0; i < 2 && is_sum; i++) {
            NodeId product = product_below(graph, node->inputs[i], uses);
            if (product != NO_NODE &&
                is_vector(graph, node->inputs[1 - i], node->shape.dim[node->shape.rank - 1])) {
                lowering->has_late[product] = true;
                lowering->late_bias[id] = (uint8_t)(2 - i);
                break;
            }
        }
    }
}

static bool are_apart(const Graph *graph, const Node *a, const Node *b)
{
    const Shape *of_a = &graph->nodes[a->inputs[0]].shape, *of_b = &graph->nodes[b->inputs[0]].shape;
    for (int i = 0; i < a->shape.rank; i++) {
        int64_t end_a = a->attr.start[i] + (of_a->dim[i] - 1) * a->attr.step[i];
        int64_t end_b = b->attr.start[i] + (of_b->dim[i] - 1) * b->attr.step[i];
        if (end_a < b->attr.start[i] || end_b < a->attr.start[i]) {
            return true;
        }
    }
    return false;
}

enum { MAX_PADS = 16 };

static bool collect_pads(const Graph *graph, NodeId id, const Node **pads, int *n_pads)
{
    const Node *node = &graph->nodes[id];
    if (node->op == OP_ADD) {
        return collect_pads(graph, node->inputs[0], pads, n_pads) &&
               collect_pads(graph, node->inputs[1], pads, n_pads);
    }
    if (node->op != OP_PAD || *n_pads == MAX_PADS) {
        return false;
    }
    for (int i = 0; i < *n_pads; i++) {
        if (!are_apart(graph, pads[i], node)) {
            return false;
        }
    }
    pads[(*n_pads)++] = node;
    return true;
}

// A sum of PADs without overlap moves what it adds.
static bool is_low_sum(const Lowering *lowering, NodeId id)
{
    const Node *pads[MAX_PADS];
    int n_pads = 0;
    if (!collect_pads(lowering->from, id, pads, &n_pads)) {
        return false;
    }
    for (int i = 0; i < n_pads; i++) {
        if (!lowering->is_low[pads[i]->inputs[0]]) {
            return false;
        }
    }
    return true;
}

static bool is_low_move(const Lowering *lowering, const Node *node)
{
    for (int i = 0; i < node->n_inputs; i++) {
        if (is_mover(node, i) && !lowering->is_low[node->inputs[i]]) {
            return false;
        }
    }
    return true;
}

// The result of the op that a rule says is rounded.
static bool is_low_result(const Lowering *lowering, NodeId id, const Node *node)
{
    const Node *op = node->op == OP_RESULT ? &lowering->from->nodes[node->inputs[0]] : node;
    int result = node->op == OP_RESULT ? node->attr.index : 0;
    if (RULES[op->op].asks != ASKS_ROUNDED || !(RULES[op->op].results >> result & 1)) {
        return false;
    }
    if (op->op == OP_KEPT) {
        NodeId x = op->inputs[0];
        bool is_sum = lowering->from->nodes[x].op == OP_ADD || lowering->from->nodes[x].n_inputs == 3;
        return !is_sum || lowering->has_product[x];
    }
    return op->op != OP_MATMUL ||
           (op->n_inputs == 2 && !lowering->is_gradient[id] && !lowering->has_late[id]);
}

static void find_low(Lowering *lowering)
{
    for (NodeId id = 0; id < lowering->from->n_nodes; id++) {
        const Node *node = &lowering->from->nodes[id];
        Asks asks = RULES[node->op].asks;
        bool is_low = asks == ASKS_AS_GIVEN  ? is_low_move(lowering, node)
                      : node->op == OP_ADD   ? is_low_sum(lowering, id)
                      : node->op == OP_CONST ? false
                                             : is_low_result(lowering, id, node);
        lowering->is_low[id] = is_low && node->dtype == DTYPE_F32;
        bool has_product = lowering->is_low[id] || node->op == OP_MATMUL;
        for (int i = 0; node->op == OP_ADD && i < 2; i++) {
            has_product = has_product || lowering->has_product[node->inputs[i]];
        }
        lowering->has_product[id] = has_product;
    }
}

// Both forms ------------------------------------------------------------------------------------------------------

static NodeId low_form(Lowering *lowering, NodeId id);

// A copy of the node on the forms of its inputs that a mask names.
static NodeId on_forms(Lowering *lowering, NodeId id, uint32_t low_inputs, Dtype dtype);

static NodeId late_cast(Graph *graph, NodeId x, const Origin *origin)
{
    Shape shape = graph->nodes[x].shape;
    Attr attr = {.is_late = true};
    return graph_add(graph, OP_CAST, DTYPE_F32, &shape, &x, 1, &attr, origin);
}

static NodeId wide_form(Lowering *lowering, NodeId id)
{
    if (lowering->wide[id] == NO_NODE) {
        Origin origin = node_origin(lowering->from, id);
        NodeId rounded = low_form(lowering, id);
        const Node *node = &lowering->from->nodes[id];
        bool is_late = node->op == OP_KEPT && node->attr.is_late;
        lowering->wide[id] = is_late ? late_cast(lowering->to, rounded, &origin)
                                     : graph_cast(lowering->to, rounded, DTYPE_F32, &origin);
    }
    return lowering->wide[id];
}

static NodeId on_forms(Lowering *lowering, NodeId id, uint32_t low_inputs, Dtype dtype)
{
    const Node *node = &lowering->from->nodes[id];
    NodeId *inputs = arena_alloc(lowering->to->arena, ((size_t)node->n_inputs + 1) * sizeof *inputs);
    for (int i = 0; i < node->n_inputs; i++) {
        bool is_low = low_inputs >> (i < 31 ? i : 31) & 1;
        inputs[i] = is_low ? low_form(lowering, node->inputs[i]) : wide_form(lowering, node->inputs[i]);
    }
    Origin origin = node_origin(lowering->from, id);
    return graph_add(lowering->to, node->op, dtype, &node->shape, inputs, node->n_inputs, &node->attr,
                     &origin);
}

static NodeId made_low(Lowering *lowering, NodeId id)
{
    const Node *node = &lowering->from->nodes[id];
    const Rule *rule = &RULES[node->op];
    if (rule->asks == ASKS_AS_GIVEN) {
        return on_forms(lowering, id, rule->operands, lowering->type);
    }
    if (lowering->is_low[id] && node->op == OP_KEPT) {
        return low_form(lowering, node->inputs[0]);
    }
    if (lowering->is_low[id] && node->op == OP_ADD) {
        return on_forms(lowering, id, UINT32_MAX, lowering->type);
    }
    Origin origin = node_origin(lowering->from, id);
    if (node->op == OP_PARAM) {
        return graph_add(lowering->to, OP_PARAM, lowering->type, &node->shape, NULL, 0, &node->attr, &origin);
    }
    return graph_cast(lowering->to, wide_form(lowering, id), lowering->type, &origin);
}

static NodeId low_form(Lowering *lowering, NodeId id)
{
    if (lowering->low[id] == NO_NODE) {
        lowering->low[id] = made_low(lowering, id);
    }
    return lowering->low[id];
}

// Layer norms once more ---------------------------------------------------------------------------------------------

// The normalised values wait for the backward pass in any case. What a layer norm makes of them is needed there as
// well, as the operand of a weight's gradient: it need not wait too.
static NodeId norm_again(Lowering *lowering, NodeId id)
{
    const Node *node = &lowering->from->nodes[id];
    Build build = {.graph = lowering->to, .origin = node_origin(lowering->from, id)};
    NormParts parts = build_norm_parts(&build, wide_form(lowering, node->inputs[0]), node->attr.number);
    NodeId rounded = graph_cast(build.graph, parts.normalised, lowering->type, &build.origin);
    NodeId normalised = late_cast(build.graph, rounded, &build.origin);
    NodeId weight =
        graph_expand_to(build.graph, wide_form(lowering, node->inputs[1]), &node->shape, &build.origin);
    NodeId bias =
        graph_expand_to(build.graph, wide_form(lowering, node->inputs[2]), &node->shape, &build.origin);
    NodeId y = build_add(&build, build_mul(&build, normalised, weight), bias);
    return graph_cast(build.graph, y, lowering->type, &build.origin);
}

// Whether the node is a layer norm seen through movement that leaves every element where it is, or elsewhere.
static bool is_norm(const Graph *graph, NodeId id)
{
    Op op = graph->nodes[id].op;
    while (op == OP_RESHAPE || op == OP_PERMUTE || op == OP_ROLL) {
        id = graph->nodes[id].inputs[0];
        op = graph->nodes[id].op;
    }
    return op == OP_LAYER_NORM;
}

static NodeId again_form(Lowering *lowering, NodeId id)
{
    const Node *node = &lowering->from->nodes[id];
    if (lowering->again[id] != NO_NODE) {
        return lowering->again[id];
    }
    if (node->op == OP_LAYER_NORM) {
        lowering->again[id] = norm_again(lowering, id);
        return lowering->again[id];
    }
    Origin origin = node_origin(lowering->from, id);
    NodeId below = again_form(lowering, node->inputs[0]);
    lowering->again[id] =
        graph_add(lowering->to, node->op, lowering->type, &node->shape, &below, 1, &node->attr, &origin);
    return lowering->again[id];
}

// Products and attention --------------------------------------------------------------------------------------------

// a b + c whose result is rounded before c is added.
static void lower_sum(Lowering *lowering, NodeId id)
{
    const Node *node = &lowering->from->nodes[id];
    Origin origin = node_origin(lowering->from, id);
    NodeId inputs[2] = {low_form(lowering, node->inputs[0]), low_form(lowering, node->inputs[1])};
    NodeId product =
        graph_add(lowering->to, OP_MATMUL, lowering->type, &node->shape, inputs, 2, &node->attr, &origin);
    product = graph_cast(lowering->to, product, DTYPE_F32, &origin);
    lowering->wide[id] =
        graph_binary(lowering->to, OP_ADD, wide_form(lowering, node->inputs[2]), product, &origin);
}

// The gradient of a weight: layer norms among its operands are computed again.
static NodeId gradient_product(Lowering *lowering, NodeId id)
{
    const Node *node = &lowering->from->nodes[id];
    NodeId inputs[3];
    for (int i = 0; i < node->n_inputs; i++) {
        NodeId input = node->inputs[i];
        inputs[i] = i == 2                           ? wide_form(lowering, input)
                    : is_norm(lowering->from, input) ? again_form(lowering, input)
                                                     : low_form(lowering, input);
    }
    Origin origin = node_origin(lowering->from, id);
    return graph_add(lowering->to, OP_MATMUL, DTYPE_F32, &node->shape, inputs, node->n_inputs, &node->attr,
                     &origin);
}

static void lower_call(Lowering *lowering, NodeId id)
{
    const Node *node = &lowering->from->nodes[id];
    if (node->op == OP_MATMUL && node->n_inputs == 3 && !lowering->is_gradient[id]) {
        lower_sum(lowering, id);
        return;
    }
    bool is_low = lowering->is_low[id];
    NodeId call = node->op == OP_MATMUL && lowering->is_gradient[id]
                      ? gradient_product(lowering, id)
                      : on_forms(lowering, id, RULES[node->op].operands, is_low ? lowering->type : DTYPE_F32);
    lowering->call[id] = call;
    *(is_low ? &lowering->low[id] : &lowering->wide[id]) = call;
}

static void lower_result(Lowering *lowering, NodeId id)
{
    const Node *node = &lowering->from->nodes[id];
    Origin origin = node_origin(lowering->from, id);
    bool is_low = lowering->is_low[id];
    NodeId result = graph_add(lowering->to, OP_RESULT, is_low ? lowering->type : DTYPE_F32, &node->shape,
                              &lowering->call[node->inputs[0]], 1, &node->attr, &origin);
    *(is_low ? &lowering->low[id] : &lowering->wide[id]) = result;
}

// x W + bias with the rounded bias: libraries add one of the type of their result.
static NodeId late_sum(Lowering *lowering, NodeId id)
{
    const Node *node = &lowering->from->nodes[id];
    Origin origin = node_origin(lowering->from, id);
    NodeId inputs[2];
    for (int i = 0; i < 2; i++) {
        NodeId input = node->inputs[i];
        inputs[i] = lowering->late_bias[id] == i + 1
                        ? graph_cast(lowering->to, low_form(lowering, input), DTYPE_F32, &origin)
                        : wide_form(lowering, input);
    }
    return graph_binary(lowering->to, OP_ADD, inputs[0], inputs[1], &origin);
}

static void lower(Lowering *lowering, NodeId id)
{
    const Node *node = &lowering->from->nodes[id];
    bool is_call = node->op == OP_MATMUL || node->op == OP_ATTENTION || node->op == OP_ATTENTION_GRAD;
    if (is_call) {
        lower_call(lowering, id);
    } else if (node->op == OP_RESULT) {
        lower_result(lowering, id);
    } else if (lowering->is_low[id]) {
        low_form(lowering, id);
    } else if (node->op == OP_KEPT) {
        lowering->wide[id] = wide_form(lowering, node->inputs[0]);
    } else if (lowering->late_bias[id]) {
        lowering->wide[id] = late_sum(lowering, id);
    } else {
        lowering->wide[id] = on_forms(lowering, id, 0, node->dtype);
    }
}

static const Graph *apply_tf32(Arena *arena, const Graph *graph)
{
    Graph *to = graph_new_rewrite(arena, graph);
    NodeId *map = graph_new_map(arena, graph);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        map[id] = graph_copy_node(to, graph, id, map);
        bool is_rounded = RULES[graph->nodes[id].op].asks == ASKS_ROUNDED && graph->nodes[id].op != OP_KEPT;
        to->nodes[map[id]].attr.is_tf32 = is_rounded;
    }
    graph_copy_outputs(to, graph, map);
    return to;
}

const Graph *apply_precision(Arena *arena, const Graph *graph, Precision precision)
{
    if (precision == PRECISION_FP32) {
        return graph;
    }
    if (precision == PRECISION_TF32) {
        return apply_tf32(arena, graph);
    }
    Lowering lowering = {.from = graph,
                         .to = graph_new_rewrite(arena, graph),
                         .type = precision_dtype(precision),
                         .wide = graph_new_map(arena, graph),
                         .low = graph_new_map(arena, graph),
                         .again = graph_new_map(arena, graph),
                         .call = graph_new_map(arena, graph)};
    size_t n = (size_t)graph->n_nodes + 1;
    lowering.is_low = arena_alloc(arena, n);
    lowering.has_product = arena_alloc(arena, n);
    lowering.is_gradient = arena_alloc(arena, n);
    lowering.has_late = arena_alloc(arena, n);
    lowering.late_bias = arena_alloc(arena, n);
    find_gradients(&lowering, arena);
    find_late(&lowering, arena);
    find_low(&lowering);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        lower(&lowering, id);
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        const Output *output = &graph->outputs[i];
        graph_output(lowering.to, output->name, output->kind, wide_form(&lowering, output->node),
                     output->parameter);
    }
    return graph_prune(arena, lowering.to);
}

const Graph *scale_loss(Arena *arena, const Graph *graph, Precision precision, NodeId loss, NodeId *scaled)
{
    *scaled = loss;
    if (precision != PRECISION_FP16) {
        return graph;
    }
    Graph *to = graph_new_rewrite(arena, graph);
    NodeId *map = graph_new_map(arena, graph);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        map[id] = graph_copy_node(to, graph, id, map);
    }
    graph_copy_outputs(to, graph, map);
    Draw *draws = arena_alloc(arena, ((size_t)graph->n_draws + 1) * sizeof *draws);
    for (int i = 0; i < graph->n_draws; i++) {
        draws[i] = graph->draws[i];
    }
    Shape shape = graph->nodes[loss].shape;
    draws[graph->n_draws] =
        (Draw){.name = "loss_scale", .kind = DRAW_SCALE, .shape = shape, .span = graph->nodes[loss].span};
    Attr attr = {.index = graph->n_draws};
    to->draws = draws;
    to->n_draws = graph->n_draws + 1;
    Origin origin = node_origin(graph, loss);
    NodeId factor = graph_add(to, OP_KEEP, DTYPE_F32, &shape, NULL, 0, &attr, &origin);
    *scaled = graph_binary(to, OP_MUL, map[loss], factor, &origin);
    return to;
}
