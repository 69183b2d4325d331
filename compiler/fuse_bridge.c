// Bridges: how the elements of nodes lie in a group's domain, in both directions; see fuse_internal.h.
#include "compiler/fuse_internal.h"

static const Shape *input_shape(const Fusion *fusion, NodeId id)
{
    return &fusion_node(fusion, fusion_node(fusion, id)->inputs[0])->shape;
}

// An inverse after the node's coordinates have been replaced by expressions of another node's coordinates.
static IndexMap inverse_through(Fusion *fusion, const IndexMap *inverse, const Access *coordinates)
{
    IndexMap replace = {.lane = NULL};
    for (int i = 0; i < coordinates->rank; i++) {
        replace.row[i] = coordinates->at[i];
    }
    IndexMap result = {.lane = NULL};
    for (int i = 0; i < MAX_RANK; i++) {
        result.row[i] = inverse->row[i] ? index_substitute(fusion->pool, inverse->row[i], &replace) : NULL;
        result.reduce[i] =
            inverse->reduce[i] ? index_substitute(fusion->pool, inverse->reduce[i], &replace) : NULL;
    }
    result.lane = inverse->lane ? index_substitute(fusion->pool, inverse->lane, &replace) : NULL;
    return result;
}

Bridge bridge_pull(Fusion *fusion, NodeId move, const Bridge *of_node)
{
    Bridge result = {.level = of_node->level};
    result.access = access_pull(fusion->pool, fusion->graph, move, &of_node->access);
    Access element = access_identity(fusion->pool, input_shape(fusion, move));
    Access pushed = access_push(fusion->pool, fusion->graph, move, 0, &element);
    result.inverse = inverse_through(fusion, &of_node->inverse, &pushed);
    return result;
}

Bridge bridge_push(Fusion *fusion, NodeId move, const Bridge *of_input)
{
    Bridge result = {.level = of_input->level};
    result.access = access_push(fusion->pool, fusion->graph, move, 0, &of_input->access);
    Access element = access_identity(fusion->pool, &fusion_node(fusion, move)->shape);
    Access pulled = access_pull(fusion->pool, fusion->graph, move, &element);
    result.inverse = inverse_through(fusion, &of_input->inverse, &pulled);
    return result;
}

static bool is_grown(const Fusion *fusion, NodeId expand, int i)
{
    return fusion_node(fusion, expand)->shape.dim[i] != input_shape(fusion, expand)->dim[i];
}

// A value per row that is expanded over exactly the lanes.
bool bridge_expand(Fusion *fusion, const Domain *domain, NodeId expand, const Bridge *of_input,
                   Bridge *of_node)
{
    const Shape *shape = &fusion_node(fusion, expand)->shape;
    Shape grown = {.rank = shape->rank};
    for (int i = 0; i < shape->rank; i++) {
        grown.dim[i] = is_grown(fusion, expand, i) ? shape->dim[i] : 1;
    }
    if (of_input->level != LEVEL_ROW || domain->n_reduce > 0 || shape_count(&grown) != domain->lanes) {
        return false;
    }
    IndexPool *pool = fusion->pool;
    const IndexExpr *lane = index_variable(pool, INDEX_LANE, 0, domain->lanes);
    Access within = access_at(pool, lane, &grown);
    Access element = access_identity(pool, shape);
    Access below = access_pull(pool, fusion->graph, expand, &element);
    Access across = element;
    of_node->level = LEVEL_FULL;
    of_node->access.rank = shape->rank;
    for (int i = 0; i < shape->rank; i++) {
        bool grows = is_grown(fusion, expand, i);
        of_node->access.at[i] = grows ? within.at[i] : of_input->access.at[i];
        across.at[i] = grows ? element.at[i] : index_const(pool, 0);
    }
    of_node->inverse = inverse_through(fusion, &of_input->inverse, &below);
    of_node->inverse.lane = access_linear(pool, &across, &grown);
    return true;
}

