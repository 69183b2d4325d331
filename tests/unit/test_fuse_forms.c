// Fusion of the forms that X-VLM is made of: the right values, and as few steps as each form allows.
#include "compiler/build.h"
#include "compiler/grad.h"
#include "compiler/program_print.h"
#include "compiler/recognise.h"
#include "compiler/simplify.h"
#include "tests/unit/fuse_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

// form_run with the gradients of sum(node * weights).
static const Program *form_train(Form *form, NodeId node)
{
    NodeId loss = fixture_loss(form->fixture, node);
    graph_output(form->graph, "loss", OUTPUT_LOSS, loss, -1);
    Graph *simple = simplify(form->fixture->arena, form->graph);
    Graph *graph = recognise_attention(form->fixture->arena, simple);
    form->graph = grad(form->fixture->arena, graph, graph->outputs[graph->n_outputs - 1].node);
    return form_run(form);
}

static void expect_steps(Form *form, const Program *program, int kernels, int others)
{
    if (count_steps(program, STEP_KERNEL) != kernels || program->n_steps != kernels + others) {
        fail_msg("%d kernels and %d other steps expected:\n%s", kernels, others,
                 program_print(form->fixture->arena, program));
    }
}

static NodeId input_x(Form *form, Shape shape)
{
    return fixture_param(form->fixture, shape, -1, 1);
}

static NodeId layer_norm(Form *form, NodeId x)
{
    Shape width = shape1(build_last(&form->build, x));
    NodeId inputs[3] = {x, input_x(form, width), input_x(form, width)};
    Attr attr = {.number = 1e-5};
    Shape shape = *build_shape(&form->build, x);
    return graph_add(form->graph, OP_LAYER_NORM, DTYPE_F32, &shape, inputs, 3, &attr, form->o);
}

// x [..., K] W^T + b
static NodeId linear(Form *form, NodeId x, int64_t n_out)
{
    Shape shape = *build_shape(&form->build, x);
    int64_t inner = shape.dim[shape.rank - 1];
    NodeId weight = build_transpose(&form->build, input_x(form, shape2(n_out, inner)));
    NodeId flat = build_reshape(&form->build, x, 2, (int64_t[]){shape_count(&shape) / inner, inner});
    NodeId product = build_matmul(&form->build, flat, weight);
    shape.dim[shape.rank - 1] = n_out;
    product = graph_reshape(form->graph, product, &shape, form->o);
    NodeId bias = graph_expand_to(form->graph, input_x(form, shape1(n_out)), &shape, form->o);
    return build_add(&form->build, product, bias);
}

// [B, G, G, C] rolled and cut into windows, and back.
static NodeId windows(Form *form, NodeId x, int64_t window, int64_t shift)
{
    Shape s = *build_shape(&form->build, x);
    int64_t n = s.dim[1] / window;
    NodeId y = graph_roll(form->graph, x, (int64_t[]){0, -shift, -shift, 0}, form->o);
    y = build_reshape(&form->build, y, 6, (int64_t[]){s.dim[0], n, window, n, window, s.dim[3]});
    y = graph_permute(form->graph, y, (int32_t[]){0, 1, 3, 2, 4, 5}, form->o);
    return build_reshape(&form->build, y, 3, (int64_t[]){s.dim[0] * n * n, window * window, s.dim[3]});
}

static NodeId grid(Form *form, NodeId y, int64_t size, int64_t window, int64_t shift)
{
    Shape s = *build_shape(&form->build, y);
    int64_t n = size / window;
    y = build_reshape(&form->build, y, 6, (int64_t[]){s.dim[0] / (n * n), n, n, window, window, s.dim[2]});
    y = graph_permute(form->graph, y, (int32_t[]){0, 1, 3, 2, 4, 5}, form->o);
    y = build_reshape(&form->build, y, 4, (int64_t[]){s.dim[0] / (n * n), size, size, s.dim[2]});
    return graph_roll(form->graph, y, (int64_t[]){0, shift, shift, 0}, form->o);
}

