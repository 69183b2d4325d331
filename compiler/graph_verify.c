// One check function per op or family of ops, reached through one table. A check returns NULL or the sentence
// that says which rule is broken; it may take for granted that the inputs exist and that the arity of op.def
// holds.
#include "compiler/graph_verify_internal.h"

const char *same_shape(const Graph *graph, const Shape *wanted, const Shape *found, const char *what)
{
    REQUIRE(shape_equal(wanted, found), "%s has shape %s instead of %s", what, text(graph, found),
            text(graph, wanted));
    return NULL;
}

const char *same_dtype(const Graph *graph, Dtype wanted, Dtype found, const char *what)
{
    REQUIRE(wanted == found, "%s is %s instead of %s", what, dtype_name(found), dtype_name(wanted));
    return NULL;
}

const char *is_stored_float(const Graph *graph, Dtype found, const char *what)
{
    REQUIRE(found == DTYPE_F32 || dtype_is_low(found), "%s is %s, no float", what, dtype_name(found));
    return NULL;
}

static const char *is_number(const Graph *graph, const Node *node)
{
    REQUIRE(node->dtype != DTYPE_BOOL, "bool is no number");
    return NULL;
}

// Sources and randomness ------------------------------------------------------------------------------------

static const char *check_anything(const Graph *graph, const Node *node)
{
    (void)graph;
    (void)node;
    return NULL;
}

static const char *check_index(const Graph *graph, const Node *node)
{
    REQUIRE(node->attr.index >= 0, "index %d is negative", node->attr.index);
    return NULL;
}

static const char *check_float_index(const Graph *graph, const Node *node)
{
    DELEGATE(same_dtype(graph, DTYPE_F32, node->dtype, "the result"));
    return check_index(graph, node);
}

static const char *check_param(const Graph *graph, const Node *node)
{
    DELEGATE(is_stored_float(graph, node->dtype, "the result"));
    return check_index(graph, node);
}

static const char *check_axis(const Graph *graph, const Node *node)
{
    REQUIRE(node->attr.axis >= 0 && node->attr.axis < node->shape.rank, "axis %d is not within rank %d",
            node->attr.axis, node->shape.rank);
    return NULL;
}

static const char *check_iota(const Graph *graph, const Node *node)
{
    DELEGATE(same_dtype(graph, DTYPE_I32, node->dtype, "the result"));
    return check_axis(graph, node);
}

static const char *check_sample(const Graph *graph, const Node *node)
{
    const Node *weights = input(graph, node, 0);
    REQUIRE(weights->shape.rank == 2, "weights have shape %s, not rank 2", text(graph, &weights->shape));
    DELEGATE(same_dtype(graph, DTYPE_F32, weights->dtype, "weights"));
    DELEGATE(same_dtype(graph, DTYPE_I32, node->dtype, "the result"));
    Shape rows = shape_of(1, weights->shape.dim);
    DELEGATE(same_shape(graph, &rows, &node->shape, "the result"));
    return check_index(graph, node);
}

static const char *check_top_k(const Graph *graph, const Node *node)
{
    const Node *x = input(graph, node, 0);
    REQUIRE(x->shape.rank == 2 && node->shape.rank == 2, "ranks %d and %d, not 2", x->shape.rank,
            node->shape.rank);
    DELEGATE(same_dtype(graph, DTYPE_F32, x->dtype, "the input"));
    DELEGATE(same_dtype(graph, DTYPE_I32, node->dtype, "the result"));
    REQUIRE(x->shape.dim[0] == node->shape.dim[0], "%lld rows become %lld", (long long)x->shape.dim[0],
            (long long)node->shape.dim[0]);
    REQUIRE(node->shape.dim[1] <= x->shape.dim[1], "the %lld largest of %lld", (long long)node->shape.dim[1],
            (long long)x->shape.dim[1]);
    return NULL;
}

// Elementwise -----------------------------------------------------------------------------------------------

