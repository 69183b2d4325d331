// Axes, curves and their text versions; see curve.h.
#include "runtime/metrics/curve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const XvColor PAPER = {255, 255, 255}, GRID = {232, 234, 238}, AXIS = {120, 126, 136},
                     DARK = {38, 42, 50};

XvTicks xv_ticks(double low, double high, int n_wanted)
{
    double span = high - low;
    if (!(span > 0)) {
        span = fabs(low) > 0 ? fabs(low) * 0.1 : 1;
        low -= span / 2;
        high = low + span;
    }
    double rough = span / (n_wanted > 1 ? n_wanted : 1);
    double power = pow(10, floor(log10(rough)));
    double lead = rough / power;
    double step = power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
    double first = floor(low / step + 1e-9);
    double last = ceil(high / step - 1e-9);
    return (XvTicks){first * step, step, (int)(last - first) + 1};
}

// ---- ranges

typedef struct Range {
    double low, high;
} Range;

// Vertical positions are kept as logarithms on a logarithmic axis.
static double height_of(const XvPlot *plot, double y)
{
    if (!plot->is_logarithmic) {
        return y;
    }
    return y > 0 ? log10(y) : NAN;
}

static double series_x(const XvSeries *series, int point)
{
    return series->x ? series->x[point] : point + 1;
}

static void widen(Range *range, double value)
{
    range->low = fmin(range->low, value);
    range->high = fmax(range->high, value);
}

// Both ranges over all points that will be shown; 0..1 when there are none.
static void find_ranges(const XvPlot *plot, Range *across, Range *along)
{
    *across = *along = (Range){INFINITY, -INFINITY};
    for (int s = 0; s < plot->n_series; s++) {
        for (int i = 0; i < plot->series[s].n_points; i++) {
            double x = series_x(&plot->series[s], i), y = height_of(plot, plot->series[s].y[i]);
            if (isfinite(x) && isfinite(y)) {
                widen(across, x);
                widen(along, y);
            }
        }
    }
    if (across->low > across->high) {
        *across = *along = (Range){0, 1};
    }
}

static void format_number(char text[32], double value, double step)
{
    value = fabs(value) < 1e-9 * step ? 0 : value;
    if (fabs(value) >= 1e6) {
        snprintf(text, 32, "%.4gM", value / 1e6);
    } else if (fabs(value) >= 1e4) {
        snprintf(text, 32, "%.4gk", value / 1e3);
    } else if (step < 1e-6) {
        snprintf(text, 32, "%.2e", value);
    } else {
        snprintf(text, 32, "%.*f", step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9), value);
    }
}

// ---- the picture

typedef struct Frame {
    const XvPlot *plot;
    XvPicture *picture;
    XvRect area;          // inside the axes
    Range across, along;  // of the axes
    double scale;         // of text
} Frame;

static double place_x(const Frame *frame, double x)
{
    return frame->area.x + (x - frame->across.low) / (frame->across.high - frame->across.low) * frame->area.w;
}

static double place_y(const Frame *frame, double y)
{
    double share = (y - frame->along.low) / (frame->along.high - frame->along.low);
    return frame->area.y + (1 - share) * frame->area.h;
}

static void draw_tick_y(const Frame *frame, double y, const char *label, bool has_label)
{
    const XvRect *area = &frame->area;
    double row = place_y(frame, y);
    xv_picture_fill(frame->picture, (XvRect){area->x, floor(row), area->w, 1}, GRID);
    if (has_label) {
        double width = xv_text_width(label, frame->scale);
        double top = row - XV_FONT_ASCENT * frame->scale / 2;
        xv_picture_text(frame->picture, area->x - 10 - width, top, label, (XvTextStyle){frame->scale, AXIS});
    }
}

