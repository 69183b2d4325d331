// The endless stream of lines; see stream.h.
//
// A position is (visit << OFFSET_BITS) + offset of the line's first byte: visit v is part v % n of epoch v / n in that
// epoch's order, n being the rank's parts.
#include "runtime/data/stream.h"

#include "runtime/base/random.h"
#include "runtime/storage/storage.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OFFSET_BITS = 40, CHUNK_BYTES = 1 << 20, PURPOSE_FILES = 0xF11E, PURPOSE_VISITS = 0x0DE7 };

// A file, or a part of one.
typedef struct Part {
    const char *path;
    int64_t begin, end;  // bytes that its lines start in; end -1: to the end of the file
    int number, of;      // where a storage has no ranges: line i belongs to part i % of
} Part;

typedef struct Line {
    XvBytes text;
    int64_t position;
    const char *path;
} Line;

struct XvLineStream {
    XvFileList files;
    Part *parts;  // of this rank
    int n_parts;
    int32_t *order;  // of the epoch that is being visited
    int64_t epoch;   // that `order` belongs to; -1: none
    XvLineStreamOptions options;

    pthread_mutex_t lock;  // of all below
    int64_t first, next;   // numbers of the oldest line that is kept, and of the one that comes next
    Line *lines;           // ring
    int64_t room;

    int64_t visit;
    XvReader *reader;  // of the current visit, or NULL
    XvBytes chunk;     // bytes that were read; [used, chunk.count) are still to be cut into lines
    size_t used;
    int64_t offset;       // in the file, of chunk.data[used]
    int64_t line_number;  // where lines are shared out by number
    int64_t found;        // lines found in this epoch and the one before: 0 means that there are none
    bool is_last_read;    // the file has no more bytes than the chunk
    bool has_failed;
    XvError error;
};

void xv_shard(int64_t parts, int64_t shard, int64_t shards, int64_t *first, int64_t *count)
{
    *first = parts * shard / shards;
    *count = parts * (shard + 1) / shards - *first;
}

// ---- sharing out

static bool list_paths(XvLineStream *stream, XvError *error)
{
    for (int i = 0; i < stream->options.n_paths; i++) {
        char *copy = strdup(stream->options.paths[i]), *rest = NULL;
        bool ok = copy || xv_fail(error, "no memory for a list of files");
        for (char *path = ok ? strtok_r(copy, ",", &rest) : NULL; path && ok;
             path = strtok_r(NULL, ",", &rest)) {
            ok = xv_storage_list(path, &stream->files, error);
        }
        free(copy);
        if (!ok) {
            return false;
        }
    }
    return stream->files.count > 0 || xv_fail(error, "no data file was found");
}

static void set_part(const XvFileEntry *file, int number, int of, Part *part)
{
    bool has_ranges = xv_storage_has_ranges(file->path) && file->bytes >= 0;
    *part = (Part){.path = file->path, .end = -1, .number = 0, .of = 1};
    if (has_ranges && of > 1) {
        part->begin = file->bytes * number / of;
        part->end = number + 1 < of ? file->bytes * (number + 1) / of : -1;
    } else if (of > 1) {
        part->number = number;
        part->of = of;
    }
}

// The same for all ranks.
static int32_t *shuffled(const XvLineStream *stream, int count)
{
    int32_t *order = malloc((size_t)count * sizeof *order);
    XvStream draws = xv_stream(xv_key(stream->options.seed, PURPOSE_FILES));
    for (int i = 0; order && i < count; i++) {
        order[i] = i;
    }
    if (order) {
        xv_stream_shuffle(&draws, order, count);
    }
    return order;
}

static bool share_out(XvLineStream *stream, XvError *error)
{
    int n_files = stream->files.count, world = stream->options.world;
    int of = (world + n_files - 1) / n_files;  // parts of each file
    int64_t first, count;
    xv_shard((int64_t)n_files * of, stream->options.rank, world, &first, &count);
    int32_t *order = shuffled(stream, n_files);
    stream->parts = calloc((size_t)count + 1, sizeof *stream->parts);
    stream->order = calloc((size_t)count + 1, sizeof *stream->order);
    bool ok = order && stream->parts && stream->order;
    for (int64_t i = 0; ok && i < count; i++) {
        set_part(&stream->files.items[order[(first + i) / of]], (int)((first + i) % of), of,
                 &stream->parts[i]);
    }
    stream->n_parts = (int)count;
    free(order);
    return ok || xv_fail(error, "no memory for a list of %d files", n_files);
}