static void test_softmax_is_one_kernel(void **state)
{
    (void)state;
    Form form = form_new(1);
    NodeId x = input_x(&form, shape3(3, 5, 7));
    form_output(&form, graph_unary(form.graph, OP_SOFTMAX, x, form.o));
    const Program *program = form_run(&form);
    expect_steps(&form, program, 1, 0);
    fixture_free(form.fixture);
}

static void test_softmax_gradient(void **state)
{
    (void)state;
    Form form = form_new(2);
    NodeId x = input_x(&form, shape2(6, 9));
    const Program *program = form_train(&form, graph_unary(form.graph, OP_SOFTMAX, x, form.o));
    // One for the loss's sum over everything.
    expect_steps(&form, program, 2, 0);
    fixture_free(form.fixture);
}

static void test_layer_norm_stores_windows(void **state)
{
    (void)state;
    Form form = form_new(3);
    NodeId x = input_x(&form, shape4(2, 8, 8, 6));
    NodeId y = windows(&form, layer_norm(&form, x), 4, 2);
    form_output(&form, linear(&form, y, 5));
    const Program *program = form_run(&form);
    // Norm with roll and partition; the product with its bias.
    expect_steps(&form, program, 1, 1);
    fixture_free(form.fixture);
}

// A residual block around windows: everything between two products is one kernel.
static void test_shifted_block(void **state)
{
    (void)state;
    Form form = form_new(4);
    NodeId x = input_x(&form, shape4(2, 8, 8, 6));
    NodeId y = linear(&form, windows(&form, layer_norm(&form, x), 4, 2), 6);
    NodeId sum = build_add(&form.build, x, grid(&form, y, 8, 4, 2));
    form_output(&form, sum);
    NodeId z = linear(&form, layer_norm(&form, sum), 12);
    form_output(&form, linear(&form, graph_unary(form.graph, OP_GELU, z, form.o), 6));
    const Program *program = form_run(&form);
    expect_steps(&form, program, 3, 3);
    fixture_free(form.fixture);
}

static void test_mlp_training(void **state)
{
    (void)state;
    Form form = form_new(5);
    NodeId x = layer_norm(&form, input_x(&form, shape2(10, 6)));
    NodeId y = linear(&form, graph_unary(form.graph, OP_GELU, linear(&form, x, 12), form.o), 6);
    const Program *program = form_train(&form, y);
    // Norm; gelu, its gradient and the first bias gradient; loss; gradient of the norm. The last bias gradient is a
    // second result of a product.
    expect_steps(&form, program, 4, 6);
    fixture_free(form.fixture);
}

static NodeId cross_entropy(Form *form, NodeId logits, NodeId label)
{
    Shape rows = shape1(build_shape(&form->build, logits)->dim[0]);
    return graph_add(form->graph, OP_CROSS_ENTROPY, DTYPE_F32, &rows, (NodeId[]){logits, label}, 2, NULL,
                     form->o);
}

static void test_cross_entropy_training(void **state)
{
    (void)state;
    Form form = form_new(6);
    NodeId x = input_x(&form, shape2(8, 5));
    NodeId label = fixture_index(form.fixture, shape1(8), 11);
    const Program *program = form_train(&form, cross_entropy(&form, linear(&form, x, 11), label));
    // Loss rows, logits' gradient and bias gradient together; their sum.
    expect_steps(&form, program, 2, 3);
    fixture_free(form.fixture);
}

// Image-text contrast: both directions over one matrix.
static void test_contrast_training(void **state)
{
    (void)state;
    Form form = form_new(7);
    NodeId a = input_x(&form, shape2(6, 4));
    NodeId b = input_x(&form, shape2(6, 4));
    NodeId logits =
        build_scale(&form.build, build_matmul(&form.build, a, build_transpose(&form.build, b)), 14.0);
    Shape six = shape1(6);
    NodeId same = graph_iota(form.graph, &six, 0, form.o);
    NodeId rows = cross_entropy(&form, logits, same);
    NodeId columns = cross_entropy(&form, build_transpose(&form.build, logits), same);
    form_train(&form, build_add(&form.build, rows, columns));
    fixture_free(form.fixture);
}