// The other way: elements of a full node that are expanded over exactly the lanes come from one value per row.
bool bridge_shrink(Fusion *fusion, const Domain *domain, NodeId expand, const Bridge *of_node,
                   Bridge *of_input)
{
    IndexPool *pool = fusion->pool;
    const Shape *shape = input_shape(fusion, expand);
    Bridge result = {.level = LEVEL_ROW,
                     .access = access_pull(pool, fusion->graph, expand, &of_node->access)};
    bool uses_row_only =
        !access_uses(&result.access, INDEX_LANE) && !access_uses(&result.access, INDEX_REDUCE);
    int64_t grown = shape_count(&fusion_node(fusion, expand)->shape) / shape_count(shape);
    bool is_row_wise = domain->is_fixed && domain->n_reduce == 0 && grown == domain->lanes;
    if (of_node->level != LEVEL_FULL || !uses_row_only || !is_row_wise) {
        return false;
    }
    Access element = access_identity(pool, shape);
    for (int i = 0; i < shape->rank; i++) {
        // Along the grown dimensions any element serves: take the first.
        element.at[i] = is_grown(fusion, expand, i) ? index_const(pool, 0) : element.at[i];
    }
    result.inverse = inverse_through(fusion, &of_node->inverse, &element);
    result.inverse.lane = NULL;
    for (int i = 0; i < MAX_RANK; i++) {
        result.inverse.reduce[i] = NULL;
    }
    *of_input = result;
    return true;
}

// Groups of one node ----------------------------------------------------------------------------------------------

static Domain elementwise_domain(const Shape *shape)
{
    Domain domain = {.lanes = 1};
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] > 1) {
            domain.row[domain.n_rows++] = shape->dim[i];
        }
    }
    return domain;
}

// The domain's rows are the dimensions greater than 1 in order.
static Bridge elementwise_bridge(Fusion *fusion, const Shape *shape)
{
    Bridge bridge = {.level = LEVEL_FULL, .access = {.rank = shape->rank}};
    int row = 0;
    for (int i = 0; i < shape->rank; i++) {
        bridge.access.at[i] = index_variable(fusion->pool, INDEX_ROW, row, shape->dim[i]);
        if (shape->dim[i] > 1) {
            bridge.inverse.row[row++] = index_variable(fusion->pool, INDEX_ROW, i, shape->dim[i]);
        }
    }
    bridge.inverse.lane = index_const(fusion->pool, 0);
    return bridge;
}

typedef enum Part { PART_ROW, PART_REDUCE, PART_LANE } Part;

// Which loop each dimension of a reduction's input belongs to.
typedef struct Split {
    Part part[MAX_RANK];
    Level level;  // of the result
} Split;

enum { MANY_COLUMNS = 16384, MANY_LANES = 4096 };

static uint32_t reduced_axes(const Node *node)
{
    return node->op == OP_ARGMAX ? 1u << node->attr.axis : node->attr.axes;
}

static Split split_reduction(const Node *node, const Shape *shape)
{
    Split split = {.level = LEVEL_ROW};
    uint32_t axes = reduced_axes(node);
    int64_t kept = 1;
    int n_kept = 0;
    int last = -1;
    bool is_trailing = true;  // no kept dimension behind a reduced one
    bool is_leading = true;   // no reduced dimension behind a kept one
    for (int i = 0; i < shape->rank; i++) {
        bool is_reduced = (axes >> i & 1) != 0;
        if (shape->dim[i] == 1) {
            continue;
        }
        is_leading = is_leading && !(is_reduced && n_kept > 0);
        is_trailing = is_trailing && (is_reduced || last < 0 || !(axes >> last & 1));
        kept *= is_reduced ? 1 : shape->dim[i];
        n_kept += !is_reduced;
        last = i;
    }
    if (node->op == OP_ARGMAX || is_trailing) {
        for (int i = 0; i < shape->rank; i++) {
            split.part[i] = axes >> i & 1 ? PART_LANE : PART_ROW;
        }
        return split;
    }
    bool is_column = is_leading && node->op == OP_SUM && (kept <= MANY_COLUMNS || n_kept == 1);
    if (is_column) {
        for (int i = 0; i < shape->rank; i++) {
            split.part[i] = axes >> i & 1 ? PART_ROW : PART_LANE;
        }
        split.level = LEVEL_COLUMN;
        return split;
    }
    bool is_last_reduced = (axes >> last & 1) != 0;
    split.level = is_last_reduced ? LEVEL_ROW : LEVEL_OUTER;
    int64_t lanes = 1;
    bool in_lanes = true;
    for (int i = shape->rank - 1; i >= 0; i--) {
        bool is_reduced = (axes >> i & 1) != 0;
        in_lanes = in_lanes && (shape->dim[i] == 1 || (is_reduced == is_last_reduced &&
                                                       (lanes == 1 || lanes * shape->dim[i] <= MANY_LANES)));
        lanes *= in_lanes ? shape->dim[i] : 1;
        split.part[i] = in_lanes ? PART_LANE : is_reduced ? PART_REDUCE : PART_ROW;
    }
    return split;
}

