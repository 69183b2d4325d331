// Operators of the language on numbers and tensors: broadcasting, products, subscripts. Errors name both shapes and
// where both operands come from.
#include "compiler/elab.h"

#include <math.h>
#include <string.h>

Origin elab_origin(const Elab *elab, Span span)
{
    return (Origin){span, elab->path, elab->variable};
}

const char *elab_shape(Elab *elab, NodeId node)
{
    return shape_text(elab->arena, &elab->graph->nodes[node].shape);
}

void elab_note_operand(Elab *elab, const Value *value, const char *what)
{
    if (value->kind == VALUE_TENSOR) {
        diag_note(elab->diag, elab->graph->nodes[value->node].span, "%s has shape %s", what,
                  elab_shape(elab, value->node));
    } else if (value->kind == VALUE_PARAMETER) {
        const Parameter *parameter = &elab->parameters[value->parameter];
        diag_note(elab->diag, parameter->span, "%s has shape %s", what,
                  shape_text(elab->arena, &parameter->shape));
    }
}

NodeId elab_node(Elab *elab, const Value *value, Span span)
{
    if (value->kind == VALUE_TENSOR) {
        return value->node;
    }
    if (value->kind == VALUE_PARAMETER) {
        if (!elab->graph) {
            diag_error(elab->diag, span, "a parameter can only be computed with inside an entry point");
            return NO_NODE;
        }
        NodeId *node = &elab->parameter_nodes[value->parameter];
        if (*node == NO_NODE) {
            const Parameter *parameter = &elab->parameters[value->parameter];
            Origin origin = {parameter->span, elab->path, NULL};
            Attr attr = {.index = value->parameter};
            *node = graph_add(elab->graph, OP_PARAM, DTYPE_F32, &parameter->shape, NULL, 0, &attr, &origin);
        }
        return *node;
    }
    if (value->kind != VALUE_ERROR) {
        diag_error(elab->diag, span, "expected a tensor, got %s", value_kind_name(value->kind));
    }
    return NO_NODE;
}

NodeId elab_operand(Elab *elab, const Value *value, Dtype like, Span span)
{
    if (value_is_number(value) || value->kind == VALUE_BOOL) {
        double number = value->kind == VALUE_BOOL ? value->truth : value_number(value);
        if (like == DTYPE_I32 && number != floor(number)) {
            diag_error(elab->diag, span,
                       "an integer tensor meets the number %g; use float(...) on the tensor", number);
            return NO_NODE;
        }
        Shape scalar = shape_scalar();
        Origin origin = elab_origin(elab, span);
        return graph_const(elab->graph, number, like, &scalar, &origin);
    }
    return elab_node(elab, value, span);
}

// Numbers -------------------------------------------------------------------------------------------------------

