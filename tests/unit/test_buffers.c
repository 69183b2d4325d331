// runtime/checkpoint/buffers.h against values of the official modules: the index of a window of two, and how many pairs
// the masks of shifted windows of 7, 12 and 15 part.
#include "runtime/checkpoint/buffers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static void test_positions(void **state)
{
    (void)state;
    XvBuffer buffer = {.dtype = XV_I64, .rank = 2, .shape = {1, 3}, .fill = XV_FILL_POSITIONS};
    int64_t got[4] = {9, 9, 9, 9}, expected[4] = {0, 1, 2, 9};
    xv_buffer_values(&buffer, got);
    assert_memory_equal(got, expected, sizeof got);
}

static void test_window_index(void **state)
{
    (void)state;
    XvBuffer buffer = {.dtype = XV_I64, .rank = 2, .shape = {4, 4}, .fill = XV_FILL_WINDOW_INDEX};
    int64_t got[16], expected[16] = {4, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4};
    xv_buffer_values(&buffer, got);
    assert_memory_equal(got, expected, sizeof got);
}

static int64_t parted(const float *mask, int64_t count)
{
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) {
        assert_true(mask[i] == 0.0f || mask[i] == -100.0f);
        n += mask[i] < 0.0f;
    }
    return n;
}

// Four by four windows: nine are whole, those of the last row and column hold two parts, the last one four.
static void test_shift_mask(void **state)
{
    (void)state;
    const int64_t sizes[3][3] = {{7, 1176, 1776}, {12, 10368, 15552}, {15, 25200, 37856}};
    for (int s = 0; s < 3; s++) {
        int64_t tokens = sizes[s][0] * sizes[s][0], square = tokens * tokens;
        XvBuffer buffer = {
            .dtype = XV_F32, .rank = 3, .shape = {16, tokens, tokens}, .fill = XV_FILL_SHIFT_MASK};
        float *mask = malloc((size_t)(16 * square) * sizeof *mask);
        assert_non_null(mask);
        xv_buffer_values(&buffer, mask);
        for (int64_t window = 0; window < 16; window++) {
            int ends = (window / 4 == 3) + (window % 4 == 3);
            assert_int_equal(parted(mask + window * square, square), ends == 0 ? 0 : sizes[s][ends]);
        }
        free(mask);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_window_index),
        cmocka_unit_test(test_shift_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
