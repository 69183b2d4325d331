// Builders give the right shapes, dtypes and foldings; the printer's text is as promised; the verifier
// accepts what builders make and names each kind of planted fault.
#include "compiler/graph_print.h"
#include "compiler/graph_verify.h"
#include "compiler/rewrite.h"
#include "tests/unit/graph_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void assert_shape(const Graph *graph, NodeId id, Shape expected)
{
    assert_true(shape_equal(&graph->nodes[id].shape, &expected));
}

static void test_op_table(void **state)
{
    (void)state;
    for (Op op = 0; op < OP_COUNT; op++) {
        const OpInfo *info = op_info(op);
        assert_non_null(info->name);
        assert_true(info->arity >= -1 && info->arity <= 3);
        for (Op other = 0; other < op; other++) {
            assert_string_not_equal(info->name, op_info(other)->name);
        }
    }
    assert_int_equal(op_info(OP_WHERE)->arity, 3);
    assert_int_equal(op_info(OP_MATMUL)->class, CLASS_CONTRACT);
    assert_int_equal(op_info(OP_CONCAT)->differentiable, UINT32_MAX);
}

static void test_shapes(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    Shape shape = shape3(4, 12, 64), scalar = shape_scalar();
    assert_string_equal(shape_text(arena, &shape), "[4, 12, 64]");
    assert_string_equal(shape_text(arena, &scalar), "[]");
    assert_int_equal(shape_count(&shape), 4 * 12 * 64);
    assert_int_equal(shape_count(&scalar), 1);
    assert_false(shape_equal(&shape, &scalar));
    assert_string_equal(dtype_name(DTYPE_I32), "i32");
    arena_free(arena);
}

static void test_builders(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(1);
    Graph *graph = fixture->graph;
    const Origin *o = &fixture->origin;
    NodeId x = fixture_param(fixture, shape3(2, 3, 4), -1, 1);
    assert_shape(graph, graph_transpose(graph, x, o), shape3(2, 4, 3));
    assert_shape(graph, graph_reduce(graph, OP_SUM, x, 5, o), shape3(1, 3, 1));
    assert_shape(graph, graph_concat(graph, (NodeId[]){x, x}, 2, 1, o), shape3(2, 6, 4));
    NodeId index = fixture_index(fixture, shape2(5, 6), 2);
    NodeId rows = graph_take(graph, x, index, o);
    assert_shape(graph, rows, shape4(5, 6, 3, 4));
    assert_shape(graph, graph_scatter_add(graph, index, rows, 2, o), shape3(2, 3, 4));
    assert_shape(graph, graph_top_k(graph, graph_reshape(graph, x, &(Shape){2, {6, 4}}, o), 3, o),
                 shape2(6, 3));
    NodeId best = graph_argmax(graph, x, 1, o);
    assert_shape(graph, best, shape3(2, 1, 4));
    assert_int_equal(graph->nodes[best].dtype, DTYPE_I32);
    NodeId less = graph_binary(graph, OP_LT, x, x, o);
    assert_int_equal(graph->nodes[less].dtype, DTYPE_BOOL);
    Shape four = shape4(5, 2, 3, 4), row = shape1(4);
    NodeId grown = graph_expand_to(graph, x, &four, o);
    assert_shape(graph, grown, four);
    assert_shape(graph, graph_sum_to(graph, grown, &row, o), row);
    NodeId product = graph_matmul(graph, x, graph_transpose(graph, x, o), NO_NODE, o);
    assert_shape(graph, product, shape3(2, 3, 3));
    assert_shape(graph, graph_matmul(graph, x, graph_transpose(graph, x, o), product, o), shape3(2, 3, 3));
    assert_null(graph_verify(fixture->arena, graph));
    fixture_free(fixture);
}

