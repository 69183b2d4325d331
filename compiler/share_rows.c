// Row selections moved towards the sources, one op at a time, as rules of simplify. A selection moves only
// over a node that nothing else uses: then the work shrinks and nothing is computed twice. Two uses that are
// both selected in the same way become one after merging, which lets the next round go on.
//
//     SLICE(op(x, y)) = op(SLICE(x), SLICE(y))                   the same for TAKE(RESHAPE(op(x, y)))
//     SLICE(RESHAPE(RESHAPE(x) W)) = RESHAPE(RESHAPE(SLICE(x)) W)        TAKE(x W, i) = TAKE(x, i) W
//
// Dropout masks are selected like any other input; attention with dropout is not crossed, since its kernel
// counts the draw by position.
#include "compiler/share.h"

#include "compiler/simplify_internal.h"

// The old node behind input `i` of the old node `id`.
static NodeId old_input(const Simplifier *s, NodeId id, int i)
{
    return s->from->nodes[id].inputs[i];
}

// Whether `old`, with one use, still is an op of the kind of `now`: only then do the use counts speak of it.
static bool is_alone(const Simplifier *s, NodeId old, const Node *now)
{
    return s->uses[old] == 1 && s->from->nodes[old].op == now->op;
}

static bool is_elementwise(const Node *node)
{
    return op_info(node->op)->class == CLASS_ELEMENTWISE;
}

// An elementwise op or layer norm on other inputs of the shape given.
static NodeId same_op(Simplifier *s, const Node *op, const NodeId *inputs, const Shape *shape)
{
    return graph_add(s->build.graph, op->op, op->dtype, shape, inputs, op->n_inputs, &op->attr,
                     &s->build.origin);
}

// Slices ----------------------------------------------------------------------------------------------------

static bool takes_all(const Node *slice, const Shape *from, int axis)
{
    return slice->shape.dim[axis] == from->dim[axis];
}

static NodeId sliced(Simplifier *s, NodeId x, const Attr *attr, const Shape *shape)
{
    return graph_slice(s->build.graph, x, attr->start, attr->step, shape, &s->build.origin);
}

static NodeId slice_elementwise(Simplifier *s, const Node *slice, const Node *op)
{
    NodeId inputs[3];
    for (int i = 0; i < op->n_inputs; i++) {
        inputs[i] = sliced(s, op->inputs[i], &slice->attr, &slice->shape);
    }
    return same_op(s, op, inputs, &slice->shape);
}

static NodeId slice_layer_norm(Simplifier *s, const Node *slice, const Node *op)
{
    if (!takes_all(slice, &op->shape, op->shape.rank - 1)) {
        return NO_NODE;
    }
    NodeId x = sliced(s, op->inputs[0], &slice->attr, &slice->shape);
    return same_op(s, op, (NodeId[]){x, op->inputs[1], op->inputs[2]}, &slice->shape);
}

static NodeId slice_permute(Simplifier *s, const Node *slice, const Node *op)
{
    Attr attr = slice->attr;
    Shape shape = slice->shape;
    for (int i = 0; i < shape.rank; i++) {
        int dim = op->attr.dims[i];
        shape.dim[dim] = slice->shape.dim[i];
        attr.start[dim] = slice->attr.start[i];
        attr.step[dim] = slice->attr.step[i];
    }
    NodeId x = sliced(s, op->inputs[0], &attr, &shape);
    return graph_permute(s->build.graph, x, op->attr.dims, &s->build.origin);
}

// The dimension of `from` with the extent of dimension `axis` of `to` and as many elements before it; -1
// without.
static int same_dimension(const Shape *to, int axis, const Shape *from)
{
    int64_t before = 1;
    for (int i = 0; i < axis; i++) {
        before *= to->dim[i];
    }
    int64_t count = 1;
    for (int i = 0; i < from->rank && count <= before; i++) {
        if (count == before && from->dim[i] == to->dim[axis]) {
            return i;
        }
        count *= from->dim[i];
    }
    return -1;
}

