// The kinds of storage behind storage.h: a table of functions each.
#pragma once

#include "runtime/storage/storage.h"

typedef struct XvStorageKind {
    bool has_ranges;
    bool (*list)(const char *path, XvFileList *list, XvError *error);
    void *(*open)(const char *path, int64_t offset, XvError *error);
    int64_t (*read)(void *state, void *buffer, size_t room, XvError *error);
    void (*close)(void *state);
    bool (*store)(const char *local, const char *path, XvError *error);  // NULL: cannot be written
    bool (*make_folder)(const char *path, XvError *error);
} XvStorageKind;

extern const XvStorageKind XV_STORAGE_LOCAL, XV_STORAGE_WEBHDFS, XV_STORAGE_PIPE, XV_STORAGE_HTTP;

// Appends an entry; false without memory.
bool xv_file_list_add(XvFileList *list, const char *path, int64_t bytes, XvError *error);

// A name that folders of records hold without being records: hidden, a marker of a finished job, or half written.
bool xv_is_marker(const char *name);

// Sorts entries from `first` on by path.
void xv_file_list_sort(XvFileList *list, int first);