static void test_foldings(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(1);
    Graph *graph = fixture->graph;
    const Origin *o = &fixture->origin;
    NodeId x = fixture_param(fixture, shape2(2, 6), -1, 1);
    Shape same = shape2(2, 6), other = shape3(2, 2, 3);
    assert_int_equal(graph_reshape(graph, x, &same, o), x);
    NodeId y = graph_reshape(graph, x, &other, o);
    assert_int_equal(graph_reshape(graph, y, &same, o), x);
    assert_int_equal(graph_transpose(graph, graph_transpose(graph, x, o), o), x);
    assert_int_equal(graph_expand(graph, x, &same, o), x);
    assert_int_equal(graph_roll(graph, x, (int64_t[]){2, -6}, o), x);
    assert_int_equal(graph_cast(graph, x, DTYPE_F32, o), x);
    assert_int_equal(graph_concat(graph, &x, 1, 0, o), x);
    Shape column = shape2(2, 1);
    NodeId half = graph_const(graph, 0.5, DTYPE_F32, &column, o);
    NodeId moved = graph_transpose(graph, graph_expand(graph, half, &same, o), o);
    assert_int_equal(graph->nodes[moved].op, OP_CONST);
    assert_shape(graph, moved, shape2(6, 2));
    fixture_free(fixture);
}

static const char *const EXPECTED_TEXT = "%0 = param p0 : f32[2, 6]\n"
                                         "%1 = input i0 : i32[3]  # text ids\n"
                                         "%2 = take %0 %1 : f32[3, 6]\n"
                                         "%3 = sum %2 axes=[0, 1] : f32[1, 1]  # head\n"
                                         "%4 = slice %2 start=[0, 1] step=[1, 2] : f32[3, 2]\n"
                                         "%5 = permute %4 dims=[1, 0] : f32[2, 3]\n"
                                         "%6 = const 0.25 : f32[2, 3]\n"
                                         "%7 = lt %5 %6 : bool[2, 3]\n"
                                         "%8 = keep draw=d0 : f32[2, 3]\n"
                                         "output loss total %3\n"
                                         "output value part %7\n";

static void test_printer(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(1);
    Graph *graph = fixture->graph;
    NodeId x = fixture_param(fixture, shape2(2, 6), -1, 1);
    fixture->origin = (Origin){.path = "text", .name = "ids"};
    NodeId index = fixture_index(fixture, shape1(3), 2);
    fixture->origin = (Origin){.path = ""};
    const Origin *o = &fixture->origin;
    NodeId rows = graph_take(graph, x, index, o);
    Origin head = {.path = "head"};
    NodeId sum = graph_reduce(graph, OP_SUM, rows, 3, &head);
    Shape part = shape2(3, 2);
    NodeId y = graph_slice(graph, rows, (int64_t[]){0, 1}, (int64_t[]){1, 2}, &part, o);
    y = graph_transpose(graph, y, o);
    Shape shape = graph->nodes[y].shape;
    NodeId quarter = graph_const(graph, 0.25, DTYPE_F32, &shape, o);
    NodeId less = graph_binary(graph, OP_LT, y, quarter, o);
    fixture_keep(fixture, fixture_draw(fixture, shape));
    graph_output(graph, "total", OUTPUT_LOSS, sum, -1);
    graph_output(graph, "part", OUTPUT_VALUE, less, -1);
    assert_string_equal(graph_print(fixture->arena, graph), EXPECTED_TEXT);
    fixture_free(fixture);
}

// What does not lead to an output is dropped; the rest keeps its order.
static void test_prune(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(1);
    NodeId x = fixture_param(fixture, shape1(4), -1, 1);
    graph_unary(fixture->graph, OP_EXP, x, &fixture->origin);
    graph_output(fixture->graph, "y", OUTPUT_VALUE, graph_unary(fixture->graph, OP_TANH, x, &fixture->origin),
                 -1);
    const char *text = graph_print(fixture->arena, graph_prune(fixture->arena, fixture->graph));
    assert_string_equal(text, "%0 = param p0 : f32[4]\n%1 = tanh %0 : f32[4]\noutput value y %1\n");
    fixture_free(fixture);
}

// Planted faults --------------------------------------------------------------------------------------------

// A valid graph in which every op that a fault is planted in occurs once.
typedef struct Plant {
    Fixture *fixture;
    Graph *graph;
    NodeId x, index, sum, slice, pad, permute, expand, reshape, product, take, concat, attention, keep, less;
} Plant;

static NodeId plant_attention(Fixture *fixture)
{
    Shape shape = shape4(2, 1, 3, 2);
    NodeId q = fixture_param(fixture, shape, -1, 1), bias = fixture_param(fixture, shape4(2, 1, 1, 3), -1, 1);
    Attr attr = {.number = 1, .index = -1};
    return graph_add(fixture->graph, OP_ATTENTION, DTYPE_F32, &shape, (NodeId[]){q, q, q, bias}, 4, &attr,
                     &fixture->origin);
}