// The slice of `op`'s result carried to a tensor of shape `from` with the same elements in order.
static bool carry_slice(const Node *slice, const Shape *result, const Shape *from, Attr *attr, Shape *shape)
{
    *attr = (Attr){0};
    *shape = *from;
    for (int i = 0; i < from->rank; i++) {
        attr->step[i] = 1;
    }
    for (int i = 0; i < result->rank; i++) {
        if (takes_all(slice, result, i)) {
            continue;
        }
        int dim = same_dimension(result, i, from);
        if (dim < 0) {
            return false;
        }
        shape->dim[dim] = slice->shape.dim[i];
        attr->start[dim] = slice->attr.start[i];
        attr->step[dim] = slice->attr.step[i];
    }
    return true;
}

// reshape(x W), x [R, K]: the rows of the product, seen in the shape of the reshape, are selected before it.
static NodeId slice_product(Simplifier *s, const Node *slice, const Node *reshape, const Node *product)
{
    int last = reshape->shape.rank - 1;
    const Shape *rows = build_shape(&s->build, product->inputs[0]);
    if (product->n_inputs != 2 || product->shape.rank != 2 ||
        reshape->shape.dim[last] != product->shape.dim[1] || !takes_all(slice, &reshape->shape, last)) {
        return NO_NODE;
    }
    Shape all = reshape->shape, some = slice->shape;
    all.dim[last] = some.dim[last] = rows->dim[1];
    NodeId x = graph_reshape(s->build.graph, product->inputs[0], &all, &s->build.origin);
    x = sliced(s, x, &slice->attr, &some);
    x = build_reshape(&s->build, x, 2, (int64_t[]){shape_count(&some) / some.dim[last], some.dim[last]});
    NodeId result = build_matmul(&s->build, x, product->inputs[1]);
    return graph_reshape(s->build.graph, result, &slice->shape, &s->build.origin);
}

static NodeId slice_reshape(Simplifier *s, const Node *slice, const Node *op)
{
    Node inner = *simplify_input(s, op, 0);
    NodeId old = old_input(s, old_input(s, s->old, 0), 0);
    if (!is_alone(s, old, &inner)) {
        return NO_NODE;  // the rows are there already
    }
    if (inner.op == OP_MATMUL) {
        return slice_product(s, slice, op, &inner);
    }
    Attr attr;
    Shape shape;
    if (!carry_slice(slice, &op->shape, &inner.shape, &attr, &shape)) {
        return NO_NODE;
    }
    return graph_reshape(s->build.graph, sliced(s, op->inputs[0], &attr, &shape), &slice->shape,
                         &s->build.origin);
}

// Fewer queries, with the biases that differ between queries.
static NodeId slice_attention(Simplifier *s, const Node *slice, const Node *op)
{
    for (int i = 0; i < 4; i++) {
        if (i != 2 && !takes_all(slice, &op->shape, i)) {
            return NO_NODE;
        }
    }
    if (op->attr.index >= 0) {
        return NO_NODE;
    }
    NodeId inputs[5];
    for (int i = 0; i < op->n_inputs; i++) {
        inputs[i] = op->inputs[i];
        Shape shape = *build_shape(&s->build, inputs[i]);
        bool is_query = i == 0 || (i >= 3 && shape.dim[2] > 1);
        if (is_query) {
            shape.dim[2] = slice->shape.dim[2];
            inputs[i] = sliced(s, inputs[i], &slice->attr, &shape);
        }
    }
    return same_op(s, op, inputs, &slice->shape);
}

