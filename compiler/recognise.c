// Matching happens in the old graph and only reads it; a found attention is then built in the new one, from
// the copies of its q, k, v and bias sources. What it replaces is dead afterwards and pruned.
#include "compiler/recognise.h"

#include "compiler/build.h"
#include "compiler/rewrite.h"

enum { MAX_BIASES = 2 };

typedef struct Bias {
    NodeId node;  // reshaped to `shape` it is the bias
    Shape shape;  // [b, h, n, m]
} Bias;

// What a match has found, in ids of the old graph.
typedef struct Found {
    NodeId q, k_transposed, v;
    double scale;
    int draw;  // or -1
    Bias biases[MAX_BIASES];
    int n_biases;
} Found;

typedef struct Matcher {
    const Graph *graph;
    const int *uses;
    const int *attention_uses;  // of a SOFTMAX: how many of its uses are the p of a match
    const bool *has_parameter;  // a trainable parameter lies behind the node
} Matcher;

static const Node *node_at(const Matcher *matcher, NodeId id)
{
    return &matcher->graph->nodes[id];
}

static bool is_op(const Matcher *matcher, NodeId id, Op op)
{
    return node_at(matcher, id)->op == op;
}

// x and c of x * c or x / c (as a factor); false for anything else.
static bool is_scaled(const Matcher *matcher, NodeId id, NodeId *x, double *factor)
{
    const Node *node = node_at(matcher, id);
    if (node->op != OP_MUL && node->op != OP_DIV) {
        return false;
    }
    int constant = is_op(matcher, node->inputs[1], OP_CONST) || node->op == OP_DIV ? 1 : 0;
    if (!is_op(matcher, node->inputs[constant], OP_CONST)) {
        return false;
    }
    double number = node_at(matcher, node->inputs[constant])->attr.number;
    *x = node->inputs[1 - constant];
    *factor *= node->op == OP_DIV ? 1 / number : number;
    return true;
}

// Biases ----------------------------------------------------------------------------------------------------

// A tiling of the batch: `bias` is RESHAPE(EXPAND(x)) where the expand repeats a leading dimension of extent
// 1 and the reshape merges it into the batch. Then the batch index counts modulo what is left, and x is the
// bias.
static void strip_tiling(const Matcher *matcher, Bias *bias)
{
    const Node *reshape = node_at(matcher, bias->node);
    if (reshape->op != OP_RESHAPE || !is_op(matcher, reshape->inputs[0], OP_EXPAND)) {
        return;
    }
    const Node *expand = node_at(matcher, reshape->inputs[0]);
    const Shape *large = &expand->shape, *small = &node_at(matcher, expand->inputs[0])->shape;
    int64_t copies = large->rank > 0 ? large->dim[0] : 1;
    if (copies == 1 || small->dim[0] != 1 || bias->shape.dim[0] % copies != 0) {
        return;
    }
    Shape result = bias->shape;
    result.dim[0] /= copies;
    bool is_split = large->rank == 5;  // [copies, b, h, n, m]: the inner dimensions may be expanded too
    bool is_whole = true;              // otherwise the leading one alone
    for (int i = 1; i < large->rank; i++) {
        is_split = is_split && large->dim[i] == result.dim[i - 1];
        is_whole = is_whole && large->dim[i] == small->dim[i];
    }
    if (is_split) {
        result = shape_of(4, small->dim + 1);
    }
    if (is_split || is_whole) {
        *bias = (Bias){.node = expand->inputs[0], .shape = result};
    }
}

static void add_bias(const Matcher *matcher, Found *found, NodeId id)
{
    if (is_op(matcher, id, OP_CONST)) {
        return;  // the same for a whole row: softmax does not see it
    }
    Bias bias = {.node = id, .shape = node_at(matcher, id)->shape};
    if (is_op(matcher, id, OP_EXPAND)) {
        bias.node = node_at(matcher, id)->inputs[0];
        bias.shape = node_at(matcher, bias.node)->shape;
    }
    strip_tiling(matcher, &bias);
    if (found->n_biases < MAX_BIASES) {
        found->biases[found->n_biases] = bias;
    }
    found->n_biases++;
}

// Scores ----------------------------------------------------------------------------------------------------

// scale * MATMUL(scale * q, k^T).
static bool match_product(const Matcher *matcher, NodeId id, Found *found)
{
    NodeId inner;
    double scale = 1;
    while (is_scaled(matcher, id, &inner, &scale)) {
        id = inner;
    }
    const Node *product = node_at(matcher, id);
    if (product->op != OP_MATMUL || product->n_inputs != 2) {
        return false;
    }
    found->q = product->inputs[0];
    while (is_scaled(matcher, found->q, &inner, &scale)) {
        found->q = inner;
    }
    found->k_transposed = product->inputs[1];
    found->scale = scale;
    return true;
}

