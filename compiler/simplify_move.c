// Movement compositions merged, identities removed; what a neighbour can do without moving data. Two adjacent
// pads added together are a concatenation: the gradients of the parts of one tensor come out that way.
#include "compiler/simplify_internal.h"

static NodeId reshaped(Simplifier *s, NodeId x, const Shape *shape)
{
    return graph_reshape(s->build.graph, x, shape, &s->build.origin);
}

static bool is_unit_step(const Node *node)
{
    for (int i = 0; i < node->shape.rank; i++) {
        if (node->attr.step[i] != 1) {
            return false;
        }
    }
    return true;
}

// The shape of `small` (extents 1 or those of `from`) carried to `to`, which must have from's extents longer
// than 1 in order; false if it has not.
static bool carry_ones(const Shape *small, const Shape *from, const Shape *to, Shape *result)
{
    int at = 0;
    *result = *to;
    for (int i = 0; i < to->rank; i++) {
        while (at < from->rank && from->dim[at] == 1) {
            at++;
        }
        if (to->dim[i] == 1) {
            continue;
        }
        if (at == from->rank || from->dim[at] != to->dim[i]) {
            return false;
        }
        result->dim[i] = small->dim[at++];
    }
    return true;
}

// How many trailing extents a and b have in common.
static int common_suffix(const Shape *a, const Shape *b)
{
    int n = 0;
    while (n < a->rank && n < b->rank && a->dim[a->rank - 1 - n] == b->dim[b->rank - 1 - n]) {
        n++;
    }
    return n;
}

// Expanding last: a reshape that only adds or removes extents of 1, or that leaves alone the trailing extents
// in which all elements of the small tensor are.
static NodeId reshape_of_expand(Simplifier *s, const Node *node, const Node *expand)
{
    NodeId x = expand->inputs[0];
    Shape small, from = *build_shape(&s->build, x);
    int n_kept = common_suffix(&expand->shape, &node->shape);
    small = shape_of(n_kept, from.dim + from.rank - n_kept);
    if (shape_count(&small) == shape_count(&from)) {
        return graph_expand_to(s->build.graph, reshaped(s, x, &small), &node->shape, &s->build.origin);
    }
    if (!carry_ones(&from, &expand->shape, &node->shape, &small)) {
        return NO_NODE;
    }
    return graph_expand(s->build.graph, reshaped(s, x, &small), &node->shape, &s->build.origin);
}

// Constants and compositions that the builders fold: building the node again does it.
static NodeId rule_reshape(Simplifier *s, const Node *node)
{
    Node input = *simplify_input(s, node, 0);
    if (input.op == OP_RESHAPE || input.op == OP_CONST || shape_equal(&input.shape, &node->shape)) {
        return reshaped(s, node->inputs[0], &node->shape);
    }
    return input.op == OP_EXPAND ? reshape_of_expand(s, node, &input) : NO_NODE;
}

// Whether the dimensions longer than 1 keep their order: then row-major order is kept too.
static bool keeps_order(const Node *node, const Shape *from)
{
    int last = -1;
    for (int i = 0; i < node->shape.rank; i++) {
        int dim = node->attr.dims[i];
        if (from->dim[dim] > 1) {
            if (dim < last) {
                return false;
            }
            last = dim;
        }
    }
    return true;
}

static bool swaps_last_two(const Node *node)
{
    int rank = node->shape.rank;
    for (int i = 0; i < rank - 2; i++) {
        if (node->attr.dims[i] != i) {
            return false;
        }
    }
    return rank >= 2 && node->attr.dims[rank - 2] == rank - 1;
}

// What `id` of the old graph accumulates onto, if that is a product used here alone; else NO_NODE.
static NodeId accumulated(const Simplifier *s, NodeId id)
{
    const Node *product = &s->from->nodes[id];
    if (product->op != OP_MATMUL || product->n_inputs != 3) {
        return NO_NODE;
    }
    NodeId c = product->inputs[2];
    return s->from->nodes[c].op == OP_MATMUL && s->uses[c] == 1 ? c : NO_NODE;
}

