// Where the data of a command are: what its flags say, and where they say nothing, the official keys of the compiled-in
// configuration (train_file, train_file_regions, val_file, test_file).
#pragma once

#include "runtime/base/options.h"
#include "runtime/loop/settings.h"
#include "runtime/program.h"

// Records to read.
typedef struct XvDataPath {
    char *list;        // a file, a folder, or several with commas between them; owned; NULL: none
    const char *key;   // of the configuration, when that names them; else NULL
    const char *flag;  // that would name others
} XvDataPath;

// A flag's text, "none" for no records at all, else what the configuration has under `key`: a path or a list of paths.
// Local ones must be there. False with a message that names key and flag.
bool xv_data_path(XvDataPath *path, const char *given, const XvSettings *settings, XvError *error);
void xv_data_path_free(XvDataPath *path);

// Puts "train_file of the configuration (--data names others): " in front of a message about records that the
// configuration names; returns false.
bool xv_data_path_fail(const XvDataPath *path, XvError *error);

// Folders and counts that flags may give instead of the configuration.
typedef struct XvDataPlaces {
    const char *image_root, *vqa_root, *vg_root, *refcoco_data;
    int64_t dataset_size;  // -1: as configured
} XvDataPlaces;

// Their rows in a command's table.
#define XV_DATA_PLACES(places)                                                                           \
    {"--image-root",                                                                                     \
     "DIR",                                                                                              \
     XV_OPTION_TEXT,                                                                                     \
     &(places)->image_root,                                                                              \
     0,                                                                                                  \
     0,                                                                                                  \
     "where paths of pictures start; configured if not given"},                                          \
        {"--vqa-root", "DIR", XV_OPTION_TEXT, &(places)->vqa_root, 0, 0, "the same for records of VQA"}, \
        {"--vg-root",                                                                                    \
         "DIR",                                                                                          \
         XV_OPTION_TEXT,                                                                                 \
         &(places)->vg_root,                                                                             \
         0,                                                                                              \
         0,                                                                                              \
         "the same for records of Visual Genome"},                                                       \
    {                                                                                                    \
        "--refcoco-data", "PATH", XV_OPTION_TEXT, &(places)->refcoco_data, 0, 0,                         \
            "boxes by ref_id; configured if not given"                                                   \
    }

// Puts what was given into the settings, under the official keys.
bool xv_data_places_apply(const XvDataPlaces *places, XvSettings *settings, XvError *error);

// The key under which the configuration has the training records of an entry: train_file, or train_file_regions for
// those that have regions.
const char *xv_train_key(const XvEntry *entry);

// Which of two paths feeds an entry: the main entry reads `data` whatever its kind, entries with regions read
// `regions`; NULL for others.
const XvDataPath *xv_entry_path(const XvProgram *program, int entry, const XvDataPath *data,
                                const XvDataPath *regions);
