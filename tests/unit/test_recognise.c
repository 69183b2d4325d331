// Attention written as the models write it becomes one node that computes the same, gradients included; what
// only looks like attention stays.
#include "compiler/grad.h"
#include "compiler/graph_print.h"
#include "compiler/recognise.h"
#include "compiler/simplify.h"
#include "tests/unit/graph_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { B = 4, H = 2, N = 3, D = 2, WINDOWS = 2 };

typedef struct Form {
    Fixture *fixture;
    Graph *graph;
    const Origin *o;
} Form;

static NodeId binary(Form *form, Op op, NodeId x, NodeId y)
{
    return graph_binary(form->graph, op, x, y, form->o);
}

static NodeId scaled(Form *form, Op op, NodeId x, double factor)
{
    Shape shape = form->graph->nodes[x].shape;
    return binary(form, op, x, graph_const(form->graph, factor, DTYPE_F32, &shape, form->o));
}

// [B, N, H * D] as [B, H, N, D].
static NodeId heads_of(Form *form, NodeId x)
{
    Shape split = shape4(B, form->graph->nodes[x].shape.dim[1], H, D);
    NodeId parts = graph_reshape(form->graph, x, &split, form->o);
    return graph_permute(form->graph, parts, (int32_t[]){0, 2, 1, 3}, form->o);
}

static NodeId tokens(Form *form)
{
    return fixture_param(form->fixture, shape3(B, N, H * D), -1, 1);
}

static NodeId product(Form *form, NodeId q, NodeId k)
{
    return graph_matmul(form->graph, q, graph_transpose(form->graph, k, form->o), NO_NODE, form->o);
}

static NodeId plus(Form *form, NodeId scores, NodeId bias)
{
    Shape shape = form->graph->nodes[scores].shape;
    return binary(form, OP_ADD, scores, graph_expand_to(form->graph, bias, &shape, form->o));
}

static NodeId softmax(Form *form, NodeId x)
{
    return graph_unary(form->graph, OP_SOFTMAX, x, form->o);
}

static NodeId weighted(Form *form, NodeId p, NodeId v)
{
    return graph_matmul(form->graph, p, v, NO_NODE, form->o);
}

// BERT: scores divided by a constant, a mask [B, 1, 1, N], dropout on the probabilities.
static NodeId form_bert(Form *form)
{
    NodeId scores = product(form, heads_of(form, tokens(form)), heads_of(form, tokens(form)));
    NodeId mask = scaled(form, OP_MUL, fixture_fixed(form->fixture, shape4(B, 1, 1, N)), -3);
    NodeId p = softmax(form, plus(form, scaled(form, OP_DIV, scores, 1.5), mask));
    NodeId keep = fixture_keep(form->fixture, fixture_draw(form->fixture, shape4(B, H, N, N)));
    return weighted(form, binary(form, OP_MUL, p, keep), heads_of(form, tokens(form)));
}

// The mask of each window [WINDOWS, N, N] for a batch of windows, as `tile` repeats it: [B, 1, N, N].
static NodeId tiled(Form *form, NodeId mask)
{
    Shape one = shape_of(5, (int64_t[]){1, WINDOWS, 1, N, N}), many = one, flat = shape4(B, 1, N, N);
    many.dim[0] = B / WINDOWS;
    NodeId grown = graph_expand(form->graph, graph_reshape(form->graph, mask, &one, form->o), &many, form->o);
    return graph_reshape(form->graph, grown, &flat, form->o);
}

