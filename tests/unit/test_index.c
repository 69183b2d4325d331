// Index expressions: random ones are evaluated against their simplified form at every point of small domains, and
// the rules that fusion relies on give exactly the expected expression.
#include "compiler/index_expr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { N_ROWS = 3, N_TREES = 4000, DEPTH = 5 };

typedef struct Setup {
    Arena *arena;
    IndexPool *pool;
    const IndexExpr *row[N_ROWS];
    const IndexExpr *lane;
    int64_t extent[N_ROWS + 1];
    uint64_t state;
} Setup;

static Setup *setup_new(uint64_t seed)
{
    Arena *arena = arena_new();
    Setup *setup = arena_alloc(arena, sizeof *setup);
    *setup = (Setup){.arena = arena, .pool = index_pool_new(arena), .extent = {6, 4, 1, 9}, .state = seed};
    for (int i = 0; i < N_ROWS; i++) {
        setup->row[i] = index_variable(setup->pool, INDEX_ROW, i, setup->extent[i]);
    }
    setup->lane = index_variable(setup->pool, INDEX_LANE, 0, setup->extent[N_ROWS]);
    return setup;
}

static int64_t draw(Setup *setup, int64_t n)
{
    setup->state = setup->state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((setup->state >> 33) % (uint64_t)n);
}