static const char *check_shapes_equal(const Graph *graph, const Node *node)
{
    for (int i = 0; i < node->n_inputs; i++) {
        DELEGATE(same_shape(graph, &node->shape, &input(graph, node, i)->shape, "an input"));
    }
    return NULL;
}

// Inputs and result of one dtype.
static const char *check_uniform(const Graph *graph, const Node *node)
{
    for (int i = 0; i < node->n_inputs; i++) {
        DELEGATE(same_dtype(graph, node->dtype, input(graph, node, i)->dtype, "an input"));
    }
    return check_shapes_equal(graph, node);
}

static const char *check_arithmetic(const Graph *graph, const Node *node)
{
    DELEGATE(is_number(graph, node));
    REQUIRE(!dtype_is_low(node->dtype) || node->op == OP_ADD, "arithmetic in %s", dtype_name(node->dtype));
    return check_uniform(graph, node);
}

const char *check_float(const Graph *graph, const Node *node)
{
    DELEGATE(same_dtype(graph, DTYPE_F32, node->dtype, "the result"));
    return check_uniform(graph, node);
}

static const char *check_logic(const Graph *graph, const Node *node)
{
    DELEGATE(same_dtype(graph, DTYPE_BOOL, node->dtype, "the result"));
    return check_uniform(graph, node);
}

static const char *check_comparison(const Graph *graph, const Node *node)
{
    DELEGATE(same_dtype(graph, DTYPE_BOOL, node->dtype, "the result"));
    DELEGATE(
        same_dtype(graph, input(graph, node, 0)->dtype, input(graph, node, 1)->dtype, "the second input"));
    return check_shapes_equal(graph, node);
}

static const char *check_order(const Graph *graph, const Node *node)
{
    DELEGATE(is_number(graph, input(graph, node, 0)));
    return check_comparison(graph, node);
}

static const char *check_where(const Graph *graph, const Node *node)
{
    DELEGATE(same_dtype(graph, DTYPE_BOOL, input(graph, node, 0)->dtype, "the condition"));
    DELEGATE(same_dtype(graph, node->dtype, input(graph, node, 1)->dtype, "an input"));
    DELEGATE(same_dtype(graph, node->dtype, input(graph, node, 2)->dtype, "an input"));
    return check_shapes_equal(graph, node);
}

// Reductions ------------------------------------------------------------------------------------------------

static const char *check_reduced_shape(const Graph *graph, const Node *node, uint32_t axes)
{
    Shape reduced = input(graph, node, 0)->shape;
    REQUIRE(axes != 0 && axes >> reduced.rank == 0, "axes %#x do not fit rank %d", axes, reduced.rank);
    for (int i = 0; i < reduced.rank; i++) {
        if (axes >> i & 1) {
            reduced.dim[i] = 1;
        }
    }
    return same_shape(graph, &reduced, &node->shape, "the result");
}

static const char *check_reduce(const Graph *graph, const Node *node)
{
    DELEGATE(is_number(graph, node));
    REQUIRE(!dtype_is_low(node->dtype), "arithmetic in %s", dtype_name(node->dtype));
    DELEGATE(same_dtype(graph, node->dtype, input(graph, node, 0)->dtype, "the input"));
    return check_reduced_shape(graph, node, node->attr.axes);
}

static const char *check_argmax(const Graph *graph, const Node *node)
{
    DELEGATE(is_number(graph, input(graph, node, 0)));
    DELEGATE(same_dtype(graph, DTYPE_I32, node->dtype, "the result"));
    DELEGATE(check_axis(graph, node));
    return check_reduced_shape(graph, node, 1u << node->attr.axis);
}

// Movement --------------------------------------------------------------------------------------------------

static const char *check_move(const Graph *graph, const Node *node)
{
    DELEGATE(same_dtype(graph, node->dtype, input(graph, node, 0)->dtype, "the input"));
    int rank = input(graph, node, 0)->shape.rank;
    REQUIRE(node->shape.rank == rank, "rank %d becomes %d", rank, node->shape.rank);
    return NULL;
}

