// The memory plan, kernel texts, and that fusion copes with long graphs. Every program that the other tests run is
// checked by program_verify too; here it has to find what is wrong.
#include "compiler/build.h"
#include "compiler/kernel_verify.h"
#include "compiler/plan.h"
#include "compiler/program_print.h"
#include "tests/unit/fuse_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { LONG_GRAPH = 20000 };

typedef struct Chain {
    Fixture *fixture;
    Build build;
} Chain;

static Chain chain_new(uint64_t seed)
{
    Chain chain = {.fixture = fixture_new(seed)};
    chain.build = (Build){.graph = chain.fixture->graph, .origin = chain.fixture->origin};
    return chain;
}

static void chain_output(Chain *chain, NodeId node)
{
    Graph *graph = chain->build.graph;
    graph_output(graph, arena_format(chain->fixture->arena, "y%d", graph->n_outputs), OUTPUT_VALUE, node, -1);
}

static NodeId square(Chain *chain)
{
    return fixture_param(chain->fixture, shape2(16, 16), -1, 1);
}

// tanh(x w) w2: the kernel between the products writes over its input.
static void test_writes_in_place(void **state)
{
    (void)state;
    Chain chain = chain_new(1);
    NodeId product = build_matmul(&chain.build, square(&chain), square(&chain));
    NodeId hidden = build_unary(&chain.build, OP_TANH, product);
    chain_output(&chain, build_matmul(&chain.build, hidden, square(&chain)));
    const Program *program = fuse_assert(chain.fixture, chain.build.graph, true, 1e-9);
    assert_int_equal(program->n_steps, 3);
    assert_int_equal(program->storage[product].offset, program->storage[hidden].offset);
    assert_int_equal(program->arena_bytes, 2 * 16 * 16 * 4);
    const Kernel *kernel = program->steps[1].kernel;
    for (int i = 0; i < kernel->n_buffers; i++) {
        assert_int_equal(kernel->buffers[i].kind, BUFFER_READ_WRITE);
    }
    fixture_free(chain.fixture);
}

// tanh(x w)^T: what is read elsewhere than it is written may not be overwritten.
static void test_does_not_overwrite_what_moves(void **state)
{
    (void)state;
    Chain chain = chain_new(2);
    NodeId product = build_matmul(&chain.build, square(&chain), square(&chain));
    NodeId sum = build_add(&chain.build, product, build_transpose(&chain.build, product));
    chain_output(&chain, build_matmul(&chain.build, sum, square(&chain)));
    const Program *program = fuse_assert(chain.fixture, chain.build.graph, true, 1e-9);
    assert_true(program->storage[product].offset != program->storage[sum].offset);
    fixture_free(chain.fixture);
}

// A long chain of products needs two values at a time, however long it is.
static void test_reuses_memory(void **state)
{
    (void)state;
    Chain chain = chain_new(3);
    NodeId weight = square(&chain);
    NodeId x = square(&chain);
    for (int i = 0; i < 20; i++) {
        x = build_matmul(&chain.build, x, weight);
    }
    chain_output(&chain, x);
    const Program *program = fuse_assert(chain.fixture, chain.build.graph, true, 1e-9);
    assert_int_equal(program->arena_bytes, 2 * 16 * 16 * 4);
    assert_non_null(
        strstr(plan_print(chain.fixture->arena, program), "peak 2048 bytes; 20480 without reuse"));
    fixture_free(chain.fixture);
}

static void test_verify_finds_overlap_and_order(void **state)
{
    (void)state;
    Chain chain = chain_new(4);
    NodeId x = build_matmul(&chain.build, square(&chain), square(&chain));
    NodeId y = build_matmul(&chain.build, x, square(&chain));
    chain_output(&chain, build_matmul(&chain.build, x, y));
    Program *program = fuse(chain.fixture->arena, chain.build.graph, true);
    plan_memory(program);
    assert_null(program_verify(chain.fixture->arena, program));
    int64_t offset = program->storage[y].offset;
    program->storage[y].offset = program->storage[x].offset;
    assert_non_null(program_verify(chain.fixture->arena, program));
    program->storage[y].offset = offset;
    Step first = program->steps[0];
    program->steps[0] = program->steps[1];
    program->steps[1] = first;
    assert_non_null(program_verify(chain.fixture->arena, program));
    fixture_free(chain.fixture);
}

static void test_text_of_a_kernel(void **state)
{
    (void)state;
    Chain chain = chain_new(5);
    NodeId x = fixture_param(chain.fixture, shape3(2, 3, 8), -1, 1);
    NodeId mean = build_mean_last(&chain.build, x);
    chain_output(&chain, build_sub(&chain.build, x, build_grow(&chain.build, mean, x)));
    const Program *program = fuse_assert(chain.fixture, chain.build.graph, true, 1e-9);
    static const char expected[] = "program test, 1 steps\n"
                                   "kernel sub, rows [6], lanes 8\n"
                                   "  lanes\n"
                                   "    a0 sum= %0[r0*8 + c]\n"
                                   "  row\n"
                                   "    v1 = mul(a0, 0.125)\n"
                                   "  lanes\n"
                                   "    %5[r0*8 + c] = sub(%0[r0*8 + c], v1)\n"
                                   "  # sum mul sub\n";
    assert_string_equal(program_print(chain.fixture->arena, program), expected);
    fixture_free(chain.fixture);
}

// Products with elementwise chains and sums in between, and a gradient-like second half that reads the first.
static void test_long_graph(void **state)
{
    (void)state;
    Chain chain = chain_new(6);
    NodeId weight = square(&chain);
    NodeId x = square(&chain);
    NodeId kept[LONG_GRAPH / 8];
    int n_kept = 0;
    while (chain.build.graph->n_nodes < LONG_GRAPH / 2) {
        NodeId y = build_matmul(&chain.build, x, weight);
        NodeId mean = build_grow(&chain.build, build_mean_last(&chain.build, y), y);
        x = build_unary(&chain.build, OP_TANH, build_sub(&chain.build, y, mean));
        kept[n_kept++] = x;
    }
    while (chain.build.graph->n_nodes < LONG_GRAPH) {
        NodeId other = kept[n_kept > 1 ? --n_kept : 0];
        NodeId y = build_mul(&chain.build, build_matmul(&chain.build, x, weight), other);
        chain_output(&chain, build_sum(&chain.build, y, 1));
        NodeId mean = build_grow(&chain.build, build_mean_last(&chain.build, y), y);
        x = build_unary(&chain.build, OP_TANH, build_sub(&chain.build, y, mean));
    }
    chain_output(&chain, x);
    Program *program = fuse(chain.fixture->arena, chain.build.graph, true);
    plan_memory(program);
    assert_null(program_verify(chain.fixture->arena, program));
    // One kernel between two products.
    assert_true(count_steps(program, STEP_KERNEL) <= count_steps(program, STEP_MATMUL) + 1);
    fixture_free(chain.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_in_place),  cmocka_unit_test(test_does_not_overwrite_what_moves),
        cmocka_unit_test(test_reuses_memory),    cmocka_unit_test(test_verify_finds_overlap_and_order),
        cmocka_unit_test(test_text_of_a_kernel), cmocka_unit_test(test_long_graph),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
