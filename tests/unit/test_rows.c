// runtime/device/rows.h and random_rows.h: gather, scatter, sampling, norms and keep values against plain
// loops.
#include "runtime/device/elements.h"
#include "runtime/device/random_rows.h"
#include "runtime/device/rows.h"

#include "runtime/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static float *random_floats(int64_t count, uint64_t key)
{
    float *values = malloc((size_t)count * sizeof *values);
    XvStream stream = xv_stream(key);
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)xv_stream_normal(&stream);
    }
    return values;
}

static void check_keep(const XvDraw *draw, uint64_t first, int64_t count)
{
    float *keep = malloc((size_t)(count + 1) * sizeof *keep);
    keep[count] = 123.0f;
    xv_keep_row(draw, first, count, keep);
    for (int64_t i = 0; i < count; i++) {
        uint64_t e = first + (uint64_t)i;
        float expected = xv_philox(draw->key, 0, e / 4).word[e % 4] >= draw->threshold ? draw->scale : 0.0f;
        assert_true(keep[i] == expected);
    }
    assert_true(keep[count] == 123.0f);
    free(keep);
}

static void test_keep(void **state)
{
    (void)state;
    const XvDraw draw = {.key = 0x123456789ABCDEF0u, .threshold = 429496730u, .scale = 1.0f / 0.9f};
    const XvDraw half = {.key = 3, .threshold = 1u << 31, .scale = 2.0f},
                 most = {.key = 4, .threshold = UINT32_MAX};
    for (int64_t count = 0; count < 150; count++) {
        check_keep(&draw, (uint64_t)count * 7, count);
        check_keep(&half, ((uint64_t)1 << 34) - 70, count);  // the counter's low word runs over
        check_keep(&most, 5, count);
    }
    check_keep(&half, 1, 5000);
}

static void test_keep_without_randomness(void **state)
{
    (void)state;
    float keep[100], mask[300];
    XvDraw off = {.scale = 1.0f};
    assert_false(xv_keep_is_active(NULL));
    assert_false(xv_keep_is_active(&off));
    xv_keep_row(&off, 12, 100, keep);
    for (int i = 0; i < 100; i++) {
        assert_true(keep[i] == 1.0f);
    }
    for (int i = 0; i < 300; i++) {
        mask[i] = i % 3 == 0 ? 1.0f : 0.0f;
    }
    XvDraw given = {.scale = 1.25f, .threshold = 1u << 31, .given_mask = mask};
    assert_true(xv_keep_is_active(&given));
    xv_keep_row(&given, 100, 100, keep);
    for (int i = 0; i < 100; i++) {
        assert_true(keep[i] == ((100 + i) % 3 == 0 ? 1.25f : 0.0f));
    }
}

// A table, rows and indices of which many repeat and some stand for no row.
typedef struct Rows {
    XvRows rows;
    float *table, *values;
    int32_t *index;
} Rows;

static Rows make_rows(int64_t n_rows, int64_t width, int64_t count)
{
    Rows r = {.table = random_floats(n_rows * width, 1), .values = random_floats(count * width, 2)};
    r.index = malloc((size_t)count * sizeof *r.index);
    XvStream stream = xv_stream(3);
    for (int64_t i = 0; i < count; i++) {
        r.index[i] = i % 3 == 0 ? 0 : (int32_t)xv_stream_below(&stream, (uint32_t)n_rows);
        r.index[i] = i % 11 == 10 ? -1 : i % 13 == 12 ? (int32_t)n_rows : r.index[i];
    }
    r.rows = (XvRows){.table = r.table,
                      .n_rows = n_rows,
                      .width = width,
                      .index = r.index,
                      .rows = r.values,
                      .count = count};
    return r;
}

static void free_rows(Rows *r)
{
    free(r->table);
    free(r->values);
    free(r->index);
}

static const int64_t WIDTHS[] = {1, 7, 32, 100, 768};

