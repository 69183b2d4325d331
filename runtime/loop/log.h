// log.txt of a run: one JSON object a line, written when it is known.
#pragma once

#include "runtime/base/error.h"

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdio.h>

typedef struct XvLog {
    FILE *file;
    char *path;
} XvLog;

// Opens the log for appending, after dropping what a killed run wrote beyond the checkpoint that is continued: lines
// whose "step" is above `last_step`, and an unfinished last line. -1 starts an empty log.
bool xv_log_open(XvLog *log, const char *path, int64_t last_step, XvError *error);

// Writes the object as one line and deletes it.
bool xv_log_write(XvLog *log, cJSON *json, XvError *error);

void xv_log_close(XvLog *log);
