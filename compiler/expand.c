// One definition per compound, reached through one table; see expand.h for the formulas.
#include "compiler/expand.h"

#include "compiler/build.h"
#include "compiler/rewrite.h"

enum { MAX_RESULTS = 5 };

// A node being replaced: its inputs are already nodes of the new graph.
typedef struct Site {
    Build build;
    const NodeId *inputs;
    int n_inputs;
    const Attr *attr;
    NodeId results[MAX_RESULTS];
} Site;

typedef void Definition(Site *site);

static void define_identity(Site *site)
{
    site->results[0] = site->inputs[0];
}

static void define_softmax(Site *site)
{
    SoftmaxParts parts = build_softmax_parts(&site->build, site->inputs[0]);
    NodeId sum = build_grow(&site->build, parts.sum, parts.exponentials);
    site->results[0] = build_div(&site->build, parts.exponentials, sum);
}

static void define_log_softmax(Site *site)
{
    Build *build = &site->build;
    SoftmaxParts parts = build_softmax_parts(build, site->inputs[0]);
    NodeId log_sum = build_unary(build, OP_LOG, parts.sum);
    site->results[0] = build_sub(build, parts.shifted, build_grow(build, log_sum, parts.shifted));
}

static void define_layer_norm(Site *site)
{
    Build *build = &site->build;
    NodeId x = site->inputs[0];
    Shape shape = *build_shape(build, x);
    NormParts parts = build_norm_parts(build, x, site->attr->number);
    NodeId weight = graph_expand_to(build->graph, site->inputs[1], &shape, &build->origin);
    NodeId bias = graph_expand_to(build->graph, site->inputs[2], &shape, &build->origin);
    site->results[0] = build_add(build, build_mul(build, parts.normalised, weight), bias);
}

// log(sum exp(x - max)) - (x[label] - max): the maximum is taken off before the difference, not after, so that a loss
// much smaller than the logits keeps its digits.
static void define_cross_entropy(Site *site)
{
    Build *build = &site->build;
    NodeId logits = site->inputs[0];
    SoftmaxParts parts = build_softmax_parts(build, logits);
    NodeId log_sum = build_unary(build, OP_LOG, parts.sum);
    NodeId picked = build_select(build, build_is_label(build, logits, site->inputs[1]), parts.shifted, 0.0);
    NodeId loss = build_sub(build, log_sum, build_sum(build, picked, 2));
    site->results[0] = build_reshape(build, loss, 1, build_shape(build, logits)->dim);
}

static Scores scores_of(const Site *site, int first_bias)
{
    return (Scores){
        .q = site->inputs[0],
        .k = site->inputs[1],
        .scale = site->attr->number,
        .biases = site->inputs + first_bias,
        .n_biases = site->n_inputs - first_bias,
    };
}

// x * keep, or x without dropout.
static NodeId dropped(Site *site, NodeId x)
{
    if (site->attr->index < 0) {
        return x;
    }
    Build *build = &site->build;
    Shape shape = *build_shape(build, x);
    Attr draw = {.index = site->attr->index};
    NodeId keep = graph_add(build->graph, OP_KEEP, DTYPE_F32, &shape, NULL, 0, &draw, &build->origin);
    return build_mul(build, x, keep);
}

static void define_attention(Site *site)
{
    Build *build = &site->build;
    Scores scores = scores_of(site, 3);
    SoftmaxParts parts = build_softmax_parts(build, build_scores(build, &scores));
    NodeId sum = build_grow(build, parts.sum, parts.exponentials);
    NodeId probabilities = build_div(build, parts.exponentials, sum);
    site->results[0] = build_matmul(build, dropped(site, probabilities), site->inputs[2]);
    NodeId lse = build_log_sum_exp(build, &parts);
    site->results[1] = build_reshape(build, lse, 3, build_shape(build, lse)->dim);
}

static void define_attention_grad(Site *site)
{
    Build *build = &site->build;
    NodeId v = site->inputs[2], out = site->inputs[3], d_out = site->inputs[5];
    Scores scores = scores_of(site, 6);
    NodeId s = build_scores(build, &scores);
    const int64_t *dims = build_shape(build, s)->dim;
    NodeId lse = build_reshape(build, site->inputs[4], 4, (int64_t[]){dims[0], dims[1], dims[2], 1});
    NodeId p = build_unary(build, OP_EXP, build_sub(build, s, build_grow(build, lse, s)));
    NodeId d_p = dropped(site, build_matmul(build, d_out, build_transpose(build, v)));
    NodeId delta = build_sum(build, build_mul(build, d_out, out), 1u << 3);
    NodeId d_s = build_mul(build, p, build_sub(build, d_p, build_grow(build, delta, s)));
    NodeId d_product = build_scale(build, d_s, scores.scale);
    site->results[0] = build_matmul(build, d_product, scores.k);
    site->results[1] = build_matmul(build, build_transpose(build, d_product), scores.q);
    site->results[2] = build_matmul(build, build_transpose(build, dropped(site, p)), d_out);
    for (int i = 0; i < scores.n_biases; i++) {
        Shape shape = *build_shape(build, scores.biases[i]);
        bool is_wanted = site->attr->axes >> i & 1;
        site->results[3 + i] = is_wanted ? build_bias_sum(build, d_s, &shape) : NO_NODE;
    }
}

