// A pool of f32 nodes of rank 1 to 4; each step applies a random op to members of the pool. Odd compositions
// (slices of pads, reshapes of expansions, constants in unlikely places) are the point.
#include "tests/unit/graph_random.h"

enum { POOL = 512 };

typedef struct Pool {
    Fixture *fixture;
    Graph *graph;
    const Origin *origin;
    NodeId nodes[POOL];
    int n_nodes;
} Pool;

static int below(Pool *pool, int n)
{
    return (int)fixture_random(pool->fixture, 0, n);
}

static Shape shape_at(const Pool *pool, NodeId x)
{
    return pool->graph->nodes[x].shape;
}

static NodeId pick(Pool *pool)
{
    int recent = pool->n_nodes < 12 || below(pool, 3) == 0 ? pool->n_nodes : 12;
    return pool->nodes[pool->n_nodes - 1 - below(pool, recent)];
}

static NodeId number(Pool *pool, NodeId like)
{
    const double numbers[] = {0, 1, -1, 2, 0.5, 3};
    Shape shape = shape_at(pool, like);
    return graph_const(pool->graph, numbers[below(pool, 6)], DTYPE_F32, &shape, pool->origin);
}

// A partner of x's shape: a constant, a small node grown, a sum grown back, or a function of x itself.
static NodeId partner(Pool *pool, NodeId x)
{
    Shape shape = shape_at(pool, x);
    for (int i = 0; i < 6; i++) {
        NodeId y = pick(pool);
        Shape other = shape_at(pool, y);
        if (shape_equal(&shape, &other)) {
            return y;
        }
        bool fits = other.rank <= shape.rank;
        for (int d = 1; fits && d <= other.rank; d++) {
            int64_t extent = other.dim[other.rank - d];
            fits = extent == 1 || extent == shape.dim[shape.rank - d];
        }
        if (fits) {
            return graph_expand_to(pool->graph, y, &shape, pool->origin);
        }
    }
    if (below(pool, 2) == 0) {
        return number(pool, x);
    }
    NodeId sum = graph_reduce(pool->graph, OP_SUM, x, 1u << below(pool, shape.rank), pool->origin);
    return graph_expand(pool->graph, sum, &shape, pool->origin);
}

static NodeId step_unary(Pool *pool, NodeId x)
{
    const Op ops[] = {OP_NEG, OP_TANH, OP_ABS, OP_NEG, OP_GELU, OP_SIGMOID, OP_STOP_GRADIENT};
    return graph_unary(pool->graph, ops[below(pool, 7)], x, pool->origin);
}

static NodeId step_binary(Pool *pool, NodeId x)
{
    const Op ops[] = {OP_ADD, OP_SUB, OP_MUL, OP_MAX, OP_MIN, OP_ADD};
    NodeId y = partner(pool, x);
    Op op = ops[below(pool, 6)];
    return below(pool, 2) ? graph_binary(pool->graph, op, x, y, pool->origin)
                          : graph_binary(pool->graph, op, y, x, pool->origin);
}

static NodeId step_divide(Pool *pool, NodeId x)
{
    Shape shape = shape_at(pool, x);
    NodeId two = graph_const(pool->graph, 1 + below(pool, 3), DTYPE_F32, &shape, pool->origin);
    if (below(pool, 2)) {
        return graph_binary(pool->graph, OP_DIV, x, two, pool->origin);
    }
    NodeId positive = graph_unary(pool->graph, OP_SIGMOID, x, pool->origin);
    return graph_binary(pool->graph, OP_POW, positive, two, pool->origin);
}

static NodeId step_where(Pool *pool, NodeId x)
{
    NodeId y = partner(pool, x), z = partner(pool, x);
    NodeId condition = graph_binary(pool->graph, OP_LT, x, y, pool->origin);
    if (below(pool, 2)) {
        condition = graph_unary(pool->graph, OP_NOT, condition, pool->origin);
    }
    NodeId marks = graph_cast(pool->graph, condition, DTYPE_I32, pool->origin);
    NodeId float_marks = graph_cast(pool->graph, marks, DTYPE_F32, pool->origin);
    NodeId chosen = graph_where(pool->graph, condition, z, x, pool->origin);
    return graph_binary(pool->graph, OP_ADD, chosen, float_marks, pool->origin);
}

