// Packs of linear layers: what the graph computes stays, gradients of a pack are those of its members side by side, and
// nothing is packed whose parameters have other uses.
#include "compiler/grad.h"
#include "compiler/pack.h"
#include "compiler/simplify.h"
#include "tests/unit/graph_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { B = 3, T = 4, K = 16, N = 16 };

typedef struct Module {
    Fixture *fixture;
    NodeId weights[3], biases[3];
    Task task;
    Interner *names;
} Module;

static void add_parameters(Module *module, int i)
{
    static const char *const members[] = {"query", "key", "value"};
    Fixture *fixture = module->fixture;
    module->names = module->names ? module->names : interner_new(fixture->arena);
    module->weights[i] = fixture_param(fixture, shape2(N, K), -1, 1);
    module->biases[i] = fixture_param(fixture, shape1(N), -1, 1);
    fixture->parameters[2 * i].name = intern_format(module->names, "layer.self.%s.weight", members[i]);
    fixture->parameters[2 * i + 1].name = intern_format(module->names, "layer.self.%s.bias", members[i]);
}

static Module new_module(uint64_t seed)
{
    Module module = {.fixture = fixture_new(seed)};
    for (int i = 0; i < 3; i++) {
        add_parameters(&module, i);
    }
    return module;
}

// x W^T + b with member i.
static NodeId linear(Module *module, NodeId x, int i)
{
    Graph *graph = module->fixture->graph;
    const Origin *o = &module->fixture->origin;
    Shape shape = graph->nodes[x].shape, flat = shape2(B * T, K);
    NodeId rows = graph_reshape(graph, x, &flat, o);
    NodeId matrix = graph_transpose(graph, module->weights[i], o);
    shape.dim[2] = N;
    NodeId y = graph_reshape(graph, graph_matmul(graph, rows, matrix, NO_NODE, o), &shape, o);
    return graph_binary(graph, OP_ADD, y, graph_expand_to(graph, module->biases[i], &shape, o), o);
}

static void add_loss(Module *module, const NodeId *parts, int n_parts)
{
    Graph *graph = module->fixture->graph;
    const Origin *o = &module->fixture->origin;
    NodeId sum = NO_NODE;
    for (int i = 0; i < n_parts; i++) {
        NodeId loss =
            fixture_loss(module->fixture, graph_unary(graph, i % 2 ? OP_TANH : OP_SIGMOID, parts[i], o));
        sum = sum == NO_NODE ? loss : graph_binary(graph, OP_ADD, sum, loss, o);
    }
    graph_output(graph, "loss", OUTPUT_LOSS, sum, -1);
}

static NodeId new_rows(Module *module)
{
    return fixture_fixed(module->fixture, shape3(B, T, K));
}

// The values of packs in the fixture's tables: those of the members, one behind the other.
static void add_values(Module *module)
{
    Fixture *fixture = module->fixture;
    int n_own = module->task.n_parameters;
    for (int i = n_own; i < n_own + module->task.n_packs; i++) {
        const Parameter *pack = &module->task.parameters[i];
        double *values = arena_alloc(fixture->arena, (size_t)shape_count(&pack->shape) * sizeof *values);
        fixture->parameters[i] = *pack;
        fixture->parameter_values[i] = values;
        for (int j = 0; j < pack->n_members; j++) {
            int64_t count = shape_count(&fixture->parameters[pack->members[j]].shape);
            memcpy(values, fixture->parameter_values[pack->members[j]], (size_t)count * sizeof *values);
            values += count;
        }
    }
}

// Packs the graph within modules, and then across them as well, checks what it computes and gives it back; module->task
// has the packs.
static Graph *packed_as(Module *module, bool across_modules)
{
    Fixture *fixture = module->fixture;
    module->task.parameters = fixture->parameters;
    module->task.n_parameters = fixture->graph->n_parameters;
    Packs *packs = packs_new(fixture->arena, module->names, &module->task);
    Graph *simple = simplify(fixture->arena, fixture->graph);
    Graph *graph = simplify(fixture->arena, pack_products(packs, simple, false));
    if (across_modules) {
        graph = simplify(fixture->arena, pack_products(packs, graph, true));
    }
    packs_place(packs, &module->task);
    add_values(module);
    fixture_assert_same(fixture, simple, graph, 1e-12);
    return graph;
}

static Graph *packed(Module *module)
{
    return packed_as(module, false);
}

static void test_one_product(void **state)
{
    (void)state;
    Module module = new_module(1);
    NodeId x = new_rows(&module);
    add_loss(&module, (NodeId[]){linear(&module, x, 0), linear(&module, x, 1), linear(&module, x, 2)}, 3);
    Graph *graph = packed(&module);
    assert_int_equal(count_op(graph, OP_MATMUL), 1);
    assert_int_equal(module.task.n_packs, 2);
    const int64_t *offsets = module.task.offsets;
    for (int i = 0; i < 2; i++) {  // query, key, value behind each other, biases apart
        int64_t count = i ? N : N * K;
        assert_int_equal(offsets[2 + i], offsets[i] + count);
        assert_int_equal(offsets[4 + i], offsets[i] + 2 * count);
        assert_int_equal(offsets[module.task.n_parameters + i], offsets[i]);
    }
    fixture_free(module.fixture);
}