// (a b + c)^T = b^T a^T + c^T: the product is written transposed instead of moved afterwards, and so is the
// chain of products that it accumulates onto. `id` is the product in the new graph, `old` in the old one.
static NodeId transposed_product(Simplifier *s, NodeId id, NodeId old)
{
    Node product = s->build.graph->nodes[id];
    NodeId a = build_transpose(&s->build, product.inputs[0]);
    NodeId b = build_transpose(&s->build, product.inputs[1]);
    if (product.n_inputs == 2) {
        return build_matmul(&s->build, b, a);
    }
    NodeId c = product.inputs[2], old_c = accumulated(s, old);
    bool is_chain = old_c != NO_NODE && s->build.graph->nodes[c].op == OP_MATMUL;
    c = is_chain ? transposed_product(s, c, old_c) : build_transpose(&s->build, c);
    return graph_matmul(s->build.graph, b, a, c, &s->build.origin);
}

static NodeId rule_permute(Simplifier *s, const Node *node)
{
    const Node *input = simplify_input(s, node, 0);
    if (keeps_order(node, &input->shape)) {
        return reshaped(s, node->inputs[0], &node->shape);
    }
    if (input->op == OP_PERMUTE || input->op == OP_CONST) {
        return graph_permute(s->build.graph, node->inputs[0], node->attr.dims, &s->build.origin);
    }
    if (input->op == OP_MATMUL && swaps_last_two(node) && simplify_is_sole_user(s, 0)) {
        return transposed_product(s, node->inputs[0], s->from->nodes[s->old].inputs[0]);
    }
    return NO_NODE;
}

static NodeId rule_expand(Simplifier *s, const Node *node)
{
    const Node *input = simplify_input(s, node, 0);
    if (input->op == OP_EXPAND || input->op == OP_CONST || shape_equal(&input->shape, &node->shape)) {
        return graph_expand(s->build.graph, node->inputs[0], &node->shape, &s->build.origin);
    }
    return NO_NODE;
}

// Slices ----------------------------------------------------------------------------------------------------

static NodeId slice_again(Simplifier *s, NodeId x, const Attr *attr, const Shape *shape)
{
    return graph_slice(s->build.graph, x, attr->start, attr->step, shape, &s->build.origin);
}

static NodeId slice_of_slice(Simplifier *s, const Node *node, const Node *inner)
{
    Attr attr = node->attr;
    for (int i = 0; i < node->shape.rank; i++) {
        attr.start[i] = inner->attr.start[i] + node->attr.start[i] * inner->attr.step[i];
        attr.step[i] = node->attr.step[i] * inner->attr.step[i];
    }
    return slice_again(s, inner->inputs[0], &attr, &node->shape);
}

static NodeId slice_of_expand(Simplifier *s, const Node *node, const Node *inner)
{
    NodeId x = inner->inputs[0];
    Attr attr = node->attr;
    Shape shape = node->shape;
    for (int i = 0; i < shape.rank; i++) {
        if (build_shape(&s->build, x)->dim[i] == 1) {
            attr.start[i] = 0;
            attr.step[i] = 1;
            shape.dim[i] = 1;
        }
    }
    return graph_expand(s->build.graph, slice_again(s, x, &attr, &shape), &node->shape, &s->build.origin);
}

// A slice that lies inside one part.
static NodeId slice_of_concat(Simplifier *s, const Node *node, const Node *inner)
{
    int axis = inner->attr.axis;
    int64_t first = node->attr.start[axis];
    int64_t last = first + (node->shape.dim[axis] - 1) * node->attr.step[axis];
    int64_t begin = 0;
    for (int i = 0; i < inner->n_inputs; i++) {
        int64_t end = begin + build_shape(&s->build, inner->inputs[i])->dim[axis];
        if (first >= begin && last < end) {
            Attr attr = node->attr;
            attr.start[axis] -= begin;
            return slice_again(s, inner->inputs[i], &attr, &node->shape);
        }
        begin = end;
    }
    return NO_NODE;
}

