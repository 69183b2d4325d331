// Whole files in memory.
#pragma once

#include "runtime/base/error.h"

#include <stddef.h>
#include <stdint.h>

// Bytes that grow and are reused. Start from {0}; a zero byte always follows the last one once filled.
typedef struct XvBytes {
    uint8_t *data;
    size_t count, capacity;
} XvBytes;

// Makes room for `capacity` bytes and the zero after them, keeping the first `count`. False without memory.
bool xv_bytes_reserve(XvBytes *bytes, size_t capacity);
void xv_bytes_free(XvBytes *bytes);

// Reads a regular file, reusing the buffer.
bool xv_file_read(const char *path, XvBytes *bytes, XvError *error);

// Reads `count` bytes from `offset` on, which must be there.
bool xv_file_read_part(const char *path, int64_t offset, int64_t count, XvBytes *bytes, XvError *error);
