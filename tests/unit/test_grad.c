// Every op with differentiable inputs against central differences in float64. The test walks op.def: an op
// without a row here fails it. Each row builds a small graph around its op, in several shapes, from trainable
// parameters; all of them must get a gradient. The gradient graph is checked a second time with its compounds
// expanded.
#include "compiler/expand.h"
#include "compiler/grad.h"
#include "compiler/graph_print.h"
#include "compiler/graph_verify.h"
#include "tests/unit/graph_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

enum { N_VARIANTS = 3 };

// Builds the node under test; variant 0..N_VARIANTS-1 chooses the shapes.
typedef NodeId RowBuilder(Fixture *fixture, Op op, int variant);

static Shape some_shape(int variant)
{
    return variant == 0 ? shape1(5) : variant == 1 ? shape2(3, 4) : shape3(2, 1, 3);
}

static NodeId unary(Fixture *fixture, Op op, int variant, double low, double high)
{
    return graph_unary(fixture->graph, op, fixture_param(fixture, some_shape(variant), low, high),
                       &fixture->origin);
}

static NodeId row_unary(Fixture *fixture, Op op, int variant)
{
    return unary(fixture, op, variant, -2, 2);
}

static NodeId row_positive(Fixture *fixture, Op op, int variant)
{
    return unary(fixture, op, variant, 0.5, 3);
}

static NodeId row_cast(Fixture *fixture, Op op, int variant)
{
    Shape shape = some_shape(variant);
    NodeId x = fixture_param(fixture, shape, -2, 2);
    return graph_add(fixture->graph, op, DTYPE_F32, &shape, &x, 1, NULL, &fixture->origin);
}

static NodeId row_binary(Fixture *fixture, Op op, int variant)
{
    NodeId x = fixture_param(fixture, some_shape(variant), 0.5, 2);
    NodeId y = fixture_param(fixture, some_shape(variant), 0.5, 2);
    return graph_binary(fixture->graph, op, x, y, &fixture->origin);
}

static NodeId row_where(Fixture *fixture, Op op, int variant)
{
    (void)op;
    Shape shape = some_shape(variant);
    NodeId index = fixture_index(fixture, shape, 2);
    NodeId condition = graph_cast(fixture->graph, index, DTYPE_BOOL, &fixture->origin);
    NodeId x = fixture_param(fixture, shape, -1, 1);
    NodeId y = fixture_param(fixture, shape, -1, 1);
    return graph_where(fixture->graph, condition, x, y, &fixture->origin);
}

static NodeId row_reduce(Fixture *fixture, Op op, int variant)
{
    const uint32_t axes[] = {1, 2, 5};
    NodeId x = fixture_param(fixture, variant == 2 ? shape3(2, 3, 4) : some_shape(variant), -2, 2);
    return graph_reduce(fixture->graph, op, x, axes[variant], &fixture->origin);
}

static NodeId row_reshape(Fixture *fixture, Op op, int variant)
{
    (void)op;
    Shape to = variant == 0 ? shape1(24) : variant == 1 ? shape2(6, 4) : shape4(3, 1, 2, 4);
    return graph_reshape(fixture->graph, fixture_param(fixture, shape3(2, 3, 4), -1, 1), &to,
                         &fixture->origin);
}

static NodeId row_permute(Fixture *fixture, Op op, int variant)
{
    (void)op;
    const int32_t dims[N_VARIANTS][3] = {{0, 2, 1}, {2, 0, 1}, {1, 2, 0}};
    return graph_permute(fixture->graph, fixture_param(fixture, shape3(2, 3, 4), -1, 1), dims[variant],
                         &fixture->origin);
}

static NodeId row_expand(Fixture *fixture, Op op, int variant)
{
    (void)op;
    Shape from = variant == 0 ? shape1(1) : variant == 1 ? shape2(3, 1) : shape3(1, 2, 1);
    Shape to = variant == 0 ? shape1(4) : variant == 1 ? shape2(3, 5) : shape3(3, 2, 4);
    return graph_expand(fixture->graph, fixture_param(fixture, from, -1, 1), &to, &fixture->origin);
}