XvLineStream *xv_line_stream_open(const XvLineStreamOptions *options, XvError *error)
{
    XvLineStream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        xv_fail(error, "no memory for a stream of records");
        return NULL;
    }
    stream->options = *options;
    stream->epoch = -1;
    pthread_mutex_init(&stream->lock, NULL);
    if (!list_paths(stream, error) || !share_out(stream, error)) {
        xv_line_stream_close(stream);
        return NULL;
    }
    xv_line_stream_seek(stream, 0);
    return stream;
}

void xv_line_stream_close(XvLineStream *stream)
{
    if (!stream) {
        return;
    }
    for (int64_t i = 0; i < stream->room; i++) {
        xv_bytes_free(&stream->lines[i].text);
    }
    free(stream->lines);
    free(stream->parts);
    free(stream->order);
    xv_reader_close(stream->reader);
    xv_bytes_free(&stream->chunk);
    xv_file_list_free(&stream->files);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

int64_t xv_line_stream_bytes(const XvLineStream *stream)
{
    int64_t bytes = 0;
    for (int i = 0; i < stream->files.count; i++) {
        if (stream->files.items[i].bytes < 0) {
            return -1;
        }
        bytes += stream->files.items[i].bytes;
    }
    return bytes;
}

// ---- visits

static uint64_t epoch_key(const XvLineStream *stream, int64_t epoch)
{
    uint64_t key = xv_key(xv_key(stream->options.seed, PURPOSE_VISITS), (uint64_t)epoch);
    return xv_key(key, (uint64_t)stream->options.rank);
}

static void order_parts(const XvLineStream *stream, int64_t epoch, int32_t *order)
{
    XvStream draws = xv_stream(epoch_key(stream, epoch));
    for (int i = 0; i < stream->n_parts; i++) {
        order[i] = i;
    }
    xv_stream_shuffle(&draws, order, stream->n_parts);
}

static const Part *part_of(XvLineStream *stream, int64_t visit)
{
    int64_t epoch = visit / stream->n_parts;
    if (epoch != stream->epoch) {
        order_parts(stream, epoch, stream->order);
        stream->epoch = epoch;
    }
    return &stream->parts[stream->order[visit % stream->n_parts]];
}

static void leave(XvLineStream *stream)
{
    xv_reader_close(stream->reader);
    stream->reader = NULL;
    stream->chunk.count = stream->used = 0;
    stream->is_last_read = false;
    stream->line_number = 0;
}

static bool next_visit(XvLineStream *stream)
{
    leave(stream);
    stream->visit++;
    stream->offset = -1;
    if (stream->visit % stream->n_parts == 0) {
        if (stream->found == 0) {
            return xv_fail(&stream->error, "no line in %s%s: the data set is empty", stream->parts[0].path,
                           stream->n_parts > 1 ? " and the other files" : "");
        }
        stream->found = 0;
    }
    return true;
}

// ---- lines

// Reads on; false at an error. At the end of the file `is_last_read` is set.
static bool fill(XvLineStream *stream)
{
    XvBytes *chunk = &stream->chunk;
    if (stream->used > 0) {
        memmove(chunk->data, chunk->data + stream->used, chunk->count - stream->used);
        chunk->count -= stream->used;
        stream->used = 0;
    }
    if (!xv_bytes_reserve(chunk, chunk->count + CHUNK_BYTES)) {
        return xv_fail(&stream->error, "no memory for a line of %zu bytes", chunk->count);
    }
    int64_t got = xv_reader_read(stream->reader, chunk->data + chunk->count, CHUNK_BYTES, &stream->error);
    stream->is_last_read = got == 0;
    chunk->count += got > 0 ? (size_t)got : 0;
    return got >= 0;
}

// Bytes of the line at the front of the chunk, its end included, read on as far as needed; 0 at the end of the file,
// -1 at an error.
static int64_t front_line(XvLineStream *stream)
{
    size_t searched = 0;
    for (;;) {
        const uint8_t *front = stream->chunk.data ? stream->chunk.data + stream->used : NULL;
        size_t there = stream->chunk.count - stream->used;
        const uint8_t *end = there > searched ? memchr(front + searched, '\n', there - searched) : NULL;
        if (end) {
            return end - front + 1;
        }
        if (stream->is_last_read) {
            return (int64_t)there;
        }
        searched = there;
        if (!fill(stream)) {
            return -1;
        }
    }
}

static void pass_line(XvLineStream *stream, int64_t length)
{
    stream->used += (size_t)length;
    stream->offset += length;
    stream->line_number++;
}

// Opens the part at the place where the stream is, or at its beginning. A part that begins inside a file begins behind
// the line that the byte before it belongs to.
static bool enter(XvLineStream *stream, const Part *part)
{
    bool is_start = stream->offset < 0;
    bool is_inside = is_start && part->begin > 0;
    stream->offset = is_start ? part->begin - is_inside : stream->offset;
    bool counts = part->of > 1;  // lines have to be counted from the beginning of the file
    int64_t wanted = stream->offset;
    stream->offset = counts ? 0 : stream->offset;
    stream->reader = xv_reader_open(part->path, stream->offset, &stream->error);
    if (!stream->reader) {
        return false;
    }
    while (is_inside || (counts && stream->offset < wanted)) {
        int64_t length = front_line(stream);
        if (length <= 0) {
            return length == 0;
        }
        pass_line(stream, length);
        is_inside = false;
    }
    return true;
}

static bool is_blank(const uint8_t *text, int64_t length)
{
    for (int64_t i = 0; i < length; i++) {
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r' && text[i] != '\n') {
            return false;
        }
    }
    return true;
}

