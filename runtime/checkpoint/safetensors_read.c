// Reading of safetensors files; see safetensors.h. The header is checked before anything in it is used: sizes are
// computed with overflow checks, offsets must tile the data exactly, names must be different.
#include "runtime/checkpoint/safetensors.h"

#include "runtime/checkpoint/convert.h"
#include "runtime/storage/storage.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_HEADER = 100 * 1000 * 1000, CHUNK_BYTES = 1 << 20 };

const char *xv_shape_text(char out[XV_SHAPE_TEXT], int rank, const int64_t *shape)
{
    size_t used = 0;
    out[used++] = '[';
    for (int i = 0; i < rank; i++) {
        int wanted = snprintf(out + used, XV_SHAPE_TEXT - used, "%s%" PRId64, i ? ", " : "", shape[i]);
        if (used + (size_t)wanted + 5 > XV_SHAPE_TEXT) {
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        used += (size_t)wanted;
    }
    out[used++] = ']';
    out[used] = 0;
    return out;
}

static bool read_at(const XvSafetensors *safetensors, int64_t offset, void *out, size_t bytes, XvError *error)
{
    char *to = out;
    while (bytes > 0) {
        ssize_t got = pread(safetensors->file, to, bytes, offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return xv_fail(error, "cannot read: %s", strerror(errno));
        }
        if (got == 0) {
            return xv_fail(error, "ends early, at byte %" PRId64, offset);
        }
        to += got;
        offset += got;
        bytes -= (size_t)got;
    }
    return true;
}

// A JSON number that is a whole number in 0..limit.
static bool whole_number(const cJSON *json, int64_t limit, int64_t *out)
{
    if (!cJSON_IsNumber(json) || !(json->valuedouble >= 0.0) || json->valuedouble > (double)limit ||
        json->valuedouble > 0x1p53 || floor(json->valuedouble) < json->valuedouble) {
        return false;
    }
    *out = (int64_t)json->valuedouble;
    return *out <= limit;
}

static bool dtype_by_name(const cJSON *json, XvDtype *out)
{
    for (int i = 0; cJSON_IsString(json) && i < XV_DTYPE_COUNT; i++) {
        if (strcmp(json->valuestring, xv_dtype_name((XvDtype)i)) == 0) {
            *out = (XvDtype)i;
            return true;
        }
    }
    return false;
}

static bool read_shape(const cJSON *json, XvStored *stored, XvError *error)
{
    int rank = cJSON_IsArray(json) ? cJSON_GetArraySize(json) : -1;
    if (rank < 0) {
        return xv_fail(error, "tensor \"%s\" has no shape", stored->name);
    }
    if (rank > XV_MAX_RANK) {
        return xv_fail(error, "tensor \"%s\" has %d dimensions; at most %d are supported", stored->name, rank,
                       XV_MAX_RANK);
    }
    stored->rank = rank;
    stored->count = 1;
    int i = 0;
    for (const cJSON *dim = json->child; dim; dim = dim->next, i++) {
        if (!whole_number(dim, INT64_MAX / 2, &stored->shape[i]) ||
            __builtin_mul_overflow(stored->count, stored->shape[i], &stored->count)) {
            return xv_fail(error, "tensor \"%s\": dimension %d is not a usable size", stored->name, i);
        }
    }
    return true;
}

// One directory entry; offsets are still relative to the data, `data_bytes` long.
static bool read_entry(const cJSON *json, int64_t data_bytes, XvStored *stored, XvError *error)
{
    stored->name = json->string;
    if (!cJSON_IsObject(json)) {
        return xv_fail(error, "tensor \"%s\" is not described by an object", stored->name);
    }
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(json, "dtype");
    if (!dtype_by_name(dtype, &stored->dtype)) {
        return xv_fail(error, "tensor \"%s\" has the unsupported dtype %s", stored->name,
                       cJSON_IsString(dtype) ? dtype->valuestring : "(none)");
    }
    if (!read_shape(cJSON_GetObjectItemCaseSensitive(json, "shape"), stored, error)) {
        return false;
    }
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(json, "data_offsets");
    int64_t begin, end, bytes;
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !whole_number(cJSON_GetArrayItem(offsets, 0), data_bytes, &begin) ||
        !whole_number(cJSON_GetArrayItem(offsets, 1), data_bytes, &end) || end < begin) {
        return xv_fail(error,
                       "tensor \"%s\": data_offsets are missing or outside the file (%" PRId64
                       " bytes of data); is the file complete?",
                       stored->name, data_bytes);
    }
    if (__builtin_mul_overflow(stored->count, (int64_t)xv_dtype_size(stored->dtype), &bytes) ||
        bytes != end - begin) {
        char shape[XV_SHAPE_TEXT];
        return xv_fail(error, "tensor \"%s\": shape %s in %s does not fill its %" PRId64 " bytes",
                       stored->name, xv_shape_text(shape, stored->rank, stored->shape),
                       xv_dtype_name(stored->dtype), end - begin);
    }
    stored->offset = begin;
    return true;
}

