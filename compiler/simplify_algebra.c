// Elementwise ops and reductions: constants, identities, and the same work on fewer elements (an op on
// expanded inputs is an expanded op). A rule is here only if it is right for every value, NaN and infinity
// included; that is why x * 0 and x - x stay.
#include "compiler/simplify_internal.h"

#include <math.h>

static bool is_number(const Simplifier *s, const Node *node, int i, double number)
{
    const Node *input = simplify_input(s, node, i);
    return input->op == OP_CONST && input->attr.number == number;
}

static bool is_const(const Simplifier *s, const Node *node, int i)
{
    return simplify_input(s, node, i)->op == OP_CONST;
}

static double number_of(const Simplifier *s, const Node *node, int i)
{
    return simplify_input(s, node, i)->attr.number;
}

// The input of input i, which must have the op; else NO_NODE.
static NodeId below(const Simplifier *s, const Node *node, int i, Op op)
{
    const Node *input = simplify_input(s, node, i);
    return input->op == op ? input->inputs[0] : NO_NODE;
}

static NodeId constant(Simplifier *s, const Node *node, double number)
{
    return graph_const(s->build.graph, number, node->dtype, &node->shape, &s->build.origin);
}

// Constants -------------------------------------------------------------------------------------------------

// To two bytes only what is exact in all of them: small integers.
static double cast(Dtype to, double x)
{
    if (dtype_is_low(to)) {
        return x == trunc(x) && fabs(x) <= 256 ? x : NAN;
    }
    return to == DTYPE_BOOL ? x != 0 : to == DTYPE_I32 ? trunc(x) : x;
}

static double fold_unary(Op op, Dtype to, double x)
{
    switch (op) {
    case OP_NEG: return -x;
    case OP_EXP: return exp(x);
    case OP_LOG: return log(x);
    case OP_SQRT: return sqrt(x);
    case OP_RSQRT: return 1 / sqrt(x);
    case OP_ABS: return fabs(x);
    case OP_SIGN: return (x > 0) - (x < 0);
    case OP_NOT: return x == 0;
    case OP_CAST: return cast(to, x);
    case OP_KEPT:
    case OP_STOP_GRADIENT: return x;
    default: return NAN;
    }
}

static double fold_binary(Op op, double x, double y)
{
    switch (op) {
    case OP_ADD: return x + y;
    case OP_SUB: return x - y;
    case OP_MUL: return x * y;
    case OP_DIV: return x / y;
    case OP_MAX: return x >= y ? x : y;
    case OP_MIN: return x <= y ? x : y;
    case OP_POW: return pow(x, y);
    case OP_IDIV: return floor(x / y);
    case OP_MOD: return x - y * floor(x / y);
    case OP_LT: return x < y;
    case OP_LE: return x <= y;
    case OP_EQ: return x == y;
    case OP_NE: return x != y;
    case OP_AND: return x != 0 && y != 0;
    case OP_OR: return x != 0 || y != 0;
    default: return NAN;
    }
}

// NaN stands for "not folded" (rare functions, errors that the program shall show when it runs).
static NodeId fold_constants(Simplifier *s, const Node *node)
{
    for (int i = 0; i < node->n_inputs; i++) {
        if (!is_const(s, node, i)) {
            return NO_NODE;
        }
    }
    double x = number_of(s, node, 0), number = NAN;
    if (node->n_inputs == 1) {
        number = fold_unary(node->op, node->dtype, x);
    } else if (node->n_inputs == 2) {
        number = fold_binary(node->op, x, number_of(s, node, 1));
    }
    double limit = node->dtype == DTYPE_F32 || dtype_is_low(node->dtype) ? 3e38 : INT32_MAX;
    return isfinite(number) && fabs(number) <= limit ? constant(s, node, number) : NO_NODE;
}

// Arithmetic ------------------------------------------------------------------------------------------------

static NodeId rule_add(Simplifier *s, const Node *node)
{
    NodeId x = node->inputs[0], y = node->inputs[1];
    if (is_number(s, node, 1, 0)) {
        return x;
    }
    if (is_number(s, node, 0, 0)) {
        return y;
    }
    NodeId negated = below(s, node, 1, OP_NEG);
    if (negated != NO_NODE) {
        return build_sub(&s->build, x, negated);
    }
    negated = below(s, node, 0, OP_NEG);
    return negated != NO_NODE ? build_sub(&s->build, y, negated) : NO_NODE;
}

static NodeId rule_sub(Simplifier *s, const Node *node)
{
    NodeId x = node->inputs[0], y = node->inputs[1];
    if (is_number(s, node, 1, 0)) {
        return x;
    }
    if (is_number(s, node, 0, 0)) {
        return build_unary(&s->build, OP_NEG, y);
    }
    NodeId negated = below(s, node, 1, OP_NEG);
    return negated != NO_NODE ? build_add(&s->build, x, negated) : NO_NODE;
}

