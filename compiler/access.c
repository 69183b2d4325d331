// Accesses through movement ops; see access.h.
#include "compiler/access.h"

Access access_identity(IndexPool *pool, const Shape *shape)
{
    Access access = {.rank = shape->rank};
    for (int i = 0; i < shape->rank; i++) {
        access.at[i] = index_variable(pool, INDEX_ROW, i, shape->dim[i]);
    }
    return access;
}

bool access_equal(const Access *a, const Access *b)
{
    if (a->rank != b->rank) {
        return false;
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->at[i] != b->at[i]) {
            return false;
        }
    }
    return true;
}

Access access_substitute(IndexPool *pool, const Access *access, const IndexMap *map)
{
    Access result = {.rank = access->rank};
    for (int i = 0; i < access->rank; i++) {
        result.at[i] = index_substitute(pool, access->at[i], map);
    }
    return result;
}

bool access_uses(const Access *access, IndexKind kind)
{
    for (int i = 0; i < access->rank; i++) {
        if (index_uses(access->at[i], kind)) {
            return true;
        }
    }
    return false;
}

// The position within dimensions first..last-1 of a shape.
static const IndexExpr *linear_part(IndexPool *pool, const Access *access, const Shape *shape, int first,
                                    int last)
{
    const IndexExpr *linear = index_const(pool, 0);
    int64_t stride = 1;
    for (int i = last - 1; i >= first; i--) {
        linear = index_add(pool, linear, index_mul(pool, access->at[i], stride));
        stride *= shape->dim[i];
    }
    return linear;
}

static void set_part(IndexPool *pool, Access *access, const IndexExpr *linear, const Shape *shape, int first,
                     int last)
{
    int64_t stride = 1;
    for (int i = last - 1; i >= first; i--) {
        const IndexExpr *rest = i == first ? linear : index_mod(pool, linear, stride * shape->dim[i]);
        access->at[i] = shape->dim[i] == 1 ? index_const(pool, 0) : index_div(pool, rest, stride);
        stride *= shape->dim[i];
    }
}

const IndexExpr *access_linear(IndexPool *pool, const Access *access, const Shape *shape)
{
    return linear_part(pool, access, shape, 0, shape->rank);
}

Access access_at(IndexPool *pool, const IndexExpr *linear, const Shape *shape)
{
    Access access = {.rank = shape->rank};
    set_part(pool, &access, linear, shape, 0, shape->rank);
    return access;
}

// Walks both shapes and cuts them into the smallest runs of equal counts.
Access access_reshape(IndexPool *pool, const Access *access, const Shape *from, const Shape *to)
{
    Access result = {.rank = to->rank};
    int i = 0;
    int j = 0;
    while (i < from->rank || j < to->rank) {
        int first_i = i;
        int first_j = j;
        int64_t count_i = i < from->rank ? from->dim[i++] : 1;
        int64_t count_j = j < to->rank ? to->dim[j++] : 1;
        while (count_i != count_j) {
            if (count_i < count_j) {
                count_i *= from->dim[i++];
            } else {
                count_j *= to->dim[j++];
            }
        }
        if (i - first_i == 1 && j - first_j == 1) {
            result.at[first_j] = access->at[first_i];
        } else {
            const IndexExpr *linear = linear_part(pool, access, from, first_i, i);
            set_part(pool, &result, linear, to, first_j, j);
        }
    }
    return result;
}

// A collective that does nothing: one rank.
static bool is_local_collective(const Graph *graph, const Node *node)
{
    return (node->op == OP_ALL_GATHER || node->op == OP_OWN_ROWS) &&
           shape_equal(&node->shape, &graph->nodes[node->inputs[0]].shape);
}

bool move_is_bijective(const Graph *graph, NodeId id)
{
    const Node *node = &graph->nodes[id];
    return node->op == OP_RESHAPE || node->op == OP_PERMUTE || node->op == OP_ROLL ||
           is_local_collective(graph, node);
}

bool move_is_plain(const Graph *graph, NodeId id)
{
    Op op = graph->nodes[id].op;
    return op == OP_EXPAND || op == OP_SLICE || move_is_bijective(graph, id);
}

static const IndexExpr *shifted(IndexPool *pool, const IndexExpr *index, int64_t shift)
{
    return index_add(pool, index, index_const(pool, shift));
}

static const IndexExpr *rolled(IndexPool *pool, const IndexExpr *index, int64_t shift, int64_t extent)
{
    shift = ((shift % extent) + extent) % extent;
    return shift == 0 ? index : index_mod(pool, shifted(pool, index, shift), extent);
}