static NodeId row_slice(Fixture *fixture, Op op, int variant)
{
    (void)op;
    NodeId x = fixture_param(fixture, shape2(6, 5), -1, 1);
    const int64_t start[N_VARIANTS][2] = {{0, 0}, {2, 1}, {1, 0}};
    const int64_t step[N_VARIANTS][2] = {{1, 1}, {1, 2}, {2, 4}};
    Shape shape = variant == 0 ? shape2(1, 5) : variant == 1 ? shape2(3, 2) : shape2(3, 2);
    return graph_slice(fixture->graph, x, start[variant], step[variant], &shape, &fixture->origin);
}

static NodeId row_pad(Fixture *fixture, Op op, int variant)
{
    (void)op;
    NodeId x = fixture_param(fixture, shape2(3, 2), -1, 1);
    const int64_t start[N_VARIANTS][2] = {{0, 0}, {2, 1}, {1, 0}};
    const int64_t step[N_VARIANTS][2] = {{1, 1}, {1, 2}, {2, 4}};
    Shape shape = shape2(6, 5);
    return graph_pad(fixture->graph, x, start[variant], step[variant], &shape, &fixture->origin);
}

static NodeId row_roll(Fixture *fixture, Op op, int variant)
{
    (void)op;
    const int64_t shift[N_VARIANTS][2] = {{1, 0}, {-2, 3}, {5, -7}};
    return graph_roll(fixture->graph, fixture_param(fixture, shape2(4, 5), -1, 1), shift[variant],
                      &fixture->origin);
}

static NodeId row_concat(Fixture *fixture, Op op, int variant)
{
    (void)op;
    NodeId x = fixture_param(fixture, shape3(2, 3, 2), -1, 1);
    NodeId y = fixture_param(fixture, variant == 1 ? shape3(2, 1, 2) : shape3(2, 3, 2), -1, 1);
    return graph_concat(fixture->graph, (NodeId[]){x, y, x}, 3, variant, &fixture->origin);
}

static Shape index_shape(int variant)
{
    return variant == 0 ? shape1(3) : variant == 1 ? shape2(2, 4) : shape_scalar();
}

static NodeId row_take(Fixture *fixture, Op op, int variant)
{
    (void)op;
    NodeId x = fixture_param(fixture, shape3(4, 2, 3), -1, 1);
    NodeId index = fixture_index(fixture, index_shape(variant), 4);
    return graph_take(fixture->graph, x, index, &fixture->origin);
}

static NodeId row_scatter_add(Fixture *fixture, Op op, int variant)
{
    (void)op;
    Shape shape = variant == 0 ? shape2(3, 2) : variant == 1 ? shape3(2, 4, 3) : shape1(5);
    NodeId index = fixture_index(fixture, index_shape(variant), 6);
    NodeId x = fixture_param(fixture, shape, -1, 1);
    return graph_scatter_add(fixture->graph, index, x, 6, &fixture->origin);
}

static NodeId row_matmul(Fixture *fixture, Op op, int variant)
{
    (void)op;
    NodeId a = fixture_param(fixture, variant == 0 ? shape2(3, 4) : shape4(2, 3, 2, 4), -1, 1);
    NodeId b = fixture_param(fixture, variant == 0 ? shape2(4, 5) : shape4(2, 3, 4, 1), -1, 1);
    NodeId c = variant == 2 ? fixture_param(fixture, shape4(2, 3, 2, 1), -1, 1) : NO_NODE;
    return graph_matmul(fixture->graph, a, b, c, &fixture->origin);
}

static NodeId row_layer_norm(Fixture *fixture, Op op, int variant)
{
    Shape shape = variant == 0 ? shape1(6) : variant == 1 ? shape2(4, 5) : shape3(2, 3, 4);
    Shape width = shape1(shape.dim[shape.rank - 1]);
    NodeId inputs[3] = {fixture_param(fixture, shape, -2, 2), fixture_param(fixture, width, 0.5, 1.5),
                        fixture_param(fixture, width, -1, 1)};
    Attr attr = {.number = 1e-5};
    return graph_add(fixture->graph, op, DTYPE_F32, &shape, inputs, 3, &attr, &fixture->origin);
}

