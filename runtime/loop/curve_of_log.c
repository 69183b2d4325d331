// The losses of a log as a picture; see train_run.h.
#include "runtime/loop/train_run.h"
#include "runtime/metrics/curve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CURVES = XV_PALETTE_COUNT };

// Growing points of one loss.
typedef struct Curve {
    char name[96];
    double *x, *y;
    int count, capacity;
} Curve;

typedef struct Curves {
    Curve curves[MAX_CURVES];
    int count;
} Curves;

static Curve *curve_named(Curves *curves, const char *name)
{
    for (int i = 0; i < curves->count; i++) {
        if (strcmp(curves->curves[i].name, name) == 0) {
            return &curves->curves[i];
        }
    }
    if (curves->count == MAX_CURVES) {
        return NULL;
    }
    Curve *curve = &curves->curves[curves->count++];
    snprintf(curve->name, sizeof curve->name, "%s", name);
    return curve;
}

static void add_point(Curve *curve, double x, double y)
{
    if (curve->count == curve->capacity) {
        int capacity = curve->capacity ? 2 * curve->capacity : 256;
        double *grown_x = realloc(curve->x, (size_t)capacity * sizeof *grown_x);
        curve->x = grown_x ? grown_x : curve->x;
        double *grown_y = realloc(curve->y, (size_t)capacity * sizeof *grown_y);
        curve->y = grown_y ? grown_y : curve->y;
        if (!grown_x || !grown_y) {
            return;
        }
        curve->capacity = capacity;
    }
    curve->x[curve->count] = x;
    curve->y[curve->count++] = y;
}

static void add_line(Curves *curves, const char *line)
{
    cJSON *json = cJSON_Parse(line);
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(json, "step");
    for (const cJSON *item = cJSON_IsNumber(step) ? json->child : NULL; item; item = item->next) {
        if (cJSON_IsNumber(item) && strncmp(item->string, "train_", 6) == 0 &&
            strstr(item->string, "loss_")) {
            Curve *curve = curve_named(curves, item->string + 6);
            if (curve) {
                add_point(curve, step->valuedouble, item->valuedouble);
            }
        }
    }
    cJSON_Delete(json);
}

static bool read_curves(Curves *curves, const char *path, XvError *error)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        return xv_fail(error, "cannot read %s: %s", path, strerror(errno));
    }
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) > 0) {
        add_line(curves, line);
    }
    free(line);
    fclose(file);
    return true;
}

bool xv_curve_write(const char *log_path, const char *png_path, const char *title, XvError *error)
{
    Curves curves = {0};
    bool is_written = read_curves(&curves, log_path, error);
    XvSeries series[MAX_CURVES];
    for (int i = 0; i < curves.count; i++) {
        const Curve *curve = &curves.curves[i];
        series[i] = (XvSeries){.name = curve->name, .x = curve->x, .y = curve->y, .n_points = curve->count};
    }
    if (is_written && curves.count > 0) {
        XvPlot plot = {
            .title = title, .x_label = "step", .y_label = "loss", .series = series, .n_series = curves.count};
        is_written = xv_plot_write(&plot, 960, 600, png_path, error);
    }
    for (int i = 0; i < curves.count; i++) {
        free(curves.curves[i].x);
        free(curves.curves[i].y);
    }
    return is_written;
}