// A slice that lies inside what was padded, or wholly in the zeros (steps of 1).
static NodeId slice_of_pad(Simplifier *s, const Node *node, const Node *inner)
{
    if (!is_unit_step(node) || !is_unit_step(inner)) {
        return NO_NODE;
    }
    NodeId x = inner->inputs[0];
    Attr attr = node->attr;
    bool is_inside = true, is_outside = false;
    for (int i = 0; i < node->shape.rank; i++) {
        attr.start[i] -= inner->attr.start[i];
        int64_t extent = build_shape(&s->build, x)->dim[i], end = attr.start[i] + node->shape.dim[i];
        is_inside = is_inside && attr.start[i] >= 0 && end <= extent;
        is_outside = is_outside || end <= 0 || attr.start[i] >= extent;
    }
    if (is_outside) {
        return graph_const(s->build.graph, 0, node->dtype, &node->shape, &s->build.origin);
    }
    return is_inside ? slice_again(s, x, &attr, &node->shape) : NO_NODE;
}

static NodeId rule_slice(Simplifier *s, const Node *node)
{
    Node inner = *simplify_input(s, node, 0);
    if (shape_equal(&inner.shape, &node->shape) || inner.op == OP_CONST) {
        return slice_again(s, node->inputs[0], &node->attr, &node->shape);
    }
    switch (inner.op) {
    case OP_SLICE: return slice_of_slice(s, node, &inner);
    case OP_EXPAND: return slice_of_expand(s, node, &inner);
    case OP_CONCAT: return slice_of_concat(s, node, &inner);
    case OP_PAD: return slice_of_pad(s, node, &inner);
    default: return NO_NODE;
    }
}

// Pads, rolls, concatenations -------------------------------------------------------------------------------

static NodeId rule_pad(Simplifier *s, const Node *node)
{
    const Node *inner = simplify_input(s, node, 0);
    if (shape_equal(&inner->shape, &node->shape)) {
        return node->inputs[0];
    }
    if (inner->op == OP_CONST && inner->attr.number == 0) {
        return graph_const(s->build.graph, 0, node->dtype, &node->shape, &s->build.origin);
    }
    if (inner->op != OP_PAD) {
        return NO_NODE;
    }
    Attr attr = node->attr;
    for (int i = 0; i < node->shape.rank; i++) {
        attr.start[i] = node->attr.start[i] + inner->attr.start[i] * node->attr.step[i];
        attr.step[i] = node->attr.step[i] * inner->attr.step[i];
    }
    return graph_pad(s->build.graph, inner->inputs[0], attr.start, attr.step, &node->shape, &s->build.origin);
}

static NodeId rule_roll(Simplifier *s, const Node *node)
{
    const Node *inner = simplify_input(s, node, 0);
    if (inner->op != OP_ROLL && inner->op != OP_CONST) {
        return NO_NODE;
    }
    int64_t shift[MAX_RANK];
    for (int i = 0; i < node->shape.rank; i++) {
        shift[i] = node->attr.start[i] + (inner->op == OP_ROLL ? inner->attr.start[i] : 0);
    }
    NodeId x = inner->op == OP_ROLL ? inner->inputs[0] : node->inputs[0];
    return graph_roll(s->build.graph, x, shift, &s->build.origin);
}

// Whether b continues a along the axis: slices of one node, equal otherwise.
static bool continues(const Node *a, const Node *b, int axis)
{
    if (a->op != OP_SLICE || b->op != OP_SLICE || a->inputs[0] != b->inputs[0] || !is_unit_step(a) ||
        !is_unit_step(b)) {
        return false;
    }
    for (int i = 0; i < a->shape.rank; i++) {
        bool fits = i == axis ? b->attr.start[i] == a->attr.start[i] + a->shape.dim[i]
                              : b->attr.start[i] == a->attr.start[i];
        if (!fits) {
            return false;
        }
    }
    return true;
}