// The gradient of a pack holds those of its members in order.
static void test_gradient(void **state)
{
    (void)state;
    Module module = new_module(2);
    Fixture *fixture = module.fixture;
    NodeId x = new_rows(&module);
    add_loss(&module, (NodeId[]){linear(&module, x, 1), linear(&module, x, 2)}, 2);
    Graph *graph = packed(&module);
    Graph *single = grad(fixture->arena, fixture->graph, fixture->graph->outputs[0].node);
    Graph *whole = grad(fixture->arena, graph, graph->outputs[0].node);
    double **a = fixture_eval(fixture, single), **b = fixture_eval(fixture, whole);
    int n_compared = 0;
    for (int i = 1; i < whole->n_outputs; i++) {
        const Parameter *pack = &module.task.parameters[whole->outputs[i].parameter];
        const double *got = b[whole->outputs[i].node];
        for (int j = 1; j < single->n_outputs; j++) {
            for (int k = 0; k < pack->n_members; k++) {
                int64_t count = shape_count(&fixture->parameters[pack->members[k]].shape);
                for (int64_t n = 0; n < count && pack->members[k] == single->outputs[j].parameter; n++) {
                    assert_true(fabs(a[single->outputs[j].node][n] - got[k * count + n]) < 1e-12);
                    n_compared++;
                }
            }
        }
    }
    assert_int_equal(n_compared, 2 * (N * K + N));
    fixture_free(fixture);
}

// Two calls of the module make two products of one pack.
static void test_two_calls(void **state)
{
    (void)state;
    Module module = new_module(3);
    NodeId x = new_rows(&module), y = new_rows(&module);
    add_loss(&module,
             (NodeId[]){linear(&module, x, 0), linear(&module, x, 1), linear(&module, y, 0),
                        linear(&module, y, 1)},
             4);
    assert_int_equal(count_op(packed(&module), OP_MATMUL), 2);
    assert_int_equal(module.task.n_packs, 2);
    fixture_free(module.fixture);
}

// A matrix that something else uses, or that is not always used with the others, stays a parameter of its own.
static void test_other_uses(void **state)
{
    (void)state;
    for (int use = 0; use < 3; use++) {
        Module module = new_module(4 + (uint64_t)use);
        NodeId x = new_rows(&module), y = new_rows(&module), other;
        const Origin *o = &module.fixture->origin;
        switch (use) {
        case 0: other = graph_unary(module.fixture->graph, OP_EXP, module.weights[0], o); break;
        case 1: other = graph_unary(module.fixture->graph, OP_EXP, module.biases[1], o); break;
        default: other = linear(&module, y, 0); break;
        }
        add_loss(&module, (NodeId[]){linear(&module, x, 0), linear(&module, x, 1), other}, 3);
        assert_int_equal(count_op(packed(&module), OP_MATMUL), use < 2 ? 2 : 3);
        fixture_free(module.fixture);
    }
}

// The third layer in a module of its own; how many products are left.
static int with_other_module(Module *module, bool across_modules)
{
    *module = new_module(9);
    module->fixture->parameters[4].name = "other.dense.weight";
    module->fixture->parameters[5].name = "other.dense.bias";
    NodeId x = new_rows(module);
    add_loss(module, (NodeId[]){linear(module, x, 0), linear(module, x, 1), linear(module, x, 2)}, 3);
    return count_op(packed_as(module, across_modules), OP_MATMUL);
}

// A pack of a pack and a layer of another module: all of their matrices lie behind each other, and the smaller pack,
// which other graphs may use, at the beginning.
static void test_across_modules(void **state)
{
    (void)state;
    Module module;
    assert_int_equal(with_other_module(&module, false), 2);
    fixture_free(module.fixture);
    assert_int_equal(with_other_module(&module, true), 1);
    assert_int_equal(module.task.n_packs, 4);
    const int64_t *offsets = module.task.offsets;
    int n_own = module.task.n_parameters;
    for (int i = 0; i < 2; i++) {
        const Parameter *whole = &module.task.parameters[n_own + 2 + i];
        int64_t count = i ? N : N * K;
        assert_int_equal(whole->n_members, 3);
        assert_int_equal(whole->shape.dim[0], 3 * N);
        for (int j = 0; j < 3; j++) {
            assert_int_equal(whole->members[j], 2 * j + i);
            assert_int_equal(offsets[2 * j + i], offsets[i] + j * count);
        }
        assert_int_equal(offsets[n_own + i], offsets[i]);
        assert_int_equal(offsets[n_own + 2 + i], offsets[i]);
    }
    fixture_free(module.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_product),    cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_two_calls),      cmocka_unit_test(test_other_uses),
        cmocka_unit_test(test_across_modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