static int64_t floor_divide(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

static Value integer_binary(Elab *elab, Op op, int64_t a, int64_t b, Span span)
{
    int64_t result = 0;
    bool overflows = false;
    switch (op) {
    case OP_ADD: overflows = __builtin_add_overflow(a, b, &result); break;
    case OP_SUB: overflows = __builtin_sub_overflow(a, b, &result); break;
    case OP_MUL: overflows = __builtin_mul_overflow(a, b, &result); break;
    case OP_MAX: result = a > b ? a : b; break;
    case OP_MIN: result = a < b ? a : b; break;
    case OP_LT: return value_bool(a < b, span);
    case OP_LE: return value_bool(a <= b, span);
    case OP_EQ: return value_bool(a == b, span);
    case OP_NE: return value_bool(a != b, span);
    case OP_IDIV:
    case OP_MOD:
        if (b == 0 || (a == INT64_MIN && b == -1)) {
            diag_error(elab->diag, span, "integer division by zero");
            return value_error();
        }
        result = op == OP_IDIV ? floor_divide(a, b) : a - floor_divide(a, b) * b;
        break;
    case OP_POW:
        if (b < 0) {
            return value_float(pow((double)a, (double)b), span);
        }
        result = 1;
        for (int64_t i = 0; i < b && !overflows && result != 0 && !(result == 1 && a == 1 && i > 0); i++) {
            overflows = __builtin_mul_overflow(result, a, &result);
        }
        break;
    default: return value_float(NAN, span);
    }
    if (overflows) {
        diag_error(elab->diag, span, "this integer does not fit 64 bits");
        return value_error();
    }
    return value_int(result, span);
}

static Value number_binary(Elab *elab, Op op, const Value *x, const Value *y, Span span)
{
    if (x->kind == VALUE_INT && y->kind == VALUE_INT && op != OP_DIV) {
        return integer_binary(elab, op, x->integer, y->integer, span);
    }
    double a = value_number(x);
    double b = value_number(y);
    switch (op) {
    case OP_ADD: return value_float(a + b, span);
    case OP_SUB: return value_float(a - b, span);
    case OP_MUL: return value_float(a * b, span);
    case OP_DIV:
        if (b == 0) {
            diag_error(elab->diag, span, "division by zero");
            return value_error();
        }
        return value_float(a / b, span);
    case OP_IDIV: return value_float(floor(a / b), span);
    case OP_MOD: return value_float(a - b * floor(a / b), span);
    case OP_POW: return value_float(pow(a, b), span);
    case OP_MAX: return value_float(a > b ? a : b, span);
    case OP_MIN: return value_float(a < b ? a : b, span);
    case OP_LT: return value_bool(a < b, span);
    case OP_LE: return value_bool(a <= b, span);
    case OP_EQ: return value_bool(a == b, span);
    case OP_NE: return value_bool(a != b, span);
    default: return value_error();
    }
}

static bool is_tensor(const Value *value)
{
    return value->kind == VALUE_TENSOR || value->kind == VALUE_PARAMETER;
}

// Elementwise tensors -------------------------------------------------------------------------------------------

static bool broadcast_shape(const Shape *a, const Shape *b, Shape *result)
{
    result->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 1; i <= result->rank; i++) {
        int64_t x = i <= a->rank ? a->dim[a->rank - i] : 1;
        int64_t y = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (x != y && x != 1 && y != 1) {
            return false;
        }
        result->dim[result->rank - i] = x == 1 ? y : x;
    }
    return true;
}

static Dtype dtype_of(const Elab *elab, const Value *value)
{
    if (value->kind == VALUE_TENSOR) {
        return elab->graph->nodes[value->node].dtype;
    }
    return DTYPE_F32;
}

static bool is_arithmetic(Op op)
{
    return op == OP_ADD || op == OP_SUB || op == OP_MUL || op == OP_DIV || op == OP_MAX || op == OP_MIN ||
           op == OP_POW || op == OP_IDIV || op == OP_MOD;
}

static bool check_dtypes(Elab *elab, Op op, NodeId x, NodeId y, Span span)
{
    Dtype a = elab->graph->nodes[x].dtype;
    Dtype b = elab->graph->nodes[y].dtype;
    bool is_logic = op == OP_AND || op == OP_OR;
    if (a != b) {
        diag_error(elab->diag, span,
                   "%s needs operands of one type, got %s and %s; convert one with float(...) or int(...)",
                   op_info(op)->name, dtype_name(a), dtype_name(b));
        return false;
    }
    if (is_logic != (a == DTYPE_BOOL) && (is_logic || is_arithmetic(op))) {
        diag_error(elab->diag, span, "%s does not work on %s tensors", op_info(op)->name, dtype_name(a));
        return false;
    }
    if ((op == OP_DIV || op == OP_POW) && a == DTYPE_I32) {
        diag_error(elab->diag, span, "%s does not work on int tensors; use // or float(...)",
                   op_info(op)->name);
        return false;
    }
    if ((op == OP_IDIV || op == OP_MOD) && a == DTYPE_F32) {
        diag_error(elab->diag, span, "%s works on int tensors only", op == OP_IDIV ? "//" : "%");
        return false;
    }
    return true;
}

