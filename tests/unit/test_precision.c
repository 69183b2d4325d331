// compiler/precision.h: what the policy asks of each op, on small graphs, and that fused programs compute what the
// graph with its CASTs says, rounding by rounding.
#include "compiler/precision.h"

#include "compiler/build.h"
#include "compiler/grad.h"
#include "compiler/graph_verify.h"
#include "compiler/program_print.h"
#include "compiler/recognise.h"
#include "compiler/simplify.h"
#include "tests/unit/fuse_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static NodeId layer_norm(Build *build, Fixture *fixture, NodeId x)
{
    Shape width = shape1(build_last(build, x)), shape = *build_shape(build, x);
    NodeId inputs[3] = {x, fixture_param(fixture, width, 0.5, 1.5), fixture_param(fixture, width, -1, 1)};
    Attr attr = {.number = 1e-5};
    return graph_add(build->graph, OP_LAYER_NORM, DTYPE_F32, &shape, inputs, 3, &attr, &build->origin);
}

static NodeId linear(Build *build, Fixture *fixture, NodeId x, int64_t n_out)
{
    Shape shape = shape2(build_shape(build, x)->dim[0], n_out);
    NodeId weight = fixture_param(fixture, shape2(n_out, build_last(build, x)), -1, 1);
    NodeId bias =
        graph_expand_to(build->graph, fixture_param(fixture, shape1(n_out), -1, 1), &shape, &build->origin);
    return build_add(build, build_matmul(build, x, build_transpose(build, weight)), bias);
}

// x + linear(gelu(linear(norm(x)))), its loss and the gradients, under a policy.
static const Graph *block(Fixture *fixture, Precision precision)
{
    Build build = {.graph = fixture->graph, .origin = fixture->origin};
    NodeId x = linear(&build, fixture, fixture_param(fixture, shape2(12, 5), -1, 1), 8);
    NodeId h = graph_unary(build.graph, OP_GELU, linear(&build, fixture, layer_norm(&build, fixture, x), 16),
                           &build.origin);
    NodeId y = build_add(&build, x, linear(&build, fixture, h, 8));
    NodeId loss = fixture_loss(fixture, y);
    graph_output(build.graph, "loss", OUTPUT_LOSS, loss, -1);
    const Graph *graph = grad(fixture->arena, build.graph, loss);
    return apply_precision(fixture->arena, simplify(fixture->arena, graph), precision);
}

static int count_dtype(const Graph *graph, Op op, Dtype dtype)
{
    int n = 0;
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        n += graph->nodes[id].op == op && graph->nodes[id].dtype == dtype;
    }
    return n;
}

static void assert_rounded_operands(const Graph *graph, Dtype dtype)
{
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        for (int i = 0; node->op == OP_MATMUL && i < 2; i++) {
            assert_int_equal(graph->nodes[node->inputs[i]].dtype, dtype);
        }
        bool is_wide = node->op == OP_GELU || node->op == OP_LAYER_NORM || node->op == OP_SUM;
        assert_true(!is_wide || node->dtype == DTYPE_F32);
    }
}

static void test_policy(void **state)
{
    (void)state;
    const Precision precisions[] = {PRECISION_BF16, PRECISION_FP16};
    for (int i = 0; i < 2; i++) {
        Fixture *fixture = fixture_new(1);
        const Graph *graph = block(fixture, precisions[i]);
        Dtype dtype = precision_dtype(precisions[i]);
        assert_null(graph_verify(fixture->arena, graph));
        assert_rounded_operands(graph, dtype);
        // Three forward products and the gradients of what two of them read; those of parameters stay f32.
        assert_int_equal(count_dtype(graph, OP_MATMUL, dtype), 3 + 2);
        assert_int_equal(count_dtype(graph, OP_MATMUL, DTYPE_F32), 4);
        // Weights are read in two bytes, norms and biases as they are; so is the data, a parameter here, and the
        // weights of the loss, which are the gradient that the last products read.
        assert_int_equal(count_dtype(graph, OP_PARAM, dtype), 5);
        for (int output = 0; output < graph->n_outputs; output++) {
            assert_int_equal(graph->nodes[graph->outputs[output].node].dtype, DTYPE_F32);
        }
        fixture_free(fixture);
    }
}