static NodeId joined_slices(Simplifier *s, const Node *node, int at)
{
    const Node *a = simplify_input(s, node, at), *b = simplify_input(s, node, at + 1);
    int axis = node->attr.axis;
    Shape shape = a->shape;
    shape.dim[axis] += b->shape.dim[axis];
    Attr attr = a->attr;
    NodeId whole = slice_again(s, a->inputs[0], &attr, &shape);
    NodeId *parts = arena_alloc(s->build.graph->arena, (size_t)node->n_inputs * sizeof *parts);
    for (int i = 0; i < node->n_inputs - 1; i++) {
        parts[i] = i < at ? node->inputs[i] : i == at ? whole : node->inputs[i + 1];
    }
    return graph_concat(s->build.graph, parts, node->n_inputs - 1, axis, &s->build.origin);
}

// The parts of part `at` in its place.
static NodeId flattened(Simplifier *s, const Node *node, int at)
{
    const Node *part = simplify_input(s, node, at);
    int n = node->n_inputs + part->n_inputs - 1, n_parts = 0;
    NodeId *parts = arena_alloc(s->build.graph->arena, (size_t)n * sizeof *parts);
    for (int i = 0; i < node->n_inputs; i++) {
        if (i != at) {
            parts[n_parts++] = node->inputs[i];
            continue;
        }
        for (int k = 0; k < part->n_inputs; k++) {
            parts[n_parts++] = part->inputs[k];
        }
    }
    return graph_concat(s->build.graph, parts, n, node->attr.axis, &s->build.origin);
}

static bool all_equal_constants(const Simplifier *s, const Node *node)
{
    const Node *first = simplify_input(s, node, 0);
    for (int i = 0; i < node->n_inputs; i++) {
        const Node *part = simplify_input(s, node, i);
        if (part->op != OP_CONST || part->attr.number != first->attr.number) {
            return false;
        }
    }
    return true;
}

static NodeId rule_concat(Simplifier *s, const Node *node)
{
    if (node->n_inputs == 1) {
        return node->inputs[0];
    }
    if (all_equal_constants(s, node)) {
        double number = simplify_input(s, node, 0)->attr.number;
        return graph_const(s->build.graph, number, node->dtype, &node->shape, &s->build.origin);
    }
    for (int i = 0; i < node->n_inputs; i++) {
        const Node *part = simplify_input(s, node, i);
        if (part->op == OP_CONCAT && part->attr.axis == node->attr.axis) {
            return flattened(s, node, i);
        }
        if (i + 1 < node->n_inputs && continues(part, simplify_input(s, node, i + 1), node->attr.axis)) {
            return joined_slices(s, node, i);
        }
    }
    return NO_NODE;
}

// The axis along which pad b begins where pad a ends, everything else being equal; -1 if there is none.
static int adjacent_axis(const Simplifier *s, const Node *a, const Node *b)
{
    const Shape *of_a = &simplify_input(s, a, 0)->shape, *of_b = &simplify_input(s, b, 0)->shape;
    int axis = -1;
    for (int i = 0; i < a->shape.rank; i++) {
        if (a->attr.start[i] == b->attr.start[i] && of_a->dim[i] == of_b->dim[i]) {
            continue;
        }
        if (axis >= 0 || b->attr.start[i] != a->attr.start[i] + of_a->dim[i]) {
            return -1;
        }
        axis = i;
    }
    return axis;
}

// pad(a) + pad(b) = pad(concat(a, b)) for neighbours.
static NodeId rule_add_pads(Simplifier *s, const Node *node)
{
    Node a = *simplify_input(s, node, 0), b = *simplify_input(s, node, 1);
    if (a.op != OP_PAD || b.op != OP_PAD || !is_unit_step(&a) || !is_unit_step(&b)) {
        return NO_NODE;
    }
    int axis = adjacent_axis(s, &a, &b);
    if (axis < 0) {
        Node other = a;
        a = b;
        b = other;
        axis = adjacent_axis(s, &a, &b);
    }
    if (axis < 0) {
        return NO_NODE;
    }
    Graph *graph = s->build.graph;
    NodeId both = graph_concat(graph, (NodeId[]){a.inputs[0], b.inputs[0]}, 2, axis, &s->build.origin);
    return graph_pad(graph, both, a.attr.start, a.attr.step, &node->shape, &s->build.origin);
}

