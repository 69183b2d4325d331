// Movement ops as strides: which values an operation can read in place; see fuse_internal.h.
#include "compiler/fuse_internal.h"

#include <string.h>

void contiguous_strides(const Shape *shape, int64_t *stride)
{
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= shape->dim[i];
    }
}

static View base_view(const Fusion *fusion, NodeId node)
{
    const Shape *shape = &fusion->graph->nodes[node].shape;
    View view = {.node = fusion_root(fusion, node), .offset = fusion->layout[node].offset, .rank = shape->rank};
    memcpy(view.dim, shape->dim, sizeof view.dim);
    memcpy(view.stride, fusion->layout[node].stride, sizeof view.stride);
    return view;
}

// Splits and merges dimensions where the strides allow it without moving data.
static bool reshape_view(View *view, const Shape *shape)
{
    View old = *view;
    int n_old = 0;
    for (int i = 0; i < old.rank; i++) {
        if (old.dim[i] != 1) {
            old.dim[n_old] = old.dim[i];
            old.stride[n_old++] = old.stride[i];
        }
    }
    int from = 0;
    int to = 0;
    view->rank = shape->rank;
    memcpy(view->dim, shape->dim, sizeof view->dim);
    for (int i = 0; i < shape->rank; i++) {
        view->stride[i] = 0;
    }
    while (from < n_old) {
        int64_t have = old.dim[from];
        int64_t need = 1;
        int from_end = from + 1;
        int to_end = to;
        while (to_end < shape->rank && (need < have || need != have)) {
            need *= shape->dim[to_end++];
            while (need > have && from_end < n_old) {
                have *= old.dim[from_end++];
            }
        }
        if (need != have) {
            return false;
        }
        for (int i = from; i + 1 < from_end; i++) {
            if (old.stride[i] != old.stride[i + 1] * old.dim[i + 1]) {
                return false;
            }
        }
        int64_t stride = old.stride[from_end - 1];
        for (int i = to_end - 1; i >= to; i--) {
            view->stride[i] = stride;
            stride *= shape->dim[i];
        }
        from = from_end;
        to = to_end;
    }
    return true;
}

static bool move_view(const Graph *graph, NodeId id, View *view)
{
    const Node *node = &graph->nodes[id];
    View old = *view;
    switch (node->op) {
    case OP_RESHAPE:
        return reshape_view(view, &node->shape);
    case OP_PERMUTE:
        for (int i = 0; i < view->rank; i++) {
            view->dim[i] = old.dim[node->attr.dims[i]];
            view->stride[i] = old.stride[node->attr.dims[i]];
        }
        return true;
    case OP_EXPAND:
        for (int i = 0; i < view->rank; i++) {
            view->stride[i] = old.dim[i] == node->shape.dim[i] ? old.stride[i] : 0;
            view->dim[i] = node->shape.dim[i];
        }
        return true;
    case OP_SLICE:
        for (int i = 0; i < view->rank; i++) {
            view->offset += node->attr.start[i] * old.stride[i];
            view->stride[i] = old.stride[i] * node->attr.step[i];
            view->dim[i] = node->shape.dim[i];
        }
        return true;
    default:
        return false;
    }
}

bool view_of(const Fusion *fusion, NodeId node, View *view)
{
    if (fusion->is_stored[node]) {
        *view = base_view(fusion, node);
        return true;
    }
    const Node *n = &fusion->graph->nodes[node];
    bool can_move = n->op == OP_RESHAPE || n->op == OP_PERMUTE || n->op == OP_EXPAND || n->op == OP_SLICE;
    return can_move && view_of(fusion, n->inputs[0], view) && move_view(fusion->graph, node, view);
}

bool view_has_unit_last(const View *view)
{
    return view->rank > 0 && (view->stride[view->rank - 1] == 1 || view->dim[view->rank - 1] == 1);
}

bool view_as_matrices(const View *view, View *matrices)
{
    if (view->rank < 2) {
        return false;
    }
    int64_t batch = 1;
    int64_t batch_stride = 0;
    for (int i = view->rank - 3; i >= 0; i--) {
        if (view->dim[i] == 1) {
            continue;
        }
        if (batch != 1 && view->stride[i] != batch_stride * batch) {
            return false;
        }
        batch_stride = batch == 1 ? view->stride[i] : batch_stride;
        batch *= view->dim[i];
    }
    const int64_t *dim = view->dim + view->rank - 2;
    const int64_t *stride = view->stride + view->rank - 2;
    bool has_unit_columns = (stride[1] == 1 || dim[1] == 1) && (stride[0] >= dim[1] || dim[0] == 1);
    bool has_unit_rows = (stride[0] == 1 || dim[0] == 1) && (stride[1] >= dim[0] || dim[1] == 1);
    *matrices = (View){.node = view->node, .offset = view->offset, .rank = 3, .dim = {batch, dim[0], dim[1]},
                       .stride = {batch_stride, stride[0], stride[1]}};
    return has_unit_columns || has_unit_rows;
}

// Would `node` pass the test if `stored`, below it in a chain of movement ops, were contiguous?
static bool passes_from(const Fusion *fusion, const NodeId *chain, int n_chain, int stored, ViewTest test)
{
    const Shape *shape = &fusion->graph->nodes[chain[stored]].shape;
    View view = {.node = chain[stored], .rank = shape->rank};
    memcpy(view.dim, shape->dim, sizeof view.dim);
    contiguous_strides(shape, view.stride);
    for (int i = stored - 1; i >= 0; i--) {
        if (!move_view(fusion->graph, chain[i], &view)) {
            return false;
        }
    }
    (void)n_chain;
    return test(&view);
}

void make_viewable(Fusion *fusion, NodeId node, ViewTest test)
{
    View view;
    if (view_of(fusion, node, &view) && test(&view)) {
        return;
    }
    enum { LONGEST = 64 };
    NodeId chain[LONGEST];
    int n_chain = 0;
    NodeId at = node;
    while (n_chain < LONGEST) {
        if (fusion->is_stored[at]) {
            break;
        }
        chain[n_chain++] = at;
        Op op = fusion->graph->nodes[at].op;
        if (op != OP_RESHAPE && op != OP_PERMUTE && op != OP_SLICE && op != OP_EXPAND) {
            break;
        }
        at = fusion->graph->nodes[at].inputs[0];
    }
    for (int i = n_chain - 1; i >= 0; i--) {
        // Storing below a SLICE computes more than is needed, unless other slices of the same value are wanted too
        // (queries, keys and values of one packed product).
        bool is_sound = true;
        for (int j = 0; j < i; j++) {
            bool is_lone_slice = fusion->graph->nodes[chain[j]].op == OP_SLICE && fusion->uses[chain[j + 1]] < 2;
            is_sound &= !is_lone_slice;
        }
        if (is_sound && passes_from(fusion, chain, n_chain, i, test)) {
            fusion_store(fusion, chain[i]);
            return;
        }
    }
    fusion_store(fusion, node);
}
