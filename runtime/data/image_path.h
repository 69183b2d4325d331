// Where the picture of a record lies: image roots of the configurations, and folders beside the record file.
#pragma once

#include "runtime/data/file.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <stdbool.h>

// Folders that paths of pictures start from; NULL: none.
typedef struct XvImageRoots {
    const char *image_root;
    const char *vqa_root,
        *vg_root;  // instead, for records whose "dataset" is "vqa" (also if it is missing) or "vg"
} XvImageRoots;

// The root of a record.
const char *xv_image_root(const XvImageRoots *roots, const cJSON *record);

// Writes the first path that can be read of: the path below the root, the same beside the record file, the path beside
// the record file; the first of them if none can be read. Remote ones (storage.h) are not asked for: a path or a root
// that is remote counts as found, and beside a remote record file the path below the root does. False when the path is
// too long.
bool xv_image_find(const char *root, const char *record_file, const char *path, char found[PATH_MAX]);

// Finds and reads the picture, which may be a part of a shard (image_packed.h). Writes where it was looked for.
bool xv_image_read(const char *root, const char *record_file, const char *path, char found[PATH_MAX],
                   XvBytes *bytes, XvError *error);
