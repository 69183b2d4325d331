// Sums over all rows that stand alone, as gradients of biases do where a library call makes what they sum, become a
// second result of a product that reads the same rows: dW = dy^T x and db = dy^T 1. See fuse_internal.h.
#include "compiler/fuse_internal.h"

// The columns [columns, rows] of a matrix in memory, as a product or a sum reads them.
typedef struct Columns {
    NodeId storage;
    int64_t offset;
    int64_t columns, column_stride;
    int64_t rows, row_stride;
} Columns;

// The dimensions in `axes` as one: any order will do, since all are summed.
static bool join(const View *view, uint32_t axes, int64_t *extent, int64_t *stride)
{
    *extent = 1;
    *stride = 0;
    for (uint32_t left = axes; left != 0;) {
        int least = -1;
        for (int i = 0; i < view->rank; i++) {
            bool is_less = (left >> i & 1) && (least < 0 || view->stride[i] < view->stride[least]);
            least = is_less ? i : least;
        }
        left &= ~(1u << least);
        if (view->dim[least] == 1) {
            continue;
        }
        if (*extent > 1 && view->stride[least] != *extent * *stride) {
            return false;
        }
        *stride = *extent == 1 ? view->stride[least] : *stride;
        *extent *= view->dim[least];
    }
    return true;
}

// What a sum adds up: two-byte elements that are widened for it are read as they are.
static NodeId summed_by(const Fusion *fusion, NodeId sum)
{
    NodeId id = fusion_node(fusion, sum)->inputs[0];
    const Node *node = fusion_node(fusion, id);
    bool is_widened = node->op == OP_CAST && node->dtype == DTYPE_F32 &&
                      dtype_is_low(fusion_node(fusion, node->inputs[0])->dtype);
    return is_widened ? node->inputs[0] : id;
}

static bool columns_of_sum(Fusion *fusion, NodeId sum, Columns *columns)
{
    const Node *node = fusion_node(fusion, sum);
    uint32_t all = (1u << node->shape.rank) - 1;
    Reading reading;
    if (!find_view(fusion, summed_by(fusion, sum), NEED_STRIDES, &reading)) {
        return false;
    }
    *columns = (Columns){.storage = reading.view.node, .offset = reading.view.offset};
    return join(&reading.view, node->attr.axes, &columns->rows, &columns->row_stride) &&
           join(&reading.view, all & ~node->attr.axes, &columns->columns, &columns->column_stride);
}

// The first operand of a single product that has room for sums and whose result lies in rows.
static bool columns_of_product(Fusion *fusion, NodeId product, Columns *columns)
{
    const Node *node = fusion_node(fusion, product);
    if (node->op != OP_MATMUL || fusion->values[product].role != ROLE_LIBRARY ||
        fusion->sums[product] != NO_NODE) {
        return false;
    }
    View result = result_view(fusion, product), all = operand_view(fusion, node->inputs[0], NEED_MATRIX).view,
         a;
    bool is_good = view_fits(&result, NEED_ROWS) && view_matrices(&all, &a) && a.dim[0] == 1;
    *columns = (Columns){a.node, a.offset, a.dim[1], a.stride[1], a.dim[2], a.stride[2]};
    return is_good;
}

static bool are_same(const Columns *a, const Columns *b)
{
    return a->storage == b->storage && a->offset == b->offset && a->columns == b->columns &&
           a->column_stride == b->column_stride && a->rows == b->rows && a->row_stride == b->row_stride;
}

static bool is_float(Dtype dtype)
{
    return dtype == DTYPE_F32 || dtype_is_low(dtype);
}

// The value whose elements the node is made of, each once, possibly rounded or widened, and whether dimension `column`
// of the node is the last of the value.
static bool find_elements(Fusion *fusion, NodeId node, int column, NodeId *base)
{
    Access at = access_identity(fusion->pool, &fusion_node(fusion, node)->shape);
    const IndexExpr *wanted = at.at[column];
    for (;; node = fusion_node(fusion, node)->inputs[0]) {
        const Node *now = fusion_node(fusion, node);
        bool is_rounding = now->op == OP_CAST && is_float(now->dtype) &&
                           is_float(fusion_node(fusion, now->inputs[0])->dtype);
        if (move_is_bijective(fusion->graph, node)) {
            at = access_pull(fusion->pool, fusion->graph, node, &at);
        } else if (!is_rounding) {
            break;
        }
    }
    *base = node;
    return at.rank > 0 && at.at[at.rank - 1] == wanted;
}

// Whether a product reads what is summed over all dimensions but the last, whatever the order of the rows: the sums
// are those of the elements as the product reads them.
static bool sums_elements(Fusion *fusion, NodeId sum, NodeId product)
{
    const Node *node = fusion_node(fusion, sum), *of = fusion_node(fusion, product);
    const Shape *shape = &fusion_node(fusion, node->inputs[0])->shape;
    const Shape *rows = &fusion_node(fusion, of->inputs[0])->shape;
    NodeId a, b;
    return shape->rank > 0 && node->attr.axes == (1u << (shape->rank - 1)) - 1 && rows->rank == 2 &&
           rows->dim[0] == shape->dim[shape->rank - 1] && shape_count(rows) == shape_count(shape) &&
           find_elements(fusion, node->inputs[0], shape->rank - 1, &a) &&
           find_elements(fusion, of->inputs[0], 0, &b) && a == b;
}

// Nothing may depend on it: then no other step can come to stand in a circle.
static NodeId lone_sum(const Fusion *fusion, int group)
{
    const Group *g = &fusion->groups[group];
    if (g->is_gone || g->n_members > 2) {
        return NO_NODE;
    }
    NodeId id = g->members[g->n_members - 1].node;
    if (g->n_members == 2) {  // the other one only widens what is summed
        NodeId widened = g->members[0].node;
        bool is_for_sum = fusion_node(fusion, id)->op == OP_SUM &&
                          fusion_node(fusion, id)->inputs[0] == widened && summed_by(fusion, id) != widened &&
                          !fusion->values[widened].places && fusion->values[widened].users.n_items == 1;
        if (!is_for_sum) {
            return NO_NODE;
        }
    }
    bool is_sum = fusion_node(fusion, id)->op == OP_SUM && reduction_is_column(fusion, id);
    return is_sum && fusion->values[id].places && value_is_last(fusion, id) ? id : NO_NODE;
}

static void give_to_product(Fusion *fusion, int group, NodeId sum, NodeId product)
{
    Group *g = &fusion->groups[group];
    fusion->sums[product] = sum;
    fusion->values[sum].role = ROLE_LIBRARY;
    fusion->values[sum].call = product;
    fusion->values[sum].group = -1;
    g->is_gone = true;
    if (g->n_members == 2) {
        fusion->values[g->members[0].node].role = ROLE_ABSORBED;
    }
}

void fuse_sums(Fusion *fusion)
{
    for (int i = 0; i < fusion->n_groups && fusion->is_fused; i++) {
        NodeId sum = lone_sum(fusion, i);
        Columns wanted, found;
        bool is_stored = sum != NO_NODE && columns_of_sum(fusion, sum, &wanted);
        for (NodeId id = 0; sum != NO_NODE && id < fusion->graph->n_nodes; id++) {
            if (columns_of_product(fusion, id, &found) &&
                ((is_stored && are_same(&wanted, &found)) || sums_elements(fusion, sum, id))) {
                give_to_product(fusion, i, sum, id);
                break;
            }
        }
    }
}
