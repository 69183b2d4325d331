// simplify keeps what a graph computes, on random graphs and their gradients, and does what it promises on
// small ones, whose text after it is given.
#include "compiler/expand.h"
#include "compiler/grad.h"
#include "compiler/graph_print.h"
#include "compiler/simplify.h"
#include "tests/unit/graph_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void test_random_graphs(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        Fixture *fixture = fixture_new(seed);
        random_graph(fixture, 8 + (int)(seed % 50));
        Graph *simple = simplify(fixture->arena, fixture->graph);
        fixture_assert_same(fixture, fixture->graph, simple, 1e-9);
        assert_true(simple->n_nodes <= fixture->graph->n_nodes);
        fixture_free(fixture);
    }
}

// The same for gradients, and for expanded compounds: forward, grad, expand, simplify as the pipeline has it.
static void test_random_gradients(void **state)
{
    (void)state;
    for (uint64_t seed = 1000; seed < 1150; seed++) {
        Fixture *fixture = fixture_new(seed);
        NodeId loss = random_graph(fixture, 8 + (int)(seed % 40));
        Graph *plain = grad(fixture->arena, fixture->graph, loss);
        Graph *forward = simplify(fixture->arena, fixture->graph);
        Graph *backward = grad(fixture->arena, forward, forward->outputs[forward->n_outputs - 1].node);
        uint32_t everything = EXPAND_SIMPLE | EXPAND_ATTENTION | EXPAND_GELU;
        Graph *simple = simplify(fixture->arena, expand(fixture->arena, backward, everything));
        if (plain->n_outputs == simple->n_outputs) {
            fixture_assert_same(fixture, plain, simple, 1e-8);
        } else {
            // A parameter may drop out of the loss (a slice of zeros): then its gradient must have been zero.
            assert_true(simple->n_outputs < plain->n_outputs);
        }
        assert_int_equal(count_op(simple, OP_SOFTMAX) + count_op(simple, OP_STOP_GRADIENT), 0);
        fixture_free(fixture);
    }
}

// A second run finds nothing left to do.
static void test_fixed_point(void **state)
{
    (void)state;
    for (uint64_t seed = 50; seed < 90; seed++) {
        Fixture *fixture = fixture_new(seed);
        random_graph(fixture, 40);
        Graph *once = simplify(fixture->arena, fixture->graph);
        Graph *twice = simplify(fixture->arena, once);
        assert_string_equal(graph_print(fixture->arena, once), graph_print(fixture->arena, twice));
        fixture_free(fixture);
    }
}

// Small cases -----------------------------------------------------------------------------------------------

typedef struct Small {
    Fixture *fixture;
    Graph *graph;
    const Origin *o;
    NodeId x;  // p0: f32[4, 6]
} Small;

typedef NodeId SmallBuilder(Small *small);

static NodeId number(Small *small, NodeId like, double value)
{
    Shape shape = small->graph->nodes[like].shape;
    return graph_const(small->graph, value, small->graph->nodes[like].dtype, &shape, small->o);
}

static NodeId binary(Small *small, Op op, NodeId x, NodeId y)
{
    return graph_binary(small->graph, op, x, y, small->o);
}

static NodeId unary(Small *small, Op op, NodeId x)
{
    return graph_unary(small->graph, op, x, small->o);
}

static NodeId slice(Small *small, NodeId x, int64_t start, Shape shape)
{
    return graph_slice(small->graph, x, (int64_t[]){start, 0}, NULL, &shape, small->o);
}

static NodeId pad(Small *small, NodeId x, int64_t start)
{
    Shape shape = small->graph->nodes[x].shape;
    shape.dim[0] = 8;
    return graph_pad(small->graph, x, (int64_t[]){start, 0}, NULL, &shape, small->o);
}

