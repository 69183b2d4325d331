// Sharing keeps what a graph computes, gradients included, on random graphs and on the forms it is made for,
// where it also has to do the work it promises.
#include "compiler/expand.h"
#include "compiler/grad.h"
#include "compiler/graph_print.h"
#include "compiler/share.h"
#include "compiler/simplify.h"
#include "tests/unit/graph_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { B = 4, T = 5, K = 6, N = 3 };

static Graph *gradient(Fixture *fixture, const Graph *graph)
{
    return grad(fixture->arena, graph, graph->outputs[graph->n_outputs - 1].node);
}

static void test_random_graphs(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 240; seed++) {
        Fixture *fixture = fixture_new(seed + 5000);
        random_graph(fixture, 10 + (int)(seed % 50));
        Graph *simple = simplify(fixture->arena, fixture->graph);
        Graph *shared = share(fixture->arena, simple, (uint32_t)(1 + seed % 7));
        fixture_assert_same(fixture, simple, shared, 1e-9);
        if (seed % 4 == 0) {
            Graph *before = gradient(fixture, simple), *after = gradient(fixture, shared);
            if (before->n_outputs == after->n_outputs) {
                fixture_assert_same(fixture, before, after, 1e-8);
            }
        }
        fixture_free(fixture);
    }
}

typedef struct Form {
    Fixture *fixture;
    Graph *graph;
    const Origin *o;
    NodeId weight, norm;
} Form;

static Form new_form(uint64_t seed)
{
    Fixture *fixture = fixture_new(seed);
    Form form = {.fixture = fixture, .graph = fixture->graph, .o = &fixture->origin};
    form.weight = fixture_param(fixture, shape2(K, N), -1, 1);
    form.norm = fixture_param(fixture, shape1(K), 0.5, 1);
    return form;
}

// x [..., k] w.
static NodeId linear(Form *form, NodeId x, NodeId w)
{
    Shape shape = form->graph->nodes[x].shape;
    int64_t width = shape.dim[shape.rank - 1];
    Shape flat = shape2(shape_count(&shape) / width, width);
    NodeId rows = graph_reshape(form->graph, x, &flat, form->o);
    shape.dim[shape.rank - 1] = form->graph->nodes[w].shape.dim[1];
    return graph_reshape(form->graph, graph_matmul(form->graph, rows, w, NO_NODE, form->o), &shape, form->o);
}

static NodeId layer_norm(Form *form, NodeId x)
{
    Shape shape = form->graph->nodes[x].shape;
    Attr attr = {.number = 1e-5};
    return graph_add(form->graph, OP_LAYER_NORM, DTYPE_F32, &shape, (NodeId[]){x, form->norm, form->norm}, 3,
                     &attr, form->o);
}

static void add_loss(Form *form, NodeId x)
{
    NodeId loss = fixture_loss(form->fixture, graph_unary(form->graph, OP_TANH, x, form->o));
    int n = form->graph->n_outputs;
    if (n > 0) {
        loss = graph_binary(form->graph, OP_ADD, form->graph->outputs[n - 1].node, loss, form->o);
        form->graph->n_outputs = 0;
    }
    graph_output(form->graph, "loss", OUTPUT_LOSS, loss, -1);
}

// Rows multiplied by matrices that are parameters.
static int64_t product_rows(const Graph *graph)
{
    int64_t rows = 0;
    for (NodeId id = 0; id < graph->n_nodes; id++) {
        const Node *node = &graph->nodes[id];
        rows += node->op == OP_MATMUL && node->shape.rank == 2 ? node->shape.dim[0] : 0;
    }
    return rows;
}

static void check(Form *form, uint32_t which, int64_t rows_before, int64_t rows_after)
{
    Graph *simple = simplify(form->fixture->arena, form->graph);
    Graph *shared = share(form->fixture->arena, simple, which);
    if (product_rows(simple) != rows_before || product_rows(shared) != rows_after) {
        fail_msg("%lld rows become %lld, not %lld:\n%s", (long long)product_rows(simple),
                 (long long)product_rows(shared), (long long)rows_after,
                 graph_print(form->fixture->arena, shared));
    }
    fixture_assert_same(form->fixture, simple, shared, 1e-12);
    fixture_assert_same(form->fixture, gradient(form->fixture, simple), gradient(form->fixture, shared),
                        1e-10);
    fixture_free(form->fixture);
}

// Image tokens for the matching pass, and drawn negatives beside them.
static void test_negatives(void **state)
{
    (void)state;
    Form form = new_form(1);
    NodeId image = fixture_param(form.fixture, shape3(B, T, K), -1, 1);
    NodeId drawn = graph_take(form.graph, image, fixture_index(form.fixture, shape1(B), B), form.o);
    NodeId both = graph_concat(form.graph, (NodeId[]){drawn, image}, 2, 0, form.o);
    add_loss(&form, linear(&form, image, form.weight));
    add_loss(&form, linear(&form, both, form.weight));
    check(&form, SHARE_GATHERED, 3 * B * T, B * T);
}