static bool keep(Line *line, const uint8_t *text, int64_t length, XvError *error)
{
    length -= length > 0 && text[length - 1] == '\n';
    length -= length > 0 && text[length - 1] == '\r';
    if (!xv_bytes_reserve(&line->text, (size_t)length)) {
        return xv_fail(error, "no memory for a line of %lld bytes", (long long)length);
    }
    memcpy(line->text.data, text, (size_t)length);
    line->text.data[length] = 0;
    line->text.count = (size_t)length;
    return true;
}

// Reads the next line that is not blank and belongs to this rank.
static bool read_line(XvLineStream *stream, Line *line)
{
    for (;;) {
        const Part *part = part_of(stream, stream->visit);
        if (!stream->reader && !enter(stream, part)) {
            return false;
        }
        bool is_over = part->end >= 0 && stream->offset >= part->end;
        int64_t length = is_over ? 0 : front_line(stream);
        if (length < 0 || (length == 0 && !next_visit(stream))) {
            return false;
        }
        if (length == 0) {
            continue;
        }
        const uint8_t *text = stream->chunk.data + stream->used;
        bool is_mine = stream->line_number % part->of == part->number && !is_blank(text, length);
        line->position = (stream->visit << OFFSET_BITS) + stream->offset;
        line->path = part->path;
        bool ok = !is_mine || keep(line, text, length, &stream->error);
        pass_line(stream, length);
        if (is_mine || !ok) {
            stream->found++;
            return ok;
        }
    }
}

// ---- the window

static Line *line_at(const XvLineStream *stream, int64_t index)
{
    return &stream->lines[index % stream->room];
}

static bool grow(XvLineStream *stream)
{
    int64_t room = stream->room ? 2 * stream->room : 64;
    Line *lines = calloc((size_t)room, sizeof *lines);
    if (!lines) {
        return xv_fail(&stream->error, "no memory for %lld lines", (long long)room);
    }
    for (int64_t i = stream->first; i < stream->next; i++) {
        lines[i % room] = *line_at(stream, i);
        *line_at(stream, i) = (Line){.path = NULL};
    }
    for (int64_t i = 0; i < stream->room; i++) {
        xv_bytes_free(&stream->lines[i].text);
    }
    free(stream->lines);
    stream->lines = lines;
    stream->room = room;
    return true;
}

