// Readers of recorded results; see data_golden.h.
#include "data_golden.h"

#include "runtime/data/file.h"
#include "runtime/data/json_line.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void stop(const char *path, const char *reason)
{
    fprintf(stderr, "%s: %s\n", path, reason);
    abort();
}

static XvBytes read_whole(const char *path)
{
    XvBytes bytes = {0};
    XvError error;
    if (!xv_file_read(path, &bytes, &error)) {
        stop(path, error.text);
    }
    return bytes;
}

GoldenLines golden_lines(const char *path)
{
    XvBytes bytes = read_whole(path);
    GoldenLines lines = {0};
    char *line = (char *)bytes.data, *end = line + bytes.count;
    while (line < end) {
        char *line_end = memchr(line, '\n', (size_t)(end - line));
        line_end = line_end ? line_end : end;
        *line_end = '\0';
        XvError error;
        lines.items = realloc(lines.items, (size_t)(lines.count + 1) * sizeof *lines.items);
        lines.items[lines.count] = xv_json_parse_line(line, (size_t)(line_end - line), &error);
        if (!lines.items[lines.count++]) {
            stop(path, error.text);
        }
        line = line_end + 1;
    }
    xv_bytes_free(&bytes);
    return lines;
}

void golden_lines_free(GoldenLines *lines)
{
    for (int i = 0; i < lines->count; i++) {
        cJSON_Delete(lines->items[i]);
    }
    free(lines->items);
}

cJSON *golden_json(const char *path)
{
    XvBytes bytes = read_whole(path);
    XvError error;
    char *text = strndup((char *)bytes.data, bytes.count);
    cJSON *json = text ? xv_json_parse_line(text, strlen(text), &error) : NULL;
    if (!json) {
        stop(path, text ? error.text : "no memory");
    }
    free(text);
    xv_bytes_free(&bytes);
    return json;
}

const cJSON *golden_get(const cJSON *object, const char *key)
{
    const cJSON *item = xv_json_member(object, key);
    if (!item) {
        stop(key, "no such member");
    }
    return item;
}

int golden_int(const cJSON *object, const char *key)
{
    return golden_get(object, key)->valueint;
}

double golden_number(const cJSON *object, const char *key)
{
    return golden_get(object, key)->valuedouble;
}

const char *golden_string(const cJSON *object, const char *key)
{
    const cJSON *item = golden_get(object, key);
    if (!cJSON_IsString(item)) {
        stop(key, "not a string");
    }
    return item->valuestring;
}

static XvDtype dtype_named(const char *name)
{
    for (int i = 0; i < XV_DTYPE_COUNT; i++) {
        if (strcmp(xv_dtype_name((XvDtype)i), name) == 0) {
            return (XvDtype)i;
        }
    }
    stop(name, "unknown dtype");
    return XV_F32;
}

GoldenTensors golden_tensors(const char *path)
{
    XvBytes bytes = read_whole(path);
    uint64_t header_bytes;
    memcpy(&header_bytes, bytes.data, sizeof header_bytes);
    char *header = strndup((char *)bytes.data + 8, header_bytes);
    XvError error;
    GoldenTensors set = {.bytes = (char *)bytes.data};
    set.header = xv_json_parse_line(header, strlen(header), &error);
    if (!set.header) {
        stop(path, error.text);
    }
    free(header);
    set.items = calloc((size_t)cJSON_GetArraySize(set.header), sizeof *set.items);
    for (const cJSON *entry = set.header->child; entry; entry = entry->next) {
        if (strcmp(entry->string, "__metadata__") == 0) {
            continue;
        }
        XvTensor *tensor = &set.items[set.count++];
        tensor->name = entry->string;
        tensor->dtype = dtype_named(golden_string(entry, "dtype"));
        for (const cJSON *size = golden_get(entry, "shape")->child; size; size = size->next) {
            tensor->shape[tensor->rank++] = size->valueint;
        }
        tensor->data = set.bytes + 8 + header_bytes + golden_get(entry, "data_offsets")->child->valueint;
    }
    return set;
}

void golden_tensors_free(GoldenTensors *tensors)
{
    free(tensors->bytes);
    free(tensors->items);
    cJSON_Delete(tensors->header);
}

const XvTensor *golden_find(const GoldenTensors *tensors, const char *name)
{
    for (int i = 0; i < tensors->count; i++) {
        if (strcmp(tensors->items[i].name, name) == 0) {
            return &tensors->items[i];
        }
    }
    return NULL;
}

void golden_write(const char *path, const char *text)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(folder, 0777);
        *slash = '/';
    }
    FILE *file = fopen(path, "wb");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) {
        stop(path, "cannot write");
    }
}

long golden_resident_pages(void)
{
    long all = 0, resident = 0;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &all, &resident) != 2) {
        stop("/proc/self/statm", "cannot read");
    }
    fclose(file);
#endif
    (void)all;
    return resident;
}

char *golden_folder(void)
{
    const char *base = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/xv-data-XXXXXX", base ? base : P_tmpdir);
    if (!mkdtemp(path)) {
        stop(path, "cannot make a folder");
    }
    return strdup(path);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

void golden_remove(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
