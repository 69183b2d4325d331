// One kernel per stored value: everything between stored values and the target is taken in as expressions. Movement ops
// become index expressions, elementwise ops expressions, reductions over a whole row become row accumulators when the
// row of the kernel is a row of the reduction. What a reduction needs is computed again in every kernel that reads its
// row: the row is in the cache, and nothing of the size of the reduction's operand is stored for it.
#include "compiler/base/vec.h"
#include "compiler/fuse_internal.h"

#include <stdlib.h>
#include <string.h>

enum { NARROW_LANES = 16, WIDE_LANES = 1024, COLUMN_CHUNKS = 16 };

// A node's value at given coordinates: found again when asked for twice, so that expressions form a graph.
typedef struct Known {
    NodeId node;
    const IndexExpr *coords[MAX_RANK];
    const ScalarExpr *value;
} Known;

// A reduction over the lanes inside this kernel.
typedef struct RowReduction {
    NodeId node;
    Op op;
    const ScalarExpr *operand;
    int id;
    int level;                  // of its operand: the lane stage that accumulates it
} RowReduction;

typedef struct Builder {
    Fusion *fusion;
    Arena *arena;
    const Graph *graph;
    NodeId target;
    int64_t rows, lanes;
    int64_t reduce_dims[MAX_RANK];
    int n_reduce_dims;
    Known *known;
    int n_known, known_capacity;
    RowReduction *reductions;
    int n_reductions, reduction_capacity;
    KernelBuffer *buffers;
    int n_buffers, buffer_capacity;
    NodeId *nodes;
    int n_nodes, node_capacity;
    int n_ids;
    Stage *stages;
    int n_stages, stage_capacity;
    bool has_failed;            // fusion->wanted says why
} Builder;

typedef struct Coords {
    const IndexExpr *at[MAX_RANK];
} Coords;

static const ScalarExpr *value_at(Builder *builder, NodeId node, const Coords *coords);

// Scalar constructors ---------------------------------------------------------------------------------------------

static ScalarExpr *new_scalar(Builder *builder, ScalarKind kind, Dtype dtype)
{
    ScalarExpr *expr = arena_alloc(builder->arena, sizeof *expr);
    expr->kind = kind;
    expr->dtype = dtype;
    return expr;
}

static const ScalarExpr *scalar_number(Builder *builder, double number, Dtype dtype)
{
    ScalarExpr *expr = new_scalar(builder, SCALAR_CONST, dtype);
    expr->number = number;
    return expr;
}

static const ScalarExpr *scalar_index(Builder *builder, const IndexExpr *index)
{
    ScalarExpr *expr = new_scalar(builder, SCALAR_INDEX, DTYPE_I32);
    expr->index = index;
    return expr;
}

static const ScalarExpr *scalar_op(Builder *builder, Op op, Dtype dtype, const ScalarExpr *a, const ScalarExpr *b,
                                   const ScalarExpr *c)
{
    ScalarExpr *expr = new_scalar(builder, SCALAR_OP, dtype);
    expr->op = op;
    expr->args[0] = a;
    expr->args[1] = b;
    expr->args[2] = c;
    expr->n_args = c ? 3 : b ? 2 : 1;
    return expr;
}

static int buffer_of(Builder *builder, NodeId root, BufferKind kind)
{
    for (int i = 0; i < builder->n_buffers; i++) {
        if (builder->buffers[i].node == root) {
            return i;
        }
    }
    const Node *node = &builder->graph->nodes[root];
    KernelBuffer buffer = {root, node->dtype, node->shape, kind};
    VEC_PUSH(builder->arena, builder->buffers, builder->n_buffers, builder->buffer_capacity, buffer);
    return builder->n_buffers - 1;
}

static const IndexExpr *address(Builder *builder, NodeId node, const Coords *coords)
{
    const Shape *shape = &builder->graph->nodes[node].shape;
    const Layout *layout = &builder->fusion->layout[node];
    const IndexExpr *index = index_const(builder->arena, layout->offset);
    for (int i = 0; i < shape->rank; i++) {
        index = index_add(builder->arena, index, index_mul(builder->arena, coords->at[i], layout->stride[i]));
    }
    return index;
}

static const ScalarExpr *load(Builder *builder, NodeId node, const Coords *coords)
{
    ScalarExpr *expr = new_scalar(builder, SCALAR_LOAD, builder->graph->nodes[node].dtype);
    expr->buffer = buffer_of(builder, fusion_root(builder->fusion, node), BUFFER_READ);
    expr->index = address(builder, node, coords);
    return expr;
}

// Movement --------------------------------------------------------------------------------------------------------