Value elab_binary(Elab *elab, Op op, Value a, Value b, Span span)
{
    if (a.kind == VALUE_ERROR || b.kind == VALUE_ERROR) {
        return value_error();
    }
    if (value_is_number(&a) && value_is_number(&b)) {
        return number_binary(elab, op, &a, &b, span);
    }
    bool is_possible = (is_tensor(&a) || value_is_number(&a)) && (is_tensor(&b) || value_is_number(&b));
    if (!is_possible) {
        diag_error(elab->diag, span, "%s does not work on %s and %s", op_info(op)->name,
                   value_kind_name(a.kind), value_kind_name(b.kind));
        return value_error();
    }
    NodeId x = elab_operand(elab, &a, dtype_of(elab, &b), span);
    NodeId y = elab_operand(elab, &b, dtype_of(elab, &a), span);
    if (x == NO_NODE || y == NO_NODE || !check_dtypes(elab, op, x, y, span)) {
        return value_error();
    }
    Shape shape;
    if (!broadcast_shape(&elab->graph->nodes[x].shape, &elab->graph->nodes[y].shape, &shape)) {
        diag_error(elab->diag, span, "%s cannot broadcast %s and %s", op_info(op)->name, elab_shape(elab, x),
                   elab_shape(elab, y));
        elab_note_operand(elab, &a, "the left operand");
        elab_note_operand(elab, &b, "the right operand");
        return value_error();
    }
    Origin origin = elab_origin(elab, span);
    x = graph_expand_to(elab->graph, x, &shape, &origin);
    y = graph_expand_to(elab->graph, y, &shape, &origin);
    return value_tensor(graph_binary(elab->graph, op, x, y, &origin), span);
}

Value elab_unary(Elab *elab, Op op, Value x, Span span)
{
    if (op == OP_NEG && value_is_number(&x)) {
        return x.kind == VALUE_INT ? integer_binary(elab, OP_SUB, 0, x.integer, span)
                                   : value_float(-x.number, span);
    }
    NodeId node = elab_node(elab, &x, span);
    if (node == NO_NODE) {
        return value_error();
    }
    Dtype dtype = elab->graph->nodes[node].dtype;
    bool is_good = op == OP_NOT                                             ? dtype == DTYPE_BOOL
                   : op == OP_NEG || op == OP_ABS || op == OP_STOP_GRADIENT ? dtype != DTYPE_BOOL
                                                                            : dtype == DTYPE_F32;
    if (!is_good) {
        diag_error(elab->diag, span, "%s does not work on %s tensors", op_info(op)->name, dtype_name(dtype));
        return value_error();
    }
    Origin origin = elab_origin(elab, span);
    return value_tensor(graph_unary(elab->graph, op, node, &origin), span);
}

Value elab_where(Elab *elab, Value condition, Value a, Value b, Span span)
{
    NodeId c = elab_node(elab, &condition, span);
    if (c == NO_NODE || a.kind == VALUE_ERROR || b.kind == VALUE_ERROR) {
        return value_error();
    }
    if (elab->graph->nodes[c].dtype != DTYPE_BOOL) {
        diag_error(elab->diag, span, "where needs a bool condition, got %s",
                   dtype_name(elab->graph->nodes[c].dtype));
        return value_error();
    }
    Dtype like = is_tensor(&a)                                ? dtype_of(elab, &a)
                 : is_tensor(&b)                              ? dtype_of(elab, &b)
                 : a.kind == VALUE_INT && b.kind == VALUE_INT ? DTYPE_I32
                                                              : DTYPE_F32;
    NodeId x = elab_operand(elab, &a, like, span);
    NodeId y = elab_operand(elab, &b, like, span);
    if (x == NO_NODE || y == NO_NODE) {
        return value_error();
    }
    if (elab->graph->nodes[x].dtype != elab->graph->nodes[y].dtype) {
        diag_error(elab->diag, span, "where needs both choices of one type, got %s and %s",
                   dtype_name(elab->graph->nodes[x].dtype), dtype_name(elab->graph->nodes[y].dtype));
        return value_error();
    }
    Shape both;
    Shape shape;
    if (!broadcast_shape(&elab->graph->nodes[x].shape, &elab->graph->nodes[y].shape, &both) ||
        !broadcast_shape(&elab->graph->nodes[c].shape, &both, &shape)) {
        diag_error(elab->diag, span, "where cannot broadcast %s, %s and %s", elab_shape(elab, c),
                   elab_shape(elab, x), elab_shape(elab, y));
        return value_error();
    }
    Origin origin = elab_origin(elab, span);
    c = graph_expand_to(elab->graph, c, &shape, &origin);
    x = graph_expand_to(elab->graph, x, &shape, &origin);
    y = graph_expand_to(elab->graph, y, &shape, &origin);
    return value_tensor(graph_where(elab->graph, c, x, y, &origin), span);
}

