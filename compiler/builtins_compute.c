// Built-in functions that compute: elementwise, reductions, tensors from nothing, and compounds such as softmax.
#include "compiler/builtins_internal.h"

#include <math.h>

// Elementwise ---------------------------------------------------------------------------------------------------

Value call_unary(Call *call)
{
    if (call->builtin->detail == OP_SQRT && value_is_number(&call->argument[0])) {
        return value_float(sqrt(value_number(&call->argument[0])), call->span);
    }
    return elab_unary(call->elab, (Op)call->builtin->detail, call->argument[0], call->span);
}

// `min`, `max`, `minimum` and `maximum`, of numbers and of tensors.
Value call_binary(Call *call)
{
    return elab_binary(call->elab, (Op)call->builtin->detail, call->argument[0], call->argument[1],
                       call->span);
}

Value call_where(Call *call)
{
    return elab_where(call->elab, call->argument[0], call->argument[1], call->argument[2], call->span);
}

Value call_cast(Call *call)
{
    Dtype dtype = (Dtype)call->builtin->detail;
    const Value *x = &call->argument[0];
    if (value_is_number(x) || x->kind == VALUE_BOOL) {
        double number = x->kind == VALUE_BOOL ? x->truth : value_number(x);
        return dtype == DTYPE_F32 ? value_float(number, call->span) : value_int((int64_t)number, call->span);
    }
    NodeId node = node_argument(call, 0);
    if (node == NO_NODE) {
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_cast(call->elab->graph, node, dtype, &origin));
}

// Reductions ----------------------------------------------------------------------------------------------------

static NodeId drop_axes(Call *call, NodeId node, uint32_t axes)
{
    const Shape *shape = shape_at(call, node);
    Shape kept = {0};
    for (int i = 0; i < shape->rank; i++) {
        if (!(axes >> i & 1u)) {
            kept.dim[kept.rank++] = shape->dim[i];
        }
    }
    Origin origin = elab_origin(call->elab, call->span);
    return graph_reshape(call->elab->graph, node, &kept, &origin);
}

static bool reduced_axes(Call *call, NodeId node, uint32_t *axes, bool *keep)
{
    int rank = shape_at(call, node)->rank;
    *axes = (1u << rank) - 1;
    if (call->argument[1].kind != VALUE_NONE) {
        int axis;
        if (!axis_argument(call, 1, rank, &axis)) {
            return false;
        }
        *axes = 1u << axis;
    }
    *keep = call->argument[2].kind == VALUE_BOOL && call->argument[2].truth;
    return true;
}

static Value sum_of_list(Call *call)
{
    Value total = value_int(0, call->span);
    for (int i = 0; i < call->argument[0].list->n_items; i++) {
        total = elab_binary(call->elab, OP_ADD, total, call->argument[0].list->items[i], call->span);
    }
    return total;
}