static void draw_logarithmic_ticks(const Frame *frame)
{
    double decades = frame->along.high - frame->along.low;
    for (int decade = (int)floor(frame->along.low); decade <= (int)ceil(frame->along.high); decade++) {
        for (int digit = 1; digit < 10; digit++) {
            double y = decade + log10(digit);
            if (y < frame->along.low - 1e-9 || y > frame->along.high + 1e-9) {
                continue;
            }
            bool is_one_two_five = digit == 1 || digit == 2 || digit == 5;
            char label[32];
            snprintf(label, sizeof label, "%g", digit * pow(10, decade));
            draw_tick_y(frame, y, label, digit == 1 || decades < 1 || (is_one_two_five && decades < 2.5));
        }
    }
}

static void draw_ticks_y(const Frame *frame)
{
    if (frame->plot->is_logarithmic) {
        draw_logarithmic_ticks(frame);
        return;
    }
    XvTicks ticks = xv_ticks(frame->along.low, frame->along.high, 5);
    for (int i = 0; i < ticks.count; i++) {
        char label[32];
        double y = ticks.low + i * ticks.step;
        format_number(label, y, ticks.step);
        draw_tick_y(frame, y, label, true);
    }
}

static void draw_ticks_x(const Frame *frame)
{
    XvTicks ticks = xv_ticks(frame->across.low, frame->across.high, 6);
    for (int i = 0; i < ticks.count; i++) {
        double x = ticks.low + i * ticks.step;
        if (x < frame->across.low - 1e-9 * ticks.step || x > frame->across.high + 1e-9 * ticks.step) {
            continue;
        }
        char label[32];
        double column = place_x(frame, x), bottom = frame->area.y + frame->area.h;
        format_number(label, x, ticks.step);
        xv_picture_fill(frame->picture, (XvRect){floor(column), bottom, 1, 5}, AXIS);
        double left = column - xv_text_width(label, frame->scale) / 2;
        xv_picture_text(frame->picture, left, bottom + 10, label, (XvTextStyle){frame->scale, AXIS});
    }
}

static XvColor paler(XvColor color)
{
    return (XvColor){(uint8_t)(190 + color.r / 4), (uint8_t)(190 + color.g / 4),
                     (uint8_t)(190 + color.b / 4)};
}

// One polyline; gaps where a point cannot be shown. Returns the end of the curve in `end`, false if there is
// none.
static bool draw_curve(const Frame *frame, const XvSeries *series, double smoothing, double thickness,
                       XvColor color)
{
    double last[2] = {0, 0}, mean = 0, weight = 0;
    bool has_last = false;
    for (int i = 0; i < series->n_points; i++) {
        double x = series_x(series, i), y = height_of(frame->plot, series->y[i]);
        if (!isfinite(x) || !isfinite(y)) {
            has_last = false;
            continue;
        }
        mean = smoothing * mean + (1 - smoothing) * y;
        weight = smoothing * weight + (1 - smoothing);  // a running mean starts unbiased
        double here[2] = {place_x(frame, x), place_y(frame, mean / weight)};
        if (has_last) {
            xv_picture_line(frame->picture, last, here, thickness, color);
        } else if (series->n_points == 1) {
            xv_picture_line(frame->picture, here, here, 3 * thickness, color);
        }
        memcpy(last, here, sizeof last);
        has_last = true;
    }
    return has_last;
}

static void draw_series(const Frame *frame)
{
    for (int s = 0; s < frame->plot->n_series; s++) {
        const XvSeries *series = &frame->plot->series[s];
        if (series->smoothing > 0) {
            draw_curve(frame, series, 0, 1.1, paler(XV_PALETTE[s % XV_PALETTE_COUNT]));
        }
    }
    for (int s = 0; s < frame->plot->n_series; s++) {
        const XvSeries *series = &frame->plot->series[s];
        draw_curve(frame, series, series->smoothing, 2.2, XV_PALETTE[s % XV_PALETTE_COUNT]);
    }
}

// Names beside short strokes, in one line above the axes.
static void draw_legend(const Frame *frame)
{
    double x = frame->area.x, y = frame->area.y - 22;
    for (int s = 0; s < frame->plot->n_series; s++) {
        XvColor color = XV_PALETTE[s % XV_PALETTE_COUNT];
        double middle = y + XV_FONT_ASCENT * frame->scale / 2;
        const double from[2] = {x + 2, middle}, to[2] = {x + 18, middle};
        xv_picture_line(frame->picture, from, to, 3, color);
        x = xv_picture_text(frame->picture, x + 27, y, frame->plot->series[s].name,
                            (XvTextStyle){frame->scale, DARK});
        x += 20;
    }
}

