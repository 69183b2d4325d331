// The JSON-lines log; see log.h.
#include "runtime/loop/log.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static bool belongs(const char *line, int64_t last_step)
{
    cJSON *json = cJSON_Parse(line);
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(json, "step");
    bool is_kept = cJSON_IsNumber(step) && step->valuedouble <= (double)last_step;
    cJSON_Delete(json);
    return is_kept;
}

static void copy_lines(FILE *from, FILE *to, int64_t last_step)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, from)) > 0) {
        if (line[length - 1] == '\n' && belongs(line, last_step)) {
            fputs(line, to);
        }
    }
    free(line);
}

// Rewrites the log with the lines that belong to the part that is continued.
static bool trim(const char *path, int64_t last_step, XvError *error)
{
    FILE *from = fopen(path, "r");
    if (!from) {
        return errno == ENOENT || xv_fail(error, "cannot read %s: %s", path, strerror(errno));
    }
    char partial[PATH_MAX];
    snprintf(partial, sizeof partial, "%s.partial", path);
    FILE *to = fopen(partial, "w");
    if (!to) {
        fclose(from);
        return xv_fail(error, "cannot write %s: %s", partial, strerror(errno));
    }
    copy_lines(from, to, last_step);
    fclose(from);
    bool is_written = !ferror(to);
    is_written = fclose(to) == 0 && is_written && rename(partial, path) == 0;
    return is_written || xv_fail(error, "cannot write %s: %s", path, strerror(errno));
}

bool xv_log_open(XvLog *log, const char *path, int64_t last_step, XvError *error)
{
    *log = (XvLog){0};
    if (last_step >= 0 && !trim(path, last_step, error)) {
        return false;
    }
    log->path = strdup(path);
    log->file = fopen(path, last_step >= 0 ? "a" : "w");
    if (!log->file || !log->path) {
        xv_fail(error, "cannot write %s: %s", path, strerror(errno));
        xv_log_close(log);
        return false;
    }
    return true;
}

bool xv_log_write(XvLog *log, cJSON *json, XvError *error)
{
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    bool is_written = text && fprintf(log->file, "%s\n", text) > 0 && fflush(log->file) == 0;
    free(text);
    return is_written || xv_fail(error, "cannot write %s: %s", log->path, strerror(errno));
}

void xv_log_close(XvLog *log)
{
    if (log->file) {
        fclose(log->file);
    }
    free(log->path);
    *log = (XvLog){0};
}