// More regions than images: the tokens of an image are multiplied once, the mean of each region by itself.
static void test_regions(void **state)
{
    (void)state;
    Form form = new_form(2);
    NodeId tokens = fixture_param(form.fixture, shape3(2, T, K), -1, 1);
    NodeId mean = fixture_param(form.fixture, shape3(B, 1, K), -1, 1);
    NodeId rows = graph_take(form.graph, tokens, fixture_index(form.fixture, shape1(B), 2), form.o);
    NodeId region = graph_concat(form.graph, (NodeId[]){mean, rows}, 2, 1, form.o);
    add_loss(&form, linear(&form, region, form.weight));
    NodeId drawn = graph_take(form.graph, region, fixture_index(form.fixture, shape1(B), B), form.o);
    add_loss(&form, linear(&form, drawn, form.weight));
    check(&form, SHARE_GATHERED, 2 * B * (T + 1), 2 * T + B);
}

// Nothing else multiplies the rows, and there are no fewer of them.
static void test_nothing_to_share(void **state)
{
    (void)state;
    Form form = new_form(3);
    NodeId image = fixture_param(form.fixture, shape3(B, T, K), -1, 1);
    NodeId drawn = graph_take(form.graph, image, fixture_index(form.fixture, shape1(B - 1), B), form.o);
    add_loss(&form, linear(&form, drawn, form.weight));
    check(&form, SHARE_GATHERED, (B - 1) * T, (B - 1) * T);
}

// Norm, product and residual of a layer: x + norm(x) w v under a mask, then a norm.
static NodeId feed_forward(Form *form, NodeId x)
{
    NodeId back = fixture_param(form->fixture, shape2(N, K), -1, 1);
    NodeId bias = fixture_param(form->fixture, shape1(N), -1, 1);
    NodeId y = linear(form, layer_norm(form, x), form->weight);
    Shape shape = form->graph->nodes[y].shape, full = form->graph->nodes[x].shape;
    y = graph_binary(form->graph, OP_ADD, y, graph_expand_to(form->graph, bias, &shape, form->o), form->o);
    y = linear(form, graph_unary(form->graph, OP_GELU, y, form->o), back);
    NodeId keep = fixture_keep(form->fixture, fixture_draw(form->fixture, full));
    y = graph_binary(form->graph, OP_MUL, y, keep, form->o);
    return layer_norm(form, graph_binary(form->graph, OP_ADD, x, y, form->o));
}

// The head reads the first token.
static void test_first_token(void **state)
{
    (void)state;
    Form form = new_form(4);
    NodeId y = feed_forward(&form, fixture_param(form.fixture, shape3(B, T, K), -1, 1));
    Shape first = shape3(B, 1, K);
    add_loss(&form, graph_slice(form.graph, y, (int64_t[]){0, 0, 0}, NULL, &first, form.o));
    check(&form, SHARE_ROWS, 2 * B * T, 2 * B);
}

// The head reads some positions.
static void test_masked_positions(void **state)
{
    (void)state;
    Form form = new_form(5);
    NodeId y = feed_forward(&form, fixture_param(form.fixture, shape3(B, T, K), -1, 1));
    Shape flat = shape2(B * T, K);
    NodeId rows = graph_reshape(form.graph, y, &flat, form.o);
    NodeId index = fixture_index(form.fixture, shape2(B, 2), B * T);
    add_loss(&form, graph_take(form.graph, rows, index, form.o));
    check(&form, SHARE_ROWS, 2 * B * T, 2 * B * 2);
}

// All tokens are read besides.
static void test_all_tokens_are_read(void **state)
{
    (void)state;
    Form form = new_form(6);
    NodeId y = feed_forward(&form, fixture_param(form.fixture, shape3(B, T, K), -1, 1));
    Shape first = shape3(B, 1, K);
    add_loss(&form, graph_slice(form.graph, y, (int64_t[]){0, 0, 0}, NULL, &first, form.o));
    add_loss(&form, y);
    check(&form, SHARE_ROWS, 2 * B * T, 2 * B * T);
}

