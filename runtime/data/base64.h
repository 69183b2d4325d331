// Base64 (RFC 4648) to bytes, as Python's b64decode reads it: characters outside the alphabet are ignored.
#pragma once

#include "runtime/base/error.h"
#include "runtime/data/file.h"

// Decodes into a reused buffer. False with a message for a length that cannot be right, and without memory.
bool xv_base64_decode(const char *text, XvBytes *bytes, XvError *error);
