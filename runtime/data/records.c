// Index of record files; see records.h. Eight bytes per record, plus a few per blank line.
#include "runtime/data/records.h"

#include "runtime/data/records_scan.h"
#include "runtime/storage/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_OPEN_FILES = 256, CHUNK_BYTES = 1 << 20 };

typedef struct RecordFile {
    char *path;
    int descriptor;  // -1 when there are too many files to keep them open
    int64_t first;   // number of its first record
    int64_t bytes;
    bool is_array;
    int64_t *blanks;  // for each blank line, how many of the file's records precede it
    int n_blanks, blanks_room;
} RecordFile;

struct XvRecordFiles {
    RecordFile *files;
    int n_files, files_room;
    int64_t *starts;  // [count] byte offset of each record's line
    int64_t count, starts_room;
};

// Grows an array by half when it is full. Returns the array, NULL without memory (the old one stays valid).
static void *grown(void *array, int64_t count, int64_t *room, size_t size)
{
    if (count < *room) {
        return array;
    }
    int64_t wanted = *room + *room / 2 + 16;
    void *larger = realloc(array, (size_t)wanted * size);
    if (larger) {
        *room = wanted;
    }
    return larger;
}

static bool add_file(XvRecordFiles *set, const char *path, XvError *error)
{
    int64_t room = set->files_room;
    RecordFile *files = grown(set->files, set->n_files, &room, sizeof *files);
    char *copy = strdup(path);
    if (files) {
        set->files = files;
        set->files_room = (int)room;
    }
    if (!files || !copy) {
        free(copy);
        return xv_fail(error, "%s: no memory", path);
    }
    set->files[set->n_files++] = (RecordFile){.path = copy, .descriptor = -1};
    return true;
}

static bool add_path(XvRecordFiles *set, const char *path, XvError *error)
{
    XvFileList list = {0};
    bool ok = xv_storage_list(path, &list, error);
    for (int i = 0; i < list.count && ok; i++) {
        ok = add_file(set, list.items[i].path, error);
    }
    xv_file_list_free(&list);
    return ok;
}

// A comma-separated list.
static bool add_paths(XvRecordFiles *set, const char *paths, XvError *error)
{
    char *copy = strdup(paths), *rest = NULL;
    bool ok = copy || xv_fail(error, "no memory for a list of files");
    for (char *path = ok ? strtok_r(copy, ",", &rest) : NULL; path && ok; path = strtok_r(NULL, ",", &rest)) {
        ok = add_path(set, path, error);
    }
    free(copy);
    return ok;
}

// A file being scanned.
typedef struct FileScan {
    XvRecordFiles *set;
    RecordFile *file;
} FileScan;

static bool add_record(void *context, int64_t start)
{
    XvRecordFiles *set = ((FileScan *)context)->set;
    int64_t *starts = grown(set->starts, set->count, &set->starts_room, sizeof *starts);
    if (!starts) {
        return false;
    }
    set->starts = starts;
    set->starts[set->count++] = start;
    return true;
}

static bool add_blank(void *context)
{
    FileScan *scan = context;
    RecordFile *file = scan->file;
    int64_t room = file->blanks_room;
    int64_t *blanks = grown(file->blanks, file->n_blanks, &room, sizeof *blanks);
    if (!blanks) {
        return false;
    }
    file->blanks = blanks;
    file->blanks_room = (int)room;
    file->blanks[file->n_blanks++] = scan->set->count - file->first;
    return true;
}

static bool fail_scan(const RecordFile *file, const XvRecordScan *scan, XvError *error)
{
    if (!scan->fault) {
        return xv_fail(error, "%s: no memory for the index of its records", file->path);
    }
    return xv_fail(error, "%s:%lld:%lld: %s; an array that is broken cannot be used in part", file->path,
                   (long long)scan->line, (long long)(scan->offset - scan->line_start + 1), scan->fault);
}

static bool scan_descriptor(XvRecordFiles *set, RecordFile *file, int descriptor, XvError *error)
{
    FileScan context = {set, file};
    XvRecordScan scan = xv_record_scan(&context, add_record, add_blank);
    char *chunk = malloc(CHUNK_BYTES);
    bool ok = chunk || xv_fail(error, "%s: no memory", file->path);
    while (ok) {
        ssize_t got = read(descriptor, chunk, CHUNK_BYTES);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            ok = xv_fail(error, "cannot read data file %s: %s", file->path, strerror(errno));
        } else if (got == 0) {
            break;
        } else if (!xv_record_scan_bytes(&scan, chunk, (size_t)got)) {
            ok = fail_scan(file, &scan, error);
        }
        file->bytes += got > 0 ? got : 0;
    }
    if (ok && !xv_record_scan_end(&scan)) {
        ok = fail_scan(file, &scan, error);
    }
    file->is_array = xv_record_scan_is_array(&scan);
    free(chunk);
    return ok;
}