// Queries of attention without dropout; all keys and values stay.
static void check_queries(bool has_dropout, int64_t rows_after)
{
    Form form = new_form(7);
    NodeId x = fixture_param(form.fixture, shape3(B, T, K), -1, 1), parts[4];
    Shape split = shape4(B, T, 1, N), heads = shape4(B, 1, T, N);
    Shape joined = shape3(B, T, N), first = shape3(B, 1, N);
    for (int i = 0; i < 3; i++) {
        NodeId y = linear(&form, x, fixture_param(form.fixture, shape2(K, N), -1, 1));
        y = graph_reshape(form.graph, y, &split, form.o);
        parts[i] = graph_permute(form.graph, y, (int32_t[]){0, 2, 1, 3}, form.o);
    }
    parts[3] = fixture_param(form.fixture, shape4(1, 1, T, T), -1, 1);
    Attr attr = {.number = 0.5, .index = has_dropout ? fixture_draw(form.fixture, shape4(B, 1, T, T)) : -1};
    NodeId y = graph_add(form.graph, OP_ATTENTION, DTYPE_F32, &heads, parts, 4, &attr, form.o);
    y = graph_permute(form.graph, y, (int32_t[]){0, 2, 1, 3}, form.o);
    y = graph_reshape(form.graph, y, &joined, form.o);
    add_loss(&form, graph_slice(form.graph, y, (int64_t[]){0, 0, 0}, NULL, &first, form.o));
    check(&form, SHARE_ROWS, 3 * B * T, rows_after);
}

static void test_queries(void **state)
{
    (void)state;
    check_queries(false, 2 * B * T + B);
    check_queries(true, 3 * B * T);
}

static NodeId biased(Form *form, NodeId x, NodeId bias)
{
    Shape shape = form->graph->nodes[x].shape;
    return graph_binary(form->graph, OP_ADD, x, graph_expand_to(form->graph, bias, &shape, form->o), form->o);
}

// The vector is added to the images' products, not to the gathered rows.
static void test_bias_below_gathers(void **state)
{
    (void)state;
    Form form = new_form(31);
    NodeId x = fixture_param(form.fixture, shape3(B, T, K), -1, 1),
           bias = fixture_param(form.fixture, shape1(N), -1, 1);
    NodeId index = fixture_index(form.fixture, shape1(B), B);
    NodeId parts[3] = {x, x, graph_take(form.graph, x, index, form.o)};
    NodeId rows = graph_concat(form.graph, parts, 3, 0, form.o);
    add_loss(&form, biased(&form, linear(&form, x, form.weight), bias));
    add_loss(&form, biased(&form, linear(&form, rows, form.weight), bias));
    Graph *shared = share(form.fixture->arena, simplify(form.fixture->arena, form.graph), SHARE_GATHERED);
    for (NodeId id = 0; id < shared->n_nodes; id++) {
        const Node *node = &shared->nodes[id];
        assert_true(node->op != OP_ADD || shape_count(&node->shape) <= B * T * N);
    }
    check(&form, SHARE_GATHERED, 4 * B * T, B * T);
}

enum { LAYERS = 3 };

// Columns of a wide tensor, gathered one by one, with one left out or used otherwise.
static int gathers_of_slices(int n_gathered, bool has_other, bool is_plain)
{
    Form form = new_form(32);
    NodeId x = fixture_param(form.fixture, shape3(B, T, LAYERS * K), -1, 1);
    x = graph_unary(form.graph, OP_TANH, x, form.o);
    NodeId index = fixture_index(form.fixture, shape1(B), B);
    for (int i = 0; i < LAYERS; i++) {
        Shape shape = shape3(B, T, K);
        NodeId part =
            graph_slice(form.graph, x, (int64_t[]){0, 0, i * K}, (int64_t[]){1, 1, 1}, &shape, form.o);
        NodeId parts[3] = {part, part, graph_take(form.graph, part, index, form.o)};
        add_loss(&form, i < n_gathered ? graph_concat(form.graph, parts, 3, 0, form.o) : part);
        if (has_other && i == 1) {
            add_loss(&form, part);
        }
    }
    if (is_plain) {
        add_loss(&form, x);
    }
    Graph *shared = share(form.fixture->arena, simplify(form.fixture->arena, form.graph), SHARE_SLICES);
    int n = count_op(shared, OP_TAKE);
    check(&form, SHARE_SLICES, 0, 0);
    return n;
}

static void test_slices_of_gathers(void **state)
{
    (void)state;
    assert_int_equal(gathers_of_slices(LAYERS, false, false), 1);
    assert_int_equal(gathers_of_slices(LAYERS - 1, false, false), LAYERS - 1);
    assert_int_equal(gathers_of_slices(LAYERS, true, false), LAYERS);
    assert_int_equal(gathers_of_slices(LAYERS, false, true), LAYERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
        cmocka_unit_test(test_negatives),
        cmocka_unit_test(test_regions),
        cmocka_unit_test(test_nothing_to_share),
        cmocka_unit_test(test_first_token),
        cmocka_unit_test(test_masked_positions),
        cmocka_unit_test(test_all_tokens_are_read),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_bias_below_gathers),
        cmocka_unit_test(test_slices_of_gathers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