// Labels reach beyond the classes: such a label counts as none.
static NodeId row_cross_entropy(Fixture *fixture, Op op, int variant)
{
    Shape shape = shape2(4 + variant, 3 + variant), rows = shape1(4 + variant);
    NodeId inputs[2] = {fixture_param(fixture, shape, -3, 3), fixture_index(fixture, rows, 5 + variant)};
    return graph_add(fixture->graph, op, DTYPE_F32, &rows, inputs, 2, NULL, &fixture->origin);
}

// Without bias; with a batch bias and a window bias; with a full bias and dropout.
static NodeId row_attention(Fixture *fixture, Op op, int variant)
{
    int64_t B = 4, H = 2, N = 3, M = variant == 1 ? 3 : 5, D = 2, E = variant == 0 ? 2 : 3;
    Shape shape = shape4(B, H, N, E);
    NodeId inputs[5] = {fixture_param(fixture, shape4(B, H, N, D), -1, 1),
                        fixture_param(fixture, shape4(B, H, M, D), -1, 1),
                        fixture_param(fixture, shape4(B, H, M, E), -1, 1)};
    Attr attr = {.number = 0.7, .index = -1};
    int n_inputs = 3;
    if (variant == 1) {
        inputs[n_inputs++] = fixture_param(fixture, shape4(1, H, N, M), -1, 1);
        inputs[n_inputs++] = fixture_param(fixture, shape4(2, 1, N, M), -1, 1);
    } else if (variant == 2) {
        inputs[n_inputs++] = fixture_fixed(fixture, shape4(B, 1, 1, M));
        inputs[n_inputs++] = fixture_param(fixture, shape4(B, H, N, M), -1, 1);
        attr.index = fixture_draw(fixture, shape4(B, H, N, M));
    }
    return graph_add(fixture->graph, op, DTYPE_F32, &shape, inputs, n_inputs, &attr, &fixture->origin);
}

// One rank: on several the official rule is no derivative.
static NodeId row_collective(Fixture *fixture, Op op, int variant)
{
    Shape shape = some_shape(variant);
    NodeId x = fixture_param(fixture, shape, -1, 1);
    return graph_add(fixture->graph, op, DTYPE_F32, &shape, &x, 1, NULL, &fixture->origin);
}

static RowBuilder *const ROWS[OP_COUNT] = {
    [OP_NEG] = row_unary,
    [OP_EXP] = row_unary,
    [OP_LOG] = row_positive,
    [OP_SQRT] = row_positive,
    [OP_RSQRT] = row_positive,
    [OP_ABS] = row_unary,
    [OP_TANH] = row_unary,
    [OP_ERF] = row_unary,
    [OP_SIGMOID] = row_unary,
    [OP_GELU] = row_unary,
    [OP_CAST] = row_cast,
    [OP_KEPT] = row_unary,
    [OP_ADD] = row_binary,
    [OP_SUB] = row_binary,
    [OP_MUL] = row_binary,
    [OP_DIV] = row_binary,
    [OP_MAX] = row_binary,
    [OP_MIN] = row_binary,
    [OP_POW] = row_binary,
    [OP_WHERE] = row_where,
    [OP_SUM] = row_reduce,
    [OP_REDUCE_MAX] = row_reduce,
    [OP_RESHAPE] = row_reshape,
    [OP_PERMUTE] = row_permute,
    [OP_EXPAND] = row_expand,
    [OP_SLICE] = row_slice,
    [OP_PAD] = row_pad,
    [OP_ROLL] = row_roll,
    [OP_CONCAT] = row_concat,
    [OP_TAKE] = row_take,
    [OP_MATMUL] = row_matmul,
    [OP_SCATTER_ADD] = row_scatter_add,
    [OP_SOFTMAX] = row_unary,
    [OP_LOG_SOFTMAX] = row_unary,
    [OP_LAYER_NORM] = row_layer_norm,
    [OP_CROSS_ENTROPY] = row_cross_entropy,
    [OP_ATTENTION] = row_attention,
    [OP_ALL_GATHER] = row_collective,
    [OP_OWN_ROWS] = row_collective,
};