static const IndexExpr *flattened(Builder *builder, const Shape *shape, const Coords *coords)
{
    const IndexExpr *index = index_const(builder->arena, 0);
    int64_t stride = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        index = index_add(builder->arena, index, index_mul(builder->arena, coords->at[i], stride));
        stride *= shape->dim[i];
    }
    return index;
}

static Coords unflattened(Builder *builder, const Shape *shape, const IndexExpr *index)
{
    Coords coords = {{0}};
    int64_t stride = shape_count(shape);
    for (int i = 0; i < shape->rank; i++) {
        int64_t outer = stride;
        stride /= shape->dim[i];
        const IndexExpr *rest = i == 0 ? index : index_mod(builder->arena, index, outer);
        coords.at[i] = index_div(builder->arena, rest, stride);
    }
    return coords;
}

static const ScalarExpr *in_range(Builder *builder, const IndexExpr *index, int64_t low, int64_t high)
{
    const ScalarExpr *value = scalar_index(builder, index);
    const ScalarExpr *test = NULL;
    if (index->low < low) {
        test = scalar_op(builder, OP_LE, DTYPE_BOOL, scalar_number(builder, (double)low, DTYPE_I32), value, NULL);
    }
    if (index->high >= high) {
        const ScalarExpr *upper = scalar_op(builder, OP_LT, DTYPE_BOOL, value, scalar_number(builder, (double)high, DTYPE_I32), NULL);
        test = test ? scalar_op(builder, OP_AND, DTYPE_BOOL, test, upper, NULL) : upper;
    }
    return test;
}

static const ScalarExpr *padded_value(Builder *builder, const Node *node, const Coords *coords)
{
    const Shape *inner = &builder->graph->nodes[node->inputs[0]].shape;
    Coords at = {{0}};
    const ScalarExpr *test = NULL;
    for (int i = 0; i < node->shape.rank; i++) {
        int64_t start = node->attr.start[i];
        int64_t step = node->attr.step[i];
        int64_t end = start + (inner->dim[i] - 1) * step + 1;
        const ScalarExpr *part = in_range(builder, coords->at[i], start, end);
        const IndexExpr *shifted = index_add(builder->arena, coords->at[i], index_const(builder->arena, -start));
        if (step > 1) {
            const ScalarExpr *rest = scalar_index(builder, index_mod(builder->arena, shifted, step));
            const ScalarExpr *hit = scalar_op(builder, OP_EQ, DTYPE_BOOL, rest, scalar_number(builder, 0, DTYPE_I32), NULL);
            part = part ? scalar_op(builder, OP_AND, DTYPE_BOOL, part, hit, NULL) : hit;
            shifted = index_div(builder->arena, shifted, step);
        }
        at.at[i] = inner->dim[i] == 1 ? index_const(builder->arena, 0) : shifted;
        test = test && part ? scalar_op(builder, OP_AND, DTYPE_BOOL, test, part, NULL) : test ? test : part;
    }
    const ScalarExpr *value = value_at(builder, node->inputs[0], &at);
    return test ? scalar_op(builder, OP_WHERE, node->dtype, test, value, scalar_number(builder, 0, node->dtype)) : value;
}

static const ScalarExpr *concatenated_value(Builder *builder, const Node *node, const Coords *coords)
{
    int axis = node->attr.axis;
    const ScalarExpr *result = NULL;
    int64_t begin = 0;
    for (int i = 0; i < node->n_inputs; i++) {   // a part that covers all of the range needs no test
        int64_t extent = builder->graph->nodes[node->inputs[i]].shape.dim[axis];
        if (coords->at[axis]->low >= begin && coords->at[axis]->high < begin + extent) {
            Coords at = *coords;
            at.at[axis] = index_add(builder->arena, coords->at[axis], index_const(builder->arena, -begin));
            return value_at(builder, node->inputs[i], &at);
        }
        begin += extent;
    }
    int64_t end = node->shape.dim[axis];
    for (int i = node->n_inputs - 1; i >= 0; i--) {
        int64_t extent = builder->graph->nodes[node->inputs[i]].shape.dim[axis];
        int64_t start = end - extent;
        end = start;
        const IndexExpr *index = coords->at[axis];
        if (index->high < start || index->low >= start + extent) {
            continue;
        }
        Coords at = *coords;
        at.at[axis] = extent == 1 ? index_const(builder->arena, 0)
                                  : index_add(builder->arena, index, index_const(builder->arena, -start));
        const ScalarExpr *value = value_at(builder, node->inputs[i], &at);
        bool is_same = result && result->kind == SCALAR_CONST && value->kind == SCALAR_CONST && result->number == value->number;
        const ScalarExpr *test = result && !is_same ? in_range(builder, index, INT64_MIN, start + extent) : NULL;
        result = test ? scalar_op(builder, OP_WHERE, node->dtype, test, value, result) : value;
    }
    return result;
}