// Products ------------------------------------------------------------------------------------------------------

static Shape prefix_shape(const Shape *shape, int rank)
{
    Shape prefix = {.rank = rank};
    memcpy(prefix.dim, shape->dim, (size_t)rank * sizeof *prefix.dim);
    return prefix;
}

// x [..., K] @ w [K, N]: one product over all leading dimensions.
static NodeId linear_product(Graph *graph, NodeId x, NodeId w, const Origin *origin)
{
    Shape shape = graph->nodes[x].shape;
    int64_t inner = shape.dim[shape.rank - 1];
    int64_t rows = inner ? shape_count(&shape) / inner : 0;
    Shape flat = shape_of(2, (int64_t[]){rows, inner});
    NodeId product = graph_matmul(graph, graph_reshape(graph, x, &flat, origin), w, NO_NODE, origin);
    shape.dim[shape.rank - 1] = graph->nodes[w].shape.dim[1];
    return graph_reshape(graph, product, &shape, origin);
}

static NodeId batched_product(Graph *graph, NodeId x, NodeId y, const Shape *batch, const Origin *origin)
{
    Shape a = *batch;
    Shape b = *batch;
    for (int i = 0; i < 2; i++) {
        a.dim[a.rank++] = graph->nodes[x].shape.dim[graph->nodes[x].shape.rank - 2 + i];
        b.dim[b.rank++] = graph->nodes[y].shape.dim[graph->nodes[y].shape.rank - 2 + i];
    }
    return graph_matmul(graph, graph_expand_to(graph, x, &a, origin), graph_expand_to(graph, y, &b, origin),
                        NO_NODE, origin);
}

Value elab_matmul(Elab *elab, Value a, Value b, Span span)
{
    NodeId x = elab_node(elab, &a, span);
    NodeId y = elab_node(elab, &b, span);
    if (x == NO_NODE || y == NO_NODE) {
        return value_error();
    }
    const Shape *left = &elab->graph->nodes[x].shape;
    const Shape *right = &elab->graph->nodes[y].shape;
    bool has_ranks = left->rank >= 2 && right->rank >= 2 && elab->graph->nodes[x].dtype == DTYPE_F32 &&
                     elab->graph->nodes[y].dtype == DTYPE_F32;
    if (!has_ranks) {
        diag_error(elab->diag, span, "@ needs float tensors of two or more dimensions, got %s %s and %s %s",
                   dtype_name(elab->graph->nodes[x].dtype), elab_shape(elab, x),
                   dtype_name(elab->graph->nodes[y].dtype), elab_shape(elab, y));
        return value_error();
    }
    Shape left_batch = prefix_shape(left, left->rank - 2);
    Shape right_batch = prefix_shape(right, right->rank - 2);
    Shape batch;
    if (left->dim[left->rank - 1] != right->dim[right->rank - 2]) {
        diag_error(elab->diag, span, "@ needs equal inner dimensions, got %s @ %s: %lld and %lld",
                   elab_shape(elab, x), elab_shape(elab, y), (long long)left->dim[left->rank - 1],
                   (long long)right->dim[right->rank - 2]);
    } else if (!broadcast_shape(&left_batch, &right_batch, &batch)) {
        diag_error(elab->diag, span, "@ cannot broadcast the leading dimensions of %s and %s",
                   elab_shape(elab, x), elab_shape(elab, y));
    } else {
        Origin origin = elab_origin(elab, span);
        NodeId product = right->rank == 2 ? linear_product(elab->graph, x, y, &origin)
                                          : batched_product(elab->graph, x, y, &batch, &origin);
        return value_tensor(product, span);
    }
    elab_note_operand(elab, &a, "the left operand");
    elab_note_operand(elab, &b, "the right operand");
    return value_error();
}

Value elab_transpose(Elab *elab, Value x, Span span)
{
    NodeId node = elab_node(elab, &x, span);
    if (node == NO_NODE) {
        return value_error();
    }
    if (elab->graph->nodes[node].shape.rank < 2) {
        diag_error(elab->diag, span, ".T needs two or more dimensions, got %s", elab_shape(elab, node));
        return value_error();
    }
    Origin origin = elab_origin(elab, span);
    return value_tensor(graph_transpose(elab->graph, node, &origin), span);
}