static void draw_labels(const Frame *frame)
{
    const XvPlot *plot = frame->plot;
    const XvRect *area = &frame->area;
    XvTextStyle style = {frame->scale, DARK};
    if (plot->title) {
        xv_picture_text(frame->picture, area->x, 16, plot->title, (XvTextStyle){2, DARK});
    }
    if (plot->x_label) {
        double left = area->x + (area->w - xv_text_width(plot->x_label, frame->scale)) / 2;
        xv_picture_text(frame->picture, left, area->y + area->h + 32, plot->x_label, style);
    }
    if (plot->y_label) {
        double bottom = area->y + (area->h + xv_text_width(plot->y_label, frame->scale)) / 2;
        xv_picture_text_upwards(frame->picture, 14, bottom, plot->y_label, style);
    }
}

// The axes: horizontally the data, vertically whole ticks, or the data with a margin on a logarithmic axis.
static void choose_axes(Frame *frame)
{
    find_ranges(frame->plot, &frame->across, &frame->along);
    if (!(frame->across.high > frame->across.low)) {
        frame->across.low -= 0.5;
        frame->across.high += 0.5;
    }
    if (frame->plot->is_logarithmic) {
        double margin = fmax(0.04 * (frame->along.high - frame->along.low), 0.02);
        frame->along.low -= margin;
        frame->along.high += margin;
        return;
    }
    XvTicks ticks = xv_ticks(frame->along.low, frame->along.high, 5);
    frame->along = (Range){ticks.low, ticks.low + (ticks.count - 1) * ticks.step};
}

bool xv_plot_draw(const XvPlot *plot, int width, int height, XvPicture *picture, XvError *error)
{
    if (width < 200 || height < 150) {
        return xv_fail(error, "a plot needs 200 x 150 pixels at least, got %d x %d", width, height);
    }
    if (!xv_picture_create(picture, width, height, PAPER, error)) {
        return false;
    }
    Frame frame = {.plot = plot, .picture = picture, .scale = 1.5};
    double top = 36 + (plot->title ? 30 : 0), left = 66 + (plot->y_label ? 22 : 0);
    double bottom = 36 + (plot->x_label ? 20 : 0);
    frame.area = (XvRect){left, top, width - left - 26, height - top - bottom};
    choose_axes(&frame);
    draw_ticks_y(&frame);
    draw_ticks_x(&frame);
    draw_series(&frame);
    xv_picture_fill(picture, (XvRect){left, top + frame.area.h, frame.area.w, 1}, AXIS);
    draw_legend(&frame);
    draw_labels(&frame);
    return true;
}

bool xv_plot_write(const XvPlot *plot, int width, int height, const char *path, XvError *error)
{
    XvPicture picture;
    if (!xv_plot_draw(plot, width, height, &picture, error)) {
        return false;
    }
    bool is_written = xv_picture_write_png(&picture, path, error);
    xv_picture_free(&picture);
    return is_written;
}

// ---- in a terminal

static const char MARKS[] = "*+ox#@";

static char mark_of(int series)
{
    return MARKS[series % (int)(sizeof MARKS - 1)];
}

// Marks the mean of each column's points; later series do not hide earlier ones.
static void mark_series(const Frame *frame, int s, char *cells)
{
    int columns = (int)frame->area.w, rows = (int)frame->area.h;
    const XvSeries *series = &frame->plot->series[s];
    double sum = 0;
    int count = 0;
    for (int i = 0; i < series->n_points; i++) {
        double y = height_of(frame->plot, series->y[i]), x = series_x(series, i);
        int column = isfinite(x) ? (int)fmin(place_x(frame, x), columns - 1) : 0;
        if (isfinite(x) && isfinite(y)) {
            sum += y;
            count++;
        }
        bool is_last = i + 1 == series->n_points || !(place_x(frame, series_x(series, i + 1)) < column + 1);
        if (!is_last || count == 0) {
            continue;
        }
        int row = (int)fmin(fmax(place_y(frame, sum / count), 0), rows - 1);
        char *cell = &cells[row * columns + column];
        *cell = *cell == ' ' ? mark_of(s) : *cell;
        sum = 0;
        count = 0;
    }
}

