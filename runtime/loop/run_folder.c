// Local and remote folders of runs; see run_folder.h.
#include "runtime/loop/run_folder.h"

#include "runtime/storage/storage.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void scratch_name(char path[PATH_MAX], const char *what)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, PATH_MAX, "%s/xvlm-%s-XXXXXX", folder && *folder ? folder : "/tmp", what);
}

bool xv_run_folder_open(XvRunFolder *folder, const char *path, XvError *error)
{
    *folder = (XvRunFolder){.path = path, .is_remote = xv_is_remote(path)};
    if (strlen(path) + 64 > PATH_MAX) {
        return xv_fail(error, "--output is too long a path");
    }
    if (!xv_storage_make_folder(path, error)) {
        return false;
    }
    if (!folder->is_remote) {
        snprintf(folder->local, PATH_MAX, "%s", path);
        return true;
    }
    scratch_name(folder->local, "run");
    if (!mkdtemp(folder->local)) {
        xv_fail(error, "cannot create %s: %s", folder->local, strerror(errno));
        folder->local[0] = 0;
        return false;
    }
    return true;
}

static void delete_scratch(const char *path)
{
    DIR *entries = opendir(path);
    const struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        unlinkat(dirfd(entries), entry->d_name, 0);  // there are no folders in it
    }
    if (entries) {
        closedir(entries);
    }
    rmdir(path);
}

void xv_run_folder_close(XvRunFolder *folder)
{
    bool has_scratch = folder->is_remote && folder->local[0];
    if (has_scratch && folder->is_kept) {
        fprintf(stderr, "what could not be stored in %s is kept in %s\n", folder->path, folder->local);
    } else if (has_scratch) {
        delete_scratch(folder->local);
    }
    *folder = (XvRunFolder){0};
}

static bool is_called(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash ? slash + 1 : path, name) == 0;
}

bool xv_run_folder_find(const XvRunFolder *folder, const char *name, char path[PATH_MAX], bool *is_there,
                        XvError *error)
{
    snprintf(path, PATH_MAX, "%s/%s", folder->path, name);
    *is_there = access(path, F_OK) == 0;
    if (!folder->is_remote) {
        return true;
    }
    XvFileList list = {0};
    char old[NAME_MAX];
    snprintf(old, sizeof old, "%s._OLD_", name);
    bool ok = xv_storage_list(folder->path, &list, error), has_old = false;
    for (int i = 0; ok && i < list.count; i++) {
        *is_there = *is_there || is_called(list.items[i].path, name);
        has_old = has_old || is_called(list.items[i].path, old);
    }
    if (ok && !*is_there && has_old) {
        snprintf(path, PATH_MAX, "%s/%s", folder->path, old);
        *is_there = true;
    }
    xv_file_list_free(&list);
    return ok;
}

// The path of a file in the scratch folder; false when it is too long.
static bool local_path(const XvRunFolder *folder, const char *name, char path[PATH_MAX], XvError *error)
{
    return snprintf(path, PATH_MAX, "%s/%s", folder->local, name) < PATH_MAX ||
           xv_fail(error, "%.200s...: the path is too long", folder->local);
}

bool xv_run_folder_fetch(const XvRunFolder *folder, const char *name, XvError *error)
{
    char path[PATH_MAX], local[PATH_MAX];
    bool is_there = false;
    return !folder->is_remote ||
           (xv_run_folder_find(folder, name, path, &is_there, error) &&
            (!is_there || (local_path(folder, name, local, error) && xv_storage_fetch(path, local, error))));
}

bool xv_run_folder_store(XvRunFolder *folder, const char *name, XvError *error)
{
    char path[PATH_MAX], local[PATH_MAX];
    if (!folder->is_remote) {
        return true;
    }
    snprintf(path, PATH_MAX, "%s/%s", folder->path, name);
    bool ok = local_path(folder, name, local, error) && xv_storage_store(local, path, error);
    folder->is_kept = folder->is_kept || !ok;
    return ok;
}

bool xv_output_file_open(XvOutputFile *file, const char *path, XvError *error)
{
    *file = (XvOutputFile){.path = path};
    if (!xv_is_remote(path)) {
        return snprintf(file->local, PATH_MAX, "%s", path) < PATH_MAX ||
               xv_fail(error, "%.200s...: the path is too long", path);
    }
    scratch_name(file->local, "file");
    int descriptor = mkstemp(file->local);
    if (descriptor < 0) {
        return xv_fail(error, "cannot create %s: %s", file->local, strerror(errno));
    }
    close(descriptor);
    return true;
}

bool xv_output_file_close(XvOutputFile *file, bool is_done, XvError *error)
{
    if (!xv_is_remote(file->path)) {
        return is_done;
    }
    bool ok = is_done && xv_storage_store(file->local, file->path, error);
    unlink(file->local);
    return ok;
}