static const ScalarExpr *taken_value(Builder *builder, const Node *node, const Coords *coords)
{
    const Graph *graph = builder->graph;
    if (graph->nodes[node->inputs[0]].op == OP_CONST) {
        return scalar_number(builder, graph->nodes[node->inputs[0]].attr.number, node->dtype);
    }
    int n_index = graph->nodes[node->inputs[1]].shape.rank;
    const ScalarExpr *index = value_at(builder, node->inputs[1], coords);
    const Shape *table = &graph->nodes[node->inputs[0]].shape;
    Coords at = {{0}};
    at.at[0] = index_value(builder->arena, index, table->dim[0]);
    for (int i = 1; i < table->rank; i++) {
        at.at[i] = coords->at[n_index + i - 1];
    }
    return value_at(builder, node->inputs[0], &at);
}

static const ScalarExpr *moved_value(Builder *builder, const Node *node, const Coords *coords)
{
    Coords at = *coords;
    const Shape *inner = &builder->graph->nodes[node->inputs[0]].shape;
    switch (node->op) {
    case OP_RESHAPE:
        at = unflattened(builder, inner, flattened(builder, &node->shape, coords));
        break;
    case OP_PERMUTE:
        for (int i = 0; i < node->shape.rank; i++) {
            at.at[node->attr.dims[i]] = coords->at[i];
        }
        break;
    case OP_EXPAND:
        for (int i = 0; i < node->shape.rank; i++) {
            at.at[i] = inner->dim[i] == 1 ? index_const(builder->arena, 0) : coords->at[i];
        }
        break;
    case OP_SLICE:
        for (int i = 0; i < node->shape.rank; i++) {
            const IndexExpr *scaled = index_mul(builder->arena, coords->at[i], node->attr.step[i]);
            at.at[i] = index_add(builder->arena, scaled, index_const(builder->arena, node->attr.start[i]));
        }
        break;
    case OP_ROLL:
        for (int i = 0; i < node->shape.rank; i++) {
            int64_t extent = node->shape.dim[i];
            int64_t back = (extent - node->attr.start[i] % extent) % extent;
            const IndexExpr *shifted = index_add(builder->arena, coords->at[i], index_const(builder->arena, back));
            at.at[i] = index_mod(builder->arena, shifted, extent);
        }
        break;
    case OP_PAD:
        return padded_value(builder, node, coords);
    case OP_CONCAT:
        return concatenated_value(builder, node, coords);
    default:
        return taken_value(builder, node, coords);
    }
    return value_at(builder, node->inputs[0], &at);
}

// Reductions inside rows --------------------------------------------------------------------------------------------

static const ScalarExpr *give_up(Builder *builder, NodeId node)
{
    if (!builder->has_failed) {
        builder->fusion->wanted = node;
    }
    builder->has_failed = true;
    return scalar_number(builder, 0, builder->graph->nodes[node].dtype);
}

// The reduced dimensions are the trailing ones (extents of 1 aside) and make up exactly one row of this kernel.
static bool is_whole_row(const Builder *builder, const Node *node, const Coords *coords)
{
    const Shape *shape = &builder->graph->nodes[node->inputs[0]].shape;
    int64_t count = 1;
    bool is_trailing = true;
    for (int i = shape->rank - 1; i >= 0; i--) {
        bool is_reduced = node->attr.axes >> i & 1u;
        if (is_reduced && !is_trailing && shape->dim[i] != 1) {
            return false;
        }
        is_trailing = is_trailing && (is_reduced || shape->dim[i] == 1);
        count *= is_reduced ? shape->dim[i] : 1;
        bool is_free = !is_reduced && shape->dim[i] != 1;
        if (is_free && (index_uses(coords->at[i], INDEX_LANE) || index_uses(coords->at[i], INDEX_REDUCE))) {
            return false;
        }
    }
    return count == builder->lanes && count > 1;
}

static const ScalarExpr *reduced_value(Builder *builder, NodeId id, const Node *node, const Coords *coords)
{
    const Shape *shape = &builder->graph->nodes[node->inputs[0]].shape;
    int64_t work = builder->rows * builder->lanes;
    bool fits = builder->fusion->is_fused && builder->n_reduce_dims == 0 && node->op != OP_ARGMAX
        && work <= 2 * shape_count(shape) && is_whole_row(builder, node, coords);
    if (!fits) {
        return give_up(builder, id);
    }
    Coords at = *coords;
    Shape reduced = {0};
    int dims[MAX_RANK];
    for (int i = 0; i < shape->rank; i++) {
        if (node->attr.axes >> i & 1u) {
            dims[reduced.rank] = i;
            reduced.dim[reduced.rank++] = shape->dim[i];
        }
    }
    const IndexExpr *lane = index_variable(builder->arena, INDEX_LANE, 0, builder->lanes);
    Coords inner = unflattened(builder, &reduced, lane);
    for (int i = 0; i < reduced.rank; i++) {
        at.at[dims[i]] = inner.at[i];
    }
    RowReduction reduction = {.node = id, .op = node->op, .operand = value_at(builder, node->inputs[0], &at)};
    reduction.id = builder->n_ids++;
    VEC_PUSH(builder->arena, builder->reductions, builder->n_reductions, builder->reduction_capacity, reduction);
    ScalarExpr *expr = new_scalar(builder, SCALAR_ACC, node->dtype);
    expr->let = reduction.id;
    return expr;
}

