// Several ranks in the compiler: `world` and all_gather in the language, --shapes for ranks, collectives as steps.
#include "compiler/build.h"
#include "compiler/elaborate.h"
#include "compiler/grad.h"
#include "compiler/graph_verify.h"
#include "compiler/pipeline.h"
#include "compiler/program_print.h"
#include "compiler/shapes.h"
#include "tests/unit/dsl_session.h"
#include "tests/unit/fuse_fixture.h"

#include <string.h>
#include <unistd.h>

// Collectives as steps ------------------------------------------------------------------------------------------------

static NodeId gathered(Fixture *fixture, NodeId x, int64_t ranks)
{
    const Node *node = &fixture->graph->nodes[x];
    Shape shape = node->shape;
    shape.dim[0] *= ranks;
    return graph_add(fixture->graph, OP_ALL_GATHER, node->dtype, &shape, &x, 1, NULL, &fixture->origin);
}

static void run_both(Fixture *fixture, const Graph *graph, int n_gathers, int n_own)
{
    assert_null(graph_verify(fixture->arena, graph));
    const Graph *ready = fuse_ready(fixture, graph);
    for (int is_fused = 0; is_fused < 2; is_fused++) {
        const Program *program = fuse_assert(fixture, ready, is_fused != 0, 1e-9);
        assert_int_equal(count_steps(program, STEP_ALL_GATHER), n_gathers);
        assert_int_equal(count_steps(program, STEP_OWN_ROWS), n_own);
    }
}

// Contrast over three ranks with its gradient: features are gathered, each rank keeps its own rows' gradient.
static void test_contrast(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(31);
    Graph *graph = fixture->graph;
    const Origin *o = &fixture->origin;
    NodeId image = graph_unary(graph, OP_TANH, fixture_param(fixture, shape2(4, 6), -1, 1), o);
    NodeId text = graph_unary(graph, OP_TANH, fixture_param(fixture, shape2(4, 6), -1, 1), o);
    NodeId all = gathered(fixture, image, 3);
    NodeId logits =
        graph_matmul(graph, all, graph_transpose(graph, gathered(fixture, text, 3), o), NO_NODE, o);
    graph_output(graph, "loss", OUTPUT_LOSS, fixture_loss(fixture, graph_unary(graph, OP_SIGMOID, logits, o)),
                 -1);
    run_both(fixture, grad(fixture->arena, graph, graph->outputs[0].node), 2, 2);
    fixture_free(fixture);
}

// What is sent must lie without gaps: a slice and a transpose become copies, parameters and inputs are sent as they
// are.
static void test_operands(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(32);
    Graph *graph = fixture->graph;
    const Origin *o = &fixture->origin;
    NodeId x = fixture_param(fixture, shape2(6, 4), -1, 1);
    NodeId part = graph_slice(graph, x, (int64_t[]){1, 0}, (int64_t[]){2, 1}, &(Shape){2, {2, 4}}, o);
    NodeId ids = fixture_index(fixture, shape1(5), 9);
    graph_output(graph, "part", OUTPUT_VALUE, gathered(fixture, part, 2), -1);
    graph_output(graph, "turned", OUTPUT_VALUE, gathered(fixture, graph_transpose(graph, x, o), 2), -1);
    graph_output(graph, "whole", OUTPUT_VALUE, gathered(fixture, x, 2), -1);
    graph_output(graph, "ids", OUTPUT_VALUE, gathered(fixture, ids, 2), -1);
    run_both(fixture, graph, 4, 0);
    fixture_free(fixture);
}

// Integers that say which rows belong together, compared over all ranks.
static void test_integers(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(33);
    Graph *graph = fixture->graph;
    const Origin *o = &fixture->origin;
    NodeId all = gathered(fixture, fixture_index(fixture, shape1(4), 3), 2);
    Shape square = shape2(8, 8), column = shape2(8, 1);
    NodeId across = graph_expand_to(graph, all, &square, o);
    NodeId down = graph_expand_to(graph, graph_reshape(graph, all, &column, o), &square, o);
    NodeId same = graph_cast(graph, graph_binary(graph, OP_EQ, across, down, o), DTYPE_F32, o);
    NodeId count = graph_reduce(graph, OP_SUM, same, 2, o);
    graph_output(graph, "target", OUTPUT_VALUE,
                 graph_binary(graph, OP_DIV, same, graph_expand_to(graph, count, &square, o), o), -1);
    run_both(fixture, graph, 1, 0);
    fixture_free(fixture);
}