static NodeId case_identities(Small *small)
{
    NodeId x = binary(small, OP_ADD, small->x, number(small, small->x, 0));
    x = binary(small, OP_SUB, x, number(small, x, 0));
    x = binary(small, OP_MUL, number(small, x, 1), x);
    x = binary(small, OP_DIV, x, number(small, x, 1));
    return unary(small, OP_NEG, unary(small, OP_NEG, x));
}

static NodeId case_factors(Small *small)
{
    NodeId x = binary(small, OP_DIV, small->x, number(small, small->x, 4));
    x = binary(small, OP_MUL, number(small, x, 8), unary(small, OP_NEG, x));
    return binary(small, OP_SUB, number(small, x, 0), x);
}

static NodeId case_constants(Small *small)
{
    NodeId two = number(small, small->x, 2), three = number(small, small->x, 3);
    NodeId condition = binary(small, OP_LT, two, three);
    NodeId eight = binary(small, OP_POW, two, three);
    return graph_where(small->graph, condition, binary(small, OP_ADD, small->x, eight), two, small->o);
}

static NodeId case_slices(Small *small)
{
    NodeId doubled =
        graph_concat(small->graph, (NodeId[]){small->x, unary(small, OP_EXP, small->x)}, 2, 0, small->o);
    return slice(small, slice(small, doubled, 3, shape2(5, 6)), 2, shape2(2, 6));
}

static NodeId case_pads(Small *small)
{
    NodeId a = pad(small, slice(small, small->x, 0, shape2(2, 6)), 4);
    NodeId b = pad(small, slice(small, small->x, 2, shape2(1, 6)), 6);
    NodeId c = pad(small, slice(small, small->x, 0, shape2(4, 6)), 0);
    return binary(small, OP_ADD, binary(small, OP_ADD, b, a), c);
}

static NodeId case_parts(Small *small)
{
    NodeId parts[3] = {slice(small, small->x, 0, shape2(1, 6)), slice(small, small->x, 1, shape2(2, 6)),
                       slice(small, small->x, 3, shape2(1, 6))};
    return graph_concat(small->graph, parts, 3, 0, small->o);
}

static NodeId case_expansions(Small *small)
{
    Shape column = shape2(4, 1), wide = shape2(4, 6);
    NodeId a = graph_expand(small->graph, fixture_fixed(small->fixture, column), &wide, small->o);
    NodeId b = graph_expand(small->graph, fixture_fixed(small->fixture, column), &wide, small->o);
    a = unary(small, OP_EXP, a);
    b = binary(small, OP_ADD, b, number(small, b, 1));
    return graph_reduce(small->graph, OP_SUM, binary(small, OP_MUL, a, b), 3, small->o);
}

static NodeId case_moves(Small *small)
{
    Shape split = shape4(4, 1, 3, 2);
    NodeId x = graph_reshape(small->graph, small->x, &split, small->o);
    x = graph_permute(small->graph, x, (int32_t[]){1, 0, 2, 3}, small->o);
    x = graph_roll(small->graph, x, (int64_t[]){0, 3, 0, 0}, small->o);
    return graph_roll(small->graph, x, (int64_t[]){0, 1, 0, 0}, small->o);
}

static NodeId case_shared(Small *small)
{
    NodeId y = fixture_fixed(small->fixture, shape2(4, 6));
    NodeId a = binary(small, OP_ADD, small->x, y), b = binary(small, OP_ADD, y, small->x);
    return binary(small, OP_MUL, unary(small, OP_TANH, a), unary(small, OP_TANH, b));
}

static NodeId case_transposed(Small *small)
{
    NodeId y = fixture_fixed(small->fixture, shape2(6, 3));
    return graph_transpose(small->graph, graph_matmul(small->graph, small->x, y, NO_NODE, small->o),
                           small->o);
}

// The chain of products that a shared weight's gradient is.
static NodeId case_chain(Small *small)
{
    NodeId c = NO_NODE;
    for (int i = 0; i < 3; i++) {
        c = graph_matmul(small->graph, small->x, fixture_fixed(small->fixture, shape2(6, 3)), c, small->o);
    }
    return graph_transpose(small->graph, c, small->o);
}