// Values ------------------------------------------------------------------------------------------------------------

static bool same_coords(const Known *known, const Coords *coords, int rank)
{
    for (int i = 0; i < rank; i++) {
        if (!index_equal(known->coords[i], coords->at[i])) {
            return false;
        }
    }
    return true;
}

static const ScalarExpr *computed_value(Builder *builder, NodeId id, const Coords *coords)
{
    const Node *node = &builder->graph->nodes[id];
    switch (op_info(node->op)->class) {
    case CLASS_MOVE:
        return moved_value(builder, node, coords);
    case CLASS_REDUCE:
        return reduced_value(builder, id, node, coords);
    case CLASS_ELEMENTWISE: {
        const ScalarExpr *args[3] = {NULL, NULL, NULL};
        for (int i = 0; i < node->n_inputs; i++) {
            args[i] = value_at(builder, node->inputs[i], coords);
        }
        if (node->op == OP_STOP_GRADIENT) {
            return args[0];
        }
        return scalar_op(builder, node->op, node->dtype, args[0], args[1], args[2]);
    }
    default:
        break;
    }
    if (node->op == OP_CONST) {
        return scalar_number(builder, node->attr.number, node->dtype);
    }
    if (node->op == OP_IOTA) {
        return scalar_index(builder, coords->at[node->attr.axis]);
    }
    if (node->op == OP_KEEP) {
        ScalarExpr *expr = new_scalar(builder, SCALAR_KEEP, DTYPE_F32);
        expr->draw = node->attr.index;
        expr->index = flattened(builder, &node->shape, coords);
        return expr;
    }
    XV_BUG("%s reached a kernel without storage", op_info(node->op)->name);
}

static const ScalarExpr *value_at(Builder *builder, NodeId id, const Coords *coords)
{
    int rank = builder->graph->nodes[id].shape.rank;
    for (int i = 0; i < builder->n_known; i++) {
        if (builder->known[i].node == id && same_coords(&builder->known[i], coords, rank)) {
            return builder->known[i].value;
        }
    }
    bool is_loaded = builder->fusion->is_stored[id] && id != builder->target;
    const ScalarExpr *value = is_loaded ? load(builder, id, coords) : computed_value(builder, id, coords);
    if (!is_loaded) {
        Op op = builder->graph->nodes[id].op;
        if (op != OP_CONST) {
            VEC_PUSH(builder->arena, builder->nodes, builder->n_nodes, builder->node_capacity, id);
        }
    }
    Known known = {.node = id, .value = value};
    memcpy(known.coords, coords->at, sizeof known.coords);
    VEC_PUSH(builder->arena, builder->known, builder->n_known, builder->known_capacity, known);
    return value;
}

// Stages ------------------------------------------------------------------------------------------------------------

// The lane stage a value can first be computed in: one after the last reduction it reads.
static int level_of(const Builder *builder, const ScalarExpr *expr)
{
    if (expr->kind == SCALAR_ACC) {
        for (int i = 0; i < builder->n_reductions; i++) {
            if (builder->reductions[i].id == expr->let) {
                return builder->reductions[i].level + 1;
            }
        }
        return 0;
    }
    int level = 0;
    for (int i = 0; i < expr->n_args; i++) {
        int inner = level_of(builder, expr->args[i]);
        level = inner > level ? inner : level;
    }
    return level;
}

static bool is_lane_value(const Builder *builder, const ScalarExpr *expr)
{
    if (expr->kind == SCALAR_LET || expr->kind == SCALAR_ACC) {
        return false;
    }
    if (expr->index && (index_uses(expr->index, INDEX_LANE) || index_uses(expr->index, INDEX_REDUCE))) {
        return true;
    }
    for (int i = 0; i < expr->n_args; i++) {
        if (is_lane_value(builder, expr->args[i])) {
            return true;
        }
    }
    return false;
}