static Plant new_plant(void)
{
    Plant plant = {.fixture = fixture_new(2)};
    Graph *graph = plant.graph = plant.fixture->graph;
    const Origin *o = &plant.fixture->origin;
    Shape small = shape2(2, 3), flat = shape1(24), large = shape3(2, 3, 4);
    plant.x = fixture_param(plant.fixture, shape2(4, 6), -1, 1);
    plant.index = fixture_index(plant.fixture, shape1(3), 4);
    plant.sum = graph_reduce(graph, OP_SUM, plant.x, 2, o);
    plant.slice = graph_slice(graph, plant.x, (int64_t[]){1, 0}, (int64_t[]){2, 2}, &small, o);
    plant.pad =
        graph_pad(graph, plant.slice, (int64_t[]){1, 0}, (int64_t[]){2, 2}, &graph->nodes[plant.x].shape, o);
    plant.permute = graph_transpose(graph, plant.x, o);
    plant.expand = graph_expand_to(graph, fixture_param(plant.fixture, shape2(3, 1), -1, 1), &large, o);
    plant.reshape = graph_reshape(graph, plant.x, &flat, o);
    plant.product = graph_matmul(graph, plant.x, plant.permute, NO_NODE, o);
    plant.take = graph_take(graph, plant.x, plant.index, o);
    plant.concat = graph_concat(graph, (NodeId[]){plant.x, plant.take}, 2, 0, o);
    plant.attention = plant_attention(plant.fixture);
    plant.keep = fixture_keep(plant.fixture, fixture_draw(plant.fixture, small));
    plant.less = graph_binary(graph, OP_LT, plant.x, plant.pad, o);
    graph_output(graph, "sum", OUTPUT_VALUE, plant.sum, -1);
    graph_output(graph, "p0", OUTPUT_GRADIENT, plant.pad, 0);
    return plant;
}

static void fault_axes(Plant *plant)
{
    plant->graph->nodes[plant->sum].attr.axes = 4;
}

static void fault_sum_shape(Plant *plant)
{
    plant->graph->nodes[plant->sum].shape.dim[1] = 2;
}

static void fault_window(Plant *plant)
{
    plant->graph->nodes[plant->slice].attr.start[0] = 2;
}

static void fault_step(Plant *plant)
{
    plant->graph->nodes[plant->pad].attr.step[1] = 0;
}

static void fault_permutation(Plant *plant)
{
    plant->graph->nodes[plant->permute].attr.dims[1] = 1;
}

static void fault_growth(Plant *plant)
{
    plant->graph->nodes[plant->expand].shape.dim[1] = 5;
}

static void fault_count(Plant *plant)
{
    plant->graph->nodes[plant->reshape].shape.dim[0] = 23;
}

static void fault_inner(Plant *plant)
{
    plant->graph->nodes[plant->x].shape.dim[1] = 5;
}

static void fault_product_shape(Plant *plant)
{
    plant->graph->nodes[plant->product].shape.dim[1] = 6;
}

static void fault_index_dtype(Plant *plant)
{
    plant->graph->nodes[plant->index].dtype = DTYPE_F32;
}

static void fault_concat(Plant *plant)
{
    plant->graph->nodes[plant->concat].shape.dim[0] = 8;
}

static void fault_concat_axis(Plant *plant)
{
    plant->graph->nodes[plant->concat].attr.axis = 2;
}

static void fault_bias(Plant *plant)
{
    plant->graph->nodes[plant->attention - 1].shape.dim[3] = 2;
}

static void fault_draw(Plant *plant)
{
    plant->graph->nodes[plant->keep].attr.index = 1;
}

static void fault_draw_shape(Plant *plant)
{
    plant->fixture->draws[0].shape.dim[0] = 7;
}

static void fault_dtype(Plant *plant)
{
    plant->graph->nodes[plant->less].dtype = DTYPE_I32;
}

static void fault_order(Plant *plant)
{
    NodeId *inputs = (NodeId *)plant->graph->nodes[plant->sum].inputs;
    inputs[0] = plant->less;
}

