// The official pre-training records (dataset/pretrain_dataset.py), parsed from one JSON line.
//
//   image-text  {"binary": "<base64>", "caption": "a dog"}
//   regions     {"image_rpath": "a.jpg", "caption": "...",
//                "elems": [{"bb": [x, y, w, h], "caption": "...", "attributes": "..."}]}
//
// Every text may be a list; the outer caption and the attributes may be missing.
//
// Parsing is lenient about the elements, because only those that the sampler looks at count: the official
// loader fails when it meets a broken one, and so does the sampler here.
#pragma once

#include "runtime/base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

// A string or a list of strings.
typedef struct XvTexts {
    bool is_present;           // the field exists
    int count;                 // 0 when it is neither a string nor a list
    const char *const *items;  // [count]; NULL where a list holds something else
} XvTexts;

typedef struct XvElement {
    bool has_box;  // four numbers were there
    int box[4];    // x, y, w, h in pixels, truncated to int
    XvTexts captions, attributes;
} XvElement;

typedef struct XvRecordKeys {
    const char *image;    // "binary"
    const char *caption;  // "caption"
} XvRecordKeys;

typedef struct XvRecord {
    const char *image;  // path or base64
    XvTexts captions;
    XvElement *elements;  // [n_elements]
    int n_elements;
    void *storage;  // everything the pointers refer to
} XvRecord;

// Parses line[0..length), which is followed by a zero byte and is changed. Needs the image field; captions
// and elements may be missing. The record is filled only on success; release it with xv_record_free.
bool xv_record_parse(char *line, size_t length, const XvRecordKeys *keys, XvRecord *record, XvError *error);
// The same from a parsed document, which must outlive the record.
bool xv_record_view(const cJSON *tree, const XvRecordKeys *keys, XvRecord *record, XvError *error);

void xv_record_free(XvRecord *record);