// Packed queries, keys and values, as Swin has them; three heads of four.
static NodeId packed_attention(Form *form, NodeId x, int keep)
{
    Shape s = *build_shape(&form->build, x);
    NodeId qkv = linear(form, x, 36);
    NodeId parts = build_reshape(&form->build, qkv, 5, (int64_t[]){s.dim[0], s.dim[1], 3, 3, 4});
    parts = graph_permute(form->graph, parts, (int32_t[]){2, 0, 3, 1, 4}, form->o);
    NodeId part[3];
    Shape one = shape_of(5, (int64_t[]){1, s.dim[0], 3, s.dim[1], 4});
    for (int64_t i = 0; i < 3; i++) {
        NodeId slice = graph_slice(form->graph, parts, (int64_t[]){i, 0, 0, 0, 0}, NULL, &one, form->o);
        part[i] = build_reshape(&form->build, slice, 4, one.dim + 1);
    }
    NodeId scores = build_scale(
        &form->build, build_matmul(&form->build, part[0], build_transpose(&form->build, part[1])), 0.5);
    Shape full = *build_shape(&form->build, scores);
    NodeId table = input_x(form, shape2(7, 3));
    NodeId index = fixture_index(form->fixture, shape2(s.dim[1], s.dim[1]), 7);
    NodeId bias = graph_permute(form->graph, graph_take(form->graph, table, index, form->o),
                                (int32_t[]){2, 0, 1}, form->o);
    scores = build_add(&form->build, scores, graph_expand_to(form->graph, bias, &full, form->o));
    NodeId p = graph_unary(form->graph, OP_SOFTMAX, scores, form->o);
    if (keep >= 0) {
        p = build_mul(&form->build, p, fixture_keep(form->fixture, keep));
    }
    NodeId out =
        graph_permute(form->graph, build_matmul(&form->build, p, part[2]), (int32_t[]){0, 2, 1, 3}, form->o);
    return build_reshape(&form->build, out, 3, (int64_t[]){s.dim[0], s.dim[1], 12});
}

static void test_packed_attention_has_no_copies(void **state)
{
    (void)state;
    Form form = form_new(8);
    NodeId x = input_x(&form, shape3(2, 5, 12));
    form_output(&form, linear(&form, packed_attention(&form, x, -1), 12));
    Graph *simple = simplify(form.fixture->arena, form.graph);
    form.graph = recognise_attention(form.fixture->arena, simple);
    const Program *program = form_run(&form);
    // The gathered table; two products with their biases and the attention.
    expect_steps(&form, program, 1, 3);
    fixture_free(form.fixture);
}

static void test_packed_attention_training(void **state)
{
    (void)state;
    Form form = form_new(9);
    NodeId x = input_x(&form, shape3(2, 5, 12));
    int keep = fixture_draw(form.fixture, shape4(2, 3, 5, 5));
    const Program *program = form_train(&form, linear(&form, packed_attention(&form, x, keep), 12));
    assert_int_equal(count_steps(program, STEP_ATTENTION_GRAD), 1);
    // The three gradients are written into one buffer: no kernel but the table and the loss: the table's gradient
    // is added up as it lies.
    expect_steps(&form, program, 2, 9);
    fixture_free(form.fixture);
}

// Written out (not recognised): batched products, softmax and its gradient.
static void test_plain_attention_training(void **state)
{
    (void)state;
    Form form = form_new(10);
    NodeId x = input_x(&form, shape3(2, 5, 12));
    NodeId y = linear(&form, packed_attention(&form, x, -1), 12);
    NodeId loss = fixture_loss(form.fixture, y);
    graph_output(form.graph, "loss", OUTPUT_LOSS, loss, -1);
    form.graph = grad(form.fixture->arena, form.graph, loss);
    form_run(&form);
    fixture_free(form.fixture);
}

