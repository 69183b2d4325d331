// Overlap of boxes and the choice of a detection; see boxes.h.
#include "runtime/metrics/boxes.h"

#include "runtime/base/bicubic.h"

#include <math.h>
#include <stdlib.h>

// Overlap ------------------------------------------------------------------------------------------------------------

void xv_box_of_shares(const float shares[4], int width, int height, double box[4])
{
    float w = shares[2] * (float)width, h = shares[3] * (float)height;
    float x = shares[0] * (float)width - w / 2, y = shares[1] * (float)height - h / 2;
    box[0] = (double)x;
    box[1] = (double)y;
    box[2] = (double)w;
    box[3] = (double)h;
}

// Pixels of an axis that both intervals have, the last one included.
static double shared(const double *a, const double *b, int axis)
{
    double first = fmax(a[axis], b[axis]);
    double last = fmin(a[axis] + a[axis + 2] - 1, b[axis] + b[axis + 2] - 1);
    return first < last ? last - first + 1 : 0;
}

double xv_box_iou(const double a[4], const double b[4])
{
    double inside = shared(a, b, 0) * shared(a, b, 1);
    double joint = a[2] * a[3] + b[2] * b[3] - inside;
    return joint == 0 ? 0 : inside / joint;
}

bool xv_box_is_hit(double iou)
{
    return (float)iou >= 0.5f;
}

// Maps ---------------------------------------------------------------------------------------------------------------

bool xv_map_resize(const XvMap *map, int height, int width, float *out, XvError *error)
{
    size_t rows = (size_t)map->height, columns = (size_t)map->width;
    size_t n_down = (size_t)height * rows, n_across = (size_t)width * columns;
    double *down = calloc(n_down + n_across + columns, sizeof *down);
    if (!down) {
        return xv_fail(error, "no memory for a map of %d by %d pixels", width, height);
    }
    double *across = down + n_down, *between = across + n_across;
    xv_bicubic_weights(map->height, height, down);
    xv_bicubic_weights(map->width, width, across);
    for (size_t y = 0; y < (size_t)height; y++) {
        for (size_t c = 0; c < columns; c++) {
            between[c] = 0;
            for (size_t r = 0; r < rows; r++) {
                between[c] += down[y * rows + r] * (double)map->values[r * columns + c];
            }
        }
        for (size_t x = 0; x < (size_t)width; x++) {
            double sum = 0;
            for (size_t c = 0; c < columns; c++) {
                sum += across[x * columns + c] * between[c];
            }
            out[y * (size_t)width + x] = (float)sum;
        }
    }
    free(down);
    return true;
}

// A coordinate as an index from 0 to `side`, cut off toward 0.
static int64_t pixel(double at, int side)
{
    return (int64_t)fmin(fmax(at, 0), side);
}

static double score_of(const XvMap *map, const double box[4])
{
    double area = box[2] * box[3];
    if (!(area > 0) || !isfinite(area) || !isfinite(box[0]) || !isfinite(box[1])) {
        return 0;
    }
    int64_t left = pixel(box[0], map->width), right = pixel(box[0] + box[2], map->width);
    int64_t top = pixel(box[1], map->height), bottom = pixel(box[1] + box[3], map->height);
    double sum = 0;
    for (int64_t y = top; y < bottom; y++) {
        for (int64_t x = left; x < right; x++) {
            sum += (double)map->values[y * map->width + x];
        }
    }
    return sum / sqrt(area);
}

int64_t xv_box_pick(const XvMap *map, const double (*boxes)[4], int64_t n, double *scores)
{
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++) {
        scores[i] = score_of(map, boxes[i]);
        if (scores[i] > (best < 0 ? 0 : scores[best])) {
            best = i;
        }
    }
    return best;
}
