// The choice of the storage, and what all kinds share; see storage.h.
#include "runtime/storage/storage.h"

#include "runtime/base/output.h"
#include "runtime/storage/storage_kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct XvReader {
    const XvStorageKind *kind;
    void *state;
};

static bool starts_with(const char *path, const char *scheme)
{
    return strncmp(path, scheme, strlen(scheme)) == 0;
}

static const XvStorageKind *kind_of(const char *path)
{
    if (starts_with(path, "hdfs:")) {
        const char *servers = getenv("XV_WEBHDFS");
        return servers && *servers ? &XV_STORAGE_WEBHDFS : &XV_STORAGE_PIPE;
    }
    bool is_http = starts_with(path, "http://") || starts_with(path, "https://");
    return is_http ? &XV_STORAGE_HTTP : &XV_STORAGE_LOCAL;
}

bool xv_is_remote(const char *path)
{
    return kind_of(path) != &XV_STORAGE_LOCAL;
}

bool xv_storage_has_ranges(const char *path)
{
    return kind_of(path)->has_ranges;
}

// ---- lists

bool xv_is_marker(const char *name)
{
    size_t length = strlen(name);
    bool is_copying = length > 10 && strcmp(name + length - 10, "._COPYING_") == 0;
    return name[0] == '.' || is_copying || strstr(name, "_SUCCESS");
}

bool xv_file_list_add(XvFileList *list, const char *path, int64_t bytes, XvError *error)
{
    if (list->count == list->room) {
        int room = 2 * list->room + 16;
        XvFileEntry *items = realloc(list->items, (size_t)room * sizeof *items);
        if (!items) {
            return xv_fail(error, "%s: no memory", path);
        }
        list->items = items;
        list->room = room;
    }
    char *copy = strdup(path);
    if (!copy) {
        return xv_fail(error, "%s: no memory", path);
    }
    list->items[list->count++] = (XvFileEntry){copy, bytes};
    return true;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const XvFileEntry *)a)->path, ((const XvFileEntry *)b)->path);
}

void xv_file_list_sort(XvFileList *list, int first)
{
    if (list->count == first) {
        return;  // there may be no array
    }
    qsort(list->items + first, (size_t)(list->count - first), sizeof *list->items, by_path);
}

bool xv_storage_list(const char *path, XvFileList *list, XvError *error)
{
    return kind_of(path)->list(path, list, error);
}

void xv_file_list_free(XvFileList *list)
{
    for (int i = 0; i < list->count; i++) {
        free(list->items[i].path);
    }
    free(list->items);
    *list = (XvFileList){0};
}

// ---- reading

XvReader *xv_reader_open(const char *path, int64_t offset, XvError *error)
{
    XvReader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        xv_fail(error, "%s: no memory", path);
        return NULL;
    }
    reader->kind = kind_of(path);
    reader->state = reader->kind->open(path, offset, error);
    if (!reader->state) {
        free(reader);
        return NULL;
    }
    return reader;
}

int64_t xv_reader_read(XvReader *reader, void *buffer, size_t room, XvError *error)
{
    return reader->kind->read(reader->state, buffer, room, error);
}

void xv_reader_close(XvReader *reader)
{
    if (reader) {
        reader->kind->close(reader->state);
        free(reader);
    }
}

// ---- whole files

static bool copy_to(XvReader *reader, int descriptor, const char *name, XvError *error)
{
    enum { ROOM = 1 << 20 };
    char *buffer = malloc(ROOM);
    int64_t got = buffer ? 1 : -1;
    if (!buffer) {
        xv_fail(error, "%s: no memory", name);
    }
    while (got > 0) {
        got = xv_reader_read(reader, buffer, ROOM, error);
        if (got > 0 && !xv_write_all(descriptor, buffer, (size_t)got)) {
            xv_fail(error, "cannot write %s: %s", name, strerror(errno));
            got = -1;
        }
    }
    free(buffer);
    return got == 0;
}

bool xv_storage_fetch(const char *path, const char *local, XvError *error)
{
    char partial[PATH_MAX];
    if (snprintf(partial, sizeof partial, "%s.partial.%d", local, (int)getpid()) >= (int)sizeof partial) {
        return xv_fail(error, "%.200s...: the path is too long", local);
    }
    XvReader *reader = xv_output_check(local, error) ? xv_reader_open(path, 0, error) : NULL;
    if (!reader) {
        return false;
    }
    int descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool ok = descriptor >= 0 || xv_fail(error, "cannot create %s: %s", partial, strerror(errno));
    ok = ok && copy_to(reader, descriptor, partial, error);
    ok = ok && (fsync(descriptor) == 0 || xv_fail(error, "cannot write %s: %s", partial, strerror(errno)));
    if (descriptor >= 0) {
        close(descriptor);
    }
    ok = ok &&
         (rename(partial, local) == 0 || xv_fail(error, "cannot rename to %s: %s", local, strerror(errno)));
    if (!ok) {
        unlink(partial);
    }
    xv_reader_close(reader);
    return ok;
}

static int open_copy(const char *path, XvError *error)
{
    char name[PATH_MAX];
    const char *folder = getenv("TMPDIR");
    snprintf(name, sizeof name, "%s/xvlm-copy-XXXXXX", folder && *folder ? folder : "/tmp");
    int descriptor = mkstemp(name);
    if (descriptor < 0) {
        xv_fail(error, "cannot create %s: %s", name, strerror(errno));
        return -1;
    }
    close(descriptor);
    descriptor = xv_storage_fetch(path, name, error) ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    unlink(name);
    return descriptor;
}

int xv_storage_descriptor(const char *path, XvError *error)
{
    if (xv_is_remote(path)) {
        return open_copy(path, error);
    }
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        xv_fail(error, "cannot open %s: %s", path, strerror(errno));
    }
    return descriptor;
}

bool xv_storage_store(const char *local, const char *path, XvError *error)
{
    const XvStorageKind *kind = kind_of(path);
    if (!kind->store) {
        return xv_fail(error, "%s: nothing can be written there", path);
    }
    return kind->store(local, path, error);
}

bool xv_storage_make_folder(const char *path, XvError *error)
{
    const XvStorageKind *kind = kind_of(path);
    return kind->make_folder ? kind->make_folder(path, error)
                             : xv_fail(error, "%s: no folder can be made there", path);
}