static void test_embedding_training(void **state)
{
    (void)state;
    Form form = form_new(11);
    NodeId words = input_x(&form, shape2(13, 6));
    NodeId positions = input_x(&form, shape2(9, 6));
    NodeId ids = fixture_index(form.fixture, shape2(3, 4), 13);
    Shape first = shape2(4, 6);
    NodeId place = graph_slice(form.graph, positions, NULL, NULL, &first, form.o);
    Shape shape = shape3(3, 4, 6);
    NodeId x = build_add(&form.build, graph_take(form.graph, words, ids, form.o),
                         graph_expand_to(form.graph, place, &shape, form.o));
    NodeId y = layer_norm(&form, x);
    // The table is used again as the decoder.
    NodeId flat = build_reshape(&form.build, y, 2, (int64_t[]){12, 6});
    const Program *program =
        form_train(&form, build_matmul(&form.build, flat, build_transpose(&form.build, words)));
    int accumulating = 0;
    for (int i = 0; i < program->n_steps; i++) {
        accumulating += program->steps[i].accumulates;
    }
    assert_int_equal(accumulating, 1);
    fixture_free(form.fixture);
}

static void test_gathered_masked_rows(void **state)
{
    (void)state;
    Form form = form_new(12);
    NodeId x = input_x(&form, shape3(3, 5, 6));
    NodeId position = fixture_index(form.fixture, shape2(3, 2), 5);
    Shape two = shape2(3, 2);
    NodeId row = graph_iota(form.graph, &two, 0, form.o);
    Shape numbers = two;
    NodeId five = graph_const(form.graph, 5, DTYPE_I32, &numbers, form.o);
    NodeId at = graph_binary(form.graph, OP_ADD, graph_binary(form.graph, OP_MUL, row, five, form.o),
                             position, form.o);
    NodeId flat =
        build_reshape(&form.build, graph_unary(form.graph, OP_TANH, x, form.o), 2, (int64_t[]){15, 6});
    NodeId taken = graph_take(form.graph, flat, at, form.o);
    form_train(&form, layer_norm(&form, taken));
    fixture_free(form.fixture);
}

// Mean over the patches put in front of them, and a slice of the first token.
static void test_tokens(void **state)
{
    (void)state;
    Form form = form_new(13);
    NodeId x = input_x(&form, shape3(3, 4, 6));
    NodeId mean = build_scale(&form.build, build_sum(&form.build, x, 2), 0.25);
    NodeId all = graph_concat(form.graph, (NodeId[]){mean, x}, 2, 1, form.o);
    form_output(&form, all);
    Shape one = shape3(3, 1, 6);
    NodeId token = graph_slice(form.graph, all, NULL, NULL, &one, form.o);
    form_train(&form, linear(&form, token, 4));
    fixture_free(form.fixture);
}

// Rows taken out of a batch beside the batch itself, as hard negatives are.
static void test_negatives(void **state)
{
    (void)state;
    Form form = form_new(14);
    NodeId x = graph_unary(form.graph, OP_TANH, input_x(&form, shape3(4, 3, 6)), form.o);
    NodeId index = fixture_index(form.fixture, shape1(4), 4);
    NodeId both =
        graph_concat(form.graph, (NodeId[]){x, graph_take(form.graph, x, index, form.o)}, 2, 0, form.o);
    form_train(&form, linear(&form, layer_norm(&form, both), 5));
    fixture_free(form.fixture);
}

// The best rows of a table for every row of scores.
static void test_best_rows(void **state)
{
    (void)state;
    Form form = form_new(22);
    NodeId x = input_x(&form, shape2(5, 4)), table = input_x(&form, shape2(7, 4));
    NodeId scores = graph_matmul(form.graph, x, graph_transpose(form.graph, table, form.o), NO_NODE, form.o);
    NodeId best = graph_top_k(form.graph, graph_unary(form.graph, OP_TANH, scores, form.o), 3, form.o);
    form_output(&form, best);
    form_output(&form, graph_take(form.graph, table, best, form.o));
    const Program *program = form_run(&form);
    assert_int_equal(count_steps(program, STEP_TOP_K), 1);
    fixture_free(form.fixture);
}