static int64_t floor_quotient(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

// The value of an expression as generated C would compute it: operands of / and % must not be negative.
static int64_t value_of(const IndexExpr *index, const int64_t *at)
{
    int64_t a = index->a ? value_of(index->a, at) : 0;
    int64_t result = 0;
    switch (index->kind) {
    case INDEX_CONST: result = index->value; break;
    case INDEX_ROW: result = at[index->variable]; break;
    case INDEX_LANE: result = at[N_ROWS]; break;
    case INDEX_ADD: result = a + value_of(index->b, at); break;
    case INDEX_MUL: result = a * index->value; break;
    case INDEX_DIV:
    case INDEX_MOD:
        assert_true(a >= 0);
        result = index->kind == INDEX_DIV ? a / index->value : a % index->value;
        break;
    default: fail();
    }
    assert_true(index->low <= result && result <= index->high);
    return result;
}

// A random expression built twice at once: simplified, and as the list of its values over the whole domain.
typedef struct Tree {
    const IndexExpr *index;
    int64_t *values;
} Tree;

static int64_t points(const Setup *setup)
{
    return setup->extent[0] * setup->extent[1] * setup->extent[2] * setup->extent[3];
}

static void point_at(const Setup *setup, int64_t p, int64_t *at)
{
    for (int i = N_ROWS; i >= 0; i--) {
        at[i] = p % setup->extent[i];
        p /= setup->extent[i];
    }
}

static Tree leaf(Setup *setup)
{
    Tree tree = {NULL, arena_alloc(setup->arena, (size_t)points(setup) * sizeof(int64_t))};
    int which = (int)draw(setup, N_ROWS + 2);
    int64_t constant = draw(setup, 40) - 10;
    tree.index = which < N_ROWS    ? setup->row[which]
                 : which == N_ROWS ? setup->lane
                                   : index_const(setup->pool, constant);
    for (int64_t p = 0; p < points(setup); p++) {
        int64_t at[N_ROWS + 1];
        point_at(setup, p, at);
        tree.values[p] = which <= N_ROWS ? at[which] : constant;
    }
    return tree;
}

static Tree random_tree(Setup *setup, int depth)
{
    if (depth == 0 || draw(setup, 6) == 0) {
        return leaf(setup);
    }
    Tree tree = random_tree(setup, depth - 1);
    Tree other = {NULL, NULL};
    static const int64_t factors[] = {1, 2, 3, 4, 6, 7, 8, 12, 24, 36, 49, -1, -3};
    int kind = (int)draw(setup, 4);
    int64_t factor = factors[draw(setup, kind == 1 ? 13 : 11)];
    int64_t n = points(setup);
    if (kind == 0) {
        other = random_tree(setup, depth - 1);
        tree.index = index_add(setup->pool, tree.index, other.index);
    } else if (kind == 1) {
        tree.index = index_mul(setup->pool, tree.index, factor);
    } else if (kind == 2) {
        tree.index = index_div(setup->pool, tree.index, factor);
    } else {
        tree.index = index_mod(setup->pool, tree.index, factor);
    }
    for (int64_t p = 0; p < n; p++) {
        int64_t a = tree.values[p];
        int64_t quotient = kind >= 2 ? floor_quotient(a, factor) : 0;
        tree.values[p] = kind == 0   ? a + other.values[p]
                         : kind == 1 ? a * factor
                         : kind == 2 ? quotient
                                     : a - quotient * factor;
    }
    return tree;
}

static void test_random_expressions_keep_their_values(void **state)
{
    (void)state;
    Setup *setup = setup_new(17);
    for (int i = 0; i < N_TREES; i++) {
        Tree tree = random_tree(setup, DEPTH);
        for (int64_t p = 0; p < points(setup); p++) {
            int64_t at[N_ROWS + 1];
            point_at(setup, p, at);
            int64_t value = value_of(tree.index, at);
            if (value != tree.values[p]) {
                fail_msg("%s is %lld instead of %lld", index_text(setup->arena, tree.index), (long long)value,
                         (long long)tree.values[p]);
            }
        }
    }
    arena_free(setup->arena);
}

static void test_substitution_is_composition(void **state)
{
    (void)state;
    Setup *setup = setup_new(5);
    for (int i = 0; i < N_TREES; i++) {
        Tree tree = random_tree(setup, 4);
        Tree row = leaf(setup);
        IndexMap map = {.row = {index_mod(setup->pool, row.index, 6), setup->row[1], setup->row[2]},
                        .lane = setup->lane};
        const IndexExpr *result = index_substitute(setup->pool, tree.index, &map);
        for (int64_t p = 0; p < points(setup); p++) {
            int64_t at[N_ROWS + 1];
            point_at(setup, p, at);
            int64_t moved[N_ROWS + 1];
            memcpy(moved, at, sizeof at);
            moved[0] = row.values[p] - 6 * floor_quotient(row.values[p], 6);
            assert_int_equal(value_of(result, at), value_of(tree.index, moved));
        }
    }
    arena_free(setup->arena);
}

static void expect(Setup *setup, const IndexExpr *index, const char *text)
{
    assert_string_equal(index_text(setup->arena, index), text);
}

static void test_rules(void **state)
{
    (void)state;
    Setup *setup = setup_new(1);
    IndexPool *pool = setup->pool;
    const IndexExpr *r0 = setup->row[0];
    const IndexExpr *c = setup->lane;
    const IndexExpr *flat = index_add(pool, index_mul(pool, r0, 9), c);
    expect(setup, flat, "r0*9 + c");
    assert_ptr_equal(index_div(pool, flat, 9), r0);
    assert_ptr_equal(index_mod(pool, flat, 9), c);
    expect(setup, index_div(pool, flat, 3), "r0*3 + c/3");
    expect(setup, index_div(pool, index_div(pool, flat, 2), 5), "(r0*9 + c)/10");
    expect(setup, index_div(pool, flat, 18), "r0/2");
    expect(setup, index_mod(pool, flat, 18), "r0%2*9 + c");
    const IndexExpr *again =
        index_add(pool, index_mul(pool, index_div(pool, flat, 7), 7), index_mod(pool, flat, 7));
    assert_ptr_equal(again, flat);
    assert_ptr_equal(setup->row[2], index_const(pool, 0));
    arena_free(setup->arena);
}

// A window partition of a rolled map, undone: the identity.
static void test_windows_and_back(void **state)
{
    (void)state;
    Setup *setup = setup_new(1);
    IndexPool *pool = setup->pool;
    const IndexExpr *j = index_variable(pool, INDEX_ROW, 0, 56);
    const IndexExpr *back = index_mod(pool, index_add(pool, j, index_const(pool, 53)), 56);
    const IndexExpr *window = index_div(pool, back, 7);
    const IndexExpr *token = index_mod(pool, back, 7);
    const IndexExpr *in_map = index_add(pool, index_mul(pool, window, 7), token);
    const IndexExpr *rolled = index_mod(pool, index_add(pool, in_map, index_const(pool, 3)), 56);
    assert_ptr_equal(rolled, j);
    arena_free(setup->arena);
}

static void test_questions(void **state)
{
    (void)state;
    Setup *setup = setup_new(1);
    IndexPool *pool = setup->pool;
    const IndexExpr *index = index_add(pool, index_mul(pool, setup->row[0], 20), index_const(pool, 3));
    IndexLine line;
    assert_true(index_line(index_add(pool, index, setup->lane), &line));
    assert_int_equal(line.row[0], 20);
    assert_int_equal(line.lane, 1);
    assert_int_equal(line.constant, 3);
    const IndexExpr *quotient = index_div(pool, setup->lane, 4);
    assert_false(index_line(quotient, &line));
    assert_int_equal(index_divisions(index_add(pool, quotient, index)), 1);
    assert_true(index_uses(quotient, INDEX_LANE));
    assert_false(index_uses(index, INDEX_LANE));
    arena_free(setup->arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_expressions_keep_their_values),
        cmocka_unit_test(test_substitution_is_composition),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_windows_and_back),
        cmocka_unit_test(test_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
