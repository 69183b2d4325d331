// What the records of a kind of data must hold, field by field, and the check of one record.
#pragma once

#include "runtime/base/error.h"
#include "runtime/data/detections.h"
#include "runtime/data/file.h"
#include "runtime/data/image.h"
#include "runtime/data/image_path.h"
#include "runtime/data/references.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum XvFieldKind {
    XV_FIELD_PICTURE,   // a path, or base64
    XV_FIELD_PICTURES,  // two paths
    XV_FIELD_CAPTIONS,  // a string or a list of strings, none of them empty when cleaned
    XV_FIELD_QUESTION,  // a string
    XV_FIELD_ANSWERS,   // a string or a list of at most ten different strings
    XV_FIELD_LABEL,     // "True" or "False"
    XV_FIELD_ID,        // a number or a string that no other record has
    XV_FIELD_NUMBER,
    XV_FIELD_ELEMENTS,   // regions: boxes inside the picture, captions, attributes
    XV_FIELD_REFERENCE,  // "bbox" in the record, or a box for its ref_id
} XvFieldKind;

typedef struct XvField {
    const char *key;
    XvFieldKind kind;
    bool is_optional;
} XvField;

typedef struct XvLayout {
    const char *kind;  // as in loader_kind.c
    const char *title;
    bool may_repeat;    // equal records are no mistake: people say the same of a thing
    XvField fields[6];  // ends with a key of NULL
} XvLayout;

// The layout of a kind, or what the first record looks like; NULL when neither is known.
const XvLayout *xv_layout_find(const char *kind);
const XvLayout *xv_layout_guess(const cJSON *record);

// "image_text, regions, ...".
void xv_layout_names(char *out, size_t room);

// How records are looked at.
typedef struct XvLayoutOptions {
    const XvLayout *layout;
    const char *image_key;  // of image_text and regions; NULL: the first of the known names that is there
    bool is_path;           // their pictures are paths; else it is tried
    XvImageRoots roots;
    const XvReferences *references;
    const XvDetections *detections;  // of grounding records, by the image id of their ref_id
    bool skips_pictures;             // do not open them
    int max_words;
} XvLayoutOptions;

// Numbers of one record, or of many.
typedef struct XvTally {
    int64_t records, pictures, captions, words, cut_captions, elements, answers, bytes;
    int longest_caption;
    int64_t pixels;
    int smallest_side, largest_side;  // of pictures; 0: none was seen
    double smallest_box;              // share of the picture's area; 1: none was seen
} XvTally;

void xv_tally_add(XvTally *sum, const XvTally *other);

// Scratch memory and results of one check. Start from {0}; xv_check_free releases it.
typedef struct XvRecordCheck {
    XvBytes file;
    XvImage image;
    XvTally tally;
    char **problems;  // owned texts
    int n_problems, room;
    struct XvSeen *seen;  // pictures that were opened already, shared by all checks; or NULL
} XvRecordCheck;

// Pictures by path, with their sizes: a picture of five captions is opened once. Thread-safe.
typedef struct XvSeen XvSeen;
XvSeen *xv_seen_open(void);
void xv_seen_close(XvSeen *seen);

// Looks at a record of the file `path`: counts it and lists what is wrong with it.
void xv_check_record(XvRecordCheck *check, const XvLayoutOptions *options, const cJSON *record,
                     const char *path);
void xv_check_clear(XvRecordCheck *check);
void xv_check_free(XvRecordCheck *check);