static void test_patches(void **state)
{
    (void)state;
    Form form = form_new(15);
    NodeId image = input_x(&form, shape4(2, 3, 8, 8));
    NodeId y = build_reshape(&form.build, image, 6, (int64_t[]){2, 3, 2, 4, 2, 4});
    y = graph_permute(form.graph, y, (int32_t[]){0, 2, 4, 1, 3, 5}, form.o);
    y = build_reshape(&form.build, y, 3, (int64_t[]){2, 4, 48});
    form_output(&form, layer_norm(&form, linear(&form, y, 7)));
    const Program *program = form_run(&form);
    expect_steps(&form, program, 2, 1);
    fixture_free(form.fixture);
}

// A weight that several products share: their gradients are added up in place.
static void test_shared_weight(void **state)
{
    (void)state;
    Form form = form_new(16);
    NodeId w = input_x(&form, shape2(6, 6));
    NodeId x = input_x(&form, shape2(5, 6));
    for (int i = 0; i < 3; i++) {
        x = graph_unary(form.graph, OP_TANH, build_matmul(&form.build, x, build_transpose(&form.build, w)),
                        form.o);
    }
    const Program *program = form_train(&form, x);
    int accumulating = 0;
    for (int i = 0; i < program->n_steps; i++) {
        accumulating += program->steps[i].accumulates;
    }
    assert_int_equal(accumulating, 2);
    fixture_free(form.fixture);
}

static void test_outputs_that_are_views(void **state)
{
    (void)state;
    Form form = form_new(17);
    NodeId a = input_x(&form, shape2(4, 6));
    NodeId b = input_x(&form, shape2(6, 5));
    NodeId c = build_matmul(&form.build, a, b);
    form_output(&form, c);
    form_output(&form, build_transpose(&form.build, c));
    form_output(&form, build_reshape(&form.build, c, 3, (int64_t[]){2, 2, 5}));
    form_output(&form, a);
    Shape shape = shape2(2, 3);
    form_output(&form, graph_const(form.graph, 2.5, DTYPE_F32, &shape, form.o));
    form_output(&form, graph_iota(form.graph, &shape, 1, form.o));
    form_run(&form);
    fixture_free(form.fixture);
}

// Gradients of bias and norm join the kernel that computes what they sum.
static void test_column_sums_join(void **state)
{
    (void)state;
    Form form = form_new(18);
    NodeId x = input_x(&form, shape3(4, 5, 6));
    const Program *program = form_train(&form, layer_norm(&form, x));
    // The loss; the gradients of x, weight and bias together with the statistics.
    expect_steps(&form, program, 2, 0);
    fixture_free(form.fixture);
}

// A product adds its bias where no kernel could: the sum is cut, turned and read by another product, in rows whose
// number differs from the product's.
static void test_bias_of_a_product(void **state)
{
    (void)state;
    Form form = form_new(19);
    NodeId x = input_x(&form, shape3(2, 5, 12));
    NodeId y = linear(&form, x, 8);
    form_output(&form, linear(&form, build_reshape(&form.build, y, 2, (int64_t[]){20, 4}), 3));
    const Program *program = form_run(&form);
    expect_steps(&form, program, 0, 2);
    assert_int_equal(program->steps[0].n_reads, 3);
    fixture_free(form.fixture);
}

// One that a kernel reads as well is left to the kernel, which would store it in any case.
static void test_bias_in_a_kernel(void **state)
{
    (void)state;
    Form form = form_new(20);
    NodeId y = linear(&form, input_x(&form, shape3(2, 5, 12)), 8);
    form_output(&form, graph_unary(form.graph, OP_GELU, y, form.o));
    form_output(&form, y);
    const Program *program = form_run(&form);
    expect_steps(&form, program, 1, 1);
    assert_int_equal(program->steps[0].n_reads, 2);
    fixture_free(form.fixture);
}