static const char *check_reshape(const Graph *graph, const Node *node)
{
    const Node *x = input(graph, node, 0);
    DELEGATE(same_dtype(graph, node->dtype, x->dtype, "the input"));
    REQUIRE(shape_count(&x->shape) == shape_count(&node->shape), "%s cannot become %s",
            text(graph, &x->shape), text(graph, &node->shape));
    return NULL;
}

static const char *check_permute(const Graph *graph, const Node *node)
{
    DELEGATE(check_move(graph, node));
    const Shape *x = &input(graph, node, 0)->shape;
    uint32_t seen = 0;
    for (int i = 0; i < x->rank; i++) {
        int dim = node->attr.dims[i];
        REQUIRE(dim >= 0 && dim < x->rank && (seen >> dim & 1) == 0, "dims are no permutation");
        seen |= 1u << dim;
        REQUIRE(node->shape.dim[i] == x->dim[dim], "extent %d is not that of dimension %d", i, dim);
    }
    return NULL;
}

static const char *check_expand(const Graph *graph, const Node *node)
{
    DELEGATE(check_move(graph, node));
    const Shape *x = &input(graph, node, 0)->shape;
    for (int i = 0; i < x->rank; i++) {
        REQUIRE(x->dim[i] == node->shape.dim[i] || x->dim[i] == 1, "%s cannot grow to %s", text(graph, x),
                text(graph, &node->shape));
    }
    return NULL;
}

// start, step must place every element of `small` inside `large`.
static const char *check_window(const Graph *graph, const Attr *attr, const Shape *small, const Shape *large)
{
    for (int i = 0; i < small->rank; i++) {
        REQUIRE(attr->step[i] >= 1, "step %lld of dimension %d", (long long)attr->step[i], i);
        int64_t last = attr->start[i] + (small->dim[i] - 1) * attr->step[i];
        REQUIRE(attr->start[i] >= 0 && last < large->dim[i], "dimension %d takes %lld..%lld of %lld", i,
                (long long)attr->start[i], (long long)last, (long long)large->dim[i]);
    }
    return NULL;
}

static const char *check_slice(const Graph *graph, const Node *node)
{
    DELEGATE(check_move(graph, node));
    return check_window(graph, &node->attr, &node->shape, &input(graph, node, 0)->shape);
}

static const char *check_pad(const Graph *graph, const Node *node)
{
    DELEGATE(check_move(graph, node));
    return check_window(graph, &node->attr, &input(graph, node, 0)->shape, &node->shape);
}

static const char *check_roll(const Graph *graph, const Node *node)
{
    DELEGATE(check_move(graph, node));
    return check_shapes_equal(graph, node);
}

static const char *check_concat(const Graph *graph, const Node *node)
{
    REQUIRE(node->n_inputs >= 1, "no parts");
    DELEGATE(check_axis(graph, node));
    int64_t extent = 0;
    for (int i = 0; i < node->n_inputs; i++) {
        const Node *part = input(graph, node, i);
        DELEGATE(same_dtype(graph, node->dtype, part->dtype, "a part"));
        REQUIRE(part->shape.rank == node->shape.rank, "a part has rank %d", part->shape.rank);
        Shape wanted = node->shape;
        wanted.dim[node->attr.axis] = part->shape.dim[node->attr.axis];
        DELEGATE(same_shape(graph, &wanted, &part->shape, "a part"));
        extent += part->shape.dim[node->attr.axis];
    }
    REQUIRE(extent == node->shape.dim[node->attr.axis], "the parts have %lld rows, the result %lld",
            (long long)extent, (long long)node->shape.dim[node->attr.axis]);
    return NULL;
}

