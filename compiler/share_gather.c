// Products with gathered rows become gathered products, where that is cheaper.
//
// A product is a pair (rows, matrix): rows a tensor [..., K], matrix [K, N]. Its cost is the number of rows
// that have to be multiplied: none if the pair is computed elsewhere in the graph, else the least of
// multiplying the tensor as it is and building it from the products of what it was gathered from. Built
// products that come out twice are merged by simplify.
#include "compiler/share.h"

#include "compiler/base/vec.h"
#include "compiler/build.h"
#include "compiler/rewrite.h"

typedef struct Product {
    NodeId rows, matrix;  // old ids
} Product;

typedef struct Gatherer {
    const Graph *from;
    Product *products;  // that the new graph will have
    int n_products, product_capacity;
    const int *uses;
    NodeId *map;
    NodeId bias;  // new graph: a vector to be added to the product at hand, or NO_NODE
    Build build;  // of the new graph
} Gatherer;

static const Node *node_at(const Gatherer *g, NodeId id)
{
    return &g->from->nodes[id];
}

static int64_t last_extent(const Gatherer *g, NodeId id)
{
    const Shape *shape = &node_at(g, id)->shape;
    return shape->dim[shape->rank - 1];
}

static int64_t row_count(const Gatherer *g, NodeId id)
{
    return shape_count(&node_at(g, id)->shape) / last_extent(g, id);
}

// The tensor itself behind reshapes that keep the last dimension.
static NodeId without_reshape(const Gatherer *g, NodeId id)
{
    while (node_at(g, id)->op == OP_RESHAPE) {
        NodeId x = node_at(g, id)->inputs[0];
        if (node_at(g, x)->shape.rank < 1 || last_extent(g, x) != last_extent(g, id)) {
            break;
        }
        id = x;
    }
    return id;
}

static bool is_product(const Node *node)
{
    return node->op == OP_MATMUL && node->shape.rank == 2 && node->n_inputs == 2;
}

// Whether the product exists in the new graph apart from the one at hand.
static bool is_planned(const Gatherer *g, NodeId rows, NodeId matrix)
{
    for (int i = 0; i < g->n_products; i++) {
        if (g->products[i].rows == rows && g->products[i].matrix == matrix) {
            return true;
        }
    }
    return false;
}

static void plan(Gatherer *g, NodeId rows, NodeId matrix)
{
    Product product = {.rows = rows, .matrix = matrix};
    VEC_PUSH(g->build.graph->arena, g->products, g->n_products, g->product_capacity, product);
}

// A range of rows, or rows by index.
static bool takes_rows(const Gatherer *g, const Node *node)
{
    int last = node->shape.rank - 1;
    if (node->op == OP_SLICE && last > 0) {
        return node->shape.dim[last] == node_at(g, node->inputs[0])->shape.dim[last];
    }
    return node->op == OP_TAKE && node->shape.rank >= 2 && node_at(g, node->inputs[0])->shape.rank >= 2;
}

static bool joins_rows(const Node *node)
{
    return node->op == OP_CONCAT && node->attr.axis < node->shape.rank - 1;
}

static int64_t cost_of(Gatherer *g, NodeId rows, NodeId matrix);

// Parts of a CONCAT are looked at in two rounds, since those that take rows of others cost nothing behind them.
static bool is_turn(const Gatherer *g, NodeId part, int round)
{
    return takes_rows(g, node_at(g, without_reshape(g, part))) == (round == 1);
}

// Rows to multiply when `rows` is built from the products of its parts; its own number if it has none. The products
// that this takes are left planned, so that a part that comes twice counts once.
static int64_t cost_of_parts(Gatherer *g, NodeId rows, NodeId matrix)
{
    const Node *node = node_at(g, rows);
    if (takes_rows(g, node)) {
        return cost_of(g, node->inputs[0], matrix);
    }
    if (!joins_rows(node)) {
        return row_count(g, rows);
    }
    int64_t cost = 0;
    for (int i = 0; i < 2 * node->n_inputs; i++) {
        NodeId part = node->inputs[i % node->n_inputs];
        cost += is_turn(g, part, i / node->n_inputs) ? cost_of(g, part, matrix) : 0;
    }
    return cost;
}

static int64_t cost_of(Gatherer *g, NodeId rows, NodeId matrix)
{
    rows = without_reshape(g, rows);
    if (is_planned(g, rows, matrix)) {
        return 0;
    }
    int n_products = g->n_products;
    int64_t whole = row_count(g, rows), parts = cost_of_parts(g, rows, matrix);
    if (parts < whole) {
        return parts;
    }
    g->n_products = n_products;
    plan(g, rows, matrix);
    return whole;
}

static bool is_cheaper_in_parts(Gatherer *g, NodeId rows, NodeId matrix)
{
    int n_products = g->n_products;
    bool is_cheaper = cost_of_parts(g, rows, matrix) < row_count(g, rows);
    g->n_products = n_products;
    return is_cheaper;
}

// Building --------------------------------------------------------------------------------------------------

static Shape product_shape(const Gatherer *g, NodeId rows, NodeId matrix)
{
    Shape shape = node_at(g, rows)->shape;
    shape.dim[shape.rank - 1] = last_extent(g, matrix);
    return shape;
}

static NodeId build_whole(Gatherer *g, NodeId rows, NodeId matrix)
{
    int64_t flat[2] = {row_count(g, rows), last_extent(g, rows)};
    NodeId x = build_reshape(&g->build, g->map[rows], 2, flat);
    Shape shape = product_shape(g, rows, matrix);
    NodeId product =
        graph_reshape(g->build.graph, build_matmul(&g->build, x, g->map[matrix]), &shape, &g->build.origin);
    if (g->bias == NO_NODE) {
        return product;
    }
    NodeId bias = graph_expand_to(g->build.graph, g->bias, &shape, &g->build.origin);
    return build_add(&g->build, product, bias);
}

