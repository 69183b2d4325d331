// Fixtures for graph tests; see graph_fixture.h.
#include "tests/unit/graph_fixture.h"

#include "compiler/graph_print.h"
#include "compiler/graph_verify.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

Fixture *fixture_new(uint64_t seed)
{
    Arena *arena = arena_new();
    Fixture *fixture = arena_alloc(arena, sizeof *fixture);
    fixture->arena = arena;
    fixture->state = seed * 2654435761u + 12345;
    fixture->graph = graph_new(arena, NULL);
    fixture->graph->name = "test";
    fixture->graph->parameters = fixture->parameters;
    fixture->graph->inputs = fixture->inputs;
    fixture->graph->draws = fixture->draws;
    fixture->origin.path = "";
    return fixture;
}

void fixture_free(Fixture *fixture)
{
    arena_free(fixture->arena);
}

double fixture_random(Fixture *fixture, double low, double high)
{
    fixture->state = fixture->state * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(fixture->state >> 40) / (double)(1 << 24);
}

Shape shape1(int64_t a)
{
    return shape_of(1, (int64_t[]){a});
}

Shape shape2(int64_t a, int64_t b)
{
    return shape_of(2, (int64_t[]){a, b});
}

Shape shape3(int64_t a, int64_t b, int64_t c)
{
    return shape_of(3, (int64_t[]){a, b, c});
}

Shape shape4(int64_t a, int64_t b, int64_t c, int64_t d)
{
    return shape_of(4, (int64_t[]){a, b, c, d});
}

static double *random_values(Fixture *fixture, const Shape *shape, double low, double high)
{
    double *values = arena_alloc(fixture->arena, (size_t)shape_count(shape) * sizeof *values);
    for (int64_t i = 0; i < shape_count(shape); i++) {
        values[i] = fixture_random(fixture, low, high);
    }
    return values;
}

static NodeId add_source(Fixture *fixture, Op op, Dtype dtype, const Shape *shape, int index)
{
    Attr attr = {.index = index};
    return graph_add(fixture->graph, op, dtype, shape, NULL, 0, &attr, &fixture->origin);
}

NodeId fixture_param(Fixture *fixture, Shape shape, double low, double high)
{
    int index = fixture->graph->n_parameters++;
    XV_ASSERT(index < FIXTURE_TABLE);
    Parameter *parameter = &fixture->parameters[index];
    parameter->name = arena_format(fixture->arena, "p%d", index);
    parameter->shape = shape;
    parameter->is_trainable = true;
    fixture->parameter_values[index] = random_values(fixture, &shape, low, high);
    return add_source(fixture, OP_PARAM, DTYPE_F32, &shape, index);
}

NodeId fixture_fixed(Fixture *fixture, Shape shape)
{
    NodeId node = fixture_param(fixture, shape, -1, 1);
    fixture->parameters[fixture->graph->n_parameters - 1].is_trainable = false;
    return node;
}

NodeId fixture_index(Fixture *fixture, Shape shape, int64_t n)
{
    int index = fixture->graph->n_inputs++;
    XV_ASSERT(index < FIXTURE_TABLE);
    fixture->inputs[index].name = arena_format(fixture->arena, "i%d", index);
    fixture->inputs[index].dtype = DTYPE_I32;
    fixture->inputs[index].shape = shape;
    double *values = random_values(fixture, &shape, 0, (double)n);
    for (int64_t i = 0; i < shape_count(&shape); i++) {
        values[i] = floor(values[i]);
    }
    fixture->input_values[index] = values;
    return add_source(fixture, OP_INPUT, DTYPE_I32, &shape, index);
}

int fixture_draw(Fixture *fixture, Shape shape)
{
    int index = fixture->graph->n_draws++;
    XV_ASSERT(index < FIXTURE_TABLE);
    fixture->draws[index].name = arena_format(fixture->arena, "d%d", index);
    fixture->draws[index].kind = DRAW_KEEP;
    fixture->draws[index].rate = 0.5;
    fixture->draws[index].shape = shape;
    double *values = random_values(fixture, &shape, 0, 2);
    for (int64_t i = 0; i < shape_count(&shape); i++) {
        values[i] = values[i] < 1 ? 0 : 2;
    }
    fixture->draw_values[index] = values;
    return index;
}

NodeId fixture_keep(Fixture *fixture, int draw)
{
    return add_source(fixture, OP_KEEP, DTYPE_F32, &fixture->draws[draw].shape, draw);
}

NodeId fixture_loss(Fixture *fixture, NodeId x)
{
    Graph *graph = fixture->graph;
    Shape flat = shape1(shape_count(&graph->nodes[x].shape));
    NodeId weights = fixture_fixed(fixture, flat);
    NodeId row = graph_reshape(graph, x, &flat, &fixture->origin);
    NodeId product = graph_binary(graph, OP_MUL, row, weights, &fixture->origin);
    Shape scalar = shape_scalar();
    return graph_sum_to(graph, product, &scalar, &fixture->origin);
}

double **fixture_eval(Fixture *fixture, const Graph *graph)
{
    EvalData data = {
        .inputs = (const double *const *)fixture->input_values,
        .parameters = (const double *const *)fixture->parameter_values,
        .draws = (const double *const *)fixture->draw_values,
    };
    return graph_eval(fixture->arena, graph, &data);
}

static void assert_verified(const Graph *graph)
{
    const char *fault = graph_verify(graph->arena, graph);
    if (fault != NULL) {
        fail_msg("%s\n%s", fault, graph_print(graph->arena, graph));
    }
}

static void assert_near(const double *a, const double *b, int64_t n, double tolerance, const char *what)
{
    double largest = 1;
    for (int64_t i = 0; i < n; i++) {
        largest = fmax(largest, fmax(fabs(a[i]), fabs(b[i])));
    }
    for (int64_t i = 0; i < n; i++) {
        if (!(fabs(a[i] - b[i]) <= tolerance * largest)) {
            fail_msg("output %s: element %lld is %.12g and %.12g", what, (long long)i, a[i], b[i]);
        }
    }
}

void fixture_assert_same(Fixture *fixture, const Graph *a, const Graph *b, double tolerance)
{
    assert_verified(a);
    assert_verified(b);
    double **of_a = fixture_eval(fixture, a);
    double **of_b = fixture_eval(fixture, b);
    assert_int_equal(a->n_outputs, b->n_outputs);
    for (int i = 0; i < a->n_outputs; i++) {
        const Output *first = &a->outputs[i], *second = &b->outputs[i];
        assert_string_equal(first->name, second->name);
        assert_int_equal(first->kind, second->kind);
        assert_int_equal(first->parameter, second->parameter);
        const Shape *shape = &a->nodes[first->node].shape;
        assert_true(shape_equal(shape, &b->nodes[second->node].shape));
        assert_near(of_a[first->node], of_b[second->node], shape_count(shape), tolerance, first->name);
    }
}

int count_op(const Graph *graph, Op op)
{
    int n = 0;
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        n += graph->nodes[id].op == op;
    }
    return n;
}