// [S, rest] from index [S] and data [any, rest].
static const char *check_rows(const Graph *graph, const Shape *index, const Shape *data, const Shape *rows)
{
    REQUIRE(data->rank >= 1, "there are no rows in a scalar");
    REQUIRE(rows->rank == index->rank + data->rank - 1, "rank %d from index of rank %d and rows of rank %d",
            rows->rank, index->rank, data->rank - 1);
    for (int i = 0; i < rows->rank; i++) {
        int64_t wanted = i < index->rank ? index->dim[i] : data->dim[i - index->rank + 1];
        REQUIRE(rows->dim[i] == wanted, "extent %d is %lld instead of %lld", i, (long long)rows->dim[i],
                (long long)wanted);
    }
    return NULL;
}

static const char *check_take(const Graph *graph, const Node *node)
{
    const Node *x = input(graph, node, 0);
    const Node *index = input(graph, node, 1);
    DELEGATE(same_dtype(graph, DTYPE_I32, index->dtype, "the index"));
    DELEGATE(same_dtype(graph, node->dtype, x->dtype, "the input"));
    return check_rows(graph, &index->shape, &x->shape, &node->shape);
}

// Contractions ----------------------------------------------------------------------------------------------

static const char *check_scatter_add(const Graph *graph, const Node *node)
{
    const Node *index = input(graph, node, 0);
    const Node *x = input(graph, node, 1);
    DELEGATE(same_dtype(graph, DTYPE_I32, index->dtype, "the index"));
    DELEGATE(is_stored_float(graph, x->dtype, "the input"));
    DELEGATE(same_dtype(graph, DTYPE_F32, node->dtype, "the result"));
    return check_rows(graph, &index->shape, &node->shape, &x->shape);
}

static const char *check_matmul(const Graph *graph, const Node *node)
{
    REQUIRE(node->n_inputs == 2 || node->n_inputs == 3, "%d inputs", node->n_inputs);
    for (int i = 0; i < 2; i++) {
        DELEGATE(is_stored_float(graph, input(graph, node, i)->dtype, "an operand"));
    }
    DELEGATE(is_stored_float(graph, node->dtype, "the result"));
    const Shape *a = &input(graph, node, 0)->shape;
    const Shape *b = &input(graph, node, 1)->shape;
    REQUIRE(a->rank >= 2 && b->rank == a->rank, "ranks %d and %d", a->rank, b->rank);
    Shape wanted = *a;
    wanted.dim[a->rank - 1] = b->dim[a->rank - 1];
    for (int i = 0; i < a->rank - 2; i++) {
        REQUIRE(a->dim[i] == b->dim[i], "batch extents of %s and %s differ", text(graph, a), text(graph, b));
    }
    REQUIRE(a->dim[a->rank - 1] == b->dim[a->rank - 2], "inner extents of %s and %s differ", text(graph, a),
            text(graph, b));
    if (node->n_inputs == 3) {
        DELEGATE(same_dtype(graph, DTYPE_F32, input(graph, node, 2)->dtype, "the third input"));
        DELEGATE(same_dtype(graph, DTYPE_F32, node->dtype, "a result that is added"));
        DELEGATE(same_shape(graph, &wanted, &input(graph, node, 2)->shape, "the third input"));
    }
    return same_shape(graph, &wanted, &node->shape, "the result");
}

// Collectives -----------------------------------------------------------------------------------------------

static const char *check_ranks(const Graph *graph, const Shape *local, const Shape *global)
{
    REQUIRE(local->rank >= 1 && local->rank == global->rank, "ranks %d and %d", local->rank, global->rank);
    Shape wanted = *global;
    wanted.dim[0] = local->dim[0];
    DELEGATE(same_shape(graph, &wanted, local, "the local part"));
    REQUIRE(global->dim[0] % local->dim[0] == 0, "%lld rows are no multiple of %lld",
            (long long)global->dim[0], (long long)local->dim[0]);
    return NULL;
}

static const char *check_all_gather(const Graph *graph, const Node *node)
{
    DELEGATE(same_dtype(graph, node->dtype, input(graph, node, 0)->dtype, "the input"));
    return check_ranks(graph, &input(graph, node, 0)->shape, &node->shape);
}