static double loss_at(Fixture *fixture, const Graph *graph, NodeId loss)
{
    return fixture_eval(fixture, graph)[loss][0];
}

// Central difference in one element of one parameter.
static double difference(Fixture *fixture, NodeId loss, int parameter, int64_t element)
{
    double *value = &fixture->parameter_values[parameter][element];
    double saved = *value, step = 1e-5;
    *value = saved + step;
    double above = loss_at(fixture, fixture->graph, loss);
    *value = saved - step;
    double below = loss_at(fixture, fixture->graph, loss);
    *value = saved;
    return (above - below) / (2 * step);
}

static void check_gradient(Fixture *fixture, const Graph *graph, const Output *output, NodeId loss)
{
    const double *found = fixture_eval(fixture, graph)[output->node];
    int64_t n = shape_count(&graph->nodes[output->node].shape);
    double largest = 1e-2, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double expected = difference(fixture, loss, output->parameter, i);
        largest = fmax(largest, fabs(expected));
        worst = fmax(worst, fabs(expected - found[i]));
    }
    if (!(worst <= 1e-6 * largest)) {
        fail_msg("gradient of %s is off by %g of %g:\n%s", output->name, worst, largest,
                 graph_print(fixture->arena, graph));
    }
}

static void check_all_gradients(Fixture *fixture, const Graph *graph, NodeId loss)
{
    const char *fault = graph_verify(graph->arena, graph);
    if (fault != NULL) {
        fail_msg("%s", fault);
    }
    int n_trainable = 0;
    for (int p = 0; p < graph->n_parameters; p++) {
        n_trainable += graph->parameters[p].is_trainable;
    }
    assert_int_equal(n_trainable, graph->n_outputs - 1);
    for (int i = 1; i < graph->n_outputs; i++) {
        check_gradient(fixture, graph, &graph->outputs[i], loss);
    }
}

static void check_row(Op op, int variant)
{
    Fixture *fixture = fixture_new((uint64_t)op * 17 + (uint64_t)variant);
    NodeId x = ROWS[op](fixture, op, variant);
    assert_int_equal(fixture->graph->nodes[x].op, op);
    NodeId loss = fixture_loss(fixture, x);
    graph_output(fixture->graph, "loss", OUTPUT_LOSS, loss, -1);
    Graph *backward = grad(fixture->arena, fixture->graph, loss);
    check_all_gradients(fixture, backward, loss);
    uint32_t everything = EXPAND_SIMPLE | EXPAND_ATTENTION | EXPAND_GELU;
    check_all_gradients(fixture, expand(fixture->arena, backward, everything), loss);
    fixture_free(fixture);
}

static void test_every_rule(void **state)
{
    (void)state;
    for (Op op = 0; op < OP_COUNT; op++) {
        if (op_info(op)->differentiable == 0) {
            continue;
        }
        if (ROWS[op] == NULL) {
            fail_msg("%s is differentiable and has no row", op_info(op)->name);
        }
        for (int variant = 0; variant < N_VARIANTS; variant++) {
            check_row(op, variant);
        }
    }
}

// x used in several places, through shared nodes: contributions add up.
static void test_contributions_add(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(3);
    Graph *graph = fixture->graph;
    NodeId x = fixture_param(fixture, shape2(3, 3), 0.5, 1);
    NodeId product = graph_matmul(graph, x, x, NO_NODE, &fixture->origin);
    NodeId y = graph_binary(graph, OP_MUL, product, x, &fixture->origin);
    y = graph_matmul(graph, y, product, NO_NODE, &fixture->origin);
    NodeId loss = fixture_loss(fixture, graph_unary(graph, OP_TANH, y, &fixture->origin));
    graph_output(graph, "loss", OUTPUT_LOSS, loss, -1);
    Graph *backward = grad(fixture->arena, graph, loss);
    check_all_gradients(fixture, backward, loss);
    fixture_free(fixture);
}