static NodeId case_batch(Small *small)
{
    Shape one = shape3(1, 6, 3), many = shape3(2, 6, 3), cube = shape3(2, 2, 6);
    NodeId y = graph_reshape(small->graph, fixture_fixed(small->fixture, shape2(6, 3)), &one, small->o);
    NodeId x = graph_reshape(small->graph, small->x, &cube, small->o);
    return graph_matmul(small->graph, x, graph_expand(small->graph, y, &many, small->o), NO_NODE, small->o);
}

// A table of one row has no row to choose.
static NodeId case_only_row(Small *small)
{
    NodeId index = fixture_index(small->fixture, shape1(3), 1);
    Shape row = shape2(1, 24);
    return graph_take(small->graph, graph_reshape(small->graph, small->x, &row, small->o), index, small->o);
}

static NodeId case_collective(Small *small)
{
    Shape shape = small->graph->nodes[small->x].shape;
    NodeId x = small->x;
    x = graph_add(small->graph, OP_ALL_GATHER, DTYPE_F32, &shape, &x, 1, NULL, small->o);
    return graph_add(small->graph, OP_OWN_ROWS, DTYPE_F32, &shape, &x, 1, NULL, small->o);
}

static NodeId case_keep(Small *small)
{
    int draw = fixture_draw(small->fixture, shape2(4, 6));
    NodeId a = binary(small, OP_MUL, small->x, fixture_keep(small->fixture, draw));
    NodeId b = binary(small, OP_MUL, small->x, fixture_keep(small->fixture, draw));
    NodeId other = fixture_keep(small->fixture, fixture_draw(small->fixture, shape2(4, 6)));
    return binary(small, OP_ADD, binary(small, OP_MAX, a, b), other);
}

#define X "%0 = param p0 : f32[4, 6]\n"

static const struct {
    SmallBuilder *build;
    const char *expected;
} CASES[] = {
    {case_identities, X "output value r %0\n"},
    {case_factors, X "%1 = const 2 : f32[4, 6]\n%2 = mul %0 %1 : f32[4, 6]\noutput value r %2\n"},
    {case_constants, X "%1 = const 8 : f32[4, 6]\n%2 = add %0 %1 : f32[4, 6]\noutput value r %2\n"},
    {case_slices, X "%1 = exp %0 : f32[4, 6]\n%2 = slice %1 start=[1, 0] : f32[2, 6]\noutput value r %2\n"},
    {case_pads, X "%1 = slice %0 start=[0, 0] : f32[3, 6]\n%2 = concat %0 %1 axis=0 : f32[7, 6]\n"
                  "%3 = pad %2 start=[0, 0] : f32[8, 6]\noutput value r %3\n"},
    {case_parts, X "output value r %0\n"},
    {case_expansions, "%0 = param p1 : f32[4, 1]\n%1 = param p2 : f32[4, 1]\n%2 = exp %0 : f32[4, 1]\n"
                      "%3 = const 1 : f32[4, 1]\n%4 = add %1 %3 : f32[4, 1]\n%5 = mul %2 %4 : f32[4, 1]\n"
                      "%6 = sum %5 axes=[0] : f32[1, 1]\n%7 = const 6 : f32[1, 1]\n"
                      "%8 = mul %6 %7 : f32[1, 1]\n"
                      "output value r %8\n"},
    {case_moves, X "%1 = reshape %0 : f32[1, 4, 3, 2]\noutput value r %1\n"},
    {case_shared, X "%1 = param p1 : f32[4, 6]\n%2 = add %0 %1 : f32[4, 6]\n%3 = tanh %2 : f32[4, 6]\n"
                    "%4 = mul %3 %3 : f32[4, 6]\noutput value r %4\n"},
    {case_transposed, X "%1 = param p1 : f32[6, 3]\n%2 = permute %0 dims=[1, 0] : f32[6, 4]\n"
                        "%3 = permute %1 dims=[1, 0] : f32[3, 6]\n%4 = matmul %3 %2 : f32[3, 4]\n"
                        "output value r %4\n"},
    {case_chain, X "%1 = param p1 : f32[6, 3]\n%2 = param p2 : f32[6, 3]\n%3 = param p3 : f32[6, 3]\n"
                   "%4 = permute %0 dims=[1, 0] : f32[6, 4]\n%5 = permute %3 dims=[1, 0] : f32[3, 6]\n"
                   "%6 = permute %2 dims=[1, 0] : f32[3, 6]\n%7 = permute %1 dims=[1, 0] : f32[3, 6]\n"
                   "%8 = matmul %7 %4 : f32[3, 4]\n%9 = matmul %6 %4 %8 : f32[3, 4]\n"
                   "%10 = matmul %5 %4 %9 : f32[3, 4]\noutput value r %10\n"},
    {case_batch, X "%1 = param p1 : f32[6, 3]\n%2 = matmul %0 %1 : f32[4, 3]\n"
                   "%3 = reshape %2 : f32[2, 2, 3]\noutput value r %3\n"},
    {case_only_row, X "%1 = reshape %0 : f32[1, 24]\n%2 = expand %1 : f32[3, 24]\noutput value r %2\n"},
    {case_collective, X "output value r %0\n"},
    {case_keep, X "%1 = keep draw=d0 : f32[4, 6]\n%2 = mul %0 %1 : f32[4, 6]\n%3 = keep draw=d1 : f32[4, 6]\n"
                  "%4 = add %2 %3 : f32[4, 6]\noutput value r %4\n"},
};