static void test_gather(void **state)
{
    (void)state;
    for (int w = 0; w < 5; w++) {
        Rows r = make_rows(50, WIDTHS[w], 200);
        xv_gather_rows(&r.rows);
        for (int64_t i = 0; i < 200; i++) {
            bool is_row = r.index[i] >= 0 && r.index[i] < 50;
            for (int64_t j = 0; j < WIDTHS[w]; j++) {
                float expected = is_row ? r.table[r.index[i] * WIDTHS[w] + j] : 0.0f;
                assert_true(r.values[i * WIDTHS[w] + j] == expected);
            }
        }
        free_rows(&r);
    }
}

// The order of additions is given, so the result is exact.
static void scatter_plainly(const Rows *r, float *table, bool is_cleared)
{
    int64_t width = r->rows.width;
    if (is_cleared) {
        memset(table, 0, (size_t)(r->rows.n_rows * width) * sizeof *table);
    }
    for (int64_t i = 0; i < r->rows.count; i++) {
        for (int64_t j = 0; j < width && r->index[i] >= 0 && r->index[i] < r->rows.n_rows; j++) {
            table[r->index[i] * width + j] += r->values[i * width + j];
        }
    }
}

static void test_scatter(void **state)
{
    (void)state;
    int before = omp_get_max_threads();
    for (int w = 0; w < 5; w++) {
        for (int threads = 1; threads <= 3; threads++) {
            omp_set_num_threads(threads);
            Rows r = make_rows(50, WIDTHS[w], 300);
            float *expected = random_floats(50 * WIDTHS[w], 1);
            scatter_plainly(&r, expected, threads == 2);
            xv_scatter_add_rows(&r.rows, threads == 2);
            assert_memory_equal(expected, r.table, (size_t)(50 * WIDTHS[w]) * sizeof(float));
            free(expected);
            free_rows(&r);
        }
    }
    omp_set_num_threads(before);
}

// Rows that lie as columns, with gaps.
static void test_scatter_strides(void **state)
{
    (void)state;
    for (int w = 0; w < 5; w++) {
        Rows r = make_rows(50, WIDTHS[w], 300);
        float *expected = random_floats(50 * WIDTHS[w], 1), *turned = random_floats(WIDTHS[w] * 310, 4);
        for (int64_t i = 0; i < 300 * WIDTHS[w]; i++) {
            turned[i % WIDTHS[w] * 310 + i / WIDTHS[w]] = r.values[i];
        }
        scatter_plainly(&r, expected, w % 2 == 0);
        r.rows.rows = turned;
        r.rows.row_stride = 1;
        r.rows.column_stride = 310;
        xv_scatter_add_rows(&r.rows, w % 2 == 0);
        assert_memory_equal(expected, r.table, (size_t)(50 * WIDTHS[w]) * sizeof(float));
        free(expected);
        free(turned);
        free_rows(&r);
    }
}

// Rows of two bytes, side by side and as columns.
static void test_scatter_types(void **state)
{
    (void)state;
    for (int w = 0; w < 10; w++) {
        int64_t width = WIDTHS[w / 2];
        XvDtype type = w % 2 ? XV_BF16 : XV_F16;
        Rows r = make_rows(50, width, 300);
        float *expected = random_floats(50 * width, 1);
        uint16_t *narrow = malloc((size_t)(300 * width) * sizeof *narrow);
        uint16_t *turned = malloc((size_t)(300 * width) * sizeof *turned);
        xv_store_floats(narrow, type, r.values, 300 * width);
        xv_load_floats(r.values, narrow, (XvReading){.type = type}, 300 * width);
        for (int64_t i = 0; i < 300 * width; i++) {
            turned[i % width * 300 + i / width] = narrow[i];
        }
        scatter_plainly(&r, expected, true);
        r.rows.type_rows = type;
        for (int is_turned = 0; is_turned < 2; is_turned++) {
            r.rows.rows = is_turned ? turned : narrow;
            r.rows.row_stride = is_turned ? 1 : 0;
            r.rows.column_stride = is_turned ? 300 : 0;
            xv_scatter_add_rows(&r.rows, true);
            assert_memory_equal(expected, r.table, (size_t)(50 * width) * sizeof(float));
        }
        free(expected);
        free(narrow);
        free(turned);
        free_rows(&r);
    }
}