static void print_rows(FILE *file, const Frame *frame, const char *cells)
{
    int columns = (int)frame->area.w, rows = (int)frame->area.h;
    double step = (frame->along.high - frame->along.low) / (rows - 1);
    for (int row = 0; row < rows; row++) {
        char label[32] = "";
        bool has_label = row % 4 == 0 || row + 1 == rows;
        double share = (double)row / (rows - 1);
        double y = frame->along.high - share * (frame->along.high - frame->along.low);
        if (has_label && frame->plot->is_logarithmic) {
            snprintf(label, sizeof label, "%.3g", pow(10, y));
        } else if (has_label) {
            format_number(label, y, step);
        }
        fprintf(file, "%9s |%.*s\n", label, columns, cells + row * columns);
    }
}

void xv_plot_print(FILE *file, const XvPlot *plot, int columns, int rows)
{
    columns = columns < 8 ? 8 : columns > 400 ? 400 : columns;
    rows = rows < 2 ? 2 : rows > 200 ? 200 : rows;
    Frame frame = {.plot = plot, .area = {0, 0, columns, rows}};
    choose_axes(&frame);
    char *cells = malloc((size_t)(columns * rows));
    if (!cells) {
        return;
    }
    memset(cells, ' ', (size_t)(columns * rows));
    for (int s = 0; s < plot->n_series; s++) {
        mark_series(&frame, s, cells);
    }
    if (plot->title) {
        fprintf(file, "%9s  %s\n", "", plot->title);
    }
    print_rows(file, &frame, cells);
    free(cells);
    char low[32], high[32];
    double step = (frame.across.high - frame.across.low) / columns;
    format_number(low, frame.across.low, step < 1 ? step : 1);
    format_number(high, frame.across.high, step < 1 ? step : 1);
    fprintf(file, "%9s +", "");
    for (int i = 0; i < columns; i++) {
        fputc('-', file);
    }
    const char *label = plot->x_label ? plot->x_label : "";
    int room = columns - (int)strlen(low) - (int)strlen(high);
    int before = (room - (int)strlen(label)) / 2;
    fprintf(file, "\n%9s  %s%*s%*s%s\n%9s ", "", low, before + (int)strlen(label), label,
            room - before - (int)strlen(label), "", high, "");
    for (int s = 0; s < plot->n_series; s++) {
        fprintf(file, " %c %s ", mark_of(s), plot->series[s].name);
    }
    fputc('\n', file);
}

static double mean_of(const double *values, int first, int end)
{
    double sum = 0;
    int count = 0;
    for (int i = first; i < end; i++) {
        if (isfinite(values[i])) {
            sum += values[i];
            count++;
        }
    }
    return count > 0 ? sum / count : NAN;
}

void xv_sparkline(const double *values, int n_values, int columns, char *out)
{
    int shown = n_values < columns ? n_values : columns;
    Range range = {INFINITY, -INFINITY};
    for (int i = 0; i < shown; i++) {
        double mean =
            mean_of(values, (int)((int64_t)i * n_values / shown), (int)((int64_t)(i + 1) * n_values / shown));
        if (isfinite(mean)) {
            widen(&range, mean);
        }
    }
    out[0] = '\0';
    for (int i = 0; i < shown; i++) {
        double mean =
            mean_of(values, (int)((int64_t)i * n_values / shown), (int)((int64_t)(i + 1) * n_values / shown));
        double span = range.high - range.low;
        int level = isfinite(mean) && span > 0 ? (int)fmin((mean - range.low) / span * 8, 7) : 0;
        // U+2581 is one eighth of a block, U+2588 the whole.
        const char block[] = {'\xe2', '\x96', (char)(0x81 + level), '\0'};
        strcat(out, isfinite(mean) ? block : " ");
    }
}
