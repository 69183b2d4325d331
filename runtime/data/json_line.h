// One JSON document from one line of a record file.
#pragma once

#include "runtime/base/error.h"

#include <cjson/cJSON.h>
#include <stddef.h>

// Parses line[0..length), which must be followed by a zero byte and is changed: escapes that C strings or
// UTF-8 cannot hold (\u0000 and lone surrogates) become \ufffd, which the tokenizer drops as it would drop
// them. The whole line must be one document in valid UTF-8. The caller deletes the tree; NULL with a message.
cJSON *xv_json_parse_line(char *line, size_t length, XvError *error);

// The member of an object; of equal keys the last one counts, as in Python. NULL when there is none.
const cJSON *xv_json_member(const cJSON *object, const char *key);
