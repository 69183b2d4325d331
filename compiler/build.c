// Short forms of the builders and the shared formulas; see build.h. Scalar constants are full-shape CONST
// nodes: they have no storage, so their shape costs nothing.
#include "compiler/build.h"

const Shape *build_shape(const Build *build, NodeId x)
{
    XV_ASSERT(x >= 0 && x < build->graph->n_nodes);
    return &build->graph->nodes[x].shape;
}

int64_t build_last(const Build *build, NodeId x)
{
    const Shape *shape = build_shape(build, x);
    XV_ASSERT(shape->rank >= 1);
    return shape->dim[shape->rank - 1];
}

uint32_t build_last_axis(const Build *build, NodeId x)
{
    return 1u << (build_shape(build, x)->rank - 1);
}

NodeId build_unary(Build *build, Op op, NodeId x)
{
    return graph_unary(build->graph, op, x, &build->origin);
}

NodeId build_add(Build *build, NodeId x, NodeId y)
{
    return graph_binary(build->graph, OP_ADD, x, y, &build->origin);
}

NodeId build_sub(Build *build, NodeId x, NodeId y)
{
    return graph_binary(build->graph, OP_SUB, x, y, &build->origin);
}

NodeId build_mul(Build *build, NodeId x, NodeId y)
{
    return graph_binary(build->graph, OP_MUL, x, y, &build->origin);
}

NodeId build_div(Build *build, NodeId x, NodeId y)
{
    return graph_binary(build->graph, OP_DIV, x, y, &build->origin);
}

NodeId build_compare(Build *build, Op op, NodeId x, NodeId y)
{
    return graph_binary(build->graph, op, x, y, &build->origin);
}

NodeId build_number(Build *build, double number, NodeId like)
{
    Shape shape = *build_shape(build, like);
    return graph_const(build->graph, number, DTYPE_F32, &shape, &build->origin);
}

NodeId build_scale(Build *build, NodeId x, double factor)
{
    return factor == 1.0 ? x : build_mul(build, x, build_number(build, factor, x));
}

NodeId build_shift(Build *build, NodeId x, double offset)
{
    return build_add(build, x, build_number(build, offset, x));
}

NodeId build_select(Build *build, NodeId condition, NodeId x, double otherwise)
{
    return graph_where(build->graph, condition, x, build_number(build, otherwise, x), &build->origin);
}

NodeId build_grow(Build *build, NodeId x, NodeId like)
{
    Shape shape = *build_shape(build, like);
    return graph_expand(build->graph, x, &shape, &build->origin);
}

NodeId build_sum(Build *build, NodeId x, uint32_t axes)
{
    return graph_reduce(build->graph, OP_SUM, x, axes, &build->origin);
}

NodeId build_mean_last(Build *build, NodeId x)
{
    NodeId sum = build_sum(build, x, build_last_axis(build, x));
    return build_scale(build, sum, 1.0 / (double)build_last(build, x));
}

NodeId build_reshape(Build *build, NodeId x, int rank, const int64_t *dims)
{
    Shape shape = shape_of(rank, dims);
    return graph_reshape(build->graph, x, &shape, &build->origin);
}

NodeId build_transpose(Build *build, NodeId x)
{
    return graph_transpose(build->graph, x, &build->origin);
}

NodeId build_matmul(Build *build, NodeId a, NodeId b)
{
    return graph_matmul(build->graph, a, b, NO_NODE, &build->origin);
}

// Formulas --------------------------------------------------------------------------------------------------

SoftmaxParts build_softmax_parts(Build *build, NodeId x)
{
    SoftmaxParts parts;
    uint32_t last = build_last_axis(build, x);
    parts.maximum = graph_reduce(build->graph, OP_REDUCE_MAX, x, last, &build->origin);
    parts.shifted = build_sub(build, x, build_grow(build, parts.maximum, x));
    parts.exponentials = build_unary(build, OP_EXP, parts.shifted);
    parts.sum = build_sum(build, parts.exponentials, last);
    return parts;
}

NodeId build_log_sum_exp(Build *build, const SoftmaxParts *parts)
{
    return build_add(build, build_unary(build, OP_LOG, parts->sum), parts->maximum);
}

NormParts build_norm_parts(Build *build, NodeId x, double epsilon)
{
    NodeId mean = build_mean_last(build, x);
    NodeId centred = build_sub(build, x, build_grow(build, mean, x));
    NodeId variance = build_mean_last(build, build_mul(build, centred, centred));
    NormParts parts;
    parts.rstd = build_unary(build, OP_RSQRT, build_shift(build, variance, epsilon));
    parts.normalised = build_mul(build, centred, build_grow(build, parts.rstd, x));
    return parts;
}

NodeId build_is_label(Build *build, NodeId logits, NodeId label)
{
    Shape shape = *build_shape(build, logits);
    NodeId column = graph_iota(build->graph, &shape, 1, &build->origin);
    NodeId wanted = build_reshape(build, label, 2, (int64_t[]){shape.dim[0], 1});
    return build_compare(build, OP_EQ, column, build_grow(build, wanted, logits));
}

// [B, H, N, M] as [B / b, b, H, N, M].
static Shape split_batch(const Shape *full, int64_t b)
{
    return shape_of(5, (int64_t[]){full->dim[0] / b, b, full->dim[1], full->dim[2], full->dim[3]});
}

NodeId build_bias_full(Build *build, NodeId bias, const Shape *full)
{
    Shape shape = *build_shape(build, bias);
    if (shape.dim[0] == 1 || shape.dim[0] == full->dim[0]) {
        return graph_expand(build->graph, bias, full, &build->origin);
    }
    Shape split = split_batch(full, shape.dim[0]);
    NodeId grown = graph_expand_to(build->graph, bias, &split, &build->origin);
    return graph_reshape(build->graph, grown, full, &build->origin);
}

NodeId build_bias_sum(Build *build, NodeId x, const Shape *bias)
{
    const Shape *full = build_shape(build, x);
    if (bias->dim[0] != 1 && bias->dim[0] != full->dim[0]) {
        Shape split = split_batch(full, bias->dim[0]);
        x = graph_reshape(build->graph, x, &split, &build->origin);
    }
    return graph_sum_to(build->graph, x, bias, &build->origin);
}

NodeId build_scores(Build *build, const Scores *scores)
{
    NodeId result = build_matmul(build, scores->q, build_transpose(build, scores->k));
    result = build_scale(build, result, scores->scale);
    for (int i = 0; i < scores->n_biases; i++) {
        Shape full = *build_shape(build, result);
        result = build_add(build, result, build_bias_full(build, scores->biases[i], &full));
    }
    return result;
}
