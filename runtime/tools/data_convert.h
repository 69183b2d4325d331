// `xvlm data convert`: published annotation files into records. A row of data_convert.c per source.
#pragma once

#include "runtime/base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct XvConvert {
    const char *const *inputs;
    int n_inputs;
    const char *layout;       // "train", "test", "images" or "truth"
    const char *split;        // comma-separated names, or NULL for all
    const char *prefix;       // in front of paths of pictures
    const char *images;       // file with paths and sizes of pictures, or NULL
    const char *annotations;  // file with answers, or NULL
    FILE *out;
    bool is_lines;                  // JSON lines rather than an array
    int64_t n_records, n_left_out;  // left out: of other splits, or without a picture or text
    XvError *error;
} XvConvert;

// Writes a record, which is deleted; false with a message. NULL stands for no memory.
bool xv_convert_put(XvConvert *convert, cJSON *record);

// Whether a split is wanted.
bool xv_convert_wants(const XvConvert *convert, const char *split);

// A string or a number of an object as text in `room`; NULL when it is neither.
const char *xv_convert_text(const cJSON *object, const char *key, char room[32]);

// Captions of one picture in the layout that is asked for.
typedef struct XvCaptioned {
    const char *path;       // below the prefix
    const char *id;         // "coco_9", or NULL
    double number;          // of the picture in the ground truth
    const cJSON *captions;  // list of strings, or of objects with `key`
    const char *key;        // or NULL
} XvCaptioned;

bool xv_convert_captions(XvConvert *convert, const XvCaptioned *picture);

// The sources.
bool xv_convert_coco(XvConvert *convert);  // data_convert_captions.c
bool xv_convert_karpathy(XvConvert *convert);
bool xv_convert_flickr(XvConvert *convert);
bool xv_convert_vg_regions(XvConvert *convert);  // data_convert_vg.c
bool xv_convert_vg_objects(XvConvert *convert);
bool xv_convert_vg_qa(XvConvert *convert);
bool xv_convert_vqa(XvConvert *convert);  // data_convert_tasks.c
bool xv_convert_nlvr(XvConvert *convert);
bool xv_convert_refcoco(XvConvert *convert);
