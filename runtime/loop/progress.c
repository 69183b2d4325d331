// The progress line; see progress.h.
#include "runtime/loop/progress.h"

#include "runtime/base/format.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REWRITE_SECONDS 0.2

typedef struct Line {
    char text[1024];
    size_t used;
} Line;

static void add(Line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(Line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(line->text + line->used, sizeof line->text - line->used, format, args);
    va_end(args);
    size_t room = sizeof line->text - 1 - line->used;
    line->used += (size_t)wanted < room ? (size_t)wanted : room;
}

static double seconds_waited(const XvTrainer *trainer)
{
    double seconds = 0.0;
    for (int e = 0; e < trainer->host.program->n_entries; e++) {
        const XvSource *source = &trainer->sources[e];
        seconds += source->state && source->kind->waited ? source->kind->waited(source->state) : 0.0;
    }
    return seconds;
}

XvProgress xv_progress_start(FILE *file, const XvTrainer *trainer, int64_t total)
{
    double now = xv_seconds();
    return (XvProgress){.file = file,
                        .is_terminal = isatty(fileno(file)),
                        .total = total,
                        .first_step = trainer->step,
                        .started = now,
                        .window_started = now,
                        .window_pairs = trainer->pairs,
                        .window_waited = seconds_waited(trainer)};
}

double xv_progress_rate(const XvProgress *progress, const XvTrainer *trainer)
{
    double seconds = xv_seconds() - progress->window_started;
    return seconds > 0.0 ? (double)(trainer->pairs - progress->window_pairs) / seconds : 0.0;
}

double xv_progress_input_bound(const XvProgress *progress, const XvTrainer *trainer)
{
    double seconds = xv_seconds() - progress->window_started;
    return seconds > 0.0 ? 100.0 * (seconds_waited(trainer) - progress->window_waited) / seconds : 0.0;
}

static double seconds_left(const XvProgress *progress, const XvTrainer *trainer)
{
    int64_t done = trainer->step - progress->first_step;
    return done > 0
               ? (xv_seconds() - progress->started) / (double)done * (double)(progress->total - trainer->step)
               : NAN;
}

static void add_losses(Line *line, const XvMeters *meters)
{
    for (int i = 0; i < meters->n_meters; i++) {
        const XvMeter *meter = &meters->meters[i];
        if (meter->count > 0) {
            add(line, "  %s %.4f", meter->name, meter->sum / (double)meter->count);
        }
    }
}

static void compose(Line *line, const XvProgress *progress, const XvTrainer *trainer)
{
    char left[XV_FORMAT_SIZE];
    int width = snprintf(NULL, 0, "%" PRId64, progress->total);
    add(line, "step %*" PRId64 "/%" PRId64, width, trainer->step, progress->total);
    add_losses(line, &trainer->meters);
    add(line, "  lr %.2e  %.1f pairs/s  input-bound %.0f%%  %s left", xv_optimizer_rate(&trainer->optimizer),
        xv_progress_rate(progress, trainer), xv_progress_input_bound(progress, trainer),
        xv_format_duration(left, seconds_left(progress, trainer)));
}

static int terminal_columns(FILE *file)
{
    struct winsize size = {0};
    bool is_known = ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return is_known ? size.ws_col : 80;
}

void xv_progress_step(XvProgress *progress, const XvTrainer *trainer)
{
    double now = xv_seconds();
    if (!progress->is_terminal || now - progress->shown < REWRITE_SECONDS) {
        return;
    }
    Line line = {0};
    compose(&line, progress, trainer);
    fprintf(progress->file, "\r\033[K%.*s", terminal_columns(progress->file) - 1, line.text);
    fflush(progress->file);
    progress->shown = now;
    progress->is_line_open = true;
}

void xv_progress_interval(XvProgress *progress, const XvTrainer *trainer)
{
    if (!progress->is_terminal) {
        Line line = {0};
        compose(&line, progress, trainer);
        fprintf(progress->file, "%s\n", line.text);
        fflush(progress->file);
    }
    progress->window_started = xv_seconds();
    progress->window_pairs = trainer->pairs;
    progress->window_waited = seconds_waited(trainer);
}

void xv_progress_break(XvProgress *progress)
{
    if (progress->is_line_open) {
        fputc('\n', progress->file);
        fflush(progress->file);
        progress->is_line_open = false;
    }
}
