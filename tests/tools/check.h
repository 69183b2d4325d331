// What the comparing tools share: counting, messages, and tensors of any type read as doubles.
//
// These are programs for one run: what cannot be read ends them with status 2 and a message, so that a missing file
// is never taken for a passed comparison. Memory is not given back before the end unless it is large.
#pragma once

#include "runtime/base/error.h"
#include "runtime/checkpoint/safetensors.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Check {
    int passed, failed;
} Check;

// Ends the program: the comparison itself cannot be made.
__attribute__((format(printf, 1, 2), noreturn)) static inline void check_stop(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("error: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

// Counts one comparison; prints the message, as one line, only when it failed.
__attribute__((format(printf, 3, 4))) static inline void check_that(Check *check, bool is_good,
                                                                    const char *format, ...)
{
    if (is_good) {
        check->passed++;
        return;
    }
    check->failed++;
    va_list arguments;
    va_start(arguments, format);
    fputs("FAIL ", stdout);
    vprintf(format, arguments);
    fputc('\n', stdout);
    va_end(arguments);
}

// The closing line; returns the exit status.
static inline int check_finish(const Check *check, const char *what)
{
    printf("%s: %d passed, %d failed\n", what, check->passed, check->failed);
    return check->failed > 0 || check->passed == 0 ? 1 : 0;
}

static inline void *check_memory(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1);
    if (!memory) {
        check_stop("out of memory for %zu bytes", bytes);
    }
    return memory;
}

// "folder/name" in memory of its own.
static inline char *check_path(const char *folder, const char *name)
{
    size_t bytes = strlen(folder) + strlen(name) + 2;
    char *path = check_memory(bytes);
    snprintf(path, bytes, "%s/%s", folder, name);
    return path;
}

static inline bool check_exists(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file) {
        fclose(file);
    }
    return file != NULL;
}

static inline cJSON *check_json(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        check_stop("cannot read %s", path);
    }
    long bytes = ftell(file);
    rewind(file);
    char *text = check_memory((size_t)bytes + 1);
    if (bytes < 0 || fread(text, 1, (size_t)bytes, file) != (size_t)bytes) {
        check_stop("cannot read %s", path);
    }
    fclose(file);
    text[bytes] = 0;
    cJSON *json = cJSON_Parse(text);
    if (!json) {
        check_stop("%s is not JSON", path);
    }
    free(text);
    return json;
}

// A member that has to be there.
static inline const cJSON *check_member(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!member) {
        check_stop("the configuration of the case has no \"%s\"", name);
    }
    return member;
}

// Whether a list of texts (NULL counts as empty) contains one.
static inline bool check_lists(const cJSON *list, const char *text)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, text) == 0) {
            return true;
        }
    }
    return false;
}

static inline bool check_starts(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static inline bool check_ends(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

// A tensor of a file as doubles.
typedef struct Values {
    int rank;
    int64_t shape[XV_MAX_RANK];
    int64_t count;
    bool is_integer;
    double *at;  // [count], owned
} Values;

static inline void check_open(XvSafetensors *file, const char *path)
{
    XvError error = {0};
    if (!xv_safetensors_open(file, path, &error)) {
        check_stop("%s", error.text);
    }
}

static inline double check_element(const void *raw, XvDtype dtype, int64_t i)
{
    switch (dtype) {
    case XV_F32: return (double)((const float *)raw)[i];
    case XV_F64: return ((const double *)raw)[i];
    case XV_I64: return (double)((const int64_t *)raw)[i];
    case XV_I32: return (double)((const int32_t *)raw)[i];
    default: return (double)((const uint8_t *)raw)[i];
    }
}

static inline Values check_values(const XvSafetensors *file, const XvStored *stored)
{
    if (stored->dtype == XV_F16 || stored->dtype == XV_BF16) {
        check_stop("%s: %s has half precision", file->path, stored->name);
    }
    Values values = {.rank = stored->rank,
                     .count = stored->count,
                     .is_integer = stored->dtype != XV_F32 && stored->dtype != XV_F64};
    memcpy(values.shape, stored->shape, sizeof values.shape);
    void *raw = check_memory((size_t)stored->count * xv_dtype_size(stored->dtype));
    XvError error = {0};
    if (!xv_safetensors_read_raw(file, stored, raw, &error)) {
        check_stop("%s", error.text);
    }
    values.at = check_memory((size_t)stored->count * sizeof *values.at);
    for (int64_t i = 0; i < values.count; i++) {
        values.at[i] = check_element(raw, stored->dtype, i);
    }
    free(raw);
    return values;
}

// The named tensor of a reference file, which has to be there.
static inline Values check_reference(const XvSafetensors *file, const char *name)
{
    const XvStored *stored = xv_safetensors_find(file, name);
    if (!stored) {
        check_stop("%s has no tensor %s", file->path, name);
    }
    return check_values(file, stored);
}

// All tensors of a file as they are stored, in its order; memory is the caller's.
static inline XvTensor *check_tensors(const XvSafetensors *file)
{
    XvError error = {0};
    XvTensor *tensors = check_memory((size_t)file->n_tensors * sizeof *tensors);
    for (int i = 0; i < file->n_tensors; i++) {
        const XvStored *stored = &file->tensors[i];
        tensors[i] = (XvTensor){.name = stored->name, .dtype = stored->dtype, .rank = stored->rank};
        memcpy(tensors[i].shape, stored->shape, sizeof tensors[i].shape);
        tensors[i].data = check_memory(xv_tensor_bytes(&tensors[i]));
        if (!xv_safetensors_read_raw(file, stored, tensors[i].data, &error)) {
            check_stop("%s", error.text);
        }
    }
    return tensors;
}

static inline void check_write(const char *path, const XvTensor *tensors, int n_tensors)
{
    XvError error = {0};
    if (!xv_safetensors_write(path, &(XvFileContent){tensors, n_tensors, NULL, 0}, &error)) {
        check_stop("%s", error.text);
    }
}

static inline bool check_same_shape(const Values *a, const Values *b)
{
    if (a->rank != b->rank) {
        return false;
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->shape[i] != b->shape[i]) {
            return false;
        }
    }
    return true;
}

// Where two tensors are furthest apart; values that are not numbers are infinitely far.
typedef struct Worst {
    double difference;
    int64_t at;
} Worst;

static inline Worst check_worst(const double *got, const double *want, int64_t count)
{
    Worst worst = {0, 0};
    for (int64_t i = 0; i < count; i++) {
        double difference = fabs(got[i] - want[i]);
        if (!isfinite(difference)) {
            difference = INFINITY;
        }
        if (difference > worst.difference) {
            worst = (Worst){difference, i};
        }
    }
    return worst;
}

static inline double check_l2(const double *at, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += at[i] * at[i];
    }
    return sqrt(sum);
}
