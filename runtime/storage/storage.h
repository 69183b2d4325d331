// Files by path, wherever they are: local, hdfs://..., http://... and https://....
//
// hdfs:// goes through WebHDFS when the environment names its servers, else through the hdfs command:
//   XV_WEBHDFS        "http://nn1:9870,http://nn2:9870": name nodes in the order in which they are asked; one that is
//                     on standby or away is passed over
//   XV_HDFS_COMMAND   the command in front of -text, -ls, -put, ...: "hdfs dfs"
//   HADOOP_USER_NAME  the user that WebHDFS is told; $USER if it is not set
//
// Transfers that break off are continued where they stopped, a few times, with growing pauses; then the operation fails
// with the reason. What is fetched or stored appears under its name only when it is complete; when it replaces a file
// that cannot be replaced in one step, that is called NAME._OLD_ meanwhile.
#pragma once

#include "runtime/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct XvFileEntry {
    char *path;     // as it can be opened; owned
    int64_t bytes;  // -1 where nobody says
} XvFileEntry;

// Start from {0}.
typedef struct XvFileList {
    XvFileEntry *items;
    int count, room;
} XvFileList;

// A file that is read from some byte on.
typedef struct XvReader XvReader;

bool xv_is_remote(const char *path);

// Appends the file of that name, or the regular files of a folder in the order of their names, without hidden ones and
// those named with _SUCCESS. False with a message for what does not exist.
bool xv_storage_list(const char *path, XvFileList *list, XvError *error);
void xv_file_list_free(XvFileList *list);

// Whether the path can be read in parts from any byte on without reading what stands before.
bool xv_storage_has_ranges(const char *path);

// Opens at a byte; NULL with a message.
XvReader *xv_reader_open(const char *path, int64_t offset, XvError *error);

// Reads up to `room` bytes: how many, 0 at the end, -1 with a message. A file that ends before its size, or a command
// that fails at its end, is an error, not an end.
int64_t xv_reader_read(XvReader *reader, void *buffer, size_t room, XvError *error);
void xv_reader_close(XvReader *reader);

// Copies a file of any kind to a local one, and a local file to a path of any kind but http. The target is replaced.
bool xv_storage_fetch(const char *path, const char *local, XvError *error);
bool xv_storage_store(const char *local, const char *path, XvError *error);

// A descriptor that reads the file at any place. A remote file is copied to one without a name in the folder TMPDIR
// (/tmp), which lives as long as the descriptor is open. -1 with a message.
int xv_storage_descriptor(const char *path, XvError *error);

// Makes a folder and those above it.
bool xv_storage_make_folder(const char *path, XvError *error);