static void test_sample(void **state)
{
    (void)state;
    enum { ROWS = 20000, N = 5 };
    const float row[N] = {0.0f, 1.0f, 2.0f, -3.0f, 5.0f};
    float *weights = malloc(sizeof(float) * ROWS * N);
    int32_t *index = malloc(sizeof(int32_t) * ROWS);
    for (int r = 0; r < ROWS; r++) {
        memcpy(weights + r * N, row, sizeof row);
    }
    XvDraw draw = {.key = 99};
    xv_sample_categorical(weights, ROWS, N, &draw, index);
    int counts[N] = {0};
    for (int r = 0; r < ROWS; r++) {
        assert_in_range(index[r], 0, N - 1);
        counts[index[r]]++;
        XvPhilox words = xv_philox(99, 0, (uint64_t)r);
        double u = (double)((uint64_t)(words.word[0] >> 5) << 26 | words.word[1] >> 6) * 0x1p-53;
        assert_int_equal(index[r], u < 0.125 ? 1 : u < 0.375 ? 2 : 4);
    }
    assert_true(counts[0] == 0 && counts[3] == 0);
    assert_true(abs(counts[1] - ROWS / 8) < 300 && abs(counts[4] - ROWS * 5 / 8) < 400);
    free(weights);
    free(index);
}

static void test_sample_edges(void **state)
{
    (void)state;
    const float weights[12] = {0, 0, 0, 0, 0, 1e-30f, 0, 0, NAN, 0, 3, 0};
    const int32_t given[3] = {3, 1, 2};
    int32_t index[3];
    XvDraw draw = {.key = 5};
    xv_sample_categorical(weights, 3, 4, &draw, index);
    assert_int_equal(index[0], 0);
    assert_int_equal(index[1], 1);
    assert_int_equal(index[2], 2);
    draw.given_index = given;
    xv_sample_categorical(weights, 3, 4, &draw, index);
    assert_memory_equal(index, given, sizeof given);
}

// Against counting what comes before; few different values, so that many are equal.
static void test_top_k(void **state)
{
    (void)state;
    enum { ROWS = 7, N = 300 };
    float *values = random_floats(ROWS * N, 11);
    for (int i = 0; i < ROWS * N; i++) {
        values[i] = i % 50 == 0 ? NAN : roundf(values[i] * 8);
    }
    const int64_t counts[] = {1, 2, 17, N - 1, N};
    for (int c = 0; c < 5; c++) {
        int32_t index[ROWS * N];
        xv_top_k(values, ROWS, N, counts[c], index);
        for (int r = 0; r < ROWS; r++) {
            const float *row = values + r * N;
            for (int64_t at = 0; at < counts[c]; at++) {
                int64_t i = index[r * counts[c] + at], before = 0;
                for (int64_t j = 0; j < N; j++) {
                    bool is_equal = row[j] == row[i] || (isnan(row[j]) && isnan(row[i]));
                    before += is_equal ? j < i : isnan(row[i]) || row[j] > row[i];
                }
                assert_int_equal(before, at);
            }
        }
    }
    free(values);
}

static void test_sum_squares(void **state)
{
    (void)state;
    const int64_t counts[] = {0, 1, 17, 5000, 300001};
    int before = omp_get_max_threads();
    for (int c = 0; c < 5; c++) {
        float *values = random_floats(counts[c] + 1, 8);
        double expected = 0.0;
        for (int64_t i = 0; i < counts[c]; i++) {
            expected += (double)values[i] * (double)values[i];
        }
        omp_set_num_threads(1);
        double one = xv_sum_squares(values, counts[c]);
        omp_set_num_threads(3);
        double three = xv_sum_squares(values, counts[c]);
        assert_true(fabs(one - expected) <= 1e-12 * expected);
        assert_memory_equal(&one, &three, sizeof one);
        free(values);
    }
    omp_set_num_threads(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_keep_without_randomness),
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_scatter),
        cmocka_unit_test(test_scatter_strides),
        cmocka_unit_test(test_scatter_types),
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_sample_edges),
        cmocka_unit_test(test_top_k),
        cmocka_unit_test(test_sum_squares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