// How one stage writes expressions: shared ones become lets, those that do not depend on the lane move in front.
typedef struct StageWriter {
    Builder *builder;
    Map *uses;              // expression -> count, within the stage
    Map *lets;              // expression -> its SCALAR_LET, within the stage (lanes) or for good (rows)
    Map *row_lets;
    Statement *before;      // SCALAR stage in front
    int n_before, before_capacity;
    Statement *inside;
    int n_inside, inside_capacity;
    bool is_conditional;    // inside a branch of a WHERE: what it loads may not exist otherwise, so nothing moves out
} StageWriter;

static void count_uses(StageWriter *writer, const ScalarExpr *expr)
{
    int *count = map_get(writer->uses, expr);
    if (!count) {
        count = arena_alloc(writer->builder->arena, sizeof *count);
        map_set(writer->uses, expr, count);
    }
    if (++*count > 1) {
        return;
    }
    for (int i = 0; i < expr->n_args; i++) {
        count_uses(writer, expr->args[i]);
    }
}

static NodeId node_of_value(const Builder *builder, const ScalarExpr *expr)
{
    for (int i = 0; i < builder->n_known; i++) {
        if (builder->known[i].value == expr) {
            return builder->known[i].node;
        }
    }
    return builder->target;
}

static const ScalarExpr *written(StageWriter *writer, const ScalarExpr *expr, bool is_in_lanes);

static const ScalarExpr *with_written_args(StageWriter *writer, const ScalarExpr *expr, bool is_in_lanes)
{
    ScalarExpr *copy = arena_alloc(writer->builder->arena, sizeof *copy);
    *copy = *expr;
    bool was_conditional = writer->is_conditional;
    for (int i = 0; i < expr->n_args; i++) {
        writer->is_conditional = was_conditional || (expr->op == OP_WHERE && expr->kind == SCALAR_OP && i > 0);
        copy->args[i] = written(writer, expr->args[i], is_in_lanes);
    }
    writer->is_conditional = was_conditional;
    return copy;
}

static const ScalarExpr *new_let(StageWriter *writer, const ScalarExpr *expr, bool is_before)
{
    Builder *builder = writer->builder;
    const ScalarExpr *value = with_written_args(writer, expr, !is_before);
    Statement let = {.kind = STATEMENT_LET, .id = builder->n_ids++, .value = value, .node = node_of_value(builder, expr)};
    if (is_before) {
        VEC_PUSH(builder->arena, writer->before, writer->n_before, writer->before_capacity, let);
    } else {
        VEC_PUSH(builder->arena, writer->inside, writer->n_inside, writer->inside_capacity, let);
    }
    ScalarExpr *name = new_scalar(builder, SCALAR_LET, expr->dtype);
    name->let = let.id;
    map_set(is_before ? writer->row_lets : writer->lets, expr, name);
    return name;
}

static const ScalarExpr *written(StageWriter *writer, const ScalarExpr *expr, bool is_in_lanes)
{
    if (expr->kind == SCALAR_CONST || expr->kind == SCALAR_ACC || expr->kind == SCALAR_LET) {
        return expr;
    }
    const ScalarExpr *known = map_get(writer->row_lets, expr);
    if (!known && is_in_lanes) {
        known = map_get(writer->lets, expr);
    }
    if (known) {
        return known;
    }
    if (writer->is_conditional) {
        return with_written_args(writer, expr, is_in_lanes);
    }
    bool is_row_value = !is_lane_value(writer->builder, expr);
    if (is_row_value && is_in_lanes) {
        return new_let(writer, expr, true);
    }
    const int *uses = map_get(writer->uses, expr);
    bool is_shared = uses && *uses > 1 && (expr->kind == SCALAR_OP || expr->kind == SCALAR_LOAD);
    if (is_shared) {
        return new_let(writer, expr, is_row_value);
    }
    return with_written_args(writer, expr, is_in_lanes);
}

static void push_stage(Builder *builder, StageKind kind, bool in_reduce, const Statement *statements, int n_statements)
{
    if (n_statements == 0) {
        return;
    }
    Stage stage = {kind, in_reduce, statements, n_statements};
    VEC_PUSH(builder->arena, builder->stages, builder->n_stages, builder->stage_capacity, stage);
}

// One lane loop with the statements given (their values not yet written), and the row lets it needs in front.
static void add_lane_stage(Builder *builder, Map *row_lets, Statement *statements, int n_statements, bool in_reduce)
{
    StageWriter writer = {.builder = builder, .uses = map_new(builder->arena), .lets = map_new(builder->arena), .row_lets = row_lets};
    for (int i = 0; i < n_statements; i++) {
        count_uses(&writer, statements[i].value);
    }
    for (int i = 0; i < n_statements; i++) {
        Statement statement = statements[i];
        statement.value = written(&writer, statement.value, true);
        VEC_PUSH(builder->arena, writer.inside, writer.n_inside, writer.inside_capacity, statement);
    }
    push_stage(builder, STAGE_SCALAR, in_reduce, writer.before, writer.n_before);
    push_stage(builder, STAGE_LANES, in_reduce, writer.inside, writer.n_inside);
}

