// The boxes of referring expressions by ref_id (RefCOCO+).
//
// Read from the official folder (refs(unc).p, a pickle of plain values that only the restricted reader opens, and
// instances.json), or from one JSON array of {"ref_id", "image_id", "bbox": [x, y, w, h], "split", "width", "height"}.
#pragma once

#include "runtime/base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct XvReference {
    int64_t ref_id, image_id;
    double box[4];      // x, y, w, h in pixels of the stored picture
    int width, height;  // of it; 0 when the file does not say
    char split[8];      // "train", "val", "testA", "testB"; empty when the file does not say
} XvReference;

typedef struct XvReferences XvReferences;

// `path` is a JSON file, or a folder that holds refs(unc).p and instances.json itself or in refcoco+/. NULL with a
// message.
XvReferences *xv_references_open(const char *path, XvError *error);
void xv_references_close(XvReferences *references);

int xv_references_count(const XvReferences *references);

// NULL for an unknown ref_id.
const XvReference *xv_references_find(const XvReferences *references, int64_t ref_id);

// A list that starts with four finite numbers; one of exactly four.
bool xv_json_box_start(const cJSON *value, double box[4]);
bool xv_json_box(const cJSON *value, double box[4]);

// A JSON file as a tree that the caller deletes; NULL with a message that starts with the path.
cJSON *xv_json_file(const char *path, XvError *error);