static Domain reduction_domain(const Split *split, const Shape *shape)
{
    Domain domain = {.lanes = 1, .is_fixed = true};
    for (int i = 0; i < shape->rank; i++) {
        if (split->part[i] == PART_LANE) {
            domain.lanes *= shape->dim[i];
        } else if (shape->dim[i] > 1 && split->part[i] == PART_ROW) {
            domain.row[domain.n_rows++] = shape->dim[i];
        } else if (shape->dim[i] > 1) {
            domain.reduce[domain.n_reduce++] = shape->dim[i];
        }
    }
    return domain;
}

// The input's elements in the domain.
static Bridge reduction_input(Fusion *fusion, const Split *split, const Shape *shape, const Domain *domain)
{
    IndexPool *pool = fusion->pool;
    Bridge bridge = {.level = LEVEL_FULL, .access = {.rank = shape->rank}};
    Shape lanes = {.rank = shape->rank};
    for (int i = 0; i < shape->rank; i++) {
        lanes.dim[i] = split->part[i] == PART_LANE ? shape->dim[i] : 1;
    }
    Access within = access_at(pool, index_variable(pool, INDEX_LANE, 0, domain->lanes), &lanes);
    Access element = access_identity(pool, shape);
    Access across = element;
    int row = 0;
    int reduce = 0;
    for (int i = 0; i < shape->rank; i++) {
        bool is_lane = split->part[i] == PART_LANE;
        across.at[i] = is_lane ? element.at[i] : index_const(pool, 0);
        if (is_lane || shape->dim[i] == 1) {
            bridge.access.at[i] = within.at[i];
        } else if (split->part[i] == PART_ROW) {
            bridge.access.at[i] = index_variable(pool, INDEX_ROW, row, shape->dim[i]);
            bridge.inverse.row[row++] = element.at[i];
        } else {
            bridge.access.at[i] = index_variable(pool, INDEX_REDUCE, reduce, shape->dim[i]);
            bridge.inverse.reduce[reduce++] = element.at[i];
        }
    }
    bridge.inverse.lane = access_linear(pool, &across, &lanes);
    return bridge;
}

// The result's elements: the input's with 0 along the reduced dimensions.
static Bridge reduction_result(Fusion *fusion, const Split *split, const Node *node, const Bridge *input)
{
    Bridge bridge = *input;
    bridge.level = split->level;
    for (int i = 0; i < node->shape.rank; i++) {
        if (reduced_axes(node) >> i & 1) {
            bridge.access.at[i] = index_const(fusion->pool, 0);
        }
    }
    for (int i = 0; i < MAX_RANK; i++) {
        bridge.inverse.reduce[i] = NULL;
        bridge.inverse.row[i] = split->level == LEVEL_COLUMN ? NULL : bridge.inverse.row[i];
    }
    bridge.inverse.lane = split->level == LEVEL_ROW ? NULL : bridge.inverse.lane;
    return bridge;
}

bool reduction_is_column(const Fusion *fusion, NodeId id)
{
    const Node *node = fusion_node(fusion, id);
    return op_info(node->op)->class == CLASS_REDUCE &&
           split_reduction(node, input_shape(fusion, id)).level == LEVEL_COLUMN;
}

Group group_single(Fusion *fusion, NodeId id)
{
    const Node *node = fusion_node(fusion, id);
    Group group = {.first = id, .last = id, .n_members = 1, .capacity = 1};
    group.members = arena_alloc(fusion->arena, sizeof *group.members);
    Member *member = &group.members[0];
    member->node = id;
    if (op_info(node->op)->class != CLASS_REDUCE) {
        group.domain = elementwise_domain(&node->shape);
        member->at = elementwise_bridge(fusion, &node->shape);
        return group;
    }
    const Shape *shape = input_shape(fusion, id);
    Split split = split_reduction(node, shape);
    group.domain = reduction_domain(&split, shape);
    member->is_reduction = true;
    member->input = reduction_input(fusion, &split, shape, &group.domain);
    member->at = reduction_result(fusion, &split, node, &member->input);
    return group;
}
