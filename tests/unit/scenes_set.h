// A scene set in a temporary folder, made by running the toolbox, and the truth of its pictures.
//
// Truth is read from the region records (shape, attributes and box of every object), so that questions,
// statements and grounding texts are checked against something they were not made from. All functions fail
// the running test.
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

enum { PIXELS = 64, N_TRAIN = 150, N_VAL = 60, N_TEST = 60 };

typedef struct SceneSet {
    char folder[512];   // holds the set "main" and what single tests add
    cJSON *regions[3];  // region records of train, val, test
} SceneSet;

// Group fixtures of cmocka: draw the set with seed 7, remove the folder.
int scene_set_make(void **state);
int scene_set_drop(void **state);

// Runs the toolbox (build/xvlm, or $XVLM) with these arguments and returns its exit status.
int scene_set_run(const char *arguments);

// The whole file with a zero byte behind it; the caller frees. n_bytes may be NULL.
char *scene_set_read(const char *path, size_t *n_bytes);

// Records of a file of the set "main" (an array, whether of an array file or of lines), or with "*" in the
// name, of that file of a split; the caller deletes.
cJSON *scene_set_load(const SceneSet *set, const char *name);
cJSON *scene_set_load_split(const SceneSet *set, const char *pattern, int split);

const char *scene_set_split(int split);
int scene_set_count(int split);

// A field that must be a string.
const char *scene_text(const cJSON *record, const char *key);

// The region record of a picture.
const cJSON *scene_truth(const SceneSet *set, const char *image);

// What a region element says of its object.
const char *scene_shape(const cJSON *element);
const char *scene_colour(const cJSON *element);
bool scene_is_large(const cJSON *element);
double scene_centre(const cJSON *element, int axis);

// Objects of a shape and colour in a region record; NULL leaves one open.
int scene_count_objects(const cJSON *record, const char *shape, const char *colour);

// The object of a colour and shape, or NULL.
const cJSON *scene_find_object(const cJSON *record, const char *colour, const char *shape);