// Swin: q, k, v from one product, q scaled, the mask first and then the table of relative positions.
static NodeId swin(Form *form, bool has_mask)
{
    Shape split = shape_of(5, (int64_t[]){B, N, 3, H, D}), part = shape_of(5, (int64_t[]){1, B, H, N, D});
    Shape heads = shape4(B, H, N, D);
    NodeId qkv = graph_reshape(form->graph, fixture_param(form->fixture, shape3(B, N, 3 * H * D), -1, 1),
                               &split, form->o);
    qkv = graph_permute(form->graph, qkv, (int32_t[]){2, 0, 3, 1, 4}, form->o);
    NodeId parts[3];
    for (int i = 0; i < 3; i++) {
        NodeId x = graph_slice(form->graph, qkv, (int64_t[]){i, 0, 0, 0, 0}, NULL, &part, form->o);
        parts[i] = graph_reshape(form->graph, x, &heads, form->o);
    }
    NodeId scores = product(form, scaled(form, OP_MUL, parts[0], 0.7), parts[1]);
    if (has_mask) {
        scores = plus(form, scores, tiled(form, fixture_fixed(form->fixture, shape3(WINDOWS, N, N))));
    }
    NodeId table = fixture_param(form->fixture, shape2(7, H), -1, 1);
    NodeId rows = graph_take(form->graph, table, fixture_index(form->fixture, shape2(N, N), 7), form->o);
    Shape bias = shape4(1, H, N, N);
    rows = graph_permute(form->graph, rows, (int32_t[]){2, 0, 1}, form->o);
    scores = plus(form, scores, graph_reshape(form->graph, rows, &bias, form->o));
    return weighted(form, softmax(form, scores), parts[2]);
}

static NodeId form_swin(Form *form)
{
    return swin(form, false);
}

static NodeId form_swin_shifted(Form *form)
{
    return swin(form, true);
}

// The mask viewed in the scores' own shape [B / WINDOWS, WINDOWS, H, N, N].
static NodeId form_window_view(Form *form)
{
    Shape five = shape_of(5, (int64_t[]){B / WINDOWS, WINDOWS, H, N, N}), four = shape4(B, H, N, N);
    NodeId scores = product(form, heads_of(form, tokens(form)), heads_of(form, tokens(form)));
    NodeId mask = fixture_param(form->fixture, shape4(WINDOWS, 1, N, N), -1, 1);
    NodeId grown = graph_expand_to(form->graph, mask, &five, form->o);
    scores = binary(form, OP_ADD, scores, graph_reshape(form->graph, grown, &four, form->o));
    return weighted(form, softmax(form, scores), heads_of(form, tokens(form)));
}

static NodeId form_plain(Form *form)
{
    NodeId x = heads_of(form, tokens(form));
    return weighted(form, softmax(form, product(form, x, x)), x);
}

// One softmax under two draws of dropout.
static NodeId form_two_draws(Form *form)
{
    NodeId x = heads_of(form, tokens(form)), p = softmax(form, product(form, x, x)), sum = NO_NODE;
    for (int i = 0; i < 2; i++) {
        NodeId keep = fixture_keep(form->fixture, fixture_draw(form->fixture, shape4(B, H, N, N)));
        NodeId y = weighted(form, binary(form, OP_MUL, p, keep), x);
        sum = sum == NO_NODE ? y : binary(form, OP_ADD, sum, y);
    }
    return sum;
}

static const struct {
    NodeId (*build)(Form *form);
    double scale;
    int n_biases;
    int64_t biases[2][4];
    int draw;
} FORMS[] = {
    {form_plain, 1, 0, {{0}}, -1},
    {form_bert, 1 / 1.5, 1, {{B, 1, 1, N}}, 0},
    {form_swin, 0.7, 1, {{1, H, N, N}}, -1},
    {form_swin_shifted, 0.7, 2, {{1, H, N, N}, {WINDOWS, 1, N, N}}, -1},
    {form_two_draws, 1, 0, {{0}}, 0},
    {form_window_view, 1, 1, {{WINDOWS, 1, N, N}}, -1},
};

static Form new_form(uint64_t seed)
{
    Fixture *fixture = fixture_new(seed);
    return (Form){.fixture = fixture, .graph = fixture->graph, .o = &fixture->origin};
}

static const Node *find_attention(const Graph *graph)
{
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        if (graph->nodes[id].op == OP_ATTENTION) {
            return &graph->nodes[id];
        }
    }
    return NULL;
}