static bool scan_file(XvRecordFiles *set, RecordFile *file, XvError *error)
{
    bool is_remote = xv_is_remote(file->path);
    int descriptor = xv_storage_descriptor(file->path, error);
    if (descriptor < 0) {
        return false;
    }
    file->first = set->count;
    bool ok = scan_descriptor(set, file, descriptor, error);
    if (ok && (is_remote || set->n_files <= MAX_OPEN_FILES)) {
        file->descriptor = descriptor;
    } else {
        close(descriptor);
    }
    return ok;
}

XvRecordFiles *xv_records_open(const char *const *paths, int n_paths, XvError *error)
{
    XvRecordFiles *set = calloc(1, sizeof *set);
    bool ok = set || xv_fail(error, "no memory for the data files");
    for (int i = 0; ok && i < n_paths; i++) {
        ok = add_paths(set, paths[i], error);
    }
    for (int i = 0; ok && i < set->n_files; i++) {
        ok = scan_file(set, &set->files[i], error);
    }
    if (ok && set->count == 0) {
        ok = n_paths == 0 ? xv_fail(error, "no data file was given")
                          : xv_fail(error, "no records in %s%s: the data set is empty", paths[0],
                                    n_paths > 1 ? " and the other data files" : "");
    }
    if (!ok) {
        xv_records_close(set);
        return NULL;
    }
    return set;
}

void xv_records_close(XvRecordFiles *set)
{
    if (!set) {
        return;
    }
    for (int i = 0; i < set->n_files; i++) {
        if (set->files[i].descriptor >= 0) {
            close(set->files[i].descriptor);
        }
        free(set->files[i].path);
        free(set->files[i].blanks);
    }
    free(set->files);
    free(set->starts);
    free(set);
}

int64_t xv_records_count(const XvRecordFiles *set)
{
    return set->count;
}

// The last file that starts at or before the record; empty files share their start with the next one.
static const RecordFile *file_of(const XvRecordFiles *set, int64_t record)
{
    int low = 0, high = set->n_files;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (set->files[middle].first <= record) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &set->files[low];
}

static int open_again(const RecordFile *file)
{
    return file->descriptor >= 0 ? file->descriptor : open(file->path, O_RDONLY | O_CLOEXEC);
}

static void close_again(const RecordFile *file, int descriptor)
{
    if (file->descriptor < 0 && descriptor >= 0) {
        close(descriptor);
    }
}

// The elements of an array stand anywhere in their lines: these are counted, as only messages need them.
static XvRecordPlace place_in_array(const RecordFile *file, int64_t start)
{
    XvRecordPlace place = {file->path, 1, 1};
    char chunk[4096];
    int descriptor = open_again(file);
    for (int64_t at = 0; descriptor >= 0 && at < start;) {
        size_t wanted = start - at < (int64_t)sizeof chunk ? (size_t)(start - at) : sizeof chunk;
        ssize_t got = pread(descriptor, chunk, wanted, at);
        if (got <= 0) {
            break;
        }
        for (ssize_t i = 0; i < got; i++) {
            place.line += chunk[i] == '\n';
            place.column = chunk[i] == '\n' ? 1 : place.column + 1;
        }
        at += got;
    }
    close_again(file, descriptor);
    return place;
}

XvRecordPlace xv_records_place(const XvRecordFiles *set, int64_t record)
{
    const RecordFile *file = file_of(set, record);
    if (file->is_array) {
        return place_in_array(file, set->starts[record]);
    }
    int64_t before = record - file->first;
    int64_t line = before + 1;
    for (int i = 0; i < file->n_blanks && file->blanks[i] <= before; i++) {
        line++;
    }
    return (XvRecordPlace){file->path, line, 1};
}

const char *xv_records_path(const XvRecordFiles *set, int64_t record)
{
    return file_of(set, record)->path;
}

static bool read_range(int descriptor, int64_t start, int64_t length, XvBytes *line)
{
    line->count = 0;
    while ((int64_t)line->count < length) {
        ssize_t got = pread(descriptor, line->data + line->count, (size_t)length - line->count,
                            start + (int64_t)line->count);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        line->count += (size_t)got;
    }
    return true;
}

bool xv_records_read(const XvRecordFiles *set, int64_t record, XvBytes *line, XvError *error)
{
    const RecordFile *file = file_of(set, record);
    bool is_last = record + 1 == set->count || file_of(set, record + 1) != file;
    int64_t start = set->starts[record];
    int64_t length = (is_last ? file->bytes : set->starts[record + 1]) - start;
    if (!xv_bytes_reserve(line, (size_t)length)) {
        return xv_fail(error, "no memory for a record of %lld bytes", (long long)length);
    }
    int descriptor = open_again(file);
    errno = 0;
    bool ok = descriptor >= 0 && read_range(descriptor, start, length, line);
    if (!ok) {
        xv_fail(error, "cannot read %lld bytes at %lld: %s", (long long)length, (long long)start,
                errno ? strerror(errno) : "the file has become shorter");
    } else {
        line->count = xv_record_length((const char *)line->data, line->count, file->is_array);
        line->data[line->count] = 0;
    }
    close_again(file, descriptor);
    return ok;
}