// One rank: nothing is sent.
static void test_one_rank(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(34);
    Graph *graph = fixture->graph;
    NodeId x = graph_unary(graph, OP_EXP, fixture_param(fixture, shape2(3, 4), -1, 1), &fixture->origin);
    graph_output(graph, "loss", OUTPUT_LOSS, fixture_loss(fixture, gathered(fixture, x, 1)), -1);
    run_both(fixture, grad(fixture->arena, graph, graph->outputs[0].node), 0, 0);
    fixture_free(fixture);
}

// What is sent is sent before anything that does not lead to it.
static void test_sent_early(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(35);
    Graph *graph = fixture->graph;
    const Origin *o = &fixture->origin;
    NodeId x = graph_unary(graph, OP_EXP, fixture_param(fixture, shape2(4, 4), -1, 1), o);
    NodeId other = fixture_param(fixture, shape2(4, 4), -1, 1);
    for (int i = 0; i < 3; i++) {
        other = graph_matmul(graph, other, fixture_param(fixture, shape2(4, 4), -1, 1), NO_NODE, o);
    }
    graph_output(graph, "all", OUTPUT_VALUE, gathered(fixture, x, 2), -1);
    graph_output(graph, "other", OUTPUT_VALUE, other, -1);
    const Program *program = fuse_assert(fixture, fuse_ready(fixture, graph), true, 1e-9);
    if (program->n_steps < 2 || program->steps[1].kind != STEP_ALL_GATHER) {
        fail_msg("the second step should send:\n%s", program_print(fixture->arena, program));
    }
    fixture_free(fixture);
}

// The language --------------------------------------------------------------------------------------------------------

static const char TASK[] = "module Model(width) {\n"
                           "    param weight: [width, width] init normal(0.0, 0.02)\n"
                           "    fn (x: [B, width]) {\n"
                           "        return x @ weight\n"
                           "    }\n"
                           "}\n"
                           "fn spread(own: [B, E], all: [world * B, E]) {\n"
                           "    return mean(all * all) + mean(own)\n"
                           "}\n"
                           "task contrast {\n"
                           "    dim B = 4\n"
                           "    model as \"\": Model(8)\n"
                           "    optimizer adamw {\n"
                           "        lr = 1e-4\n"
                           "        weight_decay = 0.01\n"
                           "        lr_mult = 1\n"
                           "        beta1 = 0.9\n"
                           "        beta2 = 0.98\n"
                           "        epsilon = 1e-8\n"
                           "        clip = 1.0\n"
                           "    }\n"
                           "    entry pairs(x: [B, 8], idx: int[B]) {\n"
                           "        y = model(x)\n"
                           "        output ids = all_gather(idx)\n"
                           "        output rows = arange(world * B)\n"
                           "        output loss = spread(y, all_gather(y))\n"
                           "        minimise loss\n"
                           "    }\n"
                           "}\n";

static Task *elaborated(Session *session, const char *text, ElaborateOptions options)
{
    AstFile *files = session_parsed(session, text);
    options.model = "model";
    options.task = "contrast";
    Task *task = elaborate(session->arena, session->context.names, &session->diag, files, &options);
    diag_finish(&session->diag);
    return task;
}

static const Shape *output_shape(const Task *task, const char *name)
{
    const Graph *graph = task->entries[0].forward;
    for (int i = 0; i < graph->n_outputs; i++) {
        if (strcmp(graph->outputs[i].name, name) == 0) {
            return &graph->nodes[graph->outputs[i].node].shape;
        }
    }
    fail_msg("no output %s", name);
    return NULL;
}

static void test_world(void **state)
{
    Session *session = *state;
    Task *task = elaborated(session, TASK, (ElaborateOptions){.ranks = 3});
    assert_string_equal(session_messages(session), "");
    assert_int_equal(task->ranks, 3);
    assert_int_equal(output_shape(task, "ids")->dim[0], 12);
    assert_int_equal(output_shape(task, "rows")->dim[0], 12);
    PipelineOptions options = {.is_fused = true, .is_verified = true};
    pipeline_run(session->arena, session->context.names, task, &options);
    assert_int_equal(count_steps(task->entries[0].train, STEP_ALL_GATHER), 1);  // idx leads to no loss
    assert_int_equal(count_steps(task->entries[0].observe, STEP_ALL_GATHER), 2);
    assert_string_equal(session_messages(session), "");
}

