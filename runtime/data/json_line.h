// One JSON document from one line of a record file, as Python's json module reads it.
#pragma once

#include "runtime/base/error.h"

#include <cjson/cJSON.h>
#include <stddef.h>

// Parses line[0..length), which must be followed by a zero byte. The whole line must be one document in valid
// UTF-8; NaN, Infinity and -Infinity are numbers, and nothing else that standard JSON does not allow is
// accepted. Characters that C strings or UTF-8 cannot hold (\u0000, lone surrogates) come out as unicode.h
// says. The caller deletes the tree; NULL with a message that names the column (in bytes, from 1) and the
// reason.
cJSON *xv_json_parse_line(const char *line, size_t length, XvError *error);

// The member of an object; of equal keys the last one counts, as in Python. NULL when there is none.
const cJSON *xv_json_member(const cJSON *object, const char *key);