static NodeId build_product(Gatherer *g, NodeId rows, NodeId matrix);

static NodeId build_parts(Gatherer *g, NodeId rows, NodeId matrix)
{
    const Node *node = node_at(g, rows);
    if (node->op == OP_TAKE) {
        NodeId x = build_product(g, node->inputs[0], matrix);
        return graph_take(g->build.graph, x, g->map[node->inputs[1]], &g->build.origin);
    }
    if (node->op == OP_SLICE) {
        NodeId x = build_product(g, node->inputs[0], matrix);
        Shape shape = product_shape(g, rows, matrix);
        return graph_slice(g->build.graph, x, node->attr.start, node->attr.step, &shape, &g->build.origin);
    }
    NodeId *parts = arena_alloc(g->build.graph->arena, (size_t)node->n_inputs * sizeof *parts);
    for (int i = 0; i < 2 * node->n_inputs; i++) {
        int part = i % node->n_inputs;
        if (is_turn(g, node->inputs[part], i / node->n_inputs)) {
            parts[part] = build_product(g, node->inputs[part], matrix);
        }
    }
    return graph_concat(g->build.graph, parts, node->n_inputs, node->attr.axis, &g->build.origin);
}

// The product as a tensor of rows' leading shape.
static NodeId build_product(Gatherer *g, NodeId id, NodeId matrix)
{
    NodeId rows = without_reshape(g, id), result;
    if (is_planned(g, rows, matrix) || !is_cheaper_in_parts(g, rows, matrix)) {
        result = build_whole(g, rows, matrix);
        if (!is_planned(g, rows, matrix)) {
            plan(g, rows, matrix);
        }
    } else {
        result = build_parts(g, rows, matrix);
    }
    Shape shape = product_shape(g, id, matrix);
    return graph_reshape(g->build.graph, result, &shape, &g->build.origin);
}

// The vector of N elements that is repeated for every row, or NO_NODE.
static NodeId repeated_vector(const Gatherer *g, NodeId id)
{
    const Node *node = node_at(g, id);
    int64_t n = last_extent(g, id);
    while (node->op == OP_EXPAND || node->op == OP_RESHAPE) {
        id = node->inputs[0];
        node = node_at(g, id);
        if (node->shape.rank == 0 || last_extent(g, id) != n) {
            return NO_NODE;
        }
        if (shape_count(&node->shape) == n && node->op != OP_RESHAPE) {
            return id;
        }
    }
    return NO_NODE;
}

// ADD(product, vector) where the product is cheaper in parts and not used itself: the vector is added to the parts, to
// which other passes over the same rows add it as well. NO_NODE if it is something else.
static NodeId visit_sum(Gatherer *g, NodeId id)
{
    const Node *node = node_at(g, id);
    for (int i = 0; node->op == OP_ADD && node->shape.rank > 0 && i < 2; i++) {
        NodeId product = node->inputs[i];
        while (node_at(g, product)->op == OP_RESHAPE && g->uses[product] == 1) {
            product = node_at(g, product)->inputs[0];
        }
        const Node *of = node_at(g, product);
        NodeId vector = repeated_vector(g, node->inputs[1 - i]);
        if (!is_product(of) || g->uses[product] != 1 || vector == NO_NODE ||
            last_extent(g, product) != last_extent(g, id)) {
            continue;
        }
        NodeId rows = without_reshape(g, of->inputs[0]);
        if (is_cheaper_in_parts(g, rows, of->inputs[1])) {
            int64_t n = last_extent(g, id);
            g->bias = build_reshape(&g->build, g->map[vector], 1, &n);
            NodeId parts = build_parts(g, rows, of->inputs[1]);
            g->bias = NO_NODE;
            return graph_reshape(g->build.graph, parts, &node->shape, &g->build.origin);
        }
    }
    return NO_NODE;
}

static NodeId visit(Gatherer *g, NodeId id)
{
    const Node *node = node_at(g, id);
    g->build.origin = node_origin(g->from, id);
    NodeId sum = visit_sum(g, id);
    if (sum != NO_NODE) {
        return sum;
    }
    if (is_product(node)) {
        NodeId matrix = node->inputs[1], rows = without_reshape(g, node->inputs[0]);
        if (is_cheaper_in_parts(g, rows, matrix)) {
            return graph_reshape(g->build.graph, build_parts(g, rows, matrix), &node->shape,
                                 &g->build.origin);
        }
        plan(g, rows, matrix);
    }
    return graph_copy_node(g->build.graph, g->from, id, g->map);
}

// Products of tensors that are not themselves gathered exist whatever happens; those of gathered ones are
// decided in order, each counting on the ones before it.
static void plan_existing(Gatherer *g)
{
    for (NodeId id = 0; id < g->from->n_nodes; id++) {
        const Node *node = node_at(g, id);
        if (is_product(node)) {
            NodeId rows = without_reshape(g, node->inputs[0]);
            if (!takes_rows(g, node_at(g, rows)) && !joins_rows(node_at(g, rows))) {
                plan(g, rows, node->inputs[1]);
            }
        }
    }
}

Graph *share_gathered(Arena *arena, const Graph *graph)
{
    Gatherer g = {.from = graph, .map = graph_new_map(arena, graph), .bias = NO_NODE};
    g.uses = graph_use_counts(arena, graph);
    g.build.graph = graph_new_rewrite(arena, graph);
    plan_existing(&g);
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        g.map[id] = visit(&g, id);
    }
    graph_copy_outputs(g.build.graph, graph, g.map);
    return graph_prune(arena, g.build.graph);
}