static NodeId step_reduce(Pool *pool, NodeId x)
{
    Shape shape = shape_at(pool, x);
    uint32_t axes = 1u + (uint32_t)below(pool, (1 << shape.rank) - 1);
    return graph_reduce(pool->graph, below(pool, 3) ? OP_SUM : OP_REDUCE_MAX, x, axes, pool->origin);
}

// Splits, merges, or inserts and removes ones.
static NodeId step_reshape(Pool *pool, NodeId x)
{
    Shape from = shape_at(pool, x), to = {0};
    int choice = below(pool, 3);
    for (int i = 0; i < from.rank; i++) {
        bool merges = choice == 0 && to.rank > 0 && below(pool, 2) == 0;
        if (merges) {
            to.dim[to.rank - 1] *= from.dim[i];
            continue;
        }
        if (choice == 1 && from.dim[i] % 2 == 0 && to.rank < 3) {
            to.dim[to.rank++] = from.dim[i] / 2;
            to.dim[to.rank++] = 2;
            continue;
        }
        if (choice == 2 && to.rank < 3 && below(pool, 2) == 0) {
            to.dim[to.rank++] = 1;
        }
        to.dim[to.rank++] = from.dim[i];
    }
    return to.rank > 4 ? x : graph_reshape(pool->graph, x, &to, pool->origin);
}

static NodeId step_permute(Pool *pool, NodeId x)
{
    int rank = shape_at(pool, x).rank;
    int32_t dims[MAX_RANK];
    for (int i = 0; i < rank; i++) {
        dims[i] = i;
    }
    for (int i = rank - 1; i > 0; i--) {
        int k = below(pool, i + 1);
        int32_t other = dims[k];
        dims[k] = dims[i];
        dims[i] = other;
    }
    return graph_permute(pool->graph, x, dims, pool->origin);
}

static NodeId step_slice(Pool *pool, NodeId x)
{
    Shape shape = shape_at(pool, x);
    int64_t start[MAX_RANK], step[MAX_RANK];
    for (int i = 0; i < shape.rank; i++) {
        int64_t extent = shape.dim[i];
        step[i] = 1 + (extent > 3 ? below(pool, 2) : 0);
        start[i] = below(pool, (int)extent);
        int64_t room = (extent - 1 - start[i]) / step[i] + 1;
        shape.dim[i] = below(pool, 2) == 0 ? room : 1 + below(pool, (int)room);
    }
    return graph_slice(pool->graph, x, start, step, &shape, pool->origin);
}