Value call_sum(Call *call)
{
    if (call->argument[0].kind == VALUE_LIST) {
        return sum_of_list(call);
    }
    NodeId node = node_argument(call, 0);
    uint32_t axes;
    bool keep;
    if (node == NO_NODE || !reduced_axes(call, node, &axes, &keep)) {
        return value_error();
    }
    Graph *graph = call->elab->graph;
    if (graph->nodes[node].dtype == DTYPE_BOOL) {
        diag_error(call->elab->diag, call->span,
                   "sum does not work on bool tensors; use float(...) or int(...)");
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    NodeId result = graph_reduce(graph, OP_SUM, node, axes, &origin);
    if (call->builtin->detail) {  // mean
        double count =
            (double)shape_count(&graph->nodes[node].shape) / (double)shape_count(&graph->nodes[result].shape);
        const Shape shape = graph->nodes[result].shape;
        NodeId scale = graph_const(graph, 1.0 / count, DTYPE_F32, &shape, &origin);
        result = graph_binary(graph, OP_MUL, result, scale, &origin);
    }
    return node_value(call, keep ? result : drop_axes(call, result, axes));
}

Value call_reduce_max(Call *call)
{
    NodeId node = node_argument(call, 0);
    uint32_t axes;
    bool keep;
    if (node == NO_NODE || !reduced_axes(call, node, &axes, &keep)) {
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    NodeId result = graph_reduce(call->elab->graph, OP_REDUCE_MAX, node, axes, &origin);
    return node_value(call, keep ? result : drop_axes(call, result, axes));
}

Value call_argmax(Call *call)
{
    NodeId node = node_argument(call, 0);
    int axis;
    if (node == NO_NODE || !axis_argument(call, 1, shape_at(call, node)->rank, &axis)) {
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    NodeId result = graph_argmax(call->elab->graph, node, axis, &origin);
    return node_value(call, drop_axes(call, result, 1u << axis));
}

// Sources -------------------------------------------------------------------------------------------------------

static bool needs_graph(Call *call)
{
    if (!call->elab->graph) {
        diag_error(call->elab->diag, call->span, "%s makes a tensor, which exists only inside an entry point",
                   call->builtin->name);
    }
    return call->elab->graph != NULL;
}

Value call_arange(Call *call)
{
    int64_t count;
    if (!needs_graph(call) || !int_argument(call, 0, &count)) {
        return value_error();
    }
    if (count < 1) {
        diag_error(call->elab->diag, call->span, "arange of %lld elements", (long long)count);
        return value_error();
    }
    Shape shape = shape_of(1, &count);
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_iota(call->elab->graph, &shape, 0, &origin));
}

Value call_full(Call *call)
{
    Shape shape;
    double number = call->builtin->detail;
    if (!needs_graph(call) || !shape_argument(call, 0, &shape) ||
        (call->builtin->detail < 0 && !number_argument(call, 1, &number))) {
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_const(call->elab->graph, number, DTYPE_F32, &shape, &origin));
}

// Compounds -----------------------------------------------------------------------------------------------------

static Value compound(Call *call, Op op, const Shape *shape, const NodeId *inputs, int n_inputs,
                      double number)
{
    Attr attr = {.number = number};
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call,
                      graph_add(call->elab->graph, op, DTYPE_F32, shape, inputs, n_inputs, &attr, &origin));
}

Value call_softmax(Call *call)
{
    NodeId node = node_argument(call, 0);
    if (node == NO_NODE) {
        return value_error();
    }
    if (shape_at(call, node)->rank < 1 || call->elab->graph->nodes[node].dtype != DTYPE_F32) {
        diag_error(call->elab->diag, call->span, "%s needs a float tensor with dimensions",
                   call->builtin->name);
        return value_error();
    }
    const Shape shape = *shape_at(call, node);
    return compound(call, (Op)call->builtin->detail, &shape, &node, 1, 0);
}

Value call_layer_norm(Call *call)
{
    NodeId inputs[3];
    for (int i = 0; i < 3; i++) {
        inputs[i] = node_argument(call, i);
        if (inputs[i] == NO_NODE) {
            return value_error();
        }
    }
    double epsilon;
    if (!number_argument(call, 3, &epsilon)) {
        return value_error();
    }
    const Shape shape = *shape_at(call, inputs[0]);
    for (int i = 1; i < 3; i++) {
        const Shape *vector = shape_at(call, inputs[i]);
        if (shape.rank < 1 || vector->rank != 1 || vector->dim[0] != shape.dim[shape.rank - 1]) {
            diag_error(call->elab->diag, call->span, "layer_norm of %s cannot use a %s of shape %s",
                       elab_shape(call->elab, inputs[0]), call->builtin->parameters[i],
                       elab_shape(call->elab, inputs[i]));
            elab_note_operand(call->elab, &call->argument[0], "the tensor");
            elab_note_operand(call->elab, &call->argument[i], call->builtin->parameters[i]);
            return value_error();
        }
    }
    return compound(call, OP_LAYER_NORM, &shape, inputs, 3, epsilon);
}

Value call_cross_entropy(Call *call)
{
    NodeId inputs[2] = {node_argument(call, 0), node_argument(call, 1)};
    if (inputs[0] == NO_NODE || inputs[1] == NO_NODE) {
        return value_error();
    }
    const Shape *logits = shape_at(call, inputs[0]);
    const Shape *labels = shape_at(call, inputs[1]);
    bool fits = logits->rank == 2 && labels->rank == 1 && logits->dim[0] == labels->dim[0] &&
                call->elab->graph->nodes[inputs[1]].dtype == DTYPE_I32 &&
                call->elab->graph->nodes[inputs[0]].dtype == DTYPE_F32;
    if (!fits) {
        diag_error(call->elab->diag, call->span,
                   "cross_entropy needs logits [rows, classes] and int labels [rows], got %s and %s %s",
                   elab_shape(call->elab, inputs[0]), dtype_name(call->elab->graph->nodes[inputs[1]].dtype),
                   elab_shape(call->elab, inputs[1]));
        return value_error();
    }
    Shape shape = shape_of(1, &labels->dim[0]);
    return compound(call, OP_CROSS_ENTROPY, &shape, inputs, 2, 0);
}
