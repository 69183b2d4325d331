// The folder of a run, --output: a local one, or one on HDFS. What belongs to a remote folder is written to a scratch
// folder (in TMPDIR, else /tmp) and stored when it is complete, so that nothing half-written has a name there.
#pragma once

#include "runtime/base/error.h"

#include <limits.h>
#include <stdbool.h>

typedef struct XvRunFolder {
    const char *path;      // as given
    char local[PATH_MAX];  // where its files are written
    bool is_remote;
    bool is_kept;  // something could not be stored: the scratch folder stays
} XvRunFolder;

// Makes the folder and those above it.
bool xv_run_folder_open(XvRunFolder *folder, const char *path, XvError *error);

// Deletes the scratch folder, or says where it is when something in it could not be stored.
void xv_run_folder_close(XvRunFolder *folder);

// Whether the folder has a file of that name, and where it can be read (xv_storage_descriptor): the name itself, or
// what a replacement that broke off has left of it (storage.h). False when that cannot be found out.
bool xv_run_folder_find(const XvRunFolder *folder, const char *name, char path[PATH_MAX], bool *is_there,
                        XvError *error);

// Brings a file of a remote folder to where it is written, if there is one; nothing for a local folder.
bool xv_run_folder_fetch(const XvRunFolder *folder, const char *name, XvError *error);

// Stores a file that is complete; nothing for a local folder.
bool xv_run_folder_store(XvRunFolder *folder, const char *name, XvError *error);

// One file for a path of any kind: where to write it, and what to do when that is done (`is_done`) or has failed.
typedef struct XvOutputFile {
    const char *path;      // as given
    char local[PATH_MAX];  // where to write
} XvOutputFile;

bool xv_output_file_open(XvOutputFile *file, const char *path, XvError *error);
bool xv_output_file_close(XvOutputFile *file, bool is_done, XvError *error);
