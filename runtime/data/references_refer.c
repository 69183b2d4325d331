// The folder of the REFER toolkit: refs(unc).p names an annotation and a split per expression, instances.json holds
// boxes and picture sizes in COCO's layout.
#include "runtime/checkpoint/pickle.h"
#include "runtime/data/json_line.h"
#include "runtime/data/references_internal.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

// Entries of a COCO list, by id.
typedef struct Entry {
    int64_t id;
    const cJSON *value;
} Entry;

typedef struct Entries {
    Entry *items;
    size_t count;
} Entries;

static int by_id(const void *a, const void *b)
{
    const Entry *left = a, *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

static bool list_entries(const cJSON *tree, const char *key, Entries *entries, XvError *error)
{
    const cJSON *list = xv_json_member(tree, key);
    if (!cJSON_IsArray(list)) {
        return xv_fail(error, "no list \"%s\"", key);
    }
    entries->items = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *entries->items);
    if (!entries->items) {
        return xv_fail(error, "no memory for the list \"%s\"", key);
    }
    for (const cJSON *item = list->child; item; item = item->next) {
        const cJSON *id = xv_json_member(item, "id");
        if (cJSON_IsNumber(id) && fabs(id->valuedouble) < 0x1p53) {
            entries->items[entries->count++] = (Entry){(int64_t)id->valuedouble, item};
        }
    }
    qsort(entries->items, entries->count, sizeof *entries->items, by_id);
    return true;
}

static const cJSON *find(const Entries *entries, int64_t id)
{
    Entry key = {.id = id};
    const Entry *found = bsearch(&key, entries->items, entries->count, sizeof key, by_id);
    return found ? found->value : NULL;
}

static int size_in(const cJSON *image, const char *key)
{
    const cJSON *value = image ? xv_json_member(image, key) : NULL;
    return cJSON_IsNumber(value) && fabs(value->valuedouble) < INT_MAX ? (int)value->valuedouble : 0;
}

typedef struct Instances {
    Entries annotations, images;
} Instances;

static bool read_reference(const XvPickle *entry, const Instances *instances, XvReference *reference,
                           XvError *error)
{
    int64_t annotation_id;
    const XvPickle *split = xv_pickle_get(entry, "split");
    if (!xv_pickle_integer(xv_pickle_get(entry, "ref_id"), &reference->ref_id) ||
        !xv_pickle_integer(xv_pickle_get(entry, "ann_id"), &annotation_id) ||
        !xv_pickle_integer(xv_pickle_get(entry, "image_id"), &reference->image_id)) {
        return xv_fail(error, "ref_id, ann_id or image_id is missing");
    }
    const cJSON *annotation = find(&instances->annotations, annotation_id);
    if (!annotation || !xv_json_box(xv_json_member(annotation, "bbox"), reference->box)) {
        return xv_fail(error, "annotation %lld of ref_id %lld is not in instances.json, or has no box",
                       (long long)annotation_id, (long long)reference->ref_id);
    }
    const cJSON *image = find(&instances->images, reference->image_id);
    reference->width = size_in(image, "width");
    reference->height = size_in(image, "height");
    const char *name = split ? xv_pickle_text(split) : NULL;
    snprintf(reference->split, sizeof reference->split, "%s", name ? name : "");
    return true;
}

static bool read_references(XvReferences *references, const char *path, const Instances *instances,
                            XvError *error)
{
    XvPickleTree tree;
    if (!xv_pickle_open(&tree, path, error)) {
        return false;
    }
    bool ok = tree.root->kind == XV_PICKLE_LIST || xv_fail(error, "%s: not a list of references", path);
    ok = ok && xv_references_reserve(references, (int)tree.root->count, error);
    for (uint32_t i = 0; ok && i < tree.root->count; i++) {
        ok = read_reference(tree.root->items[i], instances, &references->items[references->count++], error) ||
             xv_fail_in(error, "%s: entry %u", path, i + 1);
    }
    xv_pickle_free(&tree);
    return ok;
}

bool xv_references_refer(XvReferences *references, const char *folder, XvError *error)
{
    char pickle[PATH_MAX], boxes[PATH_MAX];
    struct stat status;
    const char *inner = "refcoco+/";
    snprintf(pickle, sizeof pickle, "%s/%srefs(unc).p", folder, inner);
    inner = stat(pickle, &status) == 0 ? inner : "";
    if (snprintf(pickle, sizeof pickle, "%s/%srefs(unc).p", folder, inner) >= PATH_MAX ||
        snprintf(boxes, sizeof boxes, "%s/%sinstances.json", folder, inner) >= PATH_MAX) {
        return xv_fail(error, "%.200s...: the path is too long", folder);
    }
    cJSON *tree = xv_json_file(boxes, error);
    Instances instances = {0};
    bool ok = tree && ((list_entries(tree, "annotations", &instances.annotations, error) &&
                        list_entries(tree, "images", &instances.images, error)) ||
                       xv_fail_in(error, "%s", boxes));
    ok = ok && read_references(references, pickle, &instances, error);
    free(instances.annotations.items);
    free(instances.images.items);
    cJSON_Delete(tree);
    return ok;
}