static void test_world_of_one(void **state)
{
    Session *session = *state;
    Task *task = elaborated(session, TASK, (ElaborateOptions){0});
    assert_non_null(task);
    assert_int_equal(task->ranks, 1);
    assert_int_equal(output_shape(task, "ids")->dim[0], 4);
}

// A task without collectives does not depend on the number of ranks.
static void test_any_world(void **state)
{
    Session *session = *state;
    char *text = arena_copy(session->arena, TASK, strlen(TASK));
    memset(strstr(text, "        output ids"), ' ', strlen("        output ids = all_gather(idx)"));
    memset(strstr(text, "        output rows"), ' ', strlen("        output rows = arange(world * B)"));
    memcpy(strstr(text, "spread(y, all_gather(y))"), "mean(y) + mean(y * y)   ", 24);
    Task *task = elaborated(session, text, (ElaborateOptions){.ranks = 3});
    assert_non_null(task);
    assert_int_equal(task->ranks, 0);
}

static void test_gathered_bool(void **state)
{
    Session *session = *state;
    char *text = arena_copy(session->arena, TASK, strlen(TASK));
    memcpy(strstr(text, "all_gather(idx)"), "all_gather(y>0)", 15);
    assert_null(elaborated(session, text, (ElaborateOptions){.ranks = 2}));
    assert_non_null(strstr(session_messages(session), "all_gather takes float or int, not bool"));
}

// Shapes --------------------------------------------------------------------------------------------------------------

static int ranks_of(Session *session, GivenShape *shapes, int *n_shapes)
{
    return shapes_of_ranks(session->arena, &session->diag, "inputs.safetensors", shapes, n_shapes);
}

static void test_shapes_of_ranks(void **state)
{
    GivenShape shapes[] = {{"rank1.x", shape2(3, 8)}, {"rank0.x", shape2(3, 8)}, {"scale", shape1(2)},
                           {"rank1.idx", shape1(3)},  {"rank0.idx", shape1(3)},  {"rank.x", shape1(1)}};
    int n_shapes = 6;
    assert_int_equal(ranks_of(*state, shapes, &n_shapes), 2);
    assert_int_equal(n_shapes, 4);
    const char *names[] = {"x", "scale", "idx", "rank.x"};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(shapes[i].name, names[i]);
    }
    assert_int_equal(shapes[0].shape.dim[0], 3);
}

static void test_shapes_without_ranks(void **state)
{
    GivenShape shapes[] = {{"x", shape2(3, 8)}, {"ranks", shape1(1)}};
    int n_shapes = 2;
    assert_int_equal(ranks_of(*state, shapes, &n_shapes), 1);
    assert_int_equal(n_shapes, 2);
    assert_string_equal(shapes[1].name, "ranks");
}

static void test_shapes_that_differ(void **state)
{
    Session *session = *state;
    GivenShape shapes[] = {{"rank0.x", shape2(3, 8)}, {"rank1.x", shape2(4, 8)}};
    int n_shapes = 2;
    assert_int_equal(ranks_of(session, shapes, &n_shapes), 0);
    assert_non_null(strstr(session_messages(session), "'rank0.x' is [3, 8], but 'rank1.x' is [4, 8]"));
}

static void test_shapes_that_lack_a_rank(void **state)
{
    Session *session = *state;
    GivenShape shapes[] = {{"rank0.x", shape2(3, 8)}, {"rank2.x", shape2(3, 8)}};
    int n_shapes = 2;
    assert_int_equal(ranks_of(session, shapes, &n_shapes), 0);
    assert_non_null(strstr(session_messages(session), "'rank1.x' is missing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contrast),
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_one_rank),
        cmocka_unit_test(test_sent_early),
        SESSION_TEST(test_world),
        SESSION_TEST(test_world_of_one),
        SESSION_TEST(test_any_world),
        SESSION_TEST(test_gathered_bool),
        SESSION_TEST(test_shapes_of_ranks),
        SESSION_TEST(test_shapes_without_ranks),
        SESSION_TEST(test_shapes_that_differ),
        SESSION_TEST(test_shapes_that_lack_a_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