static void test_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        Form form = new_form(i);
        NodeId loss = fixture_loss(form.fixture, FORMS[i].build(&form));
        graph_output(form.graph, "loss", OUTPUT_LOSS, loss, -1);
        Graph *simple = simplify(form.fixture->arena, form.graph);
        Graph *found = recognise_attention(form.fixture->arena, simple);
        const Node *attention = find_attention(found);
        if (attention == NULL) {
            fail_msg("form %zu:\n%s", i, graph_print(form.fixture->arena, simple));
        }
        assert_true(attention->attr.number > FORMS[i].scale - 1e-12 &&
                    attention->attr.number < FORMS[i].scale + 1e-12);
        assert_int_equal(attention->attr.index, FORMS[i].draw);
        assert_int_equal(attention->n_inputs, 3 + FORMS[i].n_biases);
        for (int b = 0; b < FORMS[i].n_biases; b++) {
            Shape expected = shape_of(4, FORMS[i].biases[b]);
            if (!shape_equal(&expected, &found->nodes[attention->inputs[3 + b]].shape)) {
                fail_msg("bias %d of form %zu:\n%s", b, i, graph_print(form.fixture->arena, found));
            }
        }
        assert_int_equal(count_op(found, OP_SOFTMAX) + count_op(found, OP_MATMUL), 0);
        fixture_assert_same(form.fixture, form.graph, found, 1e-12);
        Graph *before = grad(form.fixture->arena, form.graph, loss);
        Graph *after = grad(form.fixture->arena, found, found->outputs[0].node);
        fixture_assert_same(form.fixture, before, after, 1e-10);
        fixture_free(form.fixture);
    }
}

// The probabilities are an output.
static NodeId not_alone(Form *form)
{
    NodeId x = heads_of(form, tokens(form));
    NodeId p = softmax(form, product(form, x, x));
    graph_output(form->graph, "map", OUTPUT_VALUE, p, -1);
    return weighted(form, p, x);
}

static NodeId not_three_biases(Form *form)
{
    NodeId x = heads_of(form, tokens(form)), scores = product(form, x, x);
    for (int i = 0; i < 3; i++) {
        scores = plus(form, scores, fixture_fixed(form->fixture, shape4(1, 1, N, N)));
    }
    return weighted(form, softmax(form, scores), x);
}

// The bias is scaled too.
static NodeId not_scaled_bias(Form *form)
{
    NodeId x = heads_of(form, tokens(form));
    NodeId scores = plus(form, product(form, x, x), fixture_fixed(form->fixture, shape4(1, 1, N, N)));
    return weighted(form, softmax(form, scaled(form, OP_MUL, scores, 3)), x);
}

static NodeId not_softmax(Form *form)
{
    NodeId x = heads_of(form, tokens(form));
    return weighted(form, graph_unary(form->graph, OP_SIGMOID, product(form, x, x), form->o), x);
}

// A tiling the other way round: the batch index is divided, not taken modulo, so no small bias exists.
static NodeId repeated(Form *form)
{
    Shape one = shape_of(5, (int64_t[]){WINDOWS, 1, 1, N, N}), many = one, flat = shape4(B, 1, N, N);
    many.dim[1] = B / WINDOWS;
    NodeId mask =
        graph_reshape(form->graph, fixture_fixed(form->fixture, shape3(WINDOWS, N, N)), &one, form->o);
    NodeId grown = graph_expand(form->graph, mask, &many, form->o);
    NodeId x = heads_of(form, tokens(form));
    NodeId scores = plus(form, product(form, x, x), graph_reshape(form->graph, grown, &flat, form->o));
    return weighted(form, softmax(form, scores), x);
}

static void check_left_alone(NodeId (*build)(Form *form), int n_attentions, int64_t bias_batch)
{
    Form form = new_form(77);
    graph_output(form.graph, "r", OUTPUT_VALUE, build(&form), -1);
    Graph *found = recognise_attention(form.fixture->arena, simplify(form.fixture->arena, form.graph));
    assert_int_equal(count_op(found, OP_ATTENTION), n_attentions);
    if (n_attentions > 0) {
        assert_int_equal(found->nodes[find_attention(found)->inputs[3]].shape.dim[0], bias_batch);
    }
    fixture_assert_same(form.fixture, form.graph, found, 1e-12);
    fixture_free(form.fixture);
}

static void test_others_stay(void **state)
{
    (void)state;
    check_left_alone(not_alone, 0, 0);
    check_left_alone(not_three_biases, 0, 0);
    check_left_alone(not_scaled_bias, 0, 0);
    check_left_alone(not_softmax, 0, 0);
    check_left_alone(repeated, 1, B);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_others_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
