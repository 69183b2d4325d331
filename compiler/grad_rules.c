// One rule per op with differentiable inputs: given d, the gradient of the result, what its inputs get. Names
// in the formulas: x, y the inputs, r the result. Every rule is checked against central differences by a test
// that walks op.def, so a missing row shows.
#include "compiler/grad_internal.h"

static NodeId x_of(const Vjp *vjp)
{
    return vjp->node->inputs[0];
}

static NodeId y_of(const Vjp *vjp)
{
    return vjp->node->inputs[1];
}

static Shape shape_of_input(const Vjp *vjp, int i)
{
    return *build_shape(&vjp->build, vjp->node->inputs[i]);
}

// Elementwise -----------------------------------------------------------------------------------------------

static void vjp_neg(Vjp *vjp)
{
    vjp_give(vjp, 0, build_unary(&vjp->build, OP_NEG, vjp->d));
}

static void vjp_exp(Vjp *vjp)
{
    vjp_give(vjp, 0, build_mul(&vjp->build, vjp->d, vjp->self));
}

static void vjp_log(Vjp *vjp)
{
    vjp_give(vjp, 0, build_div(&vjp->build, vjp->d, x_of(vjp)));
}

// d / (2 r)
static void vjp_sqrt(Vjp *vjp)
{
    vjp_give(vjp, 0, build_div(&vjp->build, build_scale(&vjp->build, vjp->d, 0.5), vjp->self));
}

// -d r^3 / 2
static void vjp_rsqrt(Vjp *vjp)
{
    Build *build = &vjp->build;
    NodeId cube = build_mul(build, vjp->self, build_mul(build, vjp->self, vjp->self));
    vjp_give(vjp, 0, build_mul(build, vjp->d, build_scale(build, cube, -0.5)));
}

static void vjp_abs(Vjp *vjp)
{
    vjp_give(vjp, 0, build_mul(&vjp->build, vjp->d, build_unary(&vjp->build, OP_SIGN, x_of(vjp))));
}

// 1 - x
static NodeId complement(Build *build, NodeId x)
{
    return build_sub(build, build_number(build, 1.0, x), x);
}

static void vjp_tanh(Vjp *vjp)
{
    Build *build = &vjp->build;
    NodeId slope = complement(build, build_mul(build, vjp->self, vjp->self));
    vjp_give(vjp, 0, build_mul(build, vjp->d, slope));
}

// d * 2 / sqrt(pi) * exp(-x^2)
static void vjp_erf(Vjp *vjp)
{
    Build *build = &vjp->build;
    NodeId square = build_mul(build, x_of(vjp), x_of(vjp));
    NodeId slope = build_scale(build, build_unary(build, OP_EXP, build_unary(build, OP_NEG, square)),
                               1.12837916709551257390);
    vjp_give(vjp, 0, build_mul(build, vjp->d, slope));
}

static void vjp_sigmoid(Vjp *vjp)
{
    Build *build = &vjp->build;
    NodeId slope = build_mul(build, vjp->self, complement(build, vjp->self));
    vjp_give(vjp, 0, build_mul(build, vjp->d, slope));
}

static void vjp_gelu(Vjp *vjp)
{
    NodeId slope = build_unary(&vjp->build, OP_GELU_GRAD, x_of(vjp));
    vjp_give(vjp, 0, build_mul(&vjp->build, vjp->d, slope));
}

// A CAST: only f32 to f32 carries a gradient (see find_active).
static void vjp_cast(Vjp *vjp)
{
    vjp_give(vjp, 0, vjp->d);
}

static void vjp_add(Vjp *vjp)
{
    vjp_give(vjp, 0, vjp->d);
    vjp_give(vjp, 1, vjp->d);
}

static void vjp_sub(Vjp *vjp)
{
    vjp_give(vjp, 0, vjp->d);
    if (vjp_wants(vjp, 1)) {
        vjp_give(vjp, 1, build_unary(&vjp->build, OP_NEG, vjp->d));
    }
}

static void vjp_mul(Vjp *vjp)
{
    for (int i = 0; i < 2; i++) {
        if (vjp_wants(vjp, i)) {
            vjp_give(vjp, i, build_mul(&vjp->build, vjp->d, vjp->node->inputs[1 - i]));
        }
    }
}

// d / y and -d r / y
static void vjp_div(Vjp *vjp)
{
    NodeId quotient = build_div(&vjp->build, vjp->d, y_of(vjp));
    vjp_give(vjp, 0, quotient);
    if (vjp_wants(vjp, 1)) {
        NodeId product = build_mul(&vjp->build, quotient, vjp->self);
        vjp_give(vjp, 1, build_unary(&vjp->build, OP_NEG, product));
    }
}

