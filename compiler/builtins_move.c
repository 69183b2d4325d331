// Built-in functions that move elements and compute nothing.
#include "compiler/builtins_internal.h"

#include <string.h>

Value call_reshape(Call *call)
{
    NodeId node = node_argument(call, 0);
    Shape shape;
    if (node == NO_NODE || !shape_argument(call, 1, &shape)) {
        return value_error();
    }
    if (shape_count(&shape) != shape_count(shape_at(call, node))) {
        diag_error(call->elab->diag, call->span,
                   "reshape of %s to %s changes the number of elements from %lld to %lld",
                   elab_shape(call->elab, node), shape_text(call->elab->arena, &shape),
                   (long long)shape_count(shape_at(call, node)), (long long)shape_count(&shape));
        elab_note_operand(call->elab, &call->argument[0], "the tensor");
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_reshape(call->elab->graph, node, &shape, &origin));
}

Value call_permute(Call *call)
{
    NodeId node = node_argument(call, 0);
    int64_t order[MAX_RANK];
    int n_order;
    if (node == NO_NODE || !list_argument(call, 1, MAX_RANK, order, &n_order)) {
        return value_error();
    }
    int rank = shape_at(call, node)->rank;
    int32_t dims[MAX_RANK] = {0};
    uint32_t seen = 0;
    for (int i = 0; i < n_order; i++) {
        if (order[i] >= 0 && order[i] < rank) {
            seen |= 1u << order[i];
        }
        dims[i] = (int32_t)order[i];
    }
    if (n_order != rank || seen != (1u << rank) - 1) {
        diag_error(call->elab->diag, call->place[1],
                   "permute needs each of the dimensions 0..%d once, for a tensor of shape %s", rank - 1,
                   elab_shape(call->elab, node));
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_permute(call->elab->graph, node, dims, &origin));
}

Value call_expand(Call *call)
{
    NodeId node = node_argument(call, 0);
    Shape shape;
    if (node == NO_NODE || !shape_argument(call, 1, &shape)) {
        return value_error();
    }
    const Shape *from = shape_at(call, node);
    bool fits = from->rank <= shape.rank;
    for (int i = 1; fits && i <= from->rank; i++) {
        int64_t extent = from->dim[from->rank - i];
        fits = extent == 1 || extent == shape.dim[shape.rank - i];
    }
    if (!fits) {
        diag_error(call->elab->diag, call->span, "expand cannot grow %s to %s", elab_shape(call->elab, node),
                   shape_text(call->elab->arena, &shape));
        return value_error();
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_expand_to(call->elab->graph, node, &shape, &origin));
}

Value call_roll(Call *call)
{
    NodeId node = node_argument(call, 0);
    int64_t shift[MAX_RANK];
    int n_shift;
    if (node == NO_NODE || !list_argument(call, 1, MAX_RANK, shift, &n_shift)) {
        return value_error();
    }
    const Shape *shape = shape_at(call, node);
    if (n_shift != shape->rank) {
        diag_error(call->elab->diag, call->place[1],
                   "roll needs one shift per dimension: %d given for shape %s", n_shift,
                   elab_shape(call->elab, node));
        return value_error();
    }
    bool moves = false;
    for (int i = 0; i < n_shift; i++) {
        shift[i] = ((shift[i] % shape->dim[i]) + shape->dim[i]) % shape->dim[i];
        moves |= shift[i] != 0;
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, moves ? graph_roll(call->elab->graph, node, shift, &origin) : node);
}

Value call_concat(Call *call)
{
    const Value *parts = &call->argument[0];
    if (parts->kind != VALUE_LIST || parts->list->n_items < 1) {
        diag_error(call->elab->diag, call->place[0], "concat needs a list of tensors");
        return value_error();
    }
    int n_parts = parts->list->n_items;
    NodeId *nodes = arena_alloc(call->elab->arena, (size_t)n_parts * sizeof *nodes);
    int axis = 0;
    for (int i = 0; i < n_parts; i++) {
        nodes[i] = elab_node(call->elab, &parts->list->items[i], call->place[0]);
        if (nodes[i] == NO_NODE ||
            (i == 0 && !axis_argument(call, 1, shape_at(call, nodes[0])->rank, &axis))) {
            return value_error();
        }
        Shape a = *shape_at(call, nodes[0]);
        Shape b = *shape_at(call, nodes[i]);
        a.dim[axis] = b.dim[axis < b.rank ? axis : 0];
        if (!shape_equal(&a, &b) ||
            call->elab->graph->nodes[nodes[0]].dtype != call->elab->graph->nodes[nodes[i]].dtype) {
            diag_error(call->elab->diag, call->span, "concat along dimension %d cannot join %s %s and %s %s",
                       axis, dtype_name(call->elab->graph->nodes[nodes[0]].dtype),
                       elab_shape(call->elab, nodes[0]), dtype_name(call->elab->graph->nodes[nodes[i]].dtype),
                       elab_shape(call->elab, nodes[i]));
            return value_error();
        }
    }
    Origin origin = elab_origin(call->elab, call->span);
    return node_value(call, graph_concat(call->elab->graph, nodes, n_parts, axis, &origin));
}

// The tensor `times` times in a row along dimension 0.
Value call_tile(Call *call)
{
    NodeId node = node_argument(call, 0);
    int64_t times;
    if (node == NO_NODE || !int_argument(call, 1, &times)) {
        return value_error();
    }
    const Shape from = *shape_at(call, node);
    if (times < 1 || from.rank < 1 || from.rank >= MAX_RANK) {
        diag_error(call->elab->diag, call->span, "tile cannot repeat %s %lld times",
                   elab_shape(call->elab, node), (long long)times);
        return value_error();
    }
    Shape one = {.rank = from.rank + 1, .dim = {1}};
    memcpy(one.dim + 1, from.dim, (size_t)from.rank * sizeof *one.dim);
    Shape many = one;
    many.dim[0] = times;
    Shape flat = from;
    flat.dim[0] *= times;
    Graph *graph = call->elab->graph;
    Origin origin = elab_origin(call->elab, call->span);
    NodeId grown = graph_expand(graph, graph_reshape(graph, node, &one, &origin), &many, &origin);
    return node_value(call, graph_reshape(graph, grown, &flat, &origin));
}
