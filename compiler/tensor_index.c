// x[...]: subscripts of tensors, which become slices, reshapes and takes, and of lists; see Subscript in elab.h.
#include "compiler/elab.h"

#include <string.h>

typedef struct Indexing {
    Elab *elab;
    Span span;
    NodeId node;   // tensor after slicing
    Shape kept;    // dimensions of the result so far
    int axis;      // next dimension of the sliced tensor
    NodeId taken;  // index tensor of the first subscript, or NO_NODE
} Indexing;

static bool bound_of(Indexing *indexing, const Value *value, int64_t absent, int64_t extent, int64_t *bound)
{
    if (value->kind == VALUE_NONE) {
        *bound = absent;
        return true;
    }
    if (value->kind != VALUE_INT) {
        if (value->kind != VALUE_ERROR) {
            diag_error(indexing->elab->diag, indexing->span, "a slice bound must be an integer, got %s",
                       value_kind_name(value->kind));
        }
        return false;
    }
    *bound = value->integer < 0 ? value->integer + extent : value->integer;
    return true;
}

static bool apply_slice(Indexing *indexing, const Subscript *subscript)
{
    Elab *elab = indexing->elab;
    const Shape *shape = &elab->graph->nodes[indexing->node].shape;
    int64_t extent = shape->dim[indexing->axis];
    int64_t start;
    int64_t stop;
    int64_t step;
    if (!bound_of(indexing, &subscript->start, 0, extent, &start) ||
        !bound_of(indexing, &subscript->stop, extent, extent, &stop) ||
        !bound_of(indexing, &subscript->step, 1, 0, &step)) {
        return false;
    }
    if (start < 0 || stop > extent || start >= stop || step < 1) {
        diag_error(elab->diag, subscript->span, "slice %lld:%lld:%lld does not fit a dimension of %lld",
                   (long long)start, (long long)stop, (long long)step, (long long)extent);
        return false;
    }
    Shape result = *shape;
    int64_t starts[MAX_RANK] = {0};
    int64_t steps[MAX_RANK];
    for (int i = 0; i < MAX_RANK; i++) {
        steps[i] = 1;
    }
    starts[indexing->axis] = start;
    steps[indexing->axis] = step;
    result.dim[indexing->axis] = (stop - start + step - 1) / step;
    Origin origin = elab_origin(elab, indexing->span);
    indexing->node = graph_slice(elab->graph, indexing->node, starts, steps, &result, &origin);
    indexing->kept.dim[indexing->kept.rank++] = result.dim[indexing->axis++];
    return true;
}

static bool apply_index(Indexing *indexing, const Subscript *subscript)
{
    Elab *elab = indexing->elab;
    if (subscript->index.kind == VALUE_TENSOR) {
        NodeId index = subscript->index.node;
        if (indexing->axis != 0 || indexing->kept.rank != 0 || elab->graph->nodes[index].dtype != DTYPE_I32) {
            diag_error(elab->diag, subscript->span,
                       "an index tensor must be of type int and come first, got %s %s",
                       dtype_name(elab->graph->nodes[index].dtype), elab_shape(elab, index));
            return false;
        }
        indexing->taken = index;
        indexing->kept = elab->graph->nodes[index].shape;
        indexing->axis++;
        return true;
    }
    if (subscript->index.kind != VALUE_INT) {
        if (subscript->index.kind != VALUE_ERROR) {
            diag_error(elab->diag, subscript->span, "a subscript must be an integer or an int tensor, got %s",
                       value_kind_name(subscript->index.kind));
        }
        return false;
    }
    int64_t extent = elab->graph->nodes[indexing->node].shape.dim[indexing->axis];
    int64_t index = subscript->index.integer;
    index += index < 0 ? extent : 0;
    if (index < 0 || index >= extent) {
        diag_error(elab->diag, subscript->span, "index %lld is outside a dimension of %lld",
                   (long long)subscript->index.integer, (long long)extent);
        return false;
    }
    Subscript slice = *subscript;
    slice.start = value_int(index, subscript->span);
    slice.stop = value_int(index + 1, subscript->span);
    slice.step = value_none(subscript->span);
    if (!apply_slice(indexing, &slice)) {
        return false;
    }
    indexing->kept.rank--;
    return true;
}