// Ties of MAX and MIN go to the first input; equal maxima of REDUCE_MAX share.
static void test_ties(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(4);
    Graph *graph = fixture->graph;
    const Origin *origin = &fixture->origin;
    NodeId x = fixture_param(fixture, shape1(2), 1, 1), y = fixture_param(fixture, shape1(2), 1, 1);
    NodeId z = fixture_param(fixture, shape1(2), 1, 1);
    NodeId sum = graph_binary(graph, OP_ADD, graph_binary(graph, OP_MAX, x, y, origin),
                              graph_binary(graph, OP_MIN, x, y, origin), origin);
    sum = graph_reduce(graph, OP_SUM, sum, 1, origin);
    NodeId loss = graph_binary(graph, OP_ADD, sum, graph_reduce(graph, OP_REDUCE_MAX, z, 1, origin), origin);
    Graph *backward = grad(fixture->arena, graph, loss);
    double **values = fixture_eval(fixture, backward);
    const double expected[] = {2, 0, 0.5};
    assert_int_equal(backward->n_outputs, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(values[backward->outputs[i].node][0] == expected[i]);
        assert_true(values[backward->outputs[i].node][1] == expected[i]);
    }
    fixture_free(fixture);
}

// Nothing is built for what no gradient needs, and parameters without gradient get no output.
static void test_activity(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(5);
    Graph *graph = fixture->graph;
    const Origin *origin = &fixture->origin;
    NodeId fixed = fixture_fixed(fixture, shape2(2, 2)), x = fixture_param(fixture, shape2(2, 2), 0, 1);
    NodeId stopped = fixture_param(fixture, shape2(2, 2), 0, 1);
    fixture_param(fixture, shape2(2, 2), 0, 1);
    NodeId branch = graph_matmul(graph, fixed, fixed, NO_NODE, origin);
    NodeId product = graph_matmul(graph, graph_unary(graph, OP_TANH, branch, origin), x, NO_NODE, origin);
    NodeId end = graph_unary(graph, OP_STOP_GRADIENT, graph_unary(graph, OP_EXP, stopped, origin), origin);
    NodeId loss = fixture_loss(fixture, graph_binary(graph, OP_MUL, product, end, origin));
    Graph *backward = grad(fixture->arena, graph, loss);
    assert_int_equal(backward->n_outputs, 1);
    assert_int_equal(backward->outputs[0].parameter, 1);
    assert_int_equal(count_op(backward, OP_MATMUL), 3);
    assert_int_equal(count_op(backward, OP_EXP), 1);
    fixture_free(fixture);
}

// Two ranks: a rank keeps the gradient of its own rows.
static void test_all_gather(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(6);
    NodeId x = fixture_param(fixture, shape2(2, 3), 0, 1);
    Shape both = shape2(4, 3);
    NodeId gathered =
        graph_add(fixture->graph, OP_ALL_GATHER, DTYPE_F32, &both, &x, 1, NULL, &fixture->origin);
    NodeId loss = fixture_loss(fixture, gathered);
    Graph *backward = grad(fixture->arena, fixture->graph, loss);
    assert_null(graph_verify(fixture->arena, backward));
    assert_int_equal(backward->n_outputs, 1);
    assert_int_equal(backward->nodes[backward->outputs[0].node].op, OP_OWN_ROWS);
    fixture_free(fixture);
}

// Only the gradients of biases that lead to parameters are asked for.
static void test_attention_wants(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(7);
    NodeId x = row_attention(fixture, OP_ATTENTION, 2);
    Graph *backward = grad(fixture->arena, fixture->graph, fixture_loss(fixture, x));
    for (NodeId id = 0; id < backward->n_nodes; id++) {
        if (backward->nodes[id].op == OP_ATTENTION_GRAD) {
            assert_int_equal(backward->nodes[id].attr.axes, 2);
            assert_int_equal(backward->nodes[id].attr.index, 0);
        }
    }
    assert_int_equal(count_op(backward, OP_ATTENTION_GRAD), 1);
    assert_int_equal(count_op(backward, OP_RESULT), 4);
    fixture_free(fixture);
}

// Backward nodes say where they come from.
static void test_names(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(8);
    NodeId x = fixture_param(fixture, shape1(3), 0, 1);
    Origin origin = {.path = "text.layer", .name = "hidden"};
    NodeId y = graph_unary(fixture->graph, OP_EXP, x, &origin);
    Graph *backward = grad(fixture->arena, fixture->graph, fixture_loss(fixture, y));
    const Node *last = &backward->nodes[backward->outputs[0].node];
    assert_string_equal(last->path, "text.layer");
    assert_string_equal(last->name, "d_hidden");
    fixture_free(fixture);
}

