// Fusion of random graphs: forward and with gradients, fused and one step per node, against graph_eval.
#include "compiler/grad.h"
#include "compiler/graph_print.h"
#include "compiler/simplify.h"
#include "tests/unit/fuse_fixture.h"
#include "tests/unit/graph_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { N_GRAPHS = 300 };

static void test_random_graphs(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < N_GRAPHS; seed++) {
        Fixture *fixture = fixture_new(seed + 900);
        random_graph(fixture, 4 + (int)(seed % 40));
        const Graph *graph = fuse_ready(fixture, fixture->graph);
        fuse_assert(fixture, graph, true, 1e-8);
        fuse_assert(fixture, graph, false, 1e-8);
        fixture_free(fixture);
    }
}

static void test_random_gradients(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < N_GRAPHS; seed++) {
        Fixture *fixture = fixture_new(seed + 70000);
        NodeId loss = random_graph(fixture, 4 + (int)(seed % 30));
        Graph *both = grad(fixture->arena, fixture->graph, loss);
        const Graph *graph = fuse_ready(fixture, both);
        fuse_assert(fixture, graph, true, 1e-8);
        if (seed % 4 == 0) {
            fuse_assert(fixture, graph, false, 1e-8);
        }
        fixture_free(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
        cmocka_unit_test(test_random_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
