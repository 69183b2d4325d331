// Strided windows onto stored values, found by following the access of every element to memory and asking whether
// the address is a sum of coordinates; see fuse_internal.h.
#include "compiler/fuse_internal.h"

static bool set_strides(View *view, const IndexExpr *address)
{
    IndexLine line;
    if (!index_line(address, &line)) {
        return false;
    }
    view->offset = line.constant;
    for (int i = 0; i < view->rank; i++) {
        view->stride[i] = line.row[i];
    }
    return true;
}

static View empty_view(const Fusion *fusion, NodeId node, NodeId storage)
{
    const Shape *shape = &fusion_node(fusion, node)->shape;
    View view = {.node = storage, .rank = shape->rank};
    for (int i = 0; i < shape->rank; i++) {
        view.dim[i] = shape->dim[i];
    }
    return view;
}

// Access of `to` for the identity access of `from`, which is on the plain chain above it.
static Access pulled_down(Fusion *fusion, NodeId from, NodeId to)
{
    Access access = access_identity(fusion->pool, &fusion_node(fusion, from)->shape);
    for (NodeId id = from; id != to; id = fusion_node(fusion, id)->inputs[0]) {
        access = access_pull(fusion->pool, fusion->graph, id, &access);
    }
    return access;
}

bool view_through_place(Fusion *fusion, NodeId node, NodeId base, const Place *place, View *view)
{
    Access access = pulled_down(fusion, node, base);
    *view = empty_view(fusion, node, place->storage);
    return set_strides(view, place_address(fusion, place, &access));
}

bool view_through_node(Fusion *fusion, NodeId node, NodeId storage, View *view)
{
    Access access = pulled_down(fusion, node, storage);
    *view = empty_view(fusion, node, storage);
    return set_strides(view, access_linear(fusion->pool, &access, &fusion_node(fusion, storage)->shape));
}

// Adjacent batch dimensions become one where the outer stride continues the inner one.
bool view_matrices(const View *view, View *matrices)
{
    int last = view->rank - 1;
    int64_t batch = 1;
    int64_t stride = 0;
    for (int i = last - 2; i >= 0; i--) {
        if (view->dim[i] == 1) {
            continue;
        }
        if (batch > 1 && view->stride[i] != batch * stride) {
            return false;
        }
        stride = batch == 1 ? view->stride[i] : stride;
        batch *= view->dim[i];
    }
    *matrices = (View){.node = view->node, .offset = view->offset, .rank = 3};
    matrices->dim[0] = batch;
    matrices->stride[0] = stride;
    for (int i = 0; i < 2; i++) {
        matrices->dim[1 + i] = view->dim[last - 1 + i];
        matrices->stride[1 + i] = view->stride[last - 1 + i];
    }
    return true;
}

// Whether one stride leads through all dimensions but the last.
static bool is_leading(const View *view)
{
    int64_t count = 1, stride = 0;
    for (int i = view->rank - 2; i >= 0; i--) {
        if (view->dim[i] == 1) {
            continue;
        }
        if (count > 1 && view->stride[i] != count * stride) {
            return false;
        }
        stride = count == 1 ? view->stride[i] : stride;
        count *= view->dim[i];
    }
    return true;
}

// Whether rows with unit stride lie at a distance that keeps them apart.
static bool is_matrix(const View *view, int row, int column)
{
    bool is_unit = view->dim[column] == 1 || view->stride[column] == 1;
    return is_unit && (view->dim[row] == 1 || view->stride[row] >= view->dim[column]);
}

static bool is_dense(const View *view)
{
    int64_t stride = 1;
    for (int i = view->rank - 1; i >= 0; i--) {
        if (view->dim[i] != 1 && view->stride[i] != stride) {
            return false;
        }
        stride *= view->dim[i];
    }
    return true;
}

bool view_fits(const View *view, Need need)
{
    View matrices;
    switch (need) {
    case NEED_MATRIX:
        return view_matrices(view, &matrices) && (is_matrix(&matrices, 1, 2) || is_matrix(&matrices, 2, 1));
    case NEED_ROWS: return view_matrices(view, &matrices) && is_matrix(&matrices, 1, 2);
    case NEED_UNIT_LAST: return view->dim[view->rank - 1] == 1 || view->stride[view->rank - 1] == 1;
    case NEED_LEADING: return is_leading(view);
    case NEED_DENSE: return is_dense(view);
    case NEED_STRIDES: return true;
    }
    return false;
}

// Tries every stored value on the chain below the node, nearest first.
bool find_view(Fusion *fusion, NodeId node, Need need, Reading *reading)
{
    for (NodeId base = node;; base = fusion_node(fusion, base)->inputs[0]) {
        for (const Place *place = fusion->values[base].places; place; place = place->next) {
            reading->value = base;
            if (view_through_place(fusion, node, base, place, &reading->view) &&
                view_fits(&reading->view, need)) {
                return true;
            }
            for (NodeId id = node; id != base; id = fusion_node(fusion, id)->inputs[0]) {
                if (place->storage == id && view_through_node(fusion, node, id, &reading->view) &&
                    view_fits(&reading->view, need)) {
                    return true;
                }
            }
        }
        if (!move_is_plain(fusion->graph, base)) {
            return false;
        }
    }
}

Reading operand_view(Fusion *fusion, NodeId node, Need need)
{
    Reading reading;
    if (!find_view(fusion, node, need, &reading)) {
        XV_BUG("operand %d (%s) has no view", node, op_info(fusion_node(fusion, node)->op)->name);
    }
    return reading;
}

// The reshapes between a product and the ADD that is its value, or below it, from the product on.
static int steps_to_sum(const Fusion *fusion, NodeId product, NodeId sum, PathStep *steps)
{
    sum = fusion_node(fusion, sum)->op == OP_CAST ? fusion_node(fusion, sum)->inputs[0] : sum;
    for (int i = 0; i < 2; i++) {
        int n = 0;
        NodeId id = fusion_node(fusion, sum)->inputs[i];
        while (fusion_node(fusion, id)->op == OP_RESHAPE && n < MAX_PATH) {
            steps[n++] = (PathStep){id, 0};
            id = fusion_node(fusion, id)->inputs[0];
        }
        for (int j = 0; j < n / 2; j++) {
            PathStep step = steps[j];
            steps[j] = steps[n - 1 - j];
            steps[n - 1 - j] = step;
        }
        if (id == product) {
            return n;
        }
    }
    XV_BUG("sum %d is not that of product %d", sum, product);
}

bool view_of_result(Fusion *fusion, NodeId value, const Place *place, View *view)
{
    NodeId call = fusion->values[value].call;
    if (fusion->bias[call] == NO_NODE) {
        return view_through_place(fusion, value, value, place, view);
    }
    PathStep steps[2 * MAX_PATH];
    int n_steps = steps_to_sum(fusion, call, value, steps);
    for (int i = 0; i < place->n_path; i++) {
        steps[n_steps++] = place->path[i];
    }
    Place longer = {.storage = place->storage, .path = steps, .n_path = n_steps};
    return view_through_place(fusion, call, call, &longer, view);
}

View result_view(Fusion *fusion, NodeId value)
{
    View view;
    bool is_view = view_of_result(fusion, value, fusion->values[value].places, &view);
    XV_ASSERT(is_view);
    return view;
}