// x times a constant, input `at` being the constant.
static NodeId multiplied(Simplifier *s, const Node *node, int at)
{
    NodeId x = node->inputs[1 - at];
    double factor = number_of(s, node, at);
    if (factor == 1) {
        return x;
    }
    if (factor == -1) {
        return build_unary(&s->build, OP_NEG, x);
    }
    NodeId negated = below(s, node, 1 - at, OP_NEG);
    if (negated != NO_NODE) {
        return build_mul(&s->build, negated, constant(s, node, -factor));
    }
    const Node *inner = simplify_input(s, node, 1 - at);
    if (inner->op == OP_MUL && is_const(s, inner, 1)) {
        NodeId rest = inner->inputs[0];
        double product = factor * number_of(s, inner, 1);
        bool fits = node->dtype == DTYPE_F32 || fabs(product) <= INT32_MAX;
        return fits ? build_mul(&s->build, rest, constant(s, node, product)) : NO_NODE;
    }
    return at == 0 ? build_mul(&s->build, x, node->inputs[0]) : NO_NODE;  // constants to the right
}

static NodeId rule_mul(Simplifier *s, const Node *node)
{
    if (is_const(s, node, 1)) {
        return multiplied(s, node, 1);
    }
    if (is_const(s, node, 0)) {
        return multiplied(s, node, 0);
    }
    NodeId x = below(s, node, 0, OP_NEG), y = below(s, node, 1, OP_NEG);
    if (x != NO_NODE && y != NO_NODE) {
        return build_mul(&s->build, x, y);
    }
    return NO_NODE;
}

static NodeId rule_div(Simplifier *s, const Node *node)
{
    NodeId x = node->inputs[0];
    double divisor = number_of(s, node, 1);
    if (!is_const(s, node, 1) || divisor == 0) {
        return NO_NODE;
    }
    return divisor == 1 ? x : build_mul(&s->build, x, constant(s, node, 1 / divisor));
}

static NodeId rule_pow(Simplifier *s, const Node *node)
{
    NodeId x = node->inputs[0];
    if (is_number(s, node, 1, 1)) {
        return x;
    }
    if (is_number(s, node, 1, 2)) {
        return build_mul(&s->build, x, x);
    }
    if (is_number(s, node, 1, 0.5)) {
        return build_unary(&s->build, OP_SQRT, x);
    }
    return is_number(s, node, 1, -0.5) ? build_unary(&s->build, OP_RSQRT, x) : NO_NODE;
}

// neg neg, not not; stop_gradient of itself.
static NodeId rule_twice(Simplifier *s, const Node *node)
{
    NodeId inner = below(s, node, 0, node->op);
    if (inner == NO_NODE) {
        return NO_NODE;
    }
    return node->op == OP_STOP_GRADIENT ? node->inputs[0] : inner;
}

// -(x c) = x (-c), -(x - y) = y - x.
static NodeId rule_neg(Simplifier *s, const Node *node)
{
    Node input = *simplify_input(s, node, 0);
    if (input.op == OP_MUL && is_const(s, &input, 1)) {
        return build_mul(&s->build, input.inputs[0], constant(s, node, -number_of(s, &input, 1)));
    }
    if (input.op == OP_SUB && simplify_is_sole_user(s, 0)) {
        return build_sub(&s->build, input.inputs[1], input.inputs[0]);
    }
    return rule_twice(s, node);
}

// max, min, and, or of a value with itself.
static NodeId rule_idempotent(Simplifier *s, const Node *node)
{
    (void)s;
    return node->inputs[0] == node->inputs[1] ? node->inputs[0] : NO_NODE;
}

// bool to i32 to f32 and the like: the way over i32 loses nothing.
static NodeId rule_cast(Simplifier *s, const Node *node)
{
    const Node *input = simplify_input(s, node, 0);
    if (input->dtype == node->dtype) {
        return node->inputs[0];
    }
    if (input->op != OP_CAST || simplify_input(s, input, 0)->dtype != DTYPE_BOOL) {
        return NO_NODE;
    }
    return graph_cast(s->build.graph, input->inputs[0], node->dtype, &s->build.origin);
}

static NodeId rule_where(Simplifier *s, const Node *node)
{
    NodeId x = node->inputs[1], y = node->inputs[2];
    if (is_const(s, node, 0)) {
        return number_of(s, node, 0) != 0 ? x : y;
    }
    bool both_const = is_const(s, node, 1) && is_const(s, node, 2);
    if (x == y || (both_const && number_of(s, node, 1) == number_of(s, node, 2))) {
        return x;
    }
    NodeId inverse = below(s, node, 0, OP_NOT);
    return inverse != NO_NODE ? graph_where(s->build.graph, inverse, y, x, &s->build.origin) : NO_NODE;
}