static bool read_metadata(XvSafetensors *safetensors, const cJSON *json, XvError *error)
{
    if (!cJSON_IsObject(json)) {
        return xv_fail(error, "__metadata__ is not an object");
    }
    safetensors->metadata = calloc((size_t)cJSON_GetArraySize(json) + 1, sizeof *safetensors->metadata);
    if (!safetensors->metadata) {
        return xv_fail(error, "no memory for the header");
    }
    for (const cJSON *item = json->child; item; item = item->next) {
        if (!cJSON_IsString(item)) {
            return xv_fail(error, "__metadata__ \"%s\" is not a text", item->string);
        }
        safetensors->metadata[safetensors->n_metadata++] = (XvMetadata){item->string, item->valuestring};
    }
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const XvStored *x = a, *y = b;
    if (x->offset != y->offset) {
        return x->offset < y->offset ? -1 : 1;
    }
    return (x->count > 0) - (y->count > 0);  // empty tensors may share the place where the next one begins
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const XvStored *)a)->name, ((const XvStored *)b)->name);
}

// Tensors must follow each other without gap or overlap and fill the data to its end.
static bool check_tiling(XvSafetensors *safetensors, int64_t data_bytes, XvError *error)
{
    qsort(safetensors->tensors, (size_t)safetensors->n_tensors, sizeof *safetensors->tensors, by_offset);
    int64_t at = 0;
    for (int i = 0; i < safetensors->n_tensors; i++) {
        const XvStored *stored = &safetensors->tensors[i];
        if (stored->offset != at) {
            return xv_fail(error, "tensor \"%s\" begins at byte %" PRId64 " of the data, %s %" PRId64,
                           stored->name, stored->offset,
                           stored->offset < at ? "inside another one that ends at" : "but the last ends at",
                           at);
        }
        at += stored->count * (int64_t)xv_dtype_size(stored->dtype);
    }
    return at == data_bytes ||
           xv_fail(error, "%" PRId64 " bytes after the last tensor belong to none", data_bytes - at);
}

static bool check_names(XvSafetensors *safetensors, XvError *error)
{
    qsort(safetensors->tensors, (size_t)safetensors->n_tensors, sizeof *safetensors->tensors, by_name);
    for (int i = 1; i < safetensors->n_tensors; i++) {
        if (strcmp(safetensors->tensors[i - 1].name, safetensors->tensors[i].name) == 0) {
            return xv_fail(error, "two tensors are called \"%s\"", safetensors->tensors[i].name);
        }
    }
    return true;
}

static bool read_directory(XvSafetensors *safetensors, int64_t data_start, int64_t data_bytes, XvError *error)
{
    const cJSON *header = safetensors->header;
    safetensors->tensors = calloc((size_t)cJSON_GetArraySize(header) + 1, sizeof *safetensors->tensors);
    if (!safetensors->tensors) {
        return xv_fail(error, "no memory for the header");
    }
    for (const cJSON *item = header->child; item; item = item->next) {
        if (strcmp(item->string, "__metadata__") == 0) {
            if (safetensors->metadata) {
                return xv_fail(error, "__metadata__ is there twice");
            }
            if (!read_metadata(safetensors, item, error)) {
                return false;
            }
        } else if (!read_entry(item, data_bytes, &safetensors->tensors[safetensors->n_tensors++], error)) {
            return false;
        }
    }
    if (!check_tiling(safetensors, data_bytes, error) || !check_names(safetensors, error)) {
        return false;
    }
    for (int i = 0; i < safetensors->n_tensors; i++) {
        safetensors->tensors[i].offset += data_start;
    }
    return true;
}

static bool parse_header(XvSafetensors *safetensors, int64_t length, XvError *error)
{
    char *text = malloc((size_t)length + 1);
    if (!text) {
        return xv_fail(error, "no memory for the header");
    }
    bool is_read = read_at(safetensors, 8, text, (size_t)length, error);
    if (is_read) {
        text[length] = 0;
        const char *end = NULL;
        safetensors->header = cJSON_ParseWithLengthOpts(text, (size_t)length + 1, &end, false);
        is_read = cJSON_IsObject((cJSON *)safetensors->header) && text[0] == '{' &&
                  end + strspn(end, " \t\r\n") == text + length;
        if (!is_read) {
            xv_fail(error, "the header is not a JSON object; not a safetensors file?");
        }
    }
    free(text);
    return is_read;
}

static bool open_checked(XvSafetensors *safetensors, XvError *error)
{
    struct stat status;
    if (fstat(safetensors->file, &status) < 0 || !S_ISREG(status.st_mode)) {
        return xv_fail(error, "not a regular file");
    }
    uint8_t bytes[8];
    if (status.st_size < 8 || !read_at(safetensors, 0, bytes, sizeof bytes, error)) {
        return xv_fail(error, "too short for a safetensors file (%" PRId64 " bytes)",
                       (int64_t)status.st_size);
    }
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) {
        length = length << 8 | bytes[i];
    }
    if (length > MAX_HEADER || length > (uint64_t)status.st_size - 8) {
        return xv_fail(error,
                       "announces a header of %" PRIu64 " bytes in a file of %" PRId64
                       "; incomplete, or not a safetensors file",
                       length, (int64_t)status.st_size);
    }
    int64_t data_start = 8 + (int64_t)length;
    return parse_header(safetensors, (int64_t)length, error) &&
           read_directory(safetensors, data_start, (int64_t)status.st_size - data_start, error);
}

