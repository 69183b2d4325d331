// Resizing of position tables; see resample.h. All sums are in double precision.
#include "runtime/checkpoint/resample.h"

#include "runtime/base/bicubic.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEWEST_POINTS = 4, MOST_SIDE = 1024 };

XvResample xv_resample_kind(const char *name)
{
    static const struct {
        const char *end;
        XvResample kind;
    } TABLES[] = {
        {".relative_position_bias_table", XV_RESAMPLE_RELATIVE},
        {".pos_embed", XV_RESAMPLE_ABSOLUTE},
        {".pos_embed.weight", XV_RESAMPLE_ABSOLUTE},
    };
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof TABLES / sizeof *TABLES; i++) {
        size_t end = strlen(TABLES[i].end);
        if (length >= end && strcmp(name + length - end, TABLES[i].end) == 0) {
            return TABLES[i].kind;
        }
    }
    return XV_RESAMPLE_NONE;
}

// The side of a square, or 0.
static int side_of(int64_t count)
{
    int64_t side = (int64_t)(sqrt((double)count) + 0.5);
    return side > 0 && side <= MOST_SIDE && side * side == count ? (int)side : 0;
}

// Splines ------------------------------------------------------------------------------------------------------------

double xv_resample_geometry(int source_side, int target_side, double *coordinates)
{
    int half = source_side / 2;
    double low = 1.01, high = 1.5, q = 0;
    while (high - low > 1e-6) {
        q = (low + high) / 2;
        if ((1 - pow(q, half)) / (1 - q) > target_side / 2) {
            high = q;
        } else {
            low = q;
        }
    }
    double distance = 0;
    coordinates[half] = 0;
    for (int k = 1; k <= half; k++) {
        distance += pow(q, k - 1);
        coordinates[half + k] = distance;
        coordinates[half - k] = -distance;
    }
    return q;
}

// Row i of an n x 2n system [A | B]: A times the second derivatives is B times the values.
static void spline_row(const double *x, int n, int i, double *row)
{
    memset(row, 0, 2 * (size_t)n * sizeof *row);
    if (i == 0 || i == n - 1) {
        // Not-a-knot: the third derivative is continuous at the second point from this end.
        int first = i == 0 ? 0 : n - 3;
        double h0 = x[first + 1] - x[first], h1 = x[first + 2] - x[first + 1];
        row[first] = h1;
        row[first + 1] = -(h0 + h1);
        row[first + 2] = h0;
        return;
    }
    double before = x[i] - x[i - 1], after = x[i + 1] - x[i];
    row[i - 1] = before / 6;
    row[i] = (before + after) / 3;
    row[i + 1] = after / 6;
    row[n + i - 1] = 1 / before;
    row[n + i] = -1 / before - 1 / after;
    row[n + i + 1] = 1 / after;
}

// Gauss and Jordan with row exchanges: the right half becomes A^-1 B.
static void solve(double *system, int n)
{
    for (int column = 0; column < n; column++) {
        int best = column;
        for (int i = column + 1; i < n; i++) {
            best = fabs(system[i * 2 * n + column]) > fabs(system[best * 2 * n + column]) ? i : best;
        }
        for (int j = 0; j < 2 * n; j++) {
            double swapped = system[best * 2 * n + j];
            system[best * 2 * n + j] = system[column * 2 * n + j];
            system[column * 2 * n + j] = swapped;
        }
        double pivot = system[column * 2 * n + column];
        for (int j = 0; j < 2 * n; j++) {
            system[column * 2 * n + j] /= pivot;
        }
        for (int i = 0; i < n; i++) {
            double factor = system[i * 2 * n + column];
            for (int j = 0; i != column && j < 2 * n; j++) {
                system[i * 2 * n + j] -= factor * system[column * 2 * n + j];
            }
        }
    }
}

// Weights of the n values in the spline's value at `at`.
static void weigh(const double *x, const double *system, int n, double at, double *weights)
{
    double clamped = fmin(fmax(at, x[0]), x[n - 1]);
    int i = 0;
    while (i < n - 2 && clamped > x[i + 1]) {
        i++;
    }
    double h = x[i + 1] - x[i], left = x[i + 1] - clamped, right = clamped - x[i];
    double low = left * left * left / (6 * h) - h * left / 6,
           high = right * right * right / (6 * h) - h * right / 6;
    for (int j = 0; j < n; j++) {
        weights[j] = low * system[i * 2 * n + n + j] + high * system[(i + 1) * 2 * n + n + j];
    }
    weights[i] += left / h;
    weights[i + 1] += right / h;
}

// weights[target][source], the spline as a matrix.
static void spline_weights(int source, int target, double *x, double *system, double *weights)
{
    xv_resample_geometry(source, target, x);
    for (int i = 0; i < source; i++) {
        spline_row(x, source, i, system + i * 2 * source);
    }
    solve(system, source);
    for (int i = 0; i < target; i++) {
        weigh(x, system, source, i - target / 2, weights + i * source);
    }
}

// Tables -------------------------------------------------------------------------------------------------------------

// Both axes of a grid of rows, each with `columns` values: to = W from W^T for every column.
static void apply(const double *weights, int source, int target, const float *from, float *to,
                  int64_t columns, double *between)
{
    for (int64_t c = 0; c < columns; c++) {
        for (int i = 0; i < target; i++) {
            for (int j = 0; j < source; j++) {
                double sum = 0;
                for (int k = 0; k < source; k++) {
                    sum += weights[i * source + k] * (double)from[((int64_t)k * source + j) * columns + c];
                }
                between[i * source + j] = sum;
            }
        }
        for (int i = 0; i < target; i++) {
            for (int j = 0; j < target; j++) {
                double sum = 0;
                for (int k = 0; k < source; k++) {
                    sum += weights[j * source + k] * between[i * source + k];
                }
                to[((int64_t)i * target + j) * columns + c] = (float)sum;
            }
        }
    }
}

bool xv_resample(XvResample kind, const float *from, const XvTable *from_size, float *to,
                 const XvTable *to_size, XvError *error)
{
    int64_t first = kind == XV_RESAMPLE_ABSOLUTE;  // rows that are no grid
    int source = side_of(from_size->rows - first), target = side_of(to_size->rows - first);
    if (kind == XV_RESAMPLE_NONE || !source || !target || from_size->columns != to_size->columns) {
        return xv_fail(error, "%" PRId64 " rows of %" PRId64 " cannot be resized to %" PRId64 " of %" PRId64,
                       from_size->rows, from_size->columns, to_size->rows, to_size->columns);
    }
    if (kind == XV_RESAMPLE_RELATIVE && source < FEWEST_POINTS) {
        return xv_fail(error,
                       "a bias table of window %d cannot be resized: the spline needs %d points per axis",
                       (source + 1) / 2, FEWEST_POINTS);
    }
    size_t s = (size_t)source, t = (size_t)target;
    double *memory = calloc(s + 2 * s * s + 2 * t * s, sizeof *memory);
    if (!memory) {
        return xv_fail(error, "no memory to resize a table");
    }
    double *system = memory + s, *weights = system + 2 * s * s, *between = weights + t * s;
    if (kind == XV_RESAMPLE_RELATIVE) {
        spline_weights(source, target, memory, system, weights);
    } else {
        xv_bicubic_weights(source, target, weights);
    }
    memcpy(to, from, (size_t)(first * from_size->columns) * sizeof *to);
    apply(weights, source, target, from + first * from_size->columns, to + first * to_size->columns,
          to_size->columns, between);
    free(memory);
    return true;
}