static const char *check_own_rows(const Graph *graph, const Node *node)
{
    DELEGATE(same_dtype(graph, node->dtype, input(graph, node, 0)->dtype, "the input"));
    return check_ranks(graph, &node->shape, &input(graph, node, 0)->shape);
}

// ORDER OP: every op of op.def has a check.
static Check *const CHECKS[OP_COUNT] = {
    [OP_INPUT] = check_index,
    [OP_PARAM] = check_param,
    [OP_CONST] = check_anything,
    [OP_IOTA] = check_iota,
    [OP_NEG] = check_arithmetic,
    [OP_EXP] = check_float,
    [OP_LOG] = check_float,
    [OP_SQRT] = check_float,
    [OP_RSQRT] = check_float,
    [OP_ABS] = check_arithmetic,
    [OP_SIGN] = check_arithmetic,
    [OP_TANH] = check_float,
    [OP_ERF] = check_float,
    [OP_SIGMOID] = check_float,
    [OP_GELU] = check_float,
    [OP_GELU_GRAD] = check_float,
    [OP_NOT] = check_logic,
    [OP_CAST] = check_shapes_equal,
    [OP_STOP_GRADIENT] = check_uniform,
    [OP_KEPT] = check_float,
    [OP_ADD] = check_arithmetic,
    [OP_SUB] = check_arithmetic,
    [OP_MUL] = check_arithmetic,
    [OP_DIV] = check_float,
    [OP_MAX] = check_arithmetic,
    [OP_MIN] = check_arithmetic,
    [OP_POW] = check_float,
    [OP_IDIV] = check_arithmetic,
    [OP_MOD] = check_arithmetic,
    [OP_LT] = check_order,
    [OP_LE] = check_order,
    [OP_EQ] = check_comparison,
    [OP_NE] = check_comparison,
    [OP_AND] = check_logic,
    [OP_OR] = check_logic,
    [OP_WHERE] = check_where,
    [OP_SUM] = check_reduce,
    [OP_REDUCE_MAX] = check_reduce,
    [OP_ARGMAX] = check_argmax,
    [OP_RESHAPE] = check_reshape,
    [OP_PERMUTE] = check_permute,
    [OP_EXPAND] = check_expand,
    [OP_SLICE] = check_slice,
    [OP_PAD] = check_pad,
    [OP_ROLL] = check_roll,
    [OP_CONCAT] = check_concat,
    [OP_TAKE] = check_take,
    [OP_MATMUL] = check_matmul,
    [OP_SCATTER_ADD] = check_scatter_add,
    [OP_TOP_K] = check_top_k,
    [OP_SOFTMAX] = check_softmax,
    [OP_LOG_SOFTMAX] = check_softmax,
    [OP_LAYER_NORM] = check_layer_norm,
    [OP_CROSS_ENTROPY] = check_cross_entropy,
    [OP_ATTENTION] = check_attention,
    [OP_ATTENTION_GRAD] = check_attention_grad,
    [OP_RESULT] = check_result,
    [OP_KEEP] = check_float_index,
    [OP_SAMPLE] = check_sample,
    [OP_ALL_GATHER] = check_all_gather,
    [OP_OWN_ROWS] = check_own_rows,
};

static const char *check_shape(const Graph *graph, const Shape *shape)
{
    REQUIRE(shape->rank >= 0 && shape->rank <= MAX_RANK, "rank %d is not within 0..%d", shape->rank,
            MAX_RANK);
    for (int i = 0; i < shape->rank; i++) {
        REQUIRE(shape->dim[i] >= 1, "extent %d is %lld", i, (long long)shape->dim[i]);
    }
    return NULL;
}