// What waits for the backward pass is read from memory there: by the norm's gradient, and to make the norm's result,
// which the gradient of a weight needs, once more.
static void test_norm_again(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(6);
    const Graph *graph = fuse_ready(fixture, block(fixture, PRECISION_BF16));
    NodeId late = NO_NODE;
    int n_late = 0, n_users = 0;
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        bool is_late = graph->nodes[id].op == OP_CAST && graph->nodes[id].attr.is_late;
        late = is_late ? id : late;
        n_late += is_late;
        for (int i = 0; late != NO_NODE && i < graph->nodes[id].n_inputs; i++) {
            n_users += graph->nodes[id].inputs[i] == late;
        }
    }
    assert_int_equal(n_late, 1);
    assert_true(n_users >= 2);
    assert_int_equal(graph->nodes[graph->nodes[late].inputs[0]].dtype, DTYPE_BF16);
    fixture_free(fixture);
}

// However many products read a value, it is rounded once; a result that is read as it is stored is not widened.
static void test_casts_are_shared(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(2);
    Build build = {.graph = fixture->graph, .origin = fixture->origin};
    NodeId x = graph_unary(build.graph, OP_TANH, fixture_param(fixture, shape2(6, 6), -1, 1), &build.origin);
    NodeId first = build_matmul(&build, x, fixture_param(fixture, shape2(6, 6), -1, 1));
    NodeId second = build_matmul(&build, build_transpose(&build, x), first);
    graph_output(build.graph, "y", OUTPUT_VALUE, second, -1);
    const Graph *graph = apply_precision(fixture->arena, build.graph, PRECISION_BF16);
    assert_null(graph_verify(fixture->arena, graph));
    assert_int_equal(count_dtype(graph, OP_CAST, DTYPE_BF16), 1);
    assert_int_equal(count_dtype(graph, OP_CAST, DTYPE_F32), 1);  // of the output
    fixture_free(fixture);
}

static void test_tf32(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(3);
    const Graph *graph = block(fixture, PRECISION_TF32);
    assert_null(graph_verify(fixture->arena, graph));
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        assert_int_equal(node->attr.is_tf32, node->op == OP_MATMUL);
        assert_false(dtype_is_low(node->dtype));
    }
    fixture_free(fixture);
}

static void test_names(void **state)
{
    (void)state;
    Precision precision = PRECISION_FP32;
    for (int i = 0; i < PRECISION_COUNT; i++) {
        assert_true(precision_find(precision_name((Precision)i), &precision));
        assert_int_equal(precision, i);
    }
    assert_false(precision_find("half", &precision));
    assert_false(precision_find("", &precision));
}

static const KernelBuffer *buffer_of(const Program *program, const Step *step, Dtype dtype)
{
    for (int i = 0; step->kernel && i < step->kernel->n_buffers; i++) {
        const KernelBuffer *buffer = &step->kernel->buffers[i];
        if (buffer->kind != BUFFER_READ && buffer->dtype == dtype &&
            program->graph->nodes[buffer->node].shape.rank == 2) {
            return buffer;
        }
    }
    return NULL;
}

static bool only_rounds(const Program *program, const Step *step)
{
    if (!step->kernel || step->kernel->n_nodes != 1) {
        return false;
    }
    const Node *node = &program->graph->nodes[step->kernel->nodes[0]];
    return node->op == OP_CAST && dtype_is_low(node->dtype);
}