bool xv_safetensors_open(XvSafetensors *safetensors, const char *path, XvError *error)
{
    int file = xv_storage_descriptor(path, error);
    if (file < 0) {
        *safetensors = (XvSafetensors){.file = -1};
        return false;
    }
    return xv_safetensors_take(safetensors, file, path, error);
}

bool xv_safetensors_take(XvSafetensors *safetensors, int file, const char *path, XvError *error)
{
    *safetensors = (XvSafetensors){.file = file, .path = strdup(path)};
    if (!safetensors->path) {
        close(file);
        *safetensors = (XvSafetensors){.file = -1};
        return xv_fail(error, "%s: no memory", path);
    }
    if (!open_checked(safetensors, error)) {
        xv_safetensors_close(safetensors);
        return xv_fail_in(error, "%s", path);
    }
    return true;
}

void xv_safetensors_close(XvSafetensors *safetensors)
{
    if (safetensors->path && safetensors->file >= 0) {
        close(safetensors->file);
    }
    free(safetensors->path);
    free(safetensors->tensors);
    free(safetensors->metadata);
    cJSON_Delete(safetensors->header);
    *safetensors = (XvSafetensors){.file = -1};
}

const XvStored *xv_safetensors_find(const XvSafetensors *safetensors, const char *name)
{
    XvStored wanted = {.name = name};
    return safetensors->n_tensors == 0 ? NULL
                                       : bsearch(&wanted, safetensors->tensors,
                                                 (size_t)safetensors->n_tensors, sizeof wanted, by_name);
}

const char *xv_safetensors_metadata(const XvSafetensors *safetensors, const char *key)
{
    for (int i = 0; i < safetensors->n_metadata; i++) {
        if (strcmp(safetensors->metadata[i].key, key) == 0) {
            return safetensors->metadata[i].value;
        }
    }
    return NULL;
}

bool xv_safetensors_read_raw(const XvSafetensors *safetensors, const XvStored *stored, void *out,
                             XvError *error)
{
    size_t bytes = (size_t)stored->count * xv_dtype_size(stored->dtype);
    return read_at(safetensors, stored->offset, out, bytes, error) ||
           xv_fail_in(error, "%s", safetensors->path);
}

// ---- conversion, a chunk at a time

// Reads through a buffer and converts to 4-byte elements.
static bool read_converted(const XvSafetensors *safetensors, const XvStored *stored, void *out,
                           XvError *error)
{
    int64_t size = (int64_t)xv_dtype_size(stored->dtype);
    int64_t step = CHUNK_BYTES / size;
    void *buffer = malloc(CHUNK_BYTES);
    if (!buffer) {
        return xv_fail(error, "no memory to read tensor \"%s\"", stored->name);
    }
    bool is_read = true;
    for (int64_t first = 0; is_read && first < stored->count; first += step) {
        int64_t count = stored->count - first < step ? stored->count - first : step;
        is_read = read_at(safetensors, stored->offset + first * size, buffer, (size_t)(count * size), error);
        XvElements elements = {.bytes = buffer, .step = size, .count = count, .dtype = stored->dtype};
        int64_t misfit;
        if (is_read && xv_is_float(stored->dtype)) {
            xv_floats_of(&elements, (float *)out + first);
        } else if (is_read && !xv_integers_of(&elements, (int32_t *)out + first, &misfit)) {
            is_read = xv_fail(error, "tensor \"%s\" holds %" PRId64 ", which does not fit 32 bits",
                              stored->name, misfit);
        }
    }
    free(buffer);
    return is_read || xv_fail_in(error, "%s", safetensors->path);
}

bool xv_safetensors_read_f32(const XvSafetensors *safetensors, const XvStored *stored, float *out,
                             XvError *error)
{
    if (stored->dtype == XV_F32) {
        return xv_safetensors_read_raw(safetensors, stored, out, error);
    }
    if (!xv_is_float(stored->dtype)) {
        return xv_fail(error, "%s: tensor \"%s\" is %s, floating point is wanted", safetensors->path,
                       stored->name, xv_dtype_name(stored->dtype));
    }
    return read_converted(safetensors, stored, out, error);
}

bool xv_safetensors_read_i32(const XvSafetensors *safetensors, const XvStored *stored, int32_t *out,
                             XvError *error)
{
    if (stored->dtype == XV_I32) {
        return xv_safetensors_read_raw(safetensors, stored, out, error);
    }
    if (xv_is_float(stored->dtype)) {
        return xv_fail(error, "%s: tensor \"%s\" is %s, integers are wanted", safetensors->path, stored->name,
                       xv_dtype_name(stored->dtype));
    }
    return read_converted(safetensors, stored, out, error);
}
