// Tables of boxes; see references.h.
#include "runtime/data/references.h"

#include "runtime/data/file.h"
#include "runtime/data/json_line.h"
#include "runtime/data/references_internal.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool xv_json_box_start(const cJSON *value, double box[4])
{
    const cJSON *item = cJSON_IsArray(value) ? value->child : NULL;
    for (int i = 0; i < 4; i++, item = item->next) {
        if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble)) {
            return false;
        }
        box[i] = item->valuedouble;
    }
    return true;
}

bool xv_json_box(const cJSON *value, double box[4])
{
    return cJSON_GetArraySize(value) == 4 && xv_json_box_start(value, box);
}

cJSON *xv_json_file(const char *path, XvError *error)
{
    XvBytes bytes = {0};
    cJSON *tree =
        xv_file_read(path, &bytes, error) ? xv_json_parse_line((char *)bytes.data, bytes.count, error) : NULL;
    if (!tree && bytes.data) {
        xv_fail_in(error, "%s", path);
    }
    xv_bytes_free(&bytes);
    return tree;
}

bool xv_references_reserve(XvReferences *references, int count, XvError *error)
{
    references->items = calloc((size_t)count + 1, sizeof *references->items);
    return references->items || xv_fail(error, "no memory for %d boxes", count);
}

static double number_in(const cJSON *object, const char *key)
{
    const cJSON *value = xv_json_member(object, key);
    return cJSON_IsNumber(value) && fabs(value->valuedouble) < 0x1p53 ? value->valuedouble : 0;
}

static bool read_row(const cJSON *row, XvReference *reference)
{
    const cJSON *id = xv_json_member(row, "ref_id"), *split = xv_json_member(row, "split");
    if (!cJSON_IsNumber(id) || !(fabs(id->valuedouble) < 0x1p53) ||
        !xv_json_box(xv_json_member(row, "bbox"), reference->box)) {
        return false;
    }
    reference->ref_id = (int64_t)id->valuedouble;
    reference->image_id = (int64_t)number_in(row, "image_id");
    reference->width = (int)fmin(number_in(row, "width"), INT_MAX);
    reference->height = (int)fmin(number_in(row, "height"), INT_MAX);
    snprintf(reference->split, sizeof reference->split, "%s",
             cJSON_IsString(split) ? split->valuestring : "");
    return true;
}

static bool read_array(XvReferences *references, const char *path, XvError *error)
{
    cJSON *tree = xv_json_file(path, error);
    bool ok = tree != NULL;
    if (ok && !cJSON_IsArray(tree)) {
        ok = xv_fail(error, "%s: not a JSON array of boxes", path);
    }
    ok = ok && xv_references_reserve(references, cJSON_GetArraySize(tree), error);
    for (const cJSON *row = ok ? tree->child : NULL; row && ok; row = row->next) {
        ok = read_row(row, &references->items[references->count++]) ||
             xv_fail(error, "%s: entry %d has no whole \"ref_id\" or no \"bbox\" of four numbers", path,
                     references->count);
    }
    cJSON_Delete(tree);
    return ok;
}

static int by_id(const void *a, const void *b)
{
    const XvReference *left = a, *right = b;
    return (left->ref_id > right->ref_id) - (left->ref_id < right->ref_id);
}

XvReferences *xv_references_open(const char *path, XvError *error)
{
    XvReferences *references = calloc(1, sizeof *references);
    if (!references) {
        xv_fail(error, "no memory for a table of boxes");
        return NULL;
    }
    struct stat status;
    bool is_folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    bool ok = is_folder ? xv_references_refer(references, path, error) : read_array(references, path, error);
    if (!ok) {
        xv_references_close(references);
        return NULL;
    }
    qsort(references->items, (size_t)references->count, sizeof *references->items, by_id);
    return references;
}

void xv_references_close(XvReferences *references)
{
    if (references) {
        free(references->items);
        free(references);
    }
}

int xv_references_count(const XvReferences *references)
{
    return references->count;
}

const XvReference *xv_references_find(const XvReferences *references, int64_t ref_id)
{
    XvReference key = {.ref_id = ref_id};
    return bsearch(&key, references->items, (size_t)references->count, sizeof key, by_id);
}
