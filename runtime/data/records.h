// The records of a list of files, indexed once, so that any of them can be read by number.
//
// A file is a JSON array of records, or has one record a line (records_scan.h).
// Paths may be comma-separated lists and lie anywhere (storage.h); remote files are copied when they are opened.
// Records are numbered in the order of the list; a folder stands for its regular files in the order of their
// names, except hidden ones and those named with _SUCCESS. Blank lines are no records. The files must not
// change while they are open. Reading is safe from several threads.
#pragma once

#include "runtime/base/error.h"
#include "runtime/data/file.h"

#include <stdint.h>

typedef struct XvRecordFiles XvRecordFiles;

// Where a record stands, for messages.
typedef struct XvRecordPlace {
    const char *path;  // borrowed
    int64_t line;      // from 1
    int64_t column;    // of its first byte, from 1
} XvRecordPlace;

// NULL with a message for a path that is missing or unreadable, for an array that is not well formed around its
// records, and when there is no record in all files.
XvRecordFiles *xv_records_open(const char *const *paths, int n_paths, XvError *error);
void xv_records_close(XvRecordFiles *files);

int64_t xv_records_count(const XvRecordFiles *files);

// Reads the file up to the record when that is in an array: for messages.
XvRecordPlace xv_records_place(const XvRecordFiles *files, int64_t record);

// The file it is in, borrowed.
const char *xv_records_path(const XvRecordFiles *files, int64_t record);

// Reads the text of a record in 0..count-1 into `line`, without what separates records and with a zero byte behind.
bool xv_records_read(const XvRecordFiles *files, int64_t record, XvBytes *line, XvError *error);
