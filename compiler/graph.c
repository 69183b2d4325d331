// Builders: they compute the result's shape and dtype, fold what is always right to fold (identity movements,
// movement of constants), and append the node after graph_node_fault has agreed to it.
//
// The node array moves when it grows: no pointer into it survives a call that adds a node.
#include "compiler/graph.h"

#include "compiler/base/vec.h"
#include "compiler/graph_verify.h"

#include <string.h>

Graph *graph_new(Arena *arena, const Graph *like)
{
    Graph *graph = arena_alloc(arena, sizeof *graph);
    graph->arena = arena;
    graph->name = "";
    if (like != NULL) {
        graph->name = like->name;
        graph->parameters = like->parameters;
        graph->n_parameters = like->n_parameters;
        graph->inputs = like->inputs;
        graph->n_inputs = like->n_inputs;
        graph->draws = like->draws;
        graph->n_draws = like->n_draws;
    }
    return graph;
}

Origin node_origin(const Graph *graph, NodeId node)
{
    const Node *from = &graph->nodes[node];
    return (Origin){.span = from->span, .path = from->path, .name = from->name};
}

static void append(Graph *graph, const Node *node)
{
    const char *fault = graph_node_fault(graph, node, graph->n_nodes);
    if (fault != NULL) {
        const char *op = (unsigned)node->op < OP_COUNT ? op_info(node->op)->name : "?";
        XV_BUG("%s at %s: %s", op, diag_place(graph->arena, node->span), fault);
    }
    VEC_PUSH(graph->arena, graph->nodes, graph->n_nodes, graph->node_capacity, *node);
}

NodeId graph_add(Graph *graph, Op op, Dtype dtype, const Shape *shape, const NodeId *inputs, int n_inputs,
                 const Attr *attr, const Origin *origin)
{
    NodeId *owned = NULL;
    if (n_inputs > 0) {
        owned = arena_alloc(graph->arena, (size_t)n_inputs * sizeof *owned);
        memcpy(owned, inputs, (size_t)n_inputs * sizeof *owned);
    }
    Node node = {.op = op, .dtype = dtype, .inputs = owned, .n_inputs = n_inputs, .path = ""};
    node.shape = shape_of(shape->rank, shape->dim);
    if (attr != NULL) {
        node.attr = *attr;
    }
    if (origin != NULL) {
        node.span = origin->span;
        node.path = origin->path != NULL ? origin->path : "";
        node.name = origin->name;
    }
    append(graph, &node);
    return graph->n_nodes - 1;
}

void graph_output(Graph *graph, Sym name, OutputKind kind, NodeId node, int parameter)
{
    XV_ASSERT(node >= 0 && node < graph->n_nodes);
    Output output = {.name = name, .kind = kind, .node = node, .parameter = parameter};
    VEC_PUSH(graph->arena, graph->outputs, graph->n_outputs, graph->output_capacity, output);
}

static const Node *at(const Graph *graph, NodeId id)
{
    if (id < 0 || id >= graph->n_nodes) {
        XV_BUG("there is no node %d among %d", id, graph->n_nodes);
    }
    return &graph->nodes[id];
}

static bool is_const(const Graph *graph, NodeId id)
{
    return at(graph, id)->op == OP_CONST;
}

// A node with one input and attributes.
static NodeId add_one(Graph *graph, Op op, NodeId x, const Shape *shape, const Attr *attr,
                      const Origin *origin)
{
    return graph_add(graph, op, at(graph, x)->dtype, shape, &x, 1, attr, origin);
}

// The constant of the node `like`, in another shape.
static NodeId reshaped_const(Graph *graph, NodeId like, const Shape *shape, const Origin *origin)
{
    return graph_const(graph, at(graph, like)->attr.number, at(graph, like)->dtype, shape, origin);
}

// Sources and elementwise -----------------------------------------------------------------------------------

NodeId graph_const(Graph *graph, double number, Dtype dtype, const Shape *shape, const Origin *origin)
{
    Attr attr = {.number = number};
    return graph_add(graph, OP_CONST, dtype, shape, NULL, 0, &attr, origin);
}

NodeId graph_iota(Graph *graph, const Shape *shape, int axis, const Origin *origin)
{
    Attr attr = {.axis = axis};
    return graph_add(graph, OP_IOTA, DTYPE_I32, shape, NULL, 0, &attr, origin);
}