// The lane loops that accumulate the row reductions, level by level.
static void add_reduction_stages(Builder *builder, Map *row_lets)
{
    for (int i = 0; i < builder->n_reductions; i++) {
        builder->reductions[i].level = level_of(builder, builder->reductions[i].operand);
    }
    int deepest = -1;
    for (int i = 0; i < builder->n_reductions; i++) {
        deepest = builder->reductions[i].level > deepest ? builder->reductions[i].level : deepest;
    }
    for (int level = 0; level <= deepest; level++) {
        Statement *statements = arena_alloc(builder->arena, ((size_t)builder->n_reductions + 1) * sizeof *statements);
        int n_statements = 0;
        for (int i = 0; i < builder->n_reductions; i++) {
            const RowReduction *reduction = &builder->reductions[i];
            if (reduction->level == level) {
                statements[n_statements++] = (Statement){.kind = STATEMENT_ACCUMULATE, .id = reduction->id, .op = reduction->op,
                                                         .value = reduction->operand, .node = reduction->node};
            }
        }
        add_lane_stage(builder, row_lets, statements, n_statements, false);
    }
}

// Finished kernels --------------------------------------------------------------------------------------------------

static Sym kernel_name(Builder *builder)
{
    const Node *node = &builder->graph->nodes[builder->target];
    const char *path = node->path ? node->path : "";
    const char *name = node->name ? node->name : op_info(node->op)->name;
    return arena_format(builder->arena, "%s%s%s", path, *path ? "." : "", name);
}

static int compare_nodes(const void *a, const void *b)
{
    NodeId x = *(const NodeId *)a;
    NodeId y = *(const NodeId *)b;
    return x < y ? -1 : x > y;
}

static const Kernel *finished(Builder *builder, int row_chunks)
{
    Kernel *kernel = arena_alloc(builder->arena, sizeof *kernel);
    *kernel = (Kernel){.name = kernel_name(builder), .row_dims = {builder->rows}, .n_row_dims = 1, .lanes = builder->lanes,
                       .n_reduce_dims = builder->n_reduce_dims, .row_chunks = row_chunks, .buffers = builder->buffers,
                       .n_buffers = builder->n_buffers, .stages = builder->stages, .n_stages = builder->n_stages,
                       .nodes = builder->nodes, .n_nodes = builder->n_nodes, .n_ids = builder->n_ids};
    memcpy(kernel->reduce_dims, builder->reduce_dims, sizeof kernel->reduce_dims);
    qsort(builder->nodes, (size_t)builder->n_nodes, sizeof(NodeId), compare_nodes);
    static const int64_t sizes[] = {[DTYPE_F32] = 4, [DTYPE_I32] = 4, [DTYPE_BOOL] = 1};
    for (int i = 0; i < builder->n_buffers; i++) {
        kernel->bytes += shape_count(&builder->buffers[i].shape) * sizes[builder->buffers[i].dtype];
    }
    for (int i = 0; i < builder->n_nodes; i++) {
        const Node *node = &builder->graph->nodes[builder->nodes[i]];
        OpClass class = op_info(node->op)->class;
        if (class == CLASS_ELEMENTWISE || class == CLASS_REDUCE) {
            kernel->flops += shape_count(class == CLASS_REDUCE ? &builder->graph->nodes[node->inputs[0]].shape : &node->shape);
        }
    }
    return kernel;
}

static Statement stored(Builder *builder, const ScalarExpr *value, const Coords *coords)
{
    int buffer = buffer_of(builder, fusion_root(builder->fusion, builder->target), BUFFER_WRITE);
    builder->buffers[buffer].kind = BUFFER_WRITE;
    return (Statement){.kind = STATEMENT_STORE, .value = value, .buffer = buffer,
                       .index = address(builder, builder->target, coords), .node = builder->target};
}

// Lanes of an elementwise kernel: the last dimension, or several when it is narrow.
static int lane_dims(const Shape *shape, int64_t *lanes)
{
    int n_dims = 0;
    *lanes = 1;
    while (n_dims < shape->rank) {
        int64_t wider = *lanes * shape->dim[shape->rank - 1 - n_dims];
        bool is_enough = *lanes >= NARROW_LANES || (*lanes > 1 && wider > WIDE_LANES);
        if (n_dims > 0 && is_enough) {
            break;
        }
        *lanes = wider;
        n_dims++;
    }
    return n_dims;
}