// d where `first_wins` goes to x, elsewhere to y.
static void choose(Vjp *vjp, NodeId first_wins)
{
    Build *build = &vjp->build;
    if (vjp_wants(vjp, 0)) {
        vjp_give(vjp, 0, build_select(build, first_wins, vjp->d, 0.0));
    }
    if (vjp_wants(vjp, 1)) {
        NodeId zero = build_number(build, 0.0, vjp->d);
        vjp_give(vjp, 1, graph_where(build->graph, first_wins, zero, vjp->d, &build->origin));
    }
}

static void vjp_max(Vjp *vjp)
{
    choose(vjp, build_compare(&vjp->build, OP_LE, y_of(vjp), x_of(vjp)));
}

static void vjp_min(Vjp *vjp)
{
    choose(vjp, build_compare(&vjp->build, OP_LE, x_of(vjp), y_of(vjp)));
}

// d y x^(y-1) and d r log(x), the latter 0 where x is not positive.
static void vjp_pow(Vjp *vjp)
{
    Build *build = &vjp->build;
    NodeId x = x_of(vjp), y = y_of(vjp);
    if (vjp_wants(vjp, 0)) {
        NodeId power = graph_binary(build->graph, OP_POW, x, build_shift(build, y, -1.0), &build->origin);
        vjp_give(vjp, 0, build_mul(build, vjp->d, build_mul(build, y, power)));
    }
    if (vjp_wants(vjp, 1)) {
        NodeId slope = build_mul(build, vjp->self, build_unary(build, OP_LOG, x));
        NodeId is_positive = build_compare(build, OP_LT, build_number(build, 0.0, x), x);
        vjp_give(vjp, 1, build_mul(build, vjp->d, build_select(build, is_positive, slope, 0.0)));
    }
}

static void vjp_where(Vjp *vjp)
{
    Build *build = &vjp->build;
    NodeId zero = build_number(build, 0.0, vjp->d);
    if (vjp_wants(vjp, 1)) {
        vjp_give(vjp, 1, graph_where(build->graph, x_of(vjp), vjp->d, zero, &build->origin));
    }
    if (vjp_wants(vjp, 2)) {
        vjp_give(vjp, 2, graph_where(build->graph, x_of(vjp), zero, vjp->d, &build->origin));
    }
}

// Reductions ------------------------------------------------------------------------------------------------

static void vjp_sum(Vjp *vjp)
{
    vjp_give(vjp, 0, build_grow(&vjp->build, vjp->d, x_of(vjp)));
}

// Shared evenly between equal maxima, as torch.amax.
static void vjp_reduce_max(Vjp *vjp)
{
    Build *build = &vjp->build;
    NodeId x = x_of(vjp);
    NodeId is_maximum = build_compare(build, OP_EQ, x, build_grow(build, vjp->self, x));
    NodeId marks = graph_cast(build->graph, is_maximum, DTYPE_F32, &build->origin);
    NodeId share = build_div(build, vjp->d, build_sum(build, marks, vjp->node->attr.axes));
    vjp_give(vjp, 0, build_select(build, is_maximum, build_grow(build, share, x), 0.0));
}

// Movement --------------------------------------------------------------------------------------------------

static void vjp_reshape(Vjp *vjp)
{
    Shape shape = shape_of_input(vjp, 0);
    vjp_give(vjp, 0, graph_reshape(vjp->build.graph, vjp->d, &shape, &vjp->build.origin));
}

static void vjp_permute(Vjp *vjp)
{
    int32_t inverse[MAX_RANK];
    for (int i = 0; i < vjp->node->shape.rank; i++) {
        inverse[vjp->node->attr.dims[i]] = i;
    }
    vjp_give(vjp, 0, graph_permute(vjp->build.graph, vjp->d, inverse, &vjp->build.origin));
}

static void vjp_expand(Vjp *vjp)
{
    Shape shape = shape_of_input(vjp, 0);
    vjp_give(vjp, 0, graph_sum_to(vjp->build.graph, vjp->d, &shape, &vjp->build.origin));
}

static void vjp_slice(Vjp *vjp)
{
    Shape shape = shape_of_input(vjp, 0);
    const Attr *attr = &vjp->node->attr;
    Build *build = &vjp->build;
    vjp_give(vjp, 0, graph_pad(build->graph, vjp->d, attr->start, attr->step, &shape, &build->origin));
}

static void vjp_pad(Vjp *vjp)
{
    Shape shape = shape_of_input(vjp, 0);
    const Attr *attr = &vjp->node->attr;
    Build *build = &vjp->build;
    vjp_give(vjp, 0, graph_slice(build->graph, vjp->d, attr->start, attr->step, &shape, &build->origin));
}

static void vjp_roll(Vjp *vjp)
{
    int64_t back[MAX_RANK];
    for (int i = 0; i < vjp->node->shape.rank; i++) {
        back[i] = -vjp->node->attr.start[i];
    }
    vjp_give(vjp, 0, graph_roll(vjp->build.graph, vjp->d, back, &vjp->build.origin));
}