NodeId graph_unary(Graph *graph, Op op, NodeId x, const Origin *origin)
{
    Shape shape = at(graph, x)->shape;
    if (op == OP_CAST) {
        XV_BUG("a cast needs graph_cast");
    }
    return add_one(graph, op, x, &shape, NULL, origin);
}

static bool is_comparison(Op op)
{
    return op == OP_LT || op == OP_LE || op == OP_EQ || op == OP_NE;
}

NodeId graph_binary(Graph *graph, Op op, NodeId x, NodeId y, const Origin *origin)
{
    Shape shape = at(graph, x)->shape;
    Dtype dtype = is_comparison(op) ? DTYPE_BOOL : at(graph, x)->dtype;
    return graph_add(graph, op, dtype, &shape, (NodeId[]){x, y}, 2, NULL, origin);
}

NodeId graph_where(Graph *graph, NodeId condition, NodeId x, NodeId y, const Origin *origin)
{
    Shape shape = at(graph, condition)->shape;
    return graph_add(graph, OP_WHERE, at(graph, x)->dtype, &shape, (NodeId[]){condition, x, y}, 3, NULL,
                     origin);
}

NodeId graph_cast(Graph *graph, NodeId x, Dtype dtype, const Origin *origin)
{
    if (at(graph, x)->dtype == dtype) {
        return x;
    }
    Shape shape = at(graph, x)->shape;
    return graph_add(graph, OP_CAST, dtype, &shape, &x, 1, NULL, origin);
}

// Reductions ------------------------------------------------------------------------------------------------

static Shape reduced_shape(const Graph *graph, NodeId x, uint32_t axes)
{
    Shape shape = at(graph, x)->shape;
    for (int i = 0; i < shape.rank; i++) {
        if (axes >> i & 1) {
            shape.dim[i] = 1;
        }
    }
    return shape;
}

// Reducing extents of 1 changes nothing, so such axes are left out.
NodeId graph_reduce(Graph *graph, Op op, NodeId x, uint32_t axes, const Origin *origin)
{
    Shape shape = reduced_shape(graph, x, axes);
    uint32_t real = 0;
    for (int i = 0; i < shape.rank; i++) {
        if (at(graph, x)->shape.dim[i] > 1) {
            real |= axes & 1u << i;
        }
    }
    if (real == 0 && axes >> shape.rank == 0) {
        return x;
    }
    Attr attr = {.axes = axes >> shape.rank == 0 ? real : axes};
    return add_one(graph, op, x, &shape, &attr, origin);
}

NodeId graph_argmax(Graph *graph, NodeId x, int axis, const Origin *origin)
{
    XV_ASSERT(axis >= 0 && axis < at(graph, x)->shape.rank);
    Shape shape = reduced_shape(graph, x, 1u << axis);
    Attr attr = {.axis = axis};
    return graph_add(graph, OP_ARGMAX, DTYPE_I32, &shape, &x, 1, &attr, origin);
}

// Movement --------------------------------------------------------------------------------------------------

NodeId graph_reshape(Graph *graph, NodeId x, const Shape *shape, const Origin *origin)
{
    while (at(graph, x)->op == OP_RESHAPE) {
        x = at(graph, x)->inputs[0];
    }
    if (shape_equal(&at(graph, x)->shape, shape)) {
        return x;
    }
    if (is_const(graph, x) && shape_count(&at(graph, x)->shape) == shape_count(shape)) {
        return reshaped_const(graph, x, shape, origin);
    }
    return add_one(graph, OP_RESHAPE, x, shape, NULL, origin);
}

static bool is_identity(const int32_t *dims, int rank)
{
    for (int i = 0; i < rank; i++) {
        if (dims[i] != i) {
            return false;
        }
    }
    return true;
}