static bool has_row_reduction(const Fusion *fusion, NodeId id, int64_t lanes, int depth)
{
    const Node *node = &fusion->graph->nodes[id];
    if (depth > 24) {
        return false;
    }
    if (op_info(node->op)->class == CLASS_REDUCE && !fusion->is_stored[id]) {
        const Shape *shape = &fusion->graph->nodes[node->inputs[0]].shape;
        return shape->rank > 0 && shape->dim[shape->rank - 1] == lanes;
    }
    for (int i = 0; i < node->n_inputs; i++) {
        if (!fusion->is_stored[node->inputs[i]] && has_row_reduction(fusion, node->inputs[i], lanes, depth + 1)) {
            return true;
        }
    }
    return false;
}

static const Kernel *elementwise_kernel(Builder *builder)
{
    const Shape *shape = &builder->graph->nodes[builder->target].shape;
    int n_lane_dims = lane_dims(shape, &builder->lanes);
    if (shape->rank > 0 && n_lane_dims > 1
        && has_row_reduction(builder->fusion, builder->target, shape->dim[shape->rank - 1], 0)) {
        n_lane_dims = 1;
        builder->lanes = shape->dim[shape->rank - 1];
    }
    builder->rows = shape_count(shape) / builder->lanes;
    const IndexExpr *row = index_variable(builder->arena, INDEX_ROW, 0, builder->rows);
    const IndexExpr *lane = index_variable(builder->arena, INDEX_LANE, 0, builder->lanes);
    const IndexExpr *flat = index_add(builder->arena, index_mul(builder->arena, row, builder->lanes), lane);
    Coords coords = unflattened(builder, shape, flat);
    const ScalarExpr *value = computed_value(builder, builder->target, &coords);
    VEC_PUSH(builder->arena, builder->nodes, builder->n_nodes, builder->node_capacity, builder->target);
    if (builder->has_failed) {
        return NULL;
    }
    Map *row_lets = map_new(builder->arena);
    add_reduction_stages(builder, row_lets);
    Statement store = stored(builder, value, &coords);
    add_lane_stage(builder, row_lets, &store, 1, false);
    return finished(builder, 0);
}

// How the dimensions of a reduction become rows, reduce loops and lanes.
typedef struct ReductionShape {
    Shape rows, loops, lanes;
    int row_dim[MAX_RANK], loop_dim[MAX_RANK], lane_dim[MAX_RANK];
    bool lanes_are_reduced;
} ReductionShape;

static void append_dim(Shape *shape, int *dims, int dim, int64_t extent)
{
    dims[shape->rank] = dim;
    shape->dim[shape->rank++] = extent;
}

static uint32_t reduced_axes(const Node *node)
{
    return node->op == OP_ARGMAX ? 1u << node->attr.axis : node->attr.axes;
}

static ReductionShape shape_of_reduction(const Node *node, const Shape *operand)
{
    ReductionShape split = {.lanes_are_reduced = true};
    int last = operand->rank - 1;
    while (last >= 0 && operand->dim[last] == 1) {
        last--;
    }
    int first_lane = last;
    split.lanes_are_reduced = last < 0 || (reduced_axes(node) >> last & 1u);
    while (first_lane > 0) {
        bool is_reduced = reduced_axes(node) >> (first_lane - 1) & 1u;
        if (operand->dim[first_lane - 1] != 1 && is_reduced != split.lanes_are_reduced) {
            break;
        }
        first_lane--;
    }
    for (int i = 0; i < operand->rank; i++) {
        if (operand->dim[i] == 1) {
            continue;
        }
        if (i >= first_lane) {
            append_dim(&split.lanes, split.lane_dim, i, operand->dim[i]);
        } else if (reduced_axes(node) >> i & 1u) {
            append_dim(&split.loops, split.loop_dim, i, operand->dim[i]);
        } else {
            append_dim(&split.rows, split.row_dim, i, operand->dim[i]);
        }
    }
    return split;
}

static void place(Coords *coords, const int *dims, const Coords *parts, int n_dims)
{
    for (int i = 0; i < n_dims; i++) {
        coords->at[dims[i]] = parts->at[i];
    }
}

static Coords zero_coords(Builder *builder, int rank)
{
    Coords coords = {{0}};
    for (int i = 0; i < rank; i++) {
        coords.at[i] = index_const(builder->arena, 0);
    }
    return coords;
}