static bool match_scores(const Matcher *matcher, NodeId id, Found *found)
{
    if (match_product(matcher, id, found)) {
        return true;
    }
    const Node *node = node_at(matcher, id);
    if (node->op != OP_ADD) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (match_scores(matcher, node->inputs[i], found)) {
            add_bias(matcher, found, node->inputs[1 - i]);
            return true;
        }
    }
    return false;
}

// p or p * KEEP: gives p and the draw.
static NodeId without_dropout(const Matcher *matcher, NodeId id, int *draw)
{
    const Node *node = node_at(matcher, id);
    *draw = -1;
    for (int i = 0; node->op == OP_MUL && i < 2; i++) {
        if (is_op(matcher, node->inputs[i], OP_KEEP)) {
            *draw = node_at(matcher, node->inputs[i])->attr.index;
            return node->inputs[1 - i];
        }
    }
    return id;
}

static void order_biases(const Matcher *matcher, Found *found)
{
    if (found->n_biases == 2 && !matcher->has_parameter[found->biases[0].node] &&
        matcher->has_parameter[found->biases[1].node]) {
        Bias first = found->biases[0];
        found->biases[0] = found->biases[1];
        found->biases[1] = first;
    }
}

// The probabilities that the node weights values with, or NO_NODE.
static NodeId match_probabilities(const Matcher *matcher, NodeId id, int *draw)
{
    const Node *node = node_at(matcher, id);
    if (node->op != OP_MATMUL || node->shape.rank != 4 || node->n_inputs != 2) {
        return NO_NODE;
    }
    NodeId p = without_dropout(matcher, node->inputs[0], draw);
    bool is_alone = p == node->inputs[0] || matcher->uses[node->inputs[0]] == 1;
    return is_alone && is_op(matcher, p, OP_SOFTMAX) ? p : NO_NODE;
}

// A softmax with several uses is recomputed by each, if all of them are attention (two draws of dropout,
// say).
static bool match_attention(const Matcher *matcher, NodeId id, Found *found)
{
    *found = (Found){.n_biases = 0};
    NodeId p = match_probabilities(matcher, id, &found->draw);
    if (p == NO_NODE || matcher->attention_uses[p] != matcher->uses[p]) {
        return false;
    }
    found->v = node_at(matcher, id)->inputs[1];
    if (!match_scores(matcher, node_at(matcher, p)->inputs[0], found) || found->n_biases > MAX_BIASES) {
        return false;
    }
    order_biases(matcher, found);
    return true;
}

// Building --------------------------------------------------------------------------------------------------

static NodeId build_attention(Build *build, const Found *found, const NodeId *map, const Shape *shape)
{
    NodeId inputs[3 + MAX_BIASES] = {map[found->q], build_transpose(build, map[found->k_transposed]),
                                     map[found->v]};
    for (int i = 0; i < found->n_biases; i++) {
        const Bias *bias = &found->biases[i];
        inputs[3 + i] = graph_reshape(build->graph, map[bias->node], &bias->shape, &build->origin);
    }
    Attr attr = {.number = found->scale, .index = found->draw};
    return graph_add(build->graph, OP_ATTENTION, DTYPE_F32, shape, inputs, 3 + found->n_biases, &attr,
                     &build->origin);
}

static bool *find_parameters(Arena *arena, const Graph *graph)
{
    bool *has_parameter = arena_alloc(arena, (size_t)graph->n_nodes * sizeof *has_parameter);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        has_parameter[id] = node->op == OP_PARAM && graph->parameters[node->attr.index].is_trainable;
        for (int i = 0; i < node->n_inputs; i++) {
            has_parameter[id] = has_parameter[id] || has_parameter[node->inputs[i]];
        }
    }
    return has_parameter;
}

static int *count_attention_uses(Arena *arena, const Matcher *matcher)
{
    int *counts = arena_alloc(arena, (size_t)matcher->graph->n_nodes * sizeof *counts);
    for (NodeId id = 0; id < matcher->graph->n_nodes; id++) {
        int draw;
        NodeId p = match_probabilities(matcher, id, &draw);
        if (p != NO_NODE) {
            counts[p]++;
        }
    }
    return counts;
}

Graph *recognise_attention(Arena *arena, const Graph *graph)
{
    Matcher matcher = {.graph = graph, .uses = graph_use_counts(arena, graph)};
    matcher.attention_uses = count_attention_uses(arena, &matcher);
    matcher.has_parameter = find_parameters(arena, graph);
    NodeId *map = graph_new_map(arena, graph);
    Graph *to = graph_new_rewrite(arena, graph);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        Found found;
        if (match_attention(&matcher, id, &found)) {
            Build build = {.graph = to, .origin = node_origin(graph, id)};
            map[id] = build_attention(&build, &found, map, &graph->nodes[id].shape);
        } else {
            map[id] = graph_copy_node(to, graph, id, map);
        }
    }
    graph_copy_outputs(to, graph, map);
    return graph_prune(arena, to);
}