static bool apply_subscript(Indexing *indexing, const Subscript *subscript, int n_after)
{
    Elab *elab = indexing->elab;
    const Shape *shape = &elab->graph->nodes[indexing->node].shape;
    if (indexing->kept.rank >= MAX_RANK) {
        diag_error(elab->diag, subscript->span, "a tensor has at most %d dimensions", (int)MAX_RANK);
        return false;
    }
    if (subscript->kind == SUBSCRIPT_NEW_AXIS) {
        indexing->kept.dim[indexing->kept.rank++] = 1;
        return true;
    }
    if (subscript->kind == SUBSCRIPT_ELLIPSIS) {
        while (indexing->axis < shape->rank - n_after && indexing->kept.rank < MAX_RANK) {
            indexing->kept.dim[indexing->kept.rank++] = shape->dim[indexing->axis++];
        }
        return true;
    }
    if (indexing->axis >= shape->rank) {
        diag_error(elab->diag, subscript->span, "too many subscripts for a tensor of shape %s",
                   elab_shape(elab, indexing->node));
        return false;
    }
    return subscript->kind == SUBSCRIPT_SLICE ? apply_slice(indexing, subscript)
                                              : apply_index(indexing, subscript);
}

static int consuming(const Subscript *subscripts, int n_subscripts)
{
    int n = 0;
    for (int i = 0; i < n_subscripts; i++) {
        n += subscripts[i].kind == SUBSCRIPT_INDEX || subscripts[i].kind == SUBSCRIPT_SLICE;
    }
    return n;
}

static Value index_tensor(Elab *elab, NodeId node, const Subscript *subscripts, int n_subscripts, Span span)
{
    Indexing indexing = {.elab = elab, .span = span, .node = node, .taken = NO_NODE};
    for (int i = 0; i < n_subscripts; i++) {
        if (!apply_subscript(&indexing, &subscripts[i],
                             consuming(subscripts + i + 1, n_subscripts - i - 1))) {
            return value_error();
        }
    }
    const Shape *shape = &elab->graph->nodes[indexing.node].shape;
    if (indexing.kept.rank + shape->rank - indexing.axis > MAX_RANK) {
        diag_error(elab->diag, span, "a tensor has at most %d dimensions", (int)MAX_RANK);
        return value_error();
    }
    while (indexing.axis < shape->rank) {
        indexing.kept.dim[indexing.kept.rank++] = shape->dim[indexing.axis++];
    }
    Origin origin = elab_origin(elab, span);
    NodeId result = indexing.node;
    if (indexing.taken != NO_NODE) {
        result = graph_take(elab->graph, result, indexing.taken, &origin);
    }
    return value_tensor(graph_reshape(elab->graph, result, &indexing.kept, &origin), span);
}

static Value index_list(Elab *elab, const Value *base, const Subscript *subscripts, int n_subscripts,
                        Span span)
{
    const ValueList *list = base->list;
    if (n_subscripts != 1 || subscripts[0].kind == SUBSCRIPT_NEW_AXIS ||
        subscripts[0].kind == SUBSCRIPT_ELLIPSIS) {
        diag_error(elab->diag, span, "%s takes one subscript", value_kind_name(base->kind));
        return value_error();
    }
    const Subscript *subscript = &subscripts[0];
    if (subscript->kind == SUBSCRIPT_INDEX) {
        if (subscript->index.kind != VALUE_INT) {
            diag_error(elab->diag, subscript->span, "a subscript of a list must be an integer, got %s",
                       value_kind_name(subscript->index.kind));
            return value_error();
        }
        int64_t index = subscript->index.integer + (subscript->index.integer < 0 ? list->n_items : 0);
        if (index < 0 || index >= list->n_items) {
            diag_error(elab->diag, subscript->span, "index %lld is outside a list of %d",
                       (long long)subscript->index.integer, list->n_items);
            return value_error();
        }
        return list->items[index];
    }
    Indexing bounds = {.elab = elab, .span = subscript->span};
    int64_t start;
    int64_t stop;
    int64_t step;
    if (!bound_of(&bounds, &subscript->start, 0, list->n_items, &start) ||
        !bound_of(&bounds, &subscript->stop, list->n_items, list->n_items, &stop) ||
        !bound_of(&bounds, &subscript->step, 1, 0, &step) || step < 1) {
        return value_error();
    }
    Value part = value_list(elab->arena, span);
    for (int64_t i = start < 0 ? 0 : start; i < stop && i < list->n_items; i += step) {
        value_append(elab->arena, &part, list->items[i]);
    }
    return part;
}

Value elab_index(Elab *elab, Value base, const Subscript *subscripts, int n_subscripts, Span span)
{
    if (base.kind == VALUE_ERROR) {
        return base;
    }
    if (base.kind == VALUE_LIST || base.kind == VALUE_ARRAY) {
        return index_list(elab, &base, subscripts, n_subscripts, span);
    }
    NodeId node = elab_node(elab, &base, span);
    return node == NO_NODE ? value_error() : index_tensor(elab, node, subscripts, n_subscripts, span);
}