static void fault_arity(Plant *plant)
{
    plant->graph->nodes[plant->less].n_inputs = 1;
}

static void fault_extent(Plant *plant)
{
    plant->graph->nodes[plant->x].shape.dim[0] = 0;
}

static void fault_rank(Plant *plant)
{
    plant->graph->nodes[plant->x].shape.rank = 9;
}

static void fault_parameter(Plant *plant)
{
    plant->graph->n_parameters = 0;
}

static void fault_gradient_shape(Plant *plant)
{
    plant->graph->outputs[1].node = plant->sum;
}

static void fault_output(Plant *plant)
{
    plant->graph->outputs[0].node = plant->graph->n_nodes;
}

static void fault_output_parameter(Plant *plant)
{
    plant->graph->outputs[0].parameter = 0;
}

static const struct {
    void (*plant)(Plant *plant);
    const char *part;  // of the message
} FAULTS[] = {
    {fault_axes, "sum: axes 0x4 do not fit rank 2"},
    {fault_sum_shape, "sum: the result has shape [4, 2] instead of [4, 1]"},
    {fault_window, "slice: dimension 0 takes 2..4 of 4"},
    {fault_step, "pad: step 0 of dimension 1"},
    {fault_permutation, "permute: dims are no permutation"},
    {fault_growth, "expand: [1, 3, 1] cannot grow to [2, 5, 4]"},
    {fault_count, "reshape: [4, 6] cannot become [23]"},
    {fault_inner, "param: the node has shape [4, 5] instead of [4, 6]"},
    {fault_product_shape, "matmul: the result has shape [4, 6] instead of [4, 4]"},
    {fault_index_dtype, "input: the node is f32 instead of i32"},
    {fault_concat, "concat: the parts have 7 rows, the result 8"},
    {fault_concat_axis, "concat: axis 2 is not within rank 2"},
    {fault_bias, "instead of [2, 1, 1, 3]"},
    {fault_draw, "keep: there is no draw 1"},
    {fault_draw_shape, "keep: the node has shape [2, 3] instead of [7, 3]"},
    {fault_dtype, "lt: the result is i32 instead of bool"},
    {fault_order, "does not come before it"},
    {fault_arity, "lt: 1 inputs instead of 2"},
    {fault_extent, "param: extent 0 is 0"},
    {fault_rank, "param: rank 9 is not within 0..8"},
    {fault_parameter, "param: there is no parameter 0"},
    {fault_gradient_shape, "output p0: the gradient has shape [4, 1] instead of [4, 6]"},
    {fault_output, "output sum: there is no node"},
    {fault_output_parameter, "output sum: only gradients belong to a parameter"},
};

static void test_planted_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof FAULTS / sizeof *FAULTS; i++) {
        Plant plant = new_plant();
        Arena *arena = plant.fixture->arena;
        assert_null(graph_verify(arena, plant.graph));
        FAULTS[i].plant(&plant);
        const char *fault = graph_verify(arena, plant.graph);
        if (fault == NULL || strstr(fault, FAULTS[i].part) == NULL) {
            fail_msg("fault %zu gives '%s', not '%s'", i, fault != NULL ? fault : "none", FAULTS[i].part);
        }
        fixture_free(plant.fixture);
    }
}

// Results exist only where their op has them.
static void test_results(void **state)
{
    (void)state;
    Plant plant = new_plant();
    Graph *graph = plant.graph;
    NodeId lse = graph_result(graph, plant.attention, 1, &plant.fixture->origin);
    assert_shape(graph, lse, shape3(2, 1, 3));
    assert_null(graph_verify(plant.fixture->arena, graph));
    graph->nodes[lse].attr.index = 2;
    assert_non_null(strstr(graph_verify(plant.fixture->arena, graph), "attention has no result 2"));
    NodeId *inputs = (NodeId *)graph->nodes[lse].inputs;
    inputs[0] = plant.sum;
    assert_non_null(strstr(graph_verify(plant.fixture->arena, graph), "sum has one result"));
    fixture_free(plant.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_op_table),       cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_builders),       cmocka_unit_test(test_foldings),
        cmocka_unit_test(test_printer),        cmocka_unit_test(test_prune),
        cmocka_unit_test(test_planted_faults), cmocka_unit_test(test_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