// Sum over all rows that keeps the lanes: column accumulators.
static const Kernel *column_kernel(Builder *builder, const Node *node, const ReductionShape *split)
{
    const Shape *operand = &builder->graph->nodes[node->inputs[0]].shape;
    builder->rows = shape_count(&split->loops);
    builder->lanes = shape_count(&split->lanes);
    const IndexExpr *lane = index_variable(builder->arena, INDEX_LANE, 0, builder->lanes);
    Coords rows = unflattened(builder, &split->loops, index_variable(builder->arena, INDEX_ROW, 0, builder->rows));
    Coords lanes = unflattened(builder, &split->lanes, lane);
    Coords at = zero_coords(builder, operand->rank);
    place(&at, split->loop_dim, &rows, split->loops.rank);
    place(&at, split->lane_dim, &lanes, split->lanes.rank);
    const ScalarExpr *value = value_at(builder, node->inputs[0], &at);
    VEC_PUSH(builder->arena, builder->nodes, builder->n_nodes, builder->node_capacity, builder->target);
    if (builder->has_failed) {
        return NULL;
    }
    Map *row_lets = map_new(builder->arena);
    add_reduction_stages(builder, row_lets);
    Coords result = zero_coords(builder, operand->rank);
    place(&result, split->lane_dim, &lanes, split->lanes.rank);
    Statement store = stored(builder, value, &result);
    store.kind = STATEMENT_COLUMN_ACCUMULATE;
    store.op = OP_SUM;
    add_lane_stage(builder, row_lets, &store, 1, false);
    return finished(builder, builder->rows < COLUMN_CHUNKS ? (int)builder->rows : COLUMN_CHUNKS);
}

static const Kernel *loop_kernel(Builder *builder, const Node *node, const ReductionShape *split)
{
    const Shape *operand = &builder->graph->nodes[node->inputs[0]].shape;
    builder->rows = shape_count(&split->rows);
    builder->lanes = shape_count(&split->lanes);
    builder->n_reduce_dims = split->loops.rank;
    memcpy(builder->reduce_dims, split->loops.dim, sizeof builder->reduce_dims);
    Coords rows = unflattened(builder, &split->rows, index_variable(builder->arena, INDEX_ROW, 0, builder->rows));
    Coords lanes = unflattened(builder, &split->lanes, index_variable(builder->arena, INDEX_LANE, 0, builder->lanes));
    Coords at = zero_coords(builder, operand->rank);
    place(&at, split->row_dim, &rows, split->rows.rank);
    place(&at, split->lane_dim, &lanes, split->lanes.rank);
    Coords result = zero_coords(builder, operand->rank);
    place(&result, split->row_dim, &rows, split->rows.rank);
    if (!split->lanes_are_reduced) {
        place(&result, split->lane_dim, &lanes, split->lanes.rank);
    }
    for (int i = 0; i < split->loops.rank; i++) {
        at.at[split->loop_dim[i]] = index_variable(builder->arena, INDEX_REDUCE, i, split->loops.dim[i]);
    }
    const ScalarExpr *value = value_at(builder, node->inputs[0], &at);
    VEC_PUSH(builder->arena, builder->nodes, builder->n_nodes, builder->node_capacity, builder->target);
    if (builder->has_failed) {
        return NULL;
    }
    Map *row_lets = map_new(builder->arena);
    add_reduction_stages(builder, row_lets);
    StatementKind kind = split->lanes_are_reduced ? STATEMENT_ACCUMULATE : STATEMENT_LANE_ACCUMULATE;
    Statement sum = {.kind = kind, .id = builder->n_ids++, .op = node->op, .value = value, .node = builder->target};
    // Row lets made inside reduce loops may depend on their coordinates, so they are not kept for later stages.
    add_lane_stage(builder, builder->n_reduce_dims > 0 ? map_new(builder->arena) : row_lets, &sum, 1, builder->n_reduce_dims > 0);
    ScalarExpr *total = new_scalar(builder, SCALAR_ACC, node->dtype);
    total->let = sum.id;
    Statement *store = arena_alloc(builder->arena, sizeof *store);
    *store = stored(builder, total, &result);
    push_stage(builder, split->lanes_are_reduced ? STAGE_SCALAR : STAGE_LANES, false, store, 1);
    return finished(builder, 0);
}

const Kernel *build_kernel(Fusion *fusion, NodeId target)
{
    Builder builder = {.fusion = fusion, .arena = fusion->arena, .graph = fusion->graph, .target = target};
    const Node *node = &fusion->graph->nodes[target];
    fusion->wanted = NO_NODE;
    if (op_info(node->op)->class != CLASS_REDUCE) {
        return elementwise_kernel(&builder);
    }
    const Shape *operand = &fusion->graph->nodes[node->inputs[0]].shape;
    ReductionShape split = shape_of_reduction(node, operand);
    bool is_column = !split.lanes_are_reduced && split.rows.rank == 0 && split.loops.rank > 0 && node->op == OP_SUM;
    return is_column ? column_kernel(&builder, node, &split) : loop_kernel(&builder, node, &split);
}