NodeId graph_permute(Graph *graph, NodeId x, const int32_t *dims, const Origin *origin)
{
    const Node *from = at(graph, x);
    int rank = from->shape.rank;
    Attr attr = {0};
    Shape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0 || dims[i] >= rank) {
            XV_BUG("permute: dimension %d of rank %d", dims[i], rank);
        }
        shape.dim[i] = from->shape.dim[dims[i]];
        attr.dims[i] = from->op == OP_PERMUTE ? from->attr.dims[dims[i]] : dims[i];
    }
    if (from->op == OP_PERMUTE) {
        x = from->inputs[0];
    }
    if (is_identity(attr.dims, rank)) {
        return x;
    }
    if (is_const(graph, x)) {
        return reshaped_const(graph, x, &shape, origin);
    }
    return add_one(graph, OP_PERMUTE, x, &shape, &attr, origin);
}

NodeId graph_transpose(Graph *graph, NodeId x, const Origin *origin)
{
    int rank = at(graph, x)->shape.rank;
    XV_ASSERT(rank >= 2);
    int32_t dims[MAX_RANK];
    for (int i = 0; i < rank; i++) {
        dims[i] = i;
    }
    dims[rank - 2] = rank - 1;
    dims[rank - 1] = rank - 2;
    return graph_permute(graph, x, dims, origin);
}

NodeId graph_expand(Graph *graph, NodeId x, const Shape *shape, const Origin *origin)
{
    if (shape_equal(&at(graph, x)->shape, shape)) {
        return x;
    }
    if (at(graph, x)->op == OP_EXPAND) {
        x = at(graph, x)->inputs[0];
    }
    if (is_const(graph, x) && at(graph, x)->shape.rank == shape->rank) {
        return reshaped_const(graph, x, shape, origin);
    }
    return add_one(graph, OP_EXPAND, x, shape, NULL, origin);
}

// x's shape with leading extents of 1 up to `rank`.
static Shape aligned(const Shape *x, int rank)
{
    XV_ASSERT(x->rank <= rank);
    Shape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        int from = i - (rank - x->rank);
        shape.dim[i] = from < 0 ? 1 : x->dim[from];
    }
    return shape;
}

NodeId graph_expand_to(Graph *graph, NodeId x, const Shape *shape, const Origin *origin)
{
    Shape from = aligned(&at(graph, x)->shape, shape->rank);
    return graph_expand(graph, graph_reshape(graph, x, &from, origin), shape, origin);
}

NodeId graph_sum_to(Graph *graph, NodeId x, const Shape *shape, const Origin *origin)
{
    const Shape *from = &at(graph, x)->shape;
    Shape kept = aligned(shape, from->rank);
    uint32_t axes = 0;
    for (int i = 0; i < kept.rank; i++) {
        if (kept.dim[i] != from->dim[i]) {
            XV_ASSERT(kept.dim[i] == 1);
            axes |= 1u << i;
        }
    }
    NodeId sum = axes == 0 ? x : graph_reduce(graph, OP_SUM, x, axes, origin);
    return graph_reshape(graph, sum, shape, origin);
}

static Attr window(const int64_t *start, const int64_t *step, int rank)
{
    Attr attr = {0};
    for (int i = 0; i < rank; i++) {
        attr.start[i] = start != NULL ? start[i] : 0;
        attr.step[i] = step != NULL ? step[i] : 1;
    }
    return attr;
}

NodeId graph_slice(Graph *graph, NodeId x, const int64_t *start, const int64_t *step, const Shape *shape,
                   const Origin *origin)
{
    const Node *from = at(graph, x);
    if (shape_equal(&from->shape, shape)) {
        return x;
    }
    Attr attr = window(start, step, shape->rank);
    if (is_const(graph, x)) {
        return reshaped_const(graph, x, shape, origin);
    }
    return add_one(graph, OP_SLICE, x, shape, &attr, origin);
}

NodeId graph_pad(Graph *graph, NodeId x, const int64_t *start, const int64_t *step, const Shape *shape,
                 const Origin *origin)
{
    if (shape_equal(&at(graph, x)->shape, shape)) {
        return x;
    }
    Attr attr = window(start, step, shape->rank);
    return add_one(graph, OP_PAD, x, shape, &attr, origin);
}

NodeId graph_roll(Graph *graph, NodeId x, const int64_t *shift, const Origin *origin)
{
    Shape shape = at(graph, x)->shape;
    Attr attr = {0};
    bool moves = false;
    for (int i = 0; i < shape.rank; i++) {
        attr.start[i] = ((shift[i] % shape.dim[i]) + shape.dim[i]) % shape.dim[i];
        moves = moves || attr.start[i] != 0;
    }
    if (!moves || is_const(graph, x)) {
        return x;
    }
    return add_one(graph, OP_ROLL, x, &shape, &attr, origin);
}