static void vjp_concat(Vjp *vjp)
{
    Build *build = &vjp->build;
    int64_t start[MAX_RANK] = {0};
    int axis = vjp->node->attr.axis;
    for (int i = 0; i < vjp->node->n_inputs; i++) {
        Shape shape = shape_of_input(vjp, i);
        if (vjp_wants(vjp, i)) {
            vjp_give(vjp, i, graph_slice(build->graph, vjp->d, start, NULL, &shape, &build->origin));
        }
        start[axis] += shape.dim[axis];
    }
}

static void vjp_take(Vjp *vjp)
{
    int64_t rows = shape_of_input(vjp, 0).dim[0];
    vjp_give(vjp, 0, graph_scatter_add(vjp->build.graph, y_of(vjp), vjp->d, rows, &vjp->build.origin));
}

// Contractions ----------------------------------------------------------------------------------------------

// d b^T, a^T d, and d for what is accumulated onto.
static void vjp_matmul(Vjp *vjp)
{
    Build *build = &vjp->build;
    if (vjp_wants(vjp, 0)) {
        vjp_give_product(vjp, 0, vjp->d, build_transpose(build, y_of(vjp)));
    }
    if (vjp_wants(vjp, 1)) {
        vjp_give_product(vjp, 1, build_transpose(build, x_of(vjp)), vjp->d);
    }
    if (vjp->node->n_inputs == 3) {
        vjp_give(vjp, 2, vjp->d);
    }
}

static void vjp_scatter_add(Vjp *vjp)
{
    vjp_give(vjp, 1, graph_take(vjp->build.graph, vjp->d, x_of(vjp), &vjp->build.origin));
}

// Compounds -------------------------------------------------------------------------------------------------

// r (d - sum(d r))
static void vjp_softmax(Vjp *vjp)
{
    Build *build = &vjp->build;
    NodeId sum = build_sum(build, build_mul(build, vjp->d, vjp->self), build_last_axis(build, vjp->d));
    NodeId centred = build_sub(build, vjp->d, build_grow(build, sum, vjp->d));
    vjp_give(vjp, 0, build_mul(build, vjp->self, centred));
}

// d - exp(r) sum(d)
static void vjp_log_softmax(Vjp *vjp)
{
    Build *build = &vjp->build;
    NodeId sum = build_grow(build, build_sum(build, vjp->d, build_last_axis(build, vjp->d)), vjp->d);
    NodeId softmax = build_unary(build, OP_EXP, vjp->self);
    vjp_give(vjp, 0, build_sub(build, vjp->d, build_mul(build, softmax, sum)));
}

// With n the normalised x and g = d * weight: d_x = rstd (g - mean(g) - n mean(g n)), d_weight = sum(d n),
// d_bias = sum(d). rstd and n are the nodes that the definition in expand.c builds.
static void vjp_layer_norm(Vjp *vjp)
{
    Build *build = &vjp->build;
    NodeId x = x_of(vjp);
    Shape shape = shape_of_input(vjp, 0), width = shape_of_input(vjp, 1);
    NormParts parts = build_norm_parts(build, x, vjp->node->attr.number);
    Attr late = {.is_late = true};
    parts.normalised =
        graph_add(build->graph, OP_KEPT, DTYPE_F32, &shape, &parts.normalised, 1, &late, &build->origin);
    if (vjp_wants(vjp, 0)) {
        NodeId weight = graph_expand_to(build->graph, y_of(vjp), &shape, &build->origin);
        NodeId g = build_mul(build, vjp->d, weight);
        NodeId mean = build_grow(build, build_mean_last(build, g), x);
        NodeId slope = build_grow(build, build_mean_last(build, build_mul(build, g, parts.normalised)), x);
        NodeId inner = build_sub(build, build_sub(build, g, mean), build_mul(build, parts.normalised, slope));
        NodeId d_x = build_mul(build, build_grow(build, parts.rstd, x), inner);
        vjp_give(vjp, 0, build_unary(build, OP_KEPT, d_x));
    }
    if (vjp_wants(vjp, 1)) {
        NodeId product = build_mul(build, vjp->d, parts.normalised);
        vjp_give(vjp, 1, graph_sum_to(build->graph, product, &width, &build->origin));
    }
    if (vjp_wants(vjp, 2)) {
        vjp_give(vjp, 2, graph_sum_to(build->graph, vjp->d, &width, &build->origin));
    }
}