// Fused and unfused, the program rounds where the graph rounds: kernels store two bytes, none is there to round alone.
static void test_fused(void **state)
{
    (void)state;
    const Precision precisions[] = {PRECISION_BF16, PRECISION_FP16, PRECISION_TF32};
    for (int i = 0; i < 3; i++) {
        Fixture *fixture = fixture_new(4);
        const Graph *ready = fuse_ready(fixture, block(fixture, precisions[i]));
        assert_null(graph_verify(fixture->arena, ready));
        fuse_assert(fixture, ready, false, 1e-9);
        const Program *program = fuse_assert(fixture, ready, true, 1e-9);
        int n_low = 0;
        for (int s = 0; s < program->n_steps; s++) {
            n_low += buffer_of(program, &program->steps[s], precision_dtype(precisions[i])) != NULL;
            assert_false(only_rounds(program, &program->steps[s]));
        }
        assert_true(n_low > 0);
        fixture_free(fixture);
    }
}

// Heads of a packed product go through attention and back into one gradient without a copy.
static void test_attention(void **state)
{
    (void)state;
    Fixture *fixture = fixture_new(5);
    Build build = {.graph = fixture->graph, .origin = fixture->origin};
    NodeId packed = linear(&build, fixture, fixture_param(fixture, shape2(10, 6), -1, 1), 24);
    NodeId heads = build_reshape(&build, packed, 5, (int64_t[]){2, 5, 3, 2, 4});
    NodeId qkv[3];
    for (int i = 0; i < 3; i++) {
        Shape one = {.rank = 5, .dim = {2, 5, 1, 2, 4}};
        NodeId part = graph_slice(build.graph, heads, (int64_t[]){0, 0, i, 0, 0}, NULL, &one, &build.origin);
        part = build_reshape(&build, part, 4, (int64_t[]){2, 5, 2, 4});
        qkv[i] = graph_permute(build.graph, part, (int32_t[]){0, 2, 1, 3}, &build.origin);
    }
    Attr attr = {.number = 0.5, .index = -1};
    Shape shape = shape4(2, 2, 5, 4);
    NodeId out = graph_add(build.graph, OP_ATTENTION, DTYPE_F32, &shape, qkv, 3, &attr, &build.origin);
    out = graph_permute(build.graph, out, (int32_t[]){0, 2, 1, 3}, &build.origin);
    NodeId y = linear(&build, fixture, build_reshape(&build, out, 2, (int64_t[]){10, 8}), 3);
    NodeId loss = fixture_loss(fixture, y);
    graph_output(build.graph, "loss", OUTPUT_LOSS, loss, -1);
    const Graph *graph = simplify(fixture->arena, grad(fixture->arena, build.graph, loss));
    graph = apply_precision(fixture->arena, graph, PRECISION_BF16);
    assert_null(graph_verify(fixture->arena, graph));
    const Graph *ready = fuse_ready(fixture, graph);
    fuse_assert(fixture, ready, false, 1e-9);
    const Program *program = fuse_assert(fixture, ready, true, 1e-9);
    assert_int_equal(count_steps(program, STEP_ATTENTION), 1);
    int n_biases = 0;
    for (int s = 0; s < program->n_steps; s++) {
        const Step *step = &program->steps[s];
        bool is_attention = step->kind == STEP_ATTENTION || step->kind == STEP_ATTENTION_GRAD;
        for (int i = 0; is_attention && i < 3; i++) {
            assert_int_equal(program->graph->nodes[step->reads[i].node].dtype, DTYPE_BF16);
        }
        if (step->kind == STEP_MATMUL &&
            step->n_reads == 3) {  // the packed product: its bias is rounded as well
            assert_int_equal(program->graph->nodes[step->reads[2].node].dtype, DTYPE_BF16);
            n_biases++;
        }
    }
    assert_int_equal(n_biases, 1);
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy),     cmocka_unit_test(test_casts_are_shared),
        cmocka_unit_test(test_tf32),       cmocka_unit_test(test_names),
        cmocka_unit_test(test_fused),      cmocka_unit_test(test_attention),
        cmocka_unit_test(test_norm_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
