// Learning curves: a plot of several named series as PNG, the same in a terminal, and a one-line sparkline.
//
// Points that are not finite are left out, and so are points that are not positive on a logarithmic axis.
#pragma once

#include "runtime/metrics/picture.h"

#include <stdio.h>

typedef struct XvSeries {
    const char *name;
    const double *x;  // n_points, rising; NULL counts 1, 2, 3, ...
    const double *y;  // n_points
    int n_points;
    double smoothing;  // 0: as is; else weight of the past in a running mean drawn over a pale curve, below 1
} XvSeries;

typedef struct XvPlot {
    const char *title, *x_label, *y_label;  // NULL for none
    const XvSeries *series;
    int n_series;
    bool is_logarithmic;  // vertical axis
} XvPlot;

// Draws the plot; the caller frees the picture with xv_picture_free. A plot without any point shows empty
// axes.
bool xv_plot_draw(const XvPlot *plot, int width, int height, XvPicture *picture, XvError *error);

// Draws the plot and writes it as PNG.
bool xv_plot_write(const XvPlot *plot, int width, int height, const char *path, XvError *error);

// Prints the plot with `columns` x `rows` characters inside the axes; series are marked * + o x # @ in order.
void xv_plot_print(FILE *file, const XvPlot *plot, int columns, int rows);

// Writes at most `columns` block characters (UTF-8, 3 bytes each) that show the course of the values, each
// the mean of its share of them, from the lowest to the highest. `out` holds 3 * columns + 1 bytes. Values
// that are not finite leave gaps.
void xv_sparkline(const double *values, int n_values, int columns, char *out);

// Round numbers for an axis: the ticks are low, low + step, ... and cover [low, high]; 3 to 8 of them for
// n_wanted 5.
typedef struct XvTicks {
    double low, step;
    int count;
} XvTicks;

XvTicks xv_ticks(double low, double high, int n_wanted);
