// Operations on whole rows that a loop nest cannot express well: gather, scatter, sampling, norms. On the
// CPU, in single precision; results do not depend on the number of threads.
#pragma once

#include "runtime/base/tensor.h"
#include "runtime/program.h"

// Rows picked or placed by index. An index outside 0..n_rows-1 stands for no row.
typedef struct XvRows {
    float *table;  // [n_rows, width]
    int64_t n_rows, width;
    const int32_t *index;  // [count]
    void *rows;            // [count, width]; floats where they are gathered
    int64_t count;
    XvDtype type_rows;                  // F32, BF16 or F16, of `rows` where they are scattered
    int64_t row_stride, column_stride;  // of `rows` where they are scattered; 0: without gaps
} XvRows;

// rows[i,:] = table[index[i],:]; zeros for no row. Reads `table`.
void xv_gather_rows(const XvRows *rows);

// table[index[i],:] += rows[i,:], in the order of i where indices repeat; after setting the table to zero if
// `is_cleared`. Reads `rows`.
void xv_scatter_add_rows(const XvRows *rows, bool is_cleared);

// index[r] drawn from row r of weights [n_rows, n] (n >= 1), which need not sum to one; the uniform number of
// row r is 53 bits of words 0 and 1 of xv_philox(draw->key, 0, r). Weights that are not positive are never
// drawn; a row without any positive weight gives 0. draw->given_index, where there is one, is copied instead.
void xv_sample_categorical(const float *weights, int64_t n_rows, int64_t n, const XvDraw *draw,
                           int32_t *index);

// index[r, 0..k-1]: where the k largest of row r of values [n_rows, n] are, largest first, of equal ones the first;
// 1 <= k <= n. A NaN is smaller than any number.
void xv_top_k(const float *values, int64_t n_rows, int64_t n, int64_t k, int32_t *index);

// Sum of squares in double precision, in an order that depends on n alone.
double xv_sum_squares(const float *values, int64_t n);
