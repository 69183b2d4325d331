// JSON-lines in, JSON-lines out: what the text commands of `xvlm data` share.
#pragma once

#include "runtime/base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

typedef struct XvLineWork {
    const char *command;  // "xvlm data clean", for messages
    void *context;
    // Writes the result of one object, whose field "text" is `text`, as JSON without a line end. False with a
    // message, having written nothing, for an object that makes no sense.
    bool (*run)(void *context, const cJSON *object, const char *text, XvError *error);
} XvLineWork;

// Runs the work over a file ("-" is standard input). A line that is no JSON object with a text is named on standard
// error and gives {"error": ...}, so that outputs stay beside their inputs; blank lines give nothing. Returns
// the exit status: failed when there was such a line.
int xv_lines_run(const XvLineWork *work, const char *path);