const char *graph_node_fault(const Graph *graph, const Node *node, NodeId limit)
{
    REQUIRE((unsigned)node->op < OP_COUNT, "there is no op %d", (int)node->op);
    REQUIRE((unsigned)node->dtype < DTYPE_COUNT, "no dtype %d", (int)node->dtype);
    DELEGATE(check_shape(graph, &node->shape));
    int arity = op_info(node->op)->arity;
    REQUIRE(arity < 0 || arity == node->n_inputs, "%d inputs instead of %d", node->n_inputs, arity);
    for (int i = 0; i < node->n_inputs; i++) {
        REQUIRE(node->inputs[i] >= 0 && node->inputs[i] < limit, "input %%%d does not come before it",
                node->inputs[i]);
    }
    return CHECKS[node->op](graph, node);
}

// Tables ----------------------------------------------------------------------------------------------------

static const char *check_input_entry(const Graph *graph, const Node *node)
{
    REQUIRE(node->attr.index < graph->n_inputs, "there is no input %d", node->attr.index);
    const GraphInput *entry = &graph->inputs[node->attr.index];
    DELEGATE(same_dtype(graph, entry->dtype, node->dtype, "the node"));
    return same_shape(graph, &entry->shape, &node->shape, "the node");
}

static const char *check_param_entry(const Graph *graph, const Node *node)
{
    REQUIRE(node->attr.index < graph->n_parameters, "there is no parameter %d", node->attr.index);
    return same_shape(graph, &graph->parameters[node->attr.index].shape, &node->shape, "the node");
}

static const char *check_draw_entry(const Graph *graph, const Node *node, DrawKind kind, const Shape *shape)
{
    REQUIRE(node->attr.index < graph->n_draws, "there is no draw %d", node->attr.index);
    const Draw *draw = &graph->draws[node->attr.index];
    bool is_good = draw->kind == kind || (draw->kind == DRAW_SCALE && node->op == OP_KEEP);
    REQUIRE(is_good, "draw %d is of another kind", node->attr.index);
    return same_shape(graph, &draw->shape, shape, "the node");
}

static const char *check_tables(const Graph *graph, const Node *node)
{
    switch (node->op) {
    case OP_INPUT: return check_input_entry(graph, node);
    case OP_PARAM: return check_param_entry(graph, node);
    case OP_KEEP: return check_draw_entry(graph, node, DRAW_KEEP, &node->shape);
    case OP_SAMPLE: return check_draw_entry(graph, node, DRAW_SAMPLE, &node->shape);
    case OP_ATTENTION:
    case OP_ATTENTION_GRAD: {
        if (node->attr.index < 0) {
            return NULL;
        }
        Shape probabilities = input(graph, node, 0)->shape;
        probabilities.dim[3] = input(graph, node, 1)->shape.dim[2];
        return check_draw_entry(graph, node, DRAW_KEEP, &probabilities);
    }
    default: return NULL;
    }
}

static const char *check_output(const Graph *graph, const Output *output)
{
    REQUIRE(output->node >= 0 && output->node < graph->n_nodes, "there is no node %%%d", output->node);
    REQUIRE(!dtype_is_low(graph->nodes[output->node].dtype), "outputs are not %s",
            dtype_name(graph->nodes[output->node].dtype));
    if (output->kind != OUTPUT_GRADIENT) {
        REQUIRE(output->parameter == -1, "only gradients belong to a parameter");
        return NULL;
    }
    REQUIRE(output->parameter >= 0 && output->parameter < graph->n_parameters, "there is no parameter %d",
            output->parameter);
    return same_shape(graph, &graph->parameters[output->parameter].shape, &graph->nodes[output->node].shape,
                      "the gradient");
}

const char *graph_verify(Arena *arena, const Graph *graph)
{
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        const char *fault = graph_node_fault(graph, node, id);
        if (fault == NULL) {
            fault = check_tables(graph, node);
        }
        if (fault != NULL) {
            const char *op = (unsigned)node->op < OP_COUNT ? op_info(node->op)->name : "?";
            return arena_format(arena, "%%%d = %s: %s", id, op, fault);
        }
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        const char *fault = check_output(graph, &graph->outputs[i]);
        if (fault != NULL) {
            return arena_format(arena, "output %s: %s", graph->outputs[i].name, fault);
        }
    }
    return NULL;
}
