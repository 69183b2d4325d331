// Atomic writing of files; see output.h.
#include "runtime/base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITE_BYTES = 64 << 20 };  // at most this much in one system call

static bool fail_system(const XvOutput *output, XvError *error)
{
    return xv_fail(error, "cannot write %s: %s", output->path, strerror(errno));
}

bool xv_output_check(const char *path, XvError *error)
{
    struct stat status;
    return stat(path, &status) != 0 || S_ISREG(status.st_mode) ||
           xv_fail(error, "cannot write %s: it is there and not a regular file", path);
}

bool xv_output_open(XvOutput *output, const char *path, XvError *error)
{
    *output = (XvOutput){.path = path, .file = -1};
    if ((size_t)snprintf(output->partial, sizeof output->partial, "%s.partial", path) >=
        sizeof output->partial) {
        return xv_fail(error, "cannot write %s: the path is too long", path);
    }
    if (!xv_output_check(path, error)) {
        return false;
    }
    output->file = open(output->partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return output->file >= 0 || fail_system(output, error);
}

bool xv_output_write(XvOutput *output, const void *data, size_t bytes, XvError *error)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t written = write(output->file, from, bytes < WRITE_BYTES ? bytes : WRITE_BYTES);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written == 0) {
            return xv_fail(error, "cannot write %s: nothing could be written", output->path);
        }
        if (written < 0) {
            return fail_system(output, error);
        }
        from += written;
        bytes -= (size_t)written;
        output->written += written;
    }
    return true;
}

// The rename itself must reach the device too, else a power cut can bring the old name back.
static void flush_folder(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        fsync(folder);
        close(folder);
    }
}

bool xv_output_close(XvOutput *output, bool is_good, XvError *error)
{
    if (is_good && fsync(output->file) < 0) {
        is_good = fail_system(output, error);
    }
    if (close(output->file) < 0 && is_good) {
        is_good = fail_system(output, error);
    }
    if (is_good && rename(output->partial, output->path) < 0) {
        is_good = fail_system(output, error);
    }
    if (!is_good) {
        unlink(output->partial);
        return false;
    }
    flush_folder(output->path);
    return true;
}

bool xv_write_all(int file, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t written = write(file, at, bytes);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        at += written > 0 ? written : 0;
        bytes -= written > 0 ? (size_t)written : 0;
    }
    return true;
}