static void test_small_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        Fixture *fixture = fixture_new(i);
        Small small = {.fixture = fixture, .graph = fixture->graph, .o = &fixture->origin};
        small.x = fixture_param(fixture, shape2(4, 6), 0, 1);
        graph_output(fixture->graph, "r", OUTPUT_VALUE, CASES[i].build(&small), -1);
        Graph *simple = simplify(fixture->arena, fixture->graph);
        assert_string_equal(graph_print(fixture->arena, simple), CASES[i].expected);
        fixture_assert_same(fixture, fixture->graph, simple, 1e-12);
        fixture_free(fixture);
    }
}

// The gradient of a layer norm uses the mean and deviation of its definition: one of each in the end.
static void test_norm_shares(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(9);
    NodeId inputs[3] = {fixture_param(fixture, shape2(5, 8), -1, 1),
                        fixture_param(fixture, shape1(8), 0.5, 1), fixture_param(fixture, shape1(8), 0, 1)};
    Attr attr = {.number = 1e-5};
    Shape shape = shape2(5, 8);
    NodeId y =
        graph_add(fixture->graph, OP_LAYER_NORM, DTYPE_F32, &shape, inputs, 3, &attr, &fixture->origin);
    NodeId loss = fixture_loss(fixture, graph_unary(fixture->graph, OP_TANH, y, &fixture->origin));
    graph_output(fixture->graph, "loss", OUTPUT_LOSS, loss, -1);
    Graph *backward = grad(fixture->arena, fixture->graph, loss);
    Graph *simple = simplify(fixture->arena, expand(fixture->arena, backward, EXPAND_SIMPLE));
    assert_int_equal(count_op(simple, OP_RSQRT), 1);
    assert_int_equal(count_op(simple, OP_SUM), 7);  // mean, variance, loss; two of d_x; d_weight, d_bias
    fixture_assert_same(fixture, backward, simple, 1e-9);
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs), cmocka_unit_test(test_random_gradients),
        cmocka_unit_test(test_fixed_point),   cmocka_unit_test(test_small_cases),
        cmocka_unit_test(test_norm_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
