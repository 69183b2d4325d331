// Calls and copies that fusion brings together, and what the target cuda makes of them: the right values, in fewer
// launches.
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

typedef struct Form {
    Fixture *fixture;
    Graph *graph;
    Build build;
} Form;

static Form form_new(uint64_t seed)
{
    Fixture *fixture = fixture_new(seed);
    return (Form){fixture, fixture->graph, {fixture->graph, fixture->origin}};
}

static void form_output(Form *form, NodeId node)
{
    graph_output(form->graph, arena_format(form->fixture->arena, "y%d", form->graph->n_outputs), OUTPUT_VALUE,
                 node, -1);
}

static const Program *form_run(Form *form)
{
    const Graph *ready = fuse_ready(form->fixture, form->graph);
    fuse_assert(form->fixture, ready, false, 1e-9);
    return fuse_assert(form->fixture, ready, true, 1e-9);
}

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
    const Origin *o = &form->fixture->origin;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies_at_the_start),
        cmocka_unit_test(test_tables_together),
        cmocka_unit_test(test_tables_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
