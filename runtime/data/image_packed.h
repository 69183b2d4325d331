// Pictures that are decoded already: the third format of image.h, which `xvlm data pack` writes into shards.
//
//   bytes  0..3   "XVPK"
//   bytes  4..7   width, 8..11 height: little-endian
//   bytes 12..15  CRC-32 of the pixels
//   then          height rows of width RGB triples
//
// A record names one as "shard-00000.pack@OFFSET+LENGTH": that part of the file.
#pragma once

#include "runtime/data/image.h"

#include <stdint.h>

enum { XV_PACKED_HEAD = 16 };

bool xv_is_packed(const uint8_t *bytes, size_t count);
bool xv_packed_size(const uint8_t *bytes, size_t count, XvImageSize *size, XvError *error);

// All rows, or the first ones; the CRC is checked when all of them are asked for by rows = INT_MAX, as a check of data
// does: training takes what is there at the speed of memory.
bool xv_packed_decode(const uint8_t *bytes, size_t count, int rows, XvImage *image, XvError *error);

// Writes the head of a picture.
void xv_packed_head(const XvImage *image, uint8_t head[XV_PACKED_HEAD]);

// Whether a path names a part of a shard; then the length of the file's path, and the part.
bool xv_packed_path(const char *path, size_t *length, int64_t *offset, int64_t *count);