// A vector along the rows is none, and a product that is read without it keeps its own place.
static void test_no_bias(void **state)
{
    (void)state;
    Form form = form_new(21);
    NodeId product = build_matmul(&form.build, input_x(&form, shape2(6, 4)), input_x(&form, shape2(4, 5)));
    Shape shape = shape2(6, 5);
    NodeId rows = graph_expand(form.graph, input_x(&form, shape2(6, 1)), &shape, form.o);
    form_output(&form, build_add(&form.build, product, rows));
    NodeId other = build_matmul(&form.build, input_x(&form, shape2(6, 4)), input_x(&form, shape2(4, 5)));
    form_output(&form, build_add(&form.build, other,
                                 graph_expand_to(form.graph, input_x(&form, shape1(5)), &shape, form.o)));
    form_output(&form, other);
    const Program *program = form_run(&form);
    expect_steps(&form, program, 2, 2);
    fixture_free(form.fixture);
}

// dW = dy^T x with db = dy^T 1 as a second result, if nothing is computed from db.
static const Program *product_with_sum(Form *form, bool is_used)
{
    NodeId x = input_x(form, shape2(12, 7));
    NodeId dy = build_matmul(&form->build, input_x(form, shape2(12, 4)), input_x(form, shape2(4, 5)));
    form_output(form, build_matmul(&form->build, build_transpose(&form->build, dy), x));
    NodeId sum = graph_reduce(form->graph, OP_SUM, dy, 1, form->o);
    form_output(form, build_reshape(&form->build, sum, 1, (int64_t[]){5}));
    if (is_used) {
        form_output(form, graph_unary(form->graph, OP_NEG, sum, form->o));
    }
    return form_run(form);
}

static void test_sum_beside_a_product(void **state)
{
    (void)state;
    Form form = form_new(22);
    const Program *program = product_with_sum(&form, false);
    expect_steps(&form, program, 0, 2);
    assert_int_equal(program->steps[1].n_writes, 2);
    fixture_free(form.fixture);
    form = form_new(23);
    program = product_with_sum(&form, true);
    expect_steps(&form, program, 2, 2);
    fixture_free(form.fixture);
}

// Not where the product reads other columns, or reads them as rows.
static void test_sum_of_other_columns(void **state)
{
    (void)state;
    Form form = form_new(24);
    NodeId dy = build_matmul(&form.build, input_x(&form, shape2(6, 4)), input_x(&form, shape2(4, 6)));
    NodeId part =
        graph_slice(form.graph, dy, (int64_t[]){0, 2}, (int64_t[]){1, 1}, &(Shape){2, {6, 4}}, form.o);
    form_output(&form,
                build_matmul(&form.build, build_transpose(&form.build, part), input_x(&form, shape2(6, 3))));
    form_output(&form, build_matmul(&form.build, dy, input_x(&form, shape2(6, 3))));
    form_output(&form, graph_reduce(form.graph, OP_SUM, dy, 1, form.o));
    const Program *program = form_run(&form);
    expect_steps(&form, program, 1, 3);
    fixture_free(form.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax_is_one_kernel),
        cmocka_unit_test(test_softmax_gradient),
        cmocka_unit_test(test_layer_norm_stores_windows),
        cmocka_unit_test(test_shifted_block),
        cmocka_unit_test(test_mlp_training),
        cmocka_unit_test(test_cross_entropy_training),
        cmocka_unit_test(test_contrast_training),
        cmocka_unit_test(test_packed_attention_has_no_copies),
        cmocka_unit_test(test_packed_attention_training),
        cmocka_unit_test(test_plain_attention_training),
        cmocka_unit_test(test_embedding_training),
        cmocka_unit_test(test_gathered_masked_rows),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_negatives),
        cmocka_unit_test(test_best_rows),
        cmocka_unit_test(test_patches),
        cmocka_unit_test(test_shared_weight),
        cmocka_unit_test(test_outputs_that_are_views),
        cmocka_unit_test(test_column_sums_join),
        cmocka_unit_test(test_bias_of_a_product),
        cmocka_unit_test(test_bias_in_a_kernel),
        cmocka_unit_test(test_no_bias),
        cmocka_unit_test(test_sum_beside_a_product),
        cmocka_unit_test(test_sum_of_other_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
