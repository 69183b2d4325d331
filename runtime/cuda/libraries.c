// The search for NVIDIA's libraries; see libraries.h.
#include "runtime/cuda/libraries.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Looks into one folder; true ends the search.
typedef bool (*Look)(void *search, const char *folder);

typedef enum Part { PART_LIBRARIES, PART_TOOLS } Part;

typedef struct Search {
    const XvLibraryFile *file;
    void *library, *companion;
} Search;

typedef struct ToolSearch {
    const char *name;
    char *path;  // [PATH_MAX]
} ToolSearch;

// The folders that a pattern stands for.
static bool look_in(const char *pattern, Look look, void *search)
{
    glob_t folders = {0};
    bool is_found = false;
    if (glob(pattern, 0, NULL, &folders) == 0) {
        for (size_t i = 0; i < folders.gl_pathc && !is_found; i++) {
            is_found = look(search, folders.gl_pathv[i]);
        }
    }
    globfree(&folders);
    return is_found;
}

// Below the folder that a setting names, or below / where there is none to ask for.
static bool look_below(const char *setting, const char *rest, Look look, void *search)
{
    const char *root = setting ? getenv(setting) : "";
    char pattern[PATH_MAX];
    int length = root && (*root || !setting) ? snprintf(pattern, sizeof pattern, "%s/%s", root, rest) : 0;
    return length > 0 && (size_t)length < sizeof pattern && look_in(pattern, look, search);
}

// Toolkits, the system, Python packages, in this order.
static bool look_everywhere(Part part, Look look, void *search)
{
    static const struct {
        const char *setting, *folder[2];
    } places[] = {
        {"CUDA_HOME", {"lib64", "bin"}},
        {NULL, {"usr/local/cuda/lib64", "usr/local/cuda/bin"}},
        {NULL, {"usr/lib/x86_64-linux-gnu", "usr/bin"}},
        {"VIRTUAL_ENV", {"lib/python3*/*-packages/nvidia/*/lib", "lib/python3*/*-packages/nvidia/*/bin"}},
        {"HOME",
         {".local/lib/python3*/site-packages/nvidia/*/lib",
          ".local/lib/python3*/site-packages/nvidia/*/bin"}},
        {NULL,
         {"usr/local/lib/python3*/*-packages/nvidia/*/lib",
          "usr/local/lib/python3*/*-packages/nvidia/*/bin"}},
        {NULL, {"usr/lib/python3*/*-packages/nvidia/*/lib", "usr/lib/python3*/*-packages/nvidia/*/bin"}},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (look_below(places[i].setting, places[i].folder[part], look, search)) {
            return true;
        }
    }
    return false;
}

// Libraries -------------------------------------------------------------------------------------------------------

// The first version of a library in a folder; alternative builds are left alone. Once used it stays in the process:
// threads that it ran on may end later, and call it then.
static void *open_versioned(const char *folder, const char *name)
{
    char pattern[PATH_MAX];
    int length = snprintf(pattern, sizeof pattern, "%s/%s*", folder, name);
    glob_t found = {0};
    void *handle = NULL;
    if (length > 0 && (size_t)length < sizeof pattern && glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && !handle; i++) {
            bool is_alternative = strstr(found.gl_pathv[i], ".alt.") != NULL;
            handle =
                is_alternative ? NULL : dlopen(found.gl_pathv[i], RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
        }
    }
    globfree(&found);
    return handle;
}

static bool open_in(void *context, const char *folder)
{
    Search *search = context;
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

static bool find(Search *search, XvError *error)
{
    const XvLibraryFile *file = search->file;
    const char *folder = getenv("XV_CUDA_LIBRARIES");
    if (folder && *folder) {
        return open_in(search, folder) ||
               xv_fail(error, "XV_CUDA_LIBRARIES: there is no %s in %s", file->name, folder);
    }
    return look_everywhere(PART_LIBRARIES, open_in, search) ||
           xv_fail(error,
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

// Tools -----------------------------------------------------------------------------------------------------------

static bool is_tool_in(void *context, const char *folder)
{
    const ToolSearch *search = context;
    int length = snprintf(search->path, PATH_MAX, "%s/%s", folder, search->name);
    return length > 0 && length < PATH_MAX && access(search->path, X_OK) == 0;
}

bool xv_cuda_tool(const char *name, char path[PATH_MAX], XvError *error)
{
    ToolSearch search = {name, path};
    return look_below("XV_CUDA_LIBRARIES", "../bin", is_tool_in, &search) ||
           look_everywhere(PART_TOOLS, is_tool_in, &search) ||
           xv_fail(
               error,
               "%s is not in ../bin of XV_CUDA_LIBRARIES, CUDA_HOME, /usr/local/cuda, /usr/bin or a Python "
               "package (nvidia-cuda-%s)",
               name, name);
}