static NodeId step_pad(Pool *pool, NodeId x)
{
    Shape shape = shape_at(pool, x);
    int64_t start[MAX_RANK] = {0}, step[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    int axis = below(pool, shape.rank);
    start[axis] = below(pool, 3);
    step[axis] = 1 + below(pool, 2);
    shape.dim[axis] = start[axis] + (shape.dim[axis] - 1) * step[axis] + 1 + below(pool, 2);
    return graph_pad(pool->graph, x, start, step, &shape, pool->origin);
}

static NodeId step_roll(Pool *pool, NodeId x)
{
    int64_t shift[MAX_RANK];
    for (int i = 0; i < MAX_RANK; i++) {
        shift[i] = below(pool, 5) - 2;
    }
    return graph_roll(pool->graph, x, shift, pool->origin);
}

static NodeId step_concat(Pool *pool, NodeId x)
{
    NodeId parts[3] = {x, partner(pool, x), x};
    int axis = below(pool, shape_at(pool, x).rank);
    return graph_concat(pool->graph, parts, 2 + below(pool, 2), axis, pool->origin);
}

// x x^T, or x with every row multiplied by one matrix.
static NodeId step_matmul(Pool *pool, NodeId x)
{
    Shape shape = shape_at(pool, x);
    if (shape.rank < 2) {
        return x;
    }
    NodeId product =
        graph_matmul(pool->graph, x, graph_transpose(pool->graph, x, pool->origin), NO_NODE, pool->origin);
    return below(pool, 2) ? product : graph_transpose(pool->graph, product, pool->origin);
}

// A parameter of the shape, one that exists if there is one.
static NodeId parameter(Pool *pool, Shape shape)
{
    for (NodeId id = 0; id < pool->graph->n_nodes; id++) {
        const Node *node = &pool->graph->nodes[id];
        if (node->op == OP_PARAM && shape_equal(&node->shape, &shape)) {
            return id;
        }
    }
    bool has_room = pool->graph->n_parameters < FIXTURE_TABLE - 6;
    return has_room ? fixture_param(pool->fixture, shape, -1, 1) : NO_NODE;
}

// Rows times a matrix, as models do it: all leading dimensions joined.
static NodeId step_linear(Pool *pool, NodeId x)
{
    Shape shape = shape_at(pool, x);
    int64_t width = shape.dim[shape.rank - 1];
    NodeId w = parameter(pool, shape2(width, 2 + below(pool, 3)));
    if (w == NO_NODE) {
        return x;
    }
    Shape flat = shape2(shape_count(&shape) / width, width);
    NodeId product = graph_matmul(pool->graph, graph_reshape(pool->graph, x, &flat, pool->origin), w, NO_NODE,
                                  pool->origin);
    shape.dim[shape.rank - 1] = pool->graph->nodes[w].shape.dim[1];
    return graph_reshape(pool->graph, product, &shape, pool->origin);
}

static NodeId step_norm(Pool *pool, NodeId x)
{
    Shape shape = shape_at(pool, x);
    NodeId w = parameter(pool, shape1(shape.dim[shape.rank - 1]));
    if (w == NO_NODE) {
        return x;
    }
    Attr attr = {.number = 0.1};
    return graph_add(pool->graph, OP_LAYER_NORM, DTYPE_F32, &shape, (NodeId[]){x, w, w}, 3, &attr,
                     pool->origin);
}

static NodeId step_softmax(Pool *pool, NodeId x)
{
    return graph_unary(pool->graph, below(pool, 2) ? OP_SOFTMAX : OP_LOG_SOFTMAX, x, pool->origin);
}

static NodeId step_take(Pool *pool, NodeId x)
{
    Shape index = shape1(2 + below(pool, 2));
    NodeId rows = graph_iota(pool->graph, &index, 0, pool->origin);
    Shape shape = shape_at(pool, x);
    NodeId limit = graph_const(pool->graph, (double)shape.dim[0], DTYPE_I32, &index, pool->origin);
    return graph_take(pool->graph, x, graph_binary(pool->graph, OP_MOD, rows, limit, pool->origin),
                      pool->origin);
}

typedef NodeId Step(Pool *pool, NodeId x);

static Step *const STEPS[] = {
    step_unary,   step_binary,  step_binary, step_binary, step_divide,  step_where,   step_reduce,
    step_reshape, step_permute, step_slice,  step_pad,    step_roll,    step_concat,  step_matmul,
    step_softmax, step_take,    step_slice,  step_pad,    step_reshape, step_permute, step_linear,
    step_linear,  step_linear,  step_norm,   step_take,   step_concat,
};

// Keeps values near 1 and sizes small: large results are squashed or left out.
static void add_to_pool(Pool *pool, NodeId x)
{
    Shape shape = shape_at(pool, x);
    if (shape.rank < 1 || shape.rank > 4 || shape_count(&shape) > 240) {
        return;
    }
    if (below(pool, 3) == 0) {
        x = graph_unary(pool->graph, OP_TANH, x, pool->origin);
    }
    if (pool->n_nodes < POOL) {
        pool->nodes[pool->n_nodes++] = x;
    }
}

NodeId random_graph(Fixture *fixture, int n_steps)
{
    Pool pool = {.fixture = fixture, .graph = fixture->graph, .origin = &fixture->origin};
    const Shape shapes[] = {shape1(4), shape2(3, 4), shape2(4, 1), shape3(2, 3, 4), shape4(2, 1, 2, 4)};
    for (int i = 0; i < 5; i++) {
        pool.nodes[pool.n_nodes++] = fixture_param(fixture, shapes[i], -1, 1);
    }
    for (int i = 0; i < n_steps; i++) {
        add_to_pool(&pool, STEPS[below(&pool, (int)(sizeof STEPS / sizeof *STEPS))](&pool, pick(&pool)));
    }
    NodeId loss = NO_NODE;
    for (int i = 0; i < 4; i++) {
        NodeId x = pool.nodes[pool.n_nodes - 1 - i];
        graph_output(pool.graph, "value", OUTPUT_VALUE, x, -1);
        NodeId squashed = graph_unary(pool.graph, OP_TANH, x, pool.origin);
        NodeId term = fixture_loss(fixture, squashed);
        loss = loss == NO_NODE ? term : graph_binary(pool.graph, OP_ADD, loss, term, pool.origin);
    }
    graph_output(pool.graph, "loss", OUTPUT_LOSS, loss, -1);
    return loss;
}