static NodeId rule_slice(Simplifier *s, const Node *slice)
{
    Node op = *simplify_input(s, slice, 0);
    if (!is_alone(s, old_input(s, s->old, 0), &op)) {
        return NO_NODE;
    }
    if (is_elementwise(&op)) {
        return slice_elementwise(s, slice, &op);
    }
    switch (op.op) {
    case OP_LAYER_NORM: return slice_layer_norm(s, slice, &op);
    case OP_PERMUTE: return slice_permute(s, slice, &op);
    case OP_RESHAPE: return slice_reshape(s, slice, &op);
    case OP_ATTENTION: return slice_attention(s, slice, &op);
    default: return NO_NODE;
    }
}

// Rows taken by index ---------------------------------------------------------------------------------------

// TAKE(RESHAPE(op(x, ...)), index): `op` works row by row and the reshape only joins leading dimensions.
typedef struct Taking {
    const Node *take;
    Shape flat;  // [N, rest] that the rows are taken from
} Taking;

static NodeId taken(Simplifier *s, const Taking *taking, NodeId x)
{
    NodeId rows = graph_reshape(s->build.graph, x, &taking->flat, &s->build.origin);
    return graph_take(s->build.graph, rows, taking->take->inputs[1], &s->build.origin);
}

static NodeId take_elementwise(Simplifier *s, const Taking *taking, const Node *op)
{
    NodeId inputs[3];
    for (int i = 0; i < op->n_inputs; i++) {
        inputs[i] = taken(s, taking, op->inputs[i]);
    }
    return same_op(s, op, inputs, &taking->take->shape);
}

static NodeId take_layer_norm(Simplifier *s, const Taking *taking, const Node *op)
{
    const Shape *flat = &taking->flat;
    if (flat->rank < 2 || flat->dim[flat->rank - 1] != op->shape.dim[op->shape.rank - 1]) {
        return NO_NODE;
    }
    NodeId inputs[3] = {taken(s, taking, op->inputs[0]), op->inputs[1], op->inputs[2]};
    return same_op(s, op, inputs, &taking->take->shape);
}

static NodeId take_product(Simplifier *s, const Taking *taking, const Node *op)
{
    if (op->n_inputs != 2 || op->shape.rank != 2 || !shape_equal(&op->shape, &taking->flat)) {
        return NO_NODE;
    }
    NodeId x = graph_take(s->build.graph, op->inputs[0], taking->take->inputs[1], &s->build.origin);
    const Shape *shape = &taking->take->shape;
    int64_t rows = shape_count(shape) / shape->dim[shape->rank - 1];
    x = build_reshape(&s->build, x, 2, (int64_t[]){rows, build_last(&s->build, op->inputs[0])});
    return graph_reshape(s->build.graph, build_matmul(&s->build, x, op->inputs[1]), shape, &s->build.origin);
}

// Taking fewer rows than there are, from a node or its reshape that nothing else reads.
static NodeId rule_take(Simplifier *s, const Node *take)
{
    Node op = *simplify_input(s, take, 0);
    Taking taking = {.take = take, .flat = op.shape};
    NodeId old = old_input(s, s->old, 0);
    if (!is_alone(s, old, &op) || shape_count(&take->shape) >= shape_count(&op.shape)) {
        return NO_NODE;
    }
    if (op.op == OP_RESHAPE) {
        old = old_input(s, old, 0);
        op = *simplify_input(s, &op, 0);
        if (!is_alone(s, old, &op)) {
            return NO_NODE;
        }
    }
    if (is_elementwise(&op)) {
        return take_elementwise(s, &taking, &op);
    }
    if (op.op == OP_LAYER_NORM) {
        return take_layer_norm(s, &taking, &op);
    }
    return op.op == OP_MATMUL ? take_product(s, &taking, &op) : NO_NODE;
}

static NodeId rule_rows(Simplifier *s, const Node *node)
{
    if (node->op == OP_SLICE) {
        return rule_slice(s, node);
    }
    return node->op == OP_TAKE ? rule_take(s, node) : NO_NODE;
}

Graph *share_rows(Arena *arena, const Graph *graph)
{
    return simplify_with(arena, graph, rule_rows);
}