// (1 + erf(x / sqrt 2)) / 2: the normal distribution function.
static NodeId normal_cdf(Build *build, NodeId x)
{
    NodeId erf = build_unary(build, OP_ERF, build_scale(build, x, 0.70710678118654752440));
    return build_scale(build, build_shift(build, erf, 1.0), 0.5);
}

static void define_gelu(Site *site)
{
    site->results[0] = build_mul(&site->build, site->inputs[0], normal_cdf(&site->build, site->inputs[0]));
}

static void define_gelu_grad(Site *site)
{
    Build *build = &site->build;
    NodeId x = site->inputs[0];
    NodeId density = build_unary(build, OP_EXP, build_scale(build, build_mul(build, x, x), -0.5));
    density = build_scale(build, density, 0.39894228040143267794);  // 1 / sqrt(2 pi)
    site->results[0] = build_add(build, normal_cdf(build, x), build_mul(build, x, density));
}

// ORDER OP: compounds and their mask.
static const struct {
    Definition *define;
    uint32_t mask;
} DEFINITIONS[OP_COUNT] = {
    [OP_STOP_GRADIENT] = {define_identity, EXPAND_SIMPLE},
    [OP_KEPT] = {define_identity, EXPAND_SIMPLE},
    [OP_SOFTMAX] = {define_softmax, EXPAND_SIMPLE},
    [OP_LOG_SOFTMAX] = {define_log_softmax, EXPAND_SIMPLE},
    [OP_LAYER_NORM] = {define_layer_norm, EXPAND_SIMPLE},
    [OP_CROSS_ENTROPY] = {define_cross_entropy, EXPAND_SIMPLE},
    [OP_ATTENTION] = {define_attention, EXPAND_ATTENTION},
    [OP_ATTENTION_GRAD] = {define_attention_grad, EXPAND_ATTENTION},
    [OP_GELU] = {define_gelu, EXPAND_GELU},
    [OP_GELU_GRAD] = {define_gelu_grad, EXPAND_GELU},
};

typedef struct Expansion {
    Graph *to;
    const Graph *from;
    uint32_t which;
    NodeId *map;                     // old id -> new id of the first result
    NodeId (*results)[MAX_RESULTS];  // of the nodes that were replaced and have several
} Expansion;

static void replace(Expansion *expansion, NodeId id)
{
    const Node *node = &expansion->from->nodes[id];
    NodeId inputs[8];
    XV_ASSERT(node->n_inputs <= 8);
    for (int i = 0; i < node->n_inputs; i++) {
        inputs[i] = expansion->map[node->inputs[i]];
    }
    Site site = {.inputs = inputs, .n_inputs = node->n_inputs, .attr = &node->attr};
    site.build = (Build){.graph = expansion->to, .origin = node_origin(expansion->from, id)};
    DEFINITIONS[node->op].define(&site);
    expansion->map[id] = site.results[0];
    for (int i = 0; i < MAX_RESULTS; i++) {
        expansion->results[id][i] = site.results[i];
    }
}

static bool is_replaced(const Expansion *expansion, NodeId id)
{
    return (DEFINITIONS[expansion->from->nodes[id].op].mask & expansion->which) != 0;
}

Graph *expand(Arena *arena, const Graph *graph, uint32_t which)
{
    Expansion expansion = {.to = graph_new_rewrite(arena, graph), .from = graph, .which = which};
    expansion.map = graph_new_map(arena, graph);
    expansion.results = arena_alloc(arena, (size_t)graph->n_nodes * sizeof *expansion.results);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        if (is_replaced(&expansion, id)) {
            replace(&expansion, id);
        } else if (node->op == OP_RESULT && is_replaced(&expansion, node->inputs[0])) {
            expansion.map[id] = expansion.results[node->inputs[0]][node->attr.index];
        } else {
            expansion.map[id] = graph_copy_node(expansion.to, graph, id, expansion.map);
        }
    }
    graph_copy_outputs(expansion.to, graph, expansion.map);
    return expansion.to;
}