// sum(tanh(p m)^2 w) with p = softmax(x) + e, where e is zero and not trainable; returns the score and p.
static NodeId score_of_attention(Fixture *fixture, NodeId *p)
{
    Graph *graph = fixture->graph;
    const Origin *origin = &fixture->origin;
    Shape shape = shape2(2, 3);
    NodeId x = fixture_param(fixture, shape, -1, 1), m = fixture_param(fixture, shape2(3, 4), -1, 1);
    NodeId e = fixture_fixed(fixture, shape);
    memset(fixture->parameter_values[2], 0, 6 * sizeof(double));
    NodeId soft = graph_add(graph, OP_SOFTMAX, DTYPE_F32, &shape, &x, 1, NULL, origin);
    *p = graph_binary(graph, OP_ADD, soft, e, origin);
    NodeId y = graph_unary(graph, OP_TANH, graph_matmul(graph, *p, m, NO_NODE, origin), origin);
    return fixture_loss(fixture, graph_binary(graph, OP_MUL, y, y, origin));
}

// The derivative by a tensor on the way, against central differences in what is added to it.
static void test_between(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(9);
    NodeId p;
    NodeId score = score_of_attention(fixture, &p);
    int n_nodes = fixture->graph->n_nodes;
    NodeId gradient = grad_between(fixture->graph, score, p);
    assert_true(gradient >= n_nodes);
    assert_null(graph_verify(fixture->arena, fixture->graph));
    assert_true(shape_equal(&fixture->graph->nodes[gradient].shape, &fixture->graph->nodes[p].shape));
    double *got = fixture_eval(fixture, fixture->graph)[gradient];
    for (int i = 0; i < 6; i++) {
        double value[2];
        for (int side = 0; side < 2; side++) {
            fixture->parameter_values[2][i] = side ? 1e-5 : -1e-5;
            value[side] = fixture_eval(fixture, fixture->graph)[score][0];
        }
        fixture->parameter_values[2][i] = 0;
        assert_true(fabs((value[1] - value[0]) / 2e-5 - got[i]) < 1e-8);
    }
    fixture_free(fixture);
}

// A loss may contain such a derivative: it is differentiated again.
static void test_between_again(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(10);
    NodeId p;
    NodeId score = score_of_attention(fixture, &p);
    NodeId gradient = grad_between(fixture->graph, score, p);
    NodeId product = graph_binary(fixture->graph, OP_MUL, gradient, p, &fixture->origin);
    NodeId loss = fixture_loss(fixture, graph_unary(fixture->graph, OP_TANH, product, &fixture->origin));
    graph_output(fixture->graph, "loss", OUTPUT_LOSS, loss, -1);
    Graph *backward = grad(fixture->arena, fixture->graph, loss);
    check_all_gradients(fixture, backward, loss);
    fixture_free(fixture);
}

static void test_between_nothing(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(11);
    NodeId p;
    NodeId score = score_of_attention(fixture, &p);
    NodeId other = fixture_param(fixture, shape1(3), 0, 1);
    int n_nodes = fixture->graph->n_nodes;
    assert_int_equal(grad_between(fixture->graph, score, other), NO_NODE);
    NodeId stopped = graph_unary(fixture->graph, OP_STOP_GRADIENT, p, &fixture->origin);
    assert_int_equal(grad_between(fixture->graph, fixture_loss(fixture, stopped), p), NO_NODE);
    assert_int_equal(count_op(fixture->graph, OP_TANH), 1);
    assert_true(fixture->graph->n_nodes < n_nodes + 16);  // the second score alone
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rule),    cmocka_unit_test(test_contributions_add),
        cmocka_unit_test(test_ties),          cmocka_unit_test(test_activity),
        cmocka_unit_test(test_all_gather),    cmocka_unit_test(test_attention_wants),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_between),
        cmocka_unit_test(test_between_again), cmocka_unit_test(test_between_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