// Reads up to the line; with the lock held.
static bool reach(XvLineStream *stream, int64_t index)
{
    while (stream->next <= index && !stream->has_failed) {
        bool ok = stream->next - stream->first < stream->room || grow(stream);
        ok = ok && read_line(stream, line_at(stream, stream->next));
        stream->has_failed = !ok;
        stream->next += ok;
    }
    return stream->next > index;
}

bool xv_line_stream_read(XvLineStream *stream, int64_t index, XvBytes *line, const char **path,
                         XvError *error)
{
    pthread_mutex_lock(&stream->lock);
    bool ok = reach(stream, index);
    if (!ok) {
        *error = stream->error;
    } else if (index < stream->first) {
        ok = xv_fail(error, "line %lld was released", (long long)index);
    } else {
        const Line *kept = line_at(stream, index);
        ok = xv_bytes_reserve(line, kept->text.count) || xv_fail(error, "no memory for a line");
        if (ok) {
            memcpy(line->data, kept->text.data, kept->text.count + 1);
            line->count = kept->text.count;
            *path = kept->path;
        }
    }
    pthread_mutex_unlock(&stream->lock);
    return ok;
}

int64_t xv_line_stream_position(XvLineStream *stream, int64_t index)
{
    pthread_mutex_lock(&stream->lock);
    int64_t position = reach(stream, index) && index >= stream->first ? line_at(stream, index)->position : -1;
    pthread_mutex_unlock(&stream->lock);
    return position;
}

void xv_line_stream_release(XvLineStream *stream, int64_t index)
{
    pthread_mutex_lock(&stream->lock);
    int64_t end = index < stream->next ? index : stream->next;
    stream->first = end > stream->first ? end : stream->first;
    pthread_mutex_unlock(&stream->lock);
}

void xv_line_stream_seek(XvLineStream *stream, int64_t position)
{
    pthread_mutex_lock(&stream->lock);
    leave(stream);
    stream->first = stream->next = 0;
    stream->visit = position >> OFFSET_BITS;
    int64_t offset = position & (((int64_t)1 << OFFSET_BITS) - 1);
    stream->offset = position == 0 ? -1 : offset;
    stream->found = position != 0;  // there was a line
    stream->has_failed = false;
    pthread_mutex_unlock(&stream->lock);
}

// ---- places

// The number of the line that starts at a byte of a local file; 0 when it cannot be read.
static int64_t count_lines(const char *path, int64_t offset)
{
    enum { ROOM = 1 << 16 };
    XvError ignored;
    char *buffer = malloc(ROOM);
    XvReader *reader = buffer ? xv_reader_open(path, 0, &ignored) : NULL;
    int64_t line = reader ? 1 : 0;
    for (int64_t at = 0; reader && at < offset;) {
        size_t room = offset - at < ROOM ? (size_t)(offset - at) : ROOM;
        int64_t got = xv_reader_read(reader, buffer, room, &ignored);
        if (got <= 0) {
            line = 0;
            break;
        }
        for (int64_t i = 0; i < got; i++) {
            line += buffer[i] == '\n';
        }
        at += got;
    }
    xv_reader_close(reader);
    free(buffer);
    return line;
}

void xv_line_stream_place(const XvLineStream *stream, int64_t position, char *out, size_t room)
{
    int64_t visit = position >> OFFSET_BITS, offset = position & (((int64_t)1 << OFFSET_BITS) - 1);
    int32_t *order = malloc(((size_t)stream->n_parts + 1) * sizeof *order);
    if (!order || position < 0) {
        snprintf(out, room, "a record");
        free(order);
        return;
    }
    order_parts(stream, visit / stream->n_parts, order);
    const char *path = stream->parts[order[visit % stream->n_parts]].path;
    int64_t line = xv_is_remote(path) ? 0 : count_lines(path, offset);
    free(order);
    if (line > 0) {
        snprintf(out, room, "%s:%lld", path, (long long)line);
    } else {
        snprintf(out, room, "%s: byte %lld", path, (long long)offset);
    }
}