// Others ----------------------------------------------------------------------------------------------------

// One rank: nothing to gather.
static NodeId rule_collective(Simplifier *s, const Node *node)
{
    return shape_equal(&simplify_input(s, node, 0)->shape, &node->shape) ? node->inputs[0] : NO_NODE;
}

static NodeId rule_iota(Simplifier *s, const Node *node)
{
    if (node->shape.dim[node->attr.axis] > 1) {
        return NO_NODE;
    }
    return graph_const(s->build.graph, 0, DTYPE_I32, &node->shape, &s->build.origin);
}

// Rows of a tensor that is the same for all of them.
static NodeId rule_take(Simplifier *s, const Node *node)
{
    Node x = *simplify_input(s, node, 0);
    if (x.op == OP_CONST) {
        return graph_const(s->build.graph, x.attr.number, node->dtype, &node->shape, &s->build.origin);
    }
    bool is_repeated = x.op == OP_EXPAND && build_shape(&s->build, x.inputs[0])->dim[0] == 1;
    if (!is_repeated && x.shape.dim[0] != 1) {
        return NO_NODE;
    }
    NodeId only = is_repeated ? x.inputs[0] : node->inputs[0];
    Shape row = *build_shape(&s->build, only);
    row = shape_of(row.rank - 1, row.dim + 1);
    return graph_expand_to(s->build.graph, reshaped(s, only, &row), &node->shape, &s->build.origin);
}

// [batch, M, K] times one matrix for the whole batch is one [batch * M, K] product.
static NodeId rule_matmul(Simplifier *s, const Node *node)
{
    const Node *b = simplify_input(s, node, 1);
    int rank = node->shape.rank;
    if (rank == 2 || b->op != OP_EXPAND || node->n_inputs == 3) {
        return NO_NODE;
    }
    NodeId matrix = b->inputs[0];
    const int64_t *small = build_shape(&s->build, matrix)->dim;
    int64_t K = small[rank - 2], N = small[rank - 1], n = shape_count(&b->shape) / (K * N);
    if (shape_count(build_shape(&s->build, matrix)) != K * N || K != b->shape.dim[rank - 2] ||
        N != b->shape.dim[rank - 1] || n == 1) {
        return NO_NODE;
    }
    NodeId rows = build_reshape(&s->build, node->inputs[0], 2, (int64_t[]){n * node->shape.dim[rank - 2], K});
    NodeId inputs[2] = {rows, build_reshape(&s->build, matrix, 2, (int64_t[]){K, N})};
    Shape flat = shape_of(2, (int64_t[]){n * node->shape.dim[rank - 2], N});
    NodeId product =
        graph_add(s->build.graph, OP_MATMUL, node->dtype, &flat, inputs, 2, &node->attr, &s->build.origin);
    return reshaped(s, product, &node->shape);
}

NodeId simplify_move(Simplifier *s, const Node *node)
{
    switch (node->op) {
    case OP_RESHAPE: return rule_reshape(s, node);
    case OP_PERMUTE: return rule_permute(s, node);
    case OP_EXPAND: return rule_expand(s, node);
    case OP_SLICE: return rule_slice(s, node);
    case OP_PAD: return rule_pad(s, node);
    case OP_ROLL: return rule_roll(s, node);
    case OP_CONCAT: return rule_concat(s, node);
    case OP_ADD: return rule_add_pads(s, node);
    case OP_ALL_GATHER:
    case OP_OWN_ROWS: return rule_collective(s, node);
    case OP_IOTA: return rule_iota(s, node);
    case OP_TAKE: return rule_take(s, node);
    case OP_MATMUL: return rule_matmul(s, node);
    default: return NO_NODE;
    }
}