Access access_pull(IndexPool *pool, const Graph *graph, NodeId id, const Access *access)
{
    const Node *node = &graph->nodes[id];
    const Shape *from = &graph->nodes[node->inputs[0]].shape;
    Access result = {.rank = from->rank};
    switch (node->op) {
    case OP_RESHAPE: return access_reshape(pool, access, &node->shape, from);
    case OP_PERMUTE:
        for (int i = 0; i < node->shape.rank; i++) {
            result.at[node->attr.dims[i]] = access->at[i];
        }
        return result;
    case OP_EXPAND:
        for (int i = 0; i < from->rank; i++) {
            result.at[i] = from->dim[i] == 1 ? index_const(pool, 0) : access->at[i];
        }
        return result;
    case OP_SLICE:
        for (int i = 0; i < from->rank; i++) {
            result.at[i] =
                shifted(pool, index_mul(pool, access->at[i], node->attr.step[i]), node->attr.start[i]);
        }
        return result;
    case OP_ROLL:
        for (int i = 0; i < from->rank; i++) {
            result.at[i] = rolled(pool, access->at[i], -node->attr.start[i], from->dim[i]);
        }
        return result;
    case OP_ALL_GATHER:
    case OP_OWN_ROWS: return *access;
    default: XV_BUG("%s is no plain movement", op_info(node->op)->name);
    }
}

static int64_t part_start(const Graph *graph, const Node *node, int part)
{
    int64_t start = 0;
    for (int i = 0; i < part; i++) {
        start += graph->nodes[node->inputs[i]].shape.dim[node->attr.axis];
    }
    return start;
}

Access access_push(IndexPool *pool, const Graph *graph, NodeId id, int part, const Access *access)
{
    const Node *node = &graph->nodes[id];
    Access result = {.rank = node->shape.rank};
    switch (node->op) {
    case OP_RESHAPE: return access_reshape(pool, access, &graph->nodes[node->inputs[0]].shape, &node->shape);
    case OP_PERMUTE:
        for (int i = 0; i < node->shape.rank; i++) {
            result.at[i] = access->at[node->attr.dims[i]];
        }
        return result;
    case OP_ROLL:
        for (int i = 0; i < node->shape.rank; i++) {
            result.at[i] = rolled(pool, access->at[i], node->attr.start[i], node->shape.dim[i]);
        }
        return result;
    case OP_PAD:
        for (int i = 0; i < node->shape.rank; i++) {
            result.at[i] =
                shifted(pool, index_mul(pool, access->at[i], node->attr.step[i]), node->attr.start[i]);
        }
        return result;
    case OP_CONCAT:
        result = *access;
        result.at[node->attr.axis] =
            shifted(pool, access->at[node->attr.axis], part_start(graph, node, part));
        return result;
    case OP_ALL_GATHER:
    case OP_OWN_ROWS: return *access;
    default: XV_BUG("%s has no inverse", op_info(node->op)->name);
    }
}

// Puts low <= index < high in front of the guards.
static void require(Arena *arena, Guarded *guarded, const IndexExpr *index, int64_t low, int64_t high)
{
    if (index->low >= low && index->high < high) {
        return;
    }
    guarded->is_never = guarded->is_never || index->high < low || index->low >= high;
    Guard *guard = arena_alloc(arena, sizeof *guard);
    *guard = (Guard){index, low, high, guarded->guard};
    guarded->guard = guard;
}

Guarded access_pull_pad(IndexPool *pool, Arena *arena, const Graph *graph, NodeId id, const Access *access,
                        const Guard *guard)
{
    const Node *node = &graph->nodes[id];
    const Shape *from = &graph->nodes[node->inputs[0]].shape;
    Guarded guarded = {.access = {.rank = from->rank}, .guard = guard};
    for (int i = 0; i < from->rank; i++) {
        int64_t step = node->attr.step[i];
        const IndexExpr *offset = shifted(pool, access->at[i], -node->attr.start[i]);
        require(arena, &guarded, offset, 0, (from->dim[i] - 1) * step + 1);
        if (step > 1) {
            require(arena, &guarded, index_mod(pool, offset, step), 0, 1);
        }
        guarded.access.at[i] = from->dim[i] == 1 ? index_const(pool, 0) : index_div(pool, offset, step);
    }
    return guarded;
}

Guarded access_pull_part(IndexPool *pool, Arena *arena, const Graph *graph, NodeId id, int part,
                         const Access *access, const Guard *guard)
{
    const Node *node = &graph->nodes[id];
    int axis = node->attr.axis;
    int64_t extent = graph->nodes[node->inputs[part]].shape.dim[axis];
    Guarded guarded = {.access = *access, .guard = guard};
    const IndexExpr *offset = shifted(pool, access->at[axis], -part_start(graph, node, part));
    require(arena, &guarded, offset, 0, extent);
    guarded.access.at[axis] = extent == 1 ? index_const(pool, 0) : offset;
    return guarded;
}