// (softmax - onehot) d, the softmax from the maximum and the logarithm that the definition builds.
static void vjp_cross_entropy(Vjp *vjp)
{
    Build *build = &vjp->build;
    NodeId logits = x_of(vjp);
    SoftmaxParts parts = build_softmax_parts(build, logits);
    NodeId log_sum = build_grow(build, build_unary(build, OP_LOG, parts.sum), logits);
    NodeId softmax = build_unary(build, OP_EXP, build_sub(build, parts.shifted, log_sum));
    NodeId is_label = build_is_label(build, logits, y_of(vjp));
    NodeId onehot = build_select(build, is_label, build_number(build, 1.0, logits), 0.0);
    NodeId d = build_reshape(build, vjp->d, 2, (int64_t[]){vjp->node->shape.dim[0], 1});
    NodeId slope = build_sub(build, softmax, onehot);
    vjp_give(vjp, 0, build_mul(build, slope, build_grow(build, d, logits)));
}

static void vjp_attention(Vjp *vjp)
{
    Build *build = &vjp->build;
    const Node *node = vjp->node;
    NodeId lse = graph_result(build->graph, vjp->self, 1, &build->origin);
    NodeId inputs[8] = {node->inputs[0], node->inputs[1], node->inputs[2], vjp->self, lse, vjp->d};
    Attr attr = {.number = node->attr.number, .index = node->attr.index};
    for (int i = 3; i < node->n_inputs; i++) {
        inputs[i + 3] = node->inputs[i];
        attr.axes |= vjp_wants(vjp, i) ? 1u << (i - 3) : 0;
    }
    Shape shape = shape_of_input(vjp, 0);
    NodeId d_q = graph_add(build->graph, OP_ATTENTION_GRAD, DTYPE_F32, &shape, inputs, node->n_inputs + 3,
                           &attr, &build->origin);
    vjp_give(vjp, 0, d_q);
    for (int i = 1; i < node->n_inputs; i++) {
        if (vjp_wants(vjp, i)) {
            vjp_give(vjp, i, graph_result(build->graph, d_q, i, &build->origin));
        }
    }
}

// Collectives -----------------------------------------------------------------------------------------------

// The official rule (models/xvlm.py, AllGather): a rank keeps the gradient of its own rows and sums nothing.
static void vjp_all_gather(Vjp *vjp)
{
    Shape shape = shape_of_input(vjp, 0);
    vjp_give(
        vjp, 0,
        graph_add(vjp->build.graph, OP_OWN_ROWS, DTYPE_F32, &shape, &vjp->d, 1, NULL, &vjp->build.origin));
}

static void vjp_own_rows(Vjp *vjp)
{
    Shape shape = shape_of_input(vjp, 0);
    vjp_give(
        vjp, 0,
        graph_add(vjp->build.graph, OP_ALL_GATHER, DTYPE_F32, &shape, &vjp->d, 1, NULL, &vjp->build.origin));
}

// ORDER OP: every op with differentiable inputs.
static VjpRule *const RULES[OP_COUNT] = {
    [OP_NEG] = vjp_neg,
    [OP_EXP] = vjp_exp,
    [OP_LOG] = vjp_log,
    [OP_SQRT] = vjp_sqrt,
    [OP_RSQRT] = vjp_rsqrt,
    [OP_ABS] = vjp_abs,
    [OP_TANH] = vjp_tanh,
    [OP_ERF] = vjp_erf,
    [OP_SIGMOID] = vjp_sigmoid,
    [OP_GELU] = vjp_gelu,
    [OP_CAST] = vjp_cast,
    [OP_KEPT] = vjp_cast,
    [OP_ADD] = vjp_add,
    [OP_SUB] = vjp_sub,
    [OP_MUL] = vjp_mul,
    [OP_DIV] = vjp_div,
    [OP_MAX] = vjp_max,
    [OP_MIN] = vjp_min,
    [OP_POW] = vjp_pow,
    [OP_WHERE] = vjp_where,
    [OP_SUM] = vjp_sum,
    [OP_REDUCE_MAX] = vjp_reduce_max,
    [OP_RESHAPE] = vjp_reshape,
    [OP_PERMUTE] = vjp_permute,
    [OP_EXPAND] = vjp_expand,
    [OP_SLICE] = vjp_slice,
    [OP_PAD] = vjp_pad,
    [OP_ROLL] = vjp_roll,
    [OP_CONCAT] = vjp_concat,
    [OP_TAKE] = vjp_take,
    [OP_MATMUL] = vjp_matmul,
    [OP_SCATTER_ADD] = vjp_scatter_add,
    [OP_SOFTMAX] = vjp_softmax,
    [OP_LOG_SOFTMAX] = vjp_log_softmax,
    [OP_LAYER_NORM] = vjp_layer_norm,
    [OP_CROSS_ENTROPY] = vjp_cross_entropy,
    [OP_ATTENTION] = vjp_attention,
    [OP_ALL_GATHER] = vjp_all_gather,
    [OP_OWN_ROWS] = vjp_own_rows,
};

VjpRule *grad_rule(Op op)
{
    return RULES[op];
}
