// Recorded results for the tests of the data pipeline: JSON-lines and safetensors files below tests/data.
// A file that cannot be read aborts the test program with its name.
#pragma once

#include "runtime/base/tensor.h"

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

typedef struct GoldenLines {
    cJSON **items;
    int count;
} GoldenLines;

GoldenLines golden_lines(const char *path);
void golden_lines_free(GoldenLines *lines);

// A file that is one document; the caller deletes it.
cJSON *golden_json(const char *path);

// Members of an object, which must exist.
const cJSON *golden_get(const cJSON *object, const char *key);
int golden_int(const cJSON *object, const char *key);
double golden_number(const cJSON *object, const char *key);
const char *golden_string(const cJSON *object, const char *key);

typedef struct GoldenTensors {
    char *bytes;
    XvTensor *items;  // names and data are owned by this structure
    int count;
    cJSON *header;
} GoldenTensors;

GoldenTensors golden_tensors(const char *path);
void golden_tensors_free(GoldenTensors *tensors);

// NULL when there is no such tensor.
const XvTensor *golden_find(const GoldenTensors *tensors, const char *name);

// Writes a text file, creating the folders above it.
void golden_write(const char *path, const char *text);

// Pages of memory that the process holds; 0 under the sanitizers, which keep what was freed.
long golden_resident_pages(void);

// A new empty folder; the caller frees the name. golden_remove deletes a folder and everything in it.
char *golden_folder(void);
void golden_remove(const char *folder);
