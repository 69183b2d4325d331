// Calls and copies that fusion brings together, and what the target cuda makes of them: the right values, in fewer
// launches; and what is computed again.
#include "codegen/batches.h"
#include "compiler/build.h"
#include "compiler/grad.h"
#include "compiler/program_print.h"
#include "compiler/simplify.h"
#include "tests/unit/fuse_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void expect_kernels(Form *form, const Program *program, int kernels)
{
    if (count_steps(program, STEP_KERNEL) != kernels) {
        fail_msg("%d kernels expected:\n%s", kernels, program_print(form->fixture->arena, program));
    }
}

static int count_launches(const Program *program)
{
    int n = 0;
    for (int i = 0; i < program->n_steps; i += batch_of_steps(program, i)) {
        n++;
    }
    return n;
}

// x times a table that an index has spread out, `n` times: what relative positions look like.
static NodeId tables(Form *form, int n, bool is_late)
{
    const Origin *o = form->o;
    NodeId x = fixture_param(form->fixture, shape2(5, 4), -1, 1);
    NodeId index = fixture_index(form->fixture, shape1(5), 3);
    for (int i = 0; i < n; i++) {
        NodeId table = fixture_param(form->fixture, shape2(3, 4), -1, 1);
        if (is_late) {
            table = build_matmul(&form->build, table, fixture_param(form->fixture, shape2(4, 4), -1, 1));
        }
        NodeId spread = graph_take(form->graph, table, index, o);
        x = build_matmul(&form->build, build_matmul(&form->build, x, build_transpose(&form->build, spread)),
                         spread);
    }
    return x;
}

// Gathered from parameters, all are one kernel; from products, each waits for its own.
static void test_copies_at_the_start(void **state)
{
    (void)state;
    Form form = form_new(1);
    form_output(&form, tables(&form, 3, false));
    expect_kernels(&form, form_run(&form), 1);
    fixture_free(form.fixture);
    form = form_new(2);
    form_output(&form, tables(&form, 3, true));
    expect_kernels(&form, form_run(&form), 3);
    fixture_free(form.fixture);
}

static const Program *table_gradients(Form *form, int n)
{
    NodeId loss = fixture_loss(form->fixture, tables(form, n, false));
    graph_output(form->graph, "loss", OUTPUT_LOSS, loss, -1);
    Graph *simple = simplify(form->fixture->arena, form->graph);
    form->graph = grad(form->fixture->arena, simple, simple->outputs[simple->n_outputs - 1].node);
    return form_run(form);
}

// Gradients of tables wait for each other, eight at a time.
static void test_tables_together(void **state)
{
    (void)state;
    Form form = form_new(3);
    const Program *program = table_gradients(&form, 11);
    assert_int_equal(count_steps(program, STEP_SCATTER_ADD), 11);
    assert_int_equal(count_launches(program), program->n_steps - 9);
    fixture_free(form.fixture);
}

// Two calls that fill the same table, one after the other, are two launches.
static void test_tables_apart(void **state)
{
    (void)state;
    Form form = form_new(4);
    const Origin *o = &form.fixture->origin;
    NodeId index = fixture_index(form.fixture, shape1(5), 3);
    NodeId rows = fixture_param(form.fixture, shape2(5, 4), -1, 1);
    NodeId first = graph_scatter_add(form.graph, index, rows, 3, o);
    NodeId second = graph_scatter_add(form.graph, fixture_index(form.fixture, shape1(3), 5), first, 5, o);
    form_output(&form, second);
    const Program *program = form_run(&form);
    assert_int_equal(count_launches(program), program->n_steps);
    fixture_free(form.fixture);
}

static NodeId linear(Form *form, NodeId x, int64_t n_in, int64_t n_out)
{
    Shape shape = shape2(10, n_out);
    NodeId weight = fixture_param(form->fixture, shape2(n_out, n_in), -1, 1);
    NodeId bias = fixture_param(form->fixture, shape1(n_out), -1, 1);
    NodeId product = build_matmul(&form->build, x, build_transpose(&form->build, weight));
    return build_add(&form->build, product,
                     graph_expand_to(form->graph, bias, &shape, &form->fixture->origin));
}

// The step that computes a node.
static int step_of(const Program *program, NodeId node)
{
    for (int i = 0; i < program->n_steps; i++) {
        const Kernel *kernel = program->steps[i].kernel;
        for (int j = 0; kernel && j < kernel->n_nodes; j++) {
            if (kernel->nodes[j] == node) {
                return i;
            }
        }
    }
    return -1;
}

// The gradient of the second matrix reads an activation that is made beside its derivative, in the same kernel; the
// first one dies where the second product has read it.
static void test_activation_again(void **state)
{
    (void)state;
    Form form = form_new(5);
    NodeId x = fixture_param(form.fixture, shape2(10, 6), -1, 1);
    NodeId h = graph_unary(form.graph, OP_GELU, linear(&form, x, 6, 12), &form.fixture->origin);
    NodeId y = graph_unary(form.graph, OP_TANH, linear(&form, h, 12, 5), &form.fixture->origin);
    NodeId loss = fixture_loss(form.fixture, y);
    graph_output(form.graph, "loss", OUTPUT_LOSS, loss, -1);
    Graph *simple = simplify(form.fixture->arena, form.graph);
    form.graph = grad(form.fixture->arena, simple, simple->outputs[simple->n_outputs - 1].node);
    const Program *program = form_run(&form);
    NodeId found[2] = {NO_NODE, NO_NODE}, product = NO_NODE;
    int n_found = 0;
    for (NodeId id = 0; id < program->graph->n_nodes; id++) {
        const Node *node = &program->graph->nodes[id];
        if (node->op == OP_GELU && n_found < 2) {
            found[n_found++] = id;
        }
        bool is_product = node->op == OP_MUL && (program->graph->nodes[node->inputs[0]].op == OP_GELU_GRAD ||
                                                 program->graph->nodes[node->inputs[1]].op == OP_GELU_GRAD);
        product = is_product ? id : product;
    }
    assert_int_equal(n_found, 2);
    assert_true(program->storage[found[0]].last_step < step_of(program, found[1]));
    assert_int_equal(step_of(program, found[1]), step_of(program, product));
    fixture_free(form.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies_at_the_start),
        cmocka_unit_test(test_tables_together),
        cmocka_unit_test(test_tables_apart),
        cmocka_unit_test(test_activation_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
