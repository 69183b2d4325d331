// The search for NVIDIA's libraries; see libraries.h.
#include "runtime/cuda/libraries.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Search {
    const XvLibraryFile *file;
    void *library, *companion;
} Search;

// The first version of a library in a folder; alternative builds are left alone.
static void *open_versioned(const char *folder, const char *name)
{
    char pattern[PATH_MAX];
    int length = snprintf(pattern, sizeof pattern, "%s/%s*", folder, name);
    glob_t found = {0};
    void *handle = NULL;
    if (length > 0 && (size_t)length < sizeof pattern && glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && !handle; i++) {
            bool is_alternative = strstr(found.gl_pathv[i], ".alt.") != NULL;
            handle = is_alternative ? NULL : dlopen(found.gl_pathv[i], RTLD_NOW | RTLD_GLOBAL);
        }
    }
    globfree(&found);
    return handle;
}

static bool open_in(Search *search, const char *folder)
{
    if (search->file->companion) {
        search->companion = open_versioned(folder, search->file->companion);
    }
    search->library = open_versioned(folder, search->file->name);
    if (!search->library && search->companion) {
        dlclose(search->companion);
        search->companion = NULL;
    }
    return search->library != NULL;
}

// The folders that a pattern stands for.
static bool open_in_any(Search *search, const char *pattern)
{
    glob_t folders = {0};
    bool is_open = false;
    if (glob(pattern, 0, NULL, &folders) == 0) {
        for (size_t i = 0; i < folders.gl_pathc && !is_open; i++) {
            is_open = open_in(search, folders.gl_pathv[i]);
        }
    }
    globfree(&folders);
    return is_open;
}

static bool open_below(Search *search, const char *setting, const char *rest)
{
    const char *root = getenv(setting);
    char pattern[PATH_MAX];
    int length = root && *root ? snprintf(pattern, sizeof pattern, "%s/%s", root, rest) : 0;
    return length > 0 && (size_t)length < sizeof pattern && open_in_any(search, pattern);
}

static bool find(Search *search, XvError *error)
{
    const XvLibraryFile *file = search->file;
    const char *folder = getenv("XV_CUDA_LIBRARIES");
    if (folder && *folder) {
        return open_in(search, folder) ||
               xv_fail(error, "XV_CUDA_LIBRARIES: there is no %s in %s", file->name, folder);
    }
    static const char package[] = "lib/python3*/*-packages/nvidia/*/lib";
    bool is_open = open_below(search, "CUDA_HOME", "lib64") || open_in(search, "/usr/local/cuda/lib64") ||
                   open_in(search, "/usr/lib/x86_64-linux-gnu") ||
                   open_below(search, "VIRTUAL_ENV", package) ||
                   open_below(search, "HOME", ".local/lib/python3*/site-packages/nvidia/*/lib") ||
                   open_in_any(search, "/usr/local/lib/python3*/*-packages/nvidia/*/lib") ||
                   open_in_any(search, "/usr/lib/python3*/*-packages/nvidia/*/lib");
    return is_open || xv_fail(error,
                              "%.*s is not in CUDA_HOME, /usr/local/cuda, the system's folders or a Python "
                              "package (%s); XV_CUDA_LIBRARIES names its folder",
                              (int)strcspn(file->name, "."), file->name, file->package);
}

void *xv_cuda_library(const XvLibraryFile *file, void **companion, XvError *error)
{
    Search search = {.file = file};
    if (!find(&search, error)) {
        return NULL;
    }
    if (companion) {
        *companion = search.companion;
    }
    return search.library;
}

bool xv_cuda_function(void *library, const char *library_name, const char *name, void *function,
                      XvError *error)
{
    void *address = dlsym(library, name);
    if (!address) {
        return xv_fail(error, "this %s has no %s; CUDA 12 or later is needed", library_name, name);
    }
    memcpy(function, &address, sizeof address);
    return true;
}
