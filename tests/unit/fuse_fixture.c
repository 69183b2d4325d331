// Programs against graphs; see fuse_fixture.h.
#include "tests/unit/fuse_fixture.h"

#include "compiler/expand.h"
#include "compiler/graph_print.h"
#include "compiler/kernel_verify.h"
#include "compiler/program_print.h"
#include "compiler/simplify.h"
#include "tests/unit/program_eval.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

Graph *fuse_ready(Fixture *fixture, const Graph *graph)
{
    return simplify(fixture->arena, expand(fixture->arena, graph, EXPAND_SIMPLE));
}

static void assert_output(const double *wanted, const double *found, int64_t n, double tolerance,
                          const char *name)
{
    double largest = 1;
    for (int64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(wanted[i]));
    }
    for (int64_t i = 0; i < n; i++) {
        if (!(fabs(wanted[i] - found[i]) <= tolerance * largest)) {
            fail_msg("output %s: element %lld is %.12g instead of %.12g", name, (long long)i, found[i],
                     wanted[i]);
        }
    }
}

const Program *fuse_assert(Fixture *fixture, const Graph *graph, bool is_fused, double tolerance)
{
    Program *program = fuse(fixture->arena, graph, is_fused);
    plan_memory(program);
    const char *fault = program_verify(fixture->arena, program);
    if (fault) {
        fail_msg("%s\n%s", fault, program_print(fixture->arena, program));
    }
    EvalData data = {
        .inputs = (const double *const *)fixture->input_values,
        .parameters = (const double *const *)fixture->parameter_values,
        .draws = (const double *const *)fixture->draw_values,
    };
    double **wanted = fixture_eval(fixture, graph);
    double **found = program_eval(fixture->arena, program, &data);
    assert_int_equal(graph->n_outputs, program->graph->n_outputs);
    for (int i = 0; i < graph->n_outputs; i++) {
        const Output *output = &graph->outputs[i];
        assert_ptr_equal(output->name, program->graph->outputs[i].name);
        int64_t count = shape_count(&graph->nodes[output->node].shape);
        assert_output(wanted[output->node], found[i], count, tolerance, output->name);
    }
    return program;
}

int count_steps(const Program *program, StepKind kind)
{
    int n = 0;
    for (int i = 0; i < program->n_steps; i++) {
        n += program->steps[i].kind == kind;
    }
    return n;
}

Form form_new(uint64_t seed)
{
    Fixture *fixture = fixture_new(seed);
    Form form = {.fixture = fixture, .graph = fixture->graph, .o = &fixture->origin};
    form.build = (Build){.graph = fixture->graph, .origin = fixture->origin};
    return form;
}

void form_output(Form *form, NodeId node)
{
    graph_output(form->graph, arena_format(form->fixture->arena, "y%d", form->graph->n_outputs), OUTPUT_VALUE,
                 node, -1);
}

const Program *form_run(Form *form)
{
    const Graph *ready = fuse_ready(form->fixture, form->graph);
    fuse_assert(form->fixture, ready, false, 1e-9);
    return fuse_assert(form->fixture, ready, true, 1e-9);
}
