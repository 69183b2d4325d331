// Local files as a storage; see storage.h.
#include "runtime/storage/storage_kinds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool list_folder(const char *folder, XvFileList *list, XvError *error)
{
    DIR *entries = opendir(folder);
    if (!entries) {
        return xv_fail(error, "cannot list %s: %s", folder, strerror(errno));
    }
    int first = list->count;
    bool ok = true;
    const struct dirent *entry;
    while (ok && (entry = readdir(entries))) {
        char path[PATH_MAX];
        struct stat info;
        int length = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        bool is_wanted = !xv_is_marker(entry->d_name) && length < (int)sizeof path;
        if (is_wanted && stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
            ok = xv_file_list_add(list, path, info.st_size, error);
        }
    }
    closedir(entries);
    xv_file_list_sort(list, first);
    return ok;
}

static bool list_path(const char *path, XvFileList *list, XvError *error)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return xv_fail(error, "cannot open data file %s: %s", path, strerror(errno));
    }
    return S_ISDIR(info.st_mode) ? list_folder(path, list, error)
                                 : xv_file_list_add(list, path, info.st_size, error);
}

typedef struct Local {
    int descriptor;
    char *path;
} Local;

static void close_local(void *state)
{
    Local *local = state;
    if (local->descriptor >= 0) {
        close(local->descriptor);
    }
    free(local->path);
    free(local);
}

static void *open_local(const char *path, int64_t offset, XvError *error)
{
    Local *local = calloc(1, sizeof *local);
    if (!local || !(local->path = strdup(path))) {
        free(local);
        xv_fail(error, "%s: no memory", path);
        return NULL;
    }
    local->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (local->descriptor < 0 || lseek(local->descriptor, offset, SEEK_SET) < 0) {
        xv_fail(error, "cannot read %s: %s", path, strerror(errno));
        close_local(local);
        return NULL;
    }
    return local;
}

static int64_t read_local(void *state, void *buffer, size_t room, XvError *error)
{
    const Local *local = state;
    for (;;) {
        ssize_t got = read(local->descriptor, buffer, room);
        if (got >= 0) {
            return got;
        }
        if (errno != EINTR) {
            xv_fail(error, "cannot read %s: %s", local->path, strerror(errno));
            return -1;
        }
    }
}

static bool store_local(const char *local, const char *path, XvError *error)
{
    return xv_storage_fetch(local, path, error);
}

static bool make_folder(const char *path, XvError *error)
{
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part) {
        return xv_fail(error, "%.200s...: the path is too long", path);
    }
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(part, 0777);
        *slash = '/';
    }
    struct stat status;
    if (mkdir(part, 0777) < 0 && errno != EEXIST) {
        return xv_fail(error, "cannot create %s: %s", path, strerror(errno));
    }
    return (stat(part, &status) == 0 && S_ISDIR(status.st_mode)) ||
           xv_fail(error, "%s is not a folder", path);
}

const XvStorageKind XV_STORAGE_LOCAL = {
    .has_ranges = true,
    .list = list_path,
    .open = open_local,
    .read = read_local,
    .close = close_local,
    .store = store_local,
    .make_folder = make_folder,
};