// Fewer elements --------------------------------------------------------------------------------------------

// op(expand a, expand b, constants) = expand(op(a, b, constants)) when a and b have one shape.
static NodeId hoist_expand(Simplifier *s, const Node *node)
{
    Graph *graph = s->build.graph;
    const Shape *small = NULL;
    for (int i = 0; i < node->n_inputs; i++) {
        NodeId inner = below(s, node, i, OP_EXPAND);
        if (inner == NO_NODE && !is_const(s, node, i)) {
            return NO_NODE;
        }
        if (inner != NO_NODE) {
            const Shape *shape = build_shape(&s->build, inner);
            if (small != NULL && !shape_equal(small, shape)) {
                return NO_NODE;
            }
            small = shape;
        }
    }
    if (small == NULL) {
        return NO_NODE;
    }
    Shape shape = *small;
    NodeId inputs[3];
    for (int i = 0; i < node->n_inputs; i++) {
        const Node *input = simplify_input(s, node, i);
        inputs[i] = input->op == OP_EXPAND
                        ? input->inputs[0]
                        : graph_const(graph, input->attr.number, input->dtype, &shape, &s->build.origin);
    }
    NodeId result = graph_add(graph, node->op, node->dtype, &shape, inputs, node->n_inputs, &node->attr,
                              &s->build.origin);
    return graph_expand(graph, result, &node->shape, &s->build.origin);
}

static NodeId reduce_const(Simplifier *s, const Node *node)
{
    double number = number_of(s, node, 0);
    if (node->op == OP_SUM) {
        number *= (double)(shape_count(&simplify_input(s, node, 0)->shape) / shape_count(&node->shape));
    }
    return constant(s, node, number);
}

// A reduction over expanded axes is a multiplication (SUM) or nothing (REDUCE_MAX).
static NodeId reduce_expanded(Simplifier *s, const Node *node)
{
    const Node *input = simplify_input(s, node, 0);
    NodeId x = input->inputs[0];
    Shape inner = input->shape;
    const Shape *small = build_shape(&s->build, x);
    uint32_t grown = 0;
    double factor = 1;
    for (int i = 0; i < inner.rank; i++) {
        if ((node->attr.axes >> i & 1) && small->dim[i] != inner.dim[i]) {
            grown |= 1u << i;
            factor *= (double)inner.dim[i];
            inner.dim[i] = 1;
        }
    }
    if (grown == 0) {
        return NO_NODE;
    }
    Graph *graph = s->build.graph;
    NodeId result = graph_expand(graph, x, &inner, &s->build.origin);
    if ((node->attr.axes & ~grown) != 0) {
        result = graph_reduce(graph, node->op, result, node->attr.axes & ~grown, &s->build.origin);
    }
    return node->op == OP_SUM ? build_mul(&s->build, result, constant(s, node, factor)) : result;
}

static NodeId rule_reduce(Simplifier *s, const Node *node)
{
    const Node *input = simplify_input(s, node, 0);
    if (shape_equal(&input->shape, &node->shape)) {
        return node->inputs[0];
    }
    if (input->op == OP_CONST) {
        return reduce_const(s, node);
    }
    if (input->op == node->op) {
        uint32_t axes = node->attr.axes | input->attr.axes;
        return graph_reduce(s->build.graph, node->op, input->inputs[0], axes, &s->build.origin);
    }
    return input->op == OP_EXPAND ? reduce_expanded(s, node) : NO_NODE;
}

static NodeId rule_of_op(Simplifier *s, const Node *node)
{
    switch (node->op) {
    case OP_ADD: return rule_add(s, node);
    case OP_SUB: return rule_sub(s, node);
    case OP_MUL: return rule_mul(s, node);
    case OP_DIV: return rule_div(s, node);
    case OP_POW: return rule_pow(s, node);
    case OP_NEG: return rule_neg(s, node);
    case OP_NOT:
    case OP_STOP_GRADIENT: return rule_twice(s, node);
    case OP_MAX:
    case OP_MIN:
    case OP_AND:
    case OP_OR: return rule_idempotent(s, node);
    case OP_CAST: return rule_cast(s, node);
    case OP_WHERE: return rule_where(s, node);
    case OP_SUM:
    case OP_REDUCE_MAX: return rule_reduce(s, node);
    default: return NO_NODE;
    }
}

NodeId simplify_algebra(Simplifier *s, const Node *node)
{
    if (op_info(node->op)->class != CLASS_ELEMENTWISE) {
        return rule_of_op(s, node);
    }
    NodeId found = fold_constants(s, node);
    if (found == NO_NODE) {
        found = rule_of_op(s, node);
    }
    return found != NO_NODE ? found : hoist_expand(s, node);
}
