// Reading whole files; see file.h.
#include "runtime/data/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool xv_bytes_reserve(XvBytes *bytes, size_t capacity)
{
    if (capacity + 1 <= bytes->capacity) {
        return true;
    }
    size_t wanted = capacity + capacity / 4 + 64;
    uint8_t *data = wanted > capacity ? realloc(bytes->data, wanted) : NULL;
    if (!data) {
        return false;
    }
    bytes->data = data;
    bytes->capacity = wanted;
    return true;
}

void xv_bytes_free(XvBytes *bytes)
{
    free(bytes->data);
    *bytes = (XvBytes){0};
}

static bool read_all(int descriptor, const char *path, XvBytes *bytes, XvError *error)
{
    struct stat info;
    if (fstat(descriptor, &info) != 0) {
        return xv_fail(error, "cannot read %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(info.st_mode)) {
        return xv_fail(error, "cannot read %s: not a regular file", path);
    }
    size_t size = (size_t)info.st_size;
    bytes->count = 0;
    if (!xv_bytes_reserve(bytes, size)) {
        return xv_fail(error, "cannot read %s: no memory for %zu bytes", path, size);
    }
    while (bytes->count < size) {
        ssize_t got = read(descriptor, bytes->data + bytes->count, size - bytes->count);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return xv_fail(error, "cannot read %s: %s", path, strerror(errno));
        }
        if (got == 0) {
            break;
        }
        bytes->count += (size_t)got;
    }
    bytes->data[bytes->count] = 0;
    return true;
}

bool xv_file_read(const char *path, XvBytes *bytes, XvError *error)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return xv_fail(error, "cannot read %s: %s", path, strerror(errno));
    }
    bool ok = read_all(descriptor, path, bytes, error);
    close(descriptor);
    return ok;
}

bool xv_file_read_part(const char *path, int64_t offset, int64_t count, XvBytes *bytes, XvError *error)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return xv_fail(error, "cannot read %s: %s", path, strerror(errno));
    }
    struct stat info;
    bool is_there = fstat(descriptor, &info) == 0 && count <= info.st_size && offset <= info.st_size - count;
    bool ok = is_there ||
              xv_fail(error, "cannot read %s: it ends before byte %lld", path, (long long)(offset + count));
    ok = ok && (xv_bytes_reserve(bytes, (size_t)count) ||
                xv_fail(error, "no memory for %lld bytes", (long long)count));
    bytes->count = 0;
    while (ok && (int64_t)bytes->count < count) {
        ssize_t got = pread(descriptor, bytes->data + bytes->count, (size_t)count - bytes->count,
                            offset + (int64_t)bytes->count);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            ok = xv_fail(error, "cannot read %s: %s", path,
                         got < 0 ? strerror(errno) : "it has become shorter");
        } else {
            bytes->count += (size_t)got;
        }
    }
    if (ok) {
        bytes->data[bytes->count] = 0;
    }
    close(descriptor);
    return ok;
}