NodeId graph_concat(Graph *graph, const NodeId *parts, int n_parts, int axis, const Origin *origin)
{
    XV_ASSERT(n_parts >= 1);
    if (n_parts == 1) {
        return parts[0];
    }
    Shape shape = at(graph, parts[0])->shape;
    XV_ASSERT(axis >= 0 && axis < shape.rank);
    for (int i = 1; i < n_parts; i++) {
        XV_ASSERT(at(graph, parts[i])->shape.rank == shape.rank);
        shape.dim[axis] += at(graph, parts[i])->shape.dim[axis];
    }
    Attr attr = {.axis = axis};
    return graph_add(graph, OP_CONCAT, at(graph, parts[0])->dtype, &shape, parts, n_parts, &attr, origin);
}

NodeId graph_take(Graph *graph, NodeId x, NodeId index, const Origin *origin)
{
    Shape shape = at(graph, index)->shape;
    const Shape *rows = &at(graph, x)->shape;
    XV_ASSERT(shape.rank + rows->rank - 1 <= MAX_RANK);
    for (int i = 1; i < rows->rank; i++) {
        shape.dim[shape.rank++] = rows->dim[i];
    }
    return graph_add(graph, OP_TAKE, at(graph, x)->dtype, &shape, (NodeId[]){x, index}, 2, NULL, origin);
}

// Contractions and results ----------------------------------------------------------------------------------

NodeId graph_scatter_add(Graph *graph, NodeId index, NodeId x, int64_t rows, const Origin *origin)
{
    const Shape *from = &at(graph, x)->shape;
    int index_rank = at(graph, index)->shape.rank;
    XV_ASSERT(from->rank >= index_rank);
    Shape shape = {.rank = 1, .dim = {rows}};
    for (int i = index_rank; i < from->rank; i++) {
        XV_ASSERT(shape.rank < MAX_RANK);
        shape.dim[shape.rank++] = from->dim[i];
    }
    return graph_add(graph, OP_SCATTER_ADD, DTYPE_F32, &shape, (NodeId[]){index, x}, 2, NULL, origin);
}

NodeId graph_top_k(Graph *graph, NodeId x, int64_t k, const Origin *origin)
{
    const Shape *from = &graph->nodes[x].shape;
    XV_ASSERT(from->rank == 2 && k >= 1 && k <= from->dim[1]);
    Shape shape = shape_of(2, (int64_t[]){from->dim[0], k});
    return graph_add(graph, OP_TOP_K, DTYPE_I32, &shape, &x, 1, NULL, origin);
}

NodeId graph_matmul(Graph *graph, NodeId a, NodeId b, NodeId accumulate, const Origin *origin)
{
    Shape shape = at(graph, a)->shape;
    XV_ASSERT(shape.rank >= 2 && at(graph, b)->shape.rank == shape.rank);
    shape.dim[shape.rank - 1] = at(graph, b)->shape.dim[shape.rank - 1];
    int n_inputs = accumulate == NO_NODE ? 2 : 3;
    return graph_add(graph, OP_MATMUL, DTYPE_F32, &shape, (NodeId[]){a, b, accumulate}, n_inputs, NULL,
                     origin);
}

static Shape result_shape(const Graph *graph, const Node *from, int index)
{
    if (from->op == OP_ATTENTION) {
        return shape_of(3, from->shape.dim);
    }
    if (from->op != OP_ATTENTION_GRAD || index < 1 || index >= from->n_inputs - 3) {
        XV_BUG("%s has no result %d", op_info(from->op)->name, index);
    }
    return at(graph, from->inputs[index < 3 ? index : index + 3])->shape;
}

NodeId graph_result(Graph *graph, NodeId node, int index, const Origin *origin)
{
    Shape shape = result_shape(graph, at(graph, node), index);
    Attr attr = {.index = index};
    bool is_head = at(graph, node)->op == OP_ATTENTION_GRAD && index < 3;
    Dtype dtype = is_head ? at(graph, node)->dtype : DTYPE_F32;
    return graph_add(graph, OP_RESULT, dtype, &shape, &node, 1, &attr, origin);
}
