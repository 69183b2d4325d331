// An endless stream of record lines from files that may be too many and too large to be indexed, local or not.
//
// Files are shared out among the ranks without overlap (dataset/dist_dataset.py lets workers overlap): listed
// in the order of their names, shuffled once by the seed, which all ranks know, and cut by the official rule,
// rank r of W taking [n r / W, n (r + 1) / W). When there are fewer files than ranks, each file is cut into
// parts first: byte ranges, a line belonging to the part that its first byte lies in; or, where a storage has
// no ranges, every so-manieth line. A rank visits its parts in an order that depends on (seed, epoch, rank),
// lines as they stand.
//
// Lines are numbered from 0 where the stream was opened or sought to, and read in that order; a window of them is kept
// so that several threads can take them in any order. Every line has a position, a number that says where it is in the
// endless stream and that the stream can continue from. Memory does not grow with the number of lines.
#pragma once

#include "runtime/base/error.h"
#include "runtime/data/file.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct XvLineStream XvLineStream;

typedef struct XvLineStreamOptions {
    const char *const *paths;  // files or folders; a path may be a comma-separated list
    int n_paths;
    uint64_t seed;
    int rank, world;
} XvLineStreamOptions;

// First and count of the parts of shard `shard` of `shards`: the official rule.
void xv_shard(int64_t parts, int64_t shard, int64_t shards, int64_t *first, int64_t *count);

// NULL with a message for a path that cannot be listed.
XvLineStream *xv_line_stream_open(const XvLineStreamOptions *options, XvError *error);
void xv_line_stream_close(XvLineStream *stream);

// The bytes of all files; -1 when some storage does not say.
int64_t xv_line_stream_bytes(const XvLineStream *stream);

// Continues at a position, 0 being the beginning; lines are numbered from 0 again. Nobody may be reading.
void xv_line_stream_seek(XvLineStream *stream, int64_t position);

// Copies line `index` without its end into `line`, with a zero byte behind. `path`, if wanted, is that of its file.
// Blank lines do not count. False with a message when a file cannot be read, when a whole epoch has no line, or for a
// line that was released. Thread-safe.
bool xv_line_stream_read(XvLineStream *stream, int64_t index, XvBytes *line, const char **path,
                         XvError *error);

// Position of a line that was read or comes next; -1 when it cannot be read.
int64_t xv_line_stream_position(XvLineStream *stream, int64_t index);

// Lines below `index` are not wanted any more.
void xv_line_stream_release(XvLineStream *stream, int64_t index);

// "path:line", or "path: byte N" where lines cannot be counted quickly, of the line at a position.
void xv_line_stream_place(const XvLineStream *stream, int64_t position, char *out, size_t room);
