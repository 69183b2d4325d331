// Tables of detected boxes; see detections.h.
#include "runtime/data/detections.h"

#include "runtime/data/references.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct Picture {
    int64_t image_id;
    int64_t first;  // of its boxes
    int count;
} Picture;

struct XvDetections {
    Picture *pictures;  // by image id
    double (*boxes)[4];
    int64_t n_pictures, n_boxes;
};

static bool read_id(const char *key, int64_t *id)
{
    char *end;
    errno = 0;
    *id = strtoll(key, &end, 10);
    return errno == 0 && end != key && *end == '\0';
}

static bool read_picture(XvDetections *detections, const cJSON *list, XvError *error)
{
    Picture *picture = &detections->pictures[detections->n_pictures++];
    *picture = (Picture){.first = detections->n_boxes};
    if (!read_id(list->string, &picture->image_id)) {
        return xv_fail(error, "key \"%s\" is not an image id", list->string);
    }
    for (const cJSON *item = list->child; item; item = item->next, picture->count++) {
        if (!xv_json_box_start(item, detections->boxes[detections->n_boxes++])) {
            return xv_fail(error, "image %s, detection %d: not a list that starts with four numbers",
                           list->string, picture->count + 1);
        }
    }
    return true;
}

static bool reserve(XvDetections *detections, const cJSON *tree, XvError *error)
{
    size_t n_pictures = 0, n_boxes = 0;
    for (const cJSON *list = tree->child; list; list = list->next, n_pictures++) {
        if (!cJSON_IsArray(list)) {
            return xv_fail(error, "image %s: not a list of boxes", list->string);
        }
        n_boxes += (size_t)cJSON_GetArraySize(list);
    }
    detections->pictures = calloc(n_pictures + 1, sizeof *detections->pictures);
    detections->boxes = calloc(n_boxes + 1, sizeof *detections->boxes);
    return (detections->pictures && detections->boxes) || xv_fail(error, "no memory for %zu boxes", n_boxes);
}

static int by_id(const void *a, const void *b)
{
    const Picture *left = a, *right = b;
    return (left->image_id > right->image_id) - (left->image_id < right->image_id);
}

static bool read_tree(XvDetections *detections, const cJSON *tree, XvError *error)
{
    if (!cJSON_IsObject(tree)) {
        return xv_fail(error, "not a JSON object of boxes by image id");
    }
    bool ok = reserve(detections, tree, error);
    for (const cJSON *list = tree->child; list && ok; list = list->next) {
        ok = read_picture(detections, list, error);
    }
    if (ok) {
        qsort(detections->pictures, (size_t)detections->n_pictures, sizeof *detections->pictures, by_id);
    }
    return ok;
}

XvDetections *xv_detections_open(const char *path, XvError *error)
{
    cJSON *tree = xv_json_file(path, error);
    XvDetections *detections = tree ? calloc(1, sizeof *detections) : NULL;
    if (tree && (!detections || !read_tree(detections, tree, error))) {
        if (detections) {
            xv_fail_in(error, "%s", path);
        } else {
            xv_fail(error, "no memory for a table of boxes");
        }
        xv_detections_close(detections);
        detections = NULL;
    }
    cJSON_Delete(tree);
    return detections;
}

void xv_detections_close(XvDetections *detections)
{
    if (detections) {
        free(detections->pictures);
        free(detections->boxes);
        free(detections);
    }
}

const double (*xv_detections_find(const XvDetections *detections, int64_t image_id, int *count))[4]
{
    const Picture key = {.image_id = image_id};
    const Picture *picture =
        bsearch(&key, detections->pictures, (size_t)detections->n_pictures, sizeof key, by_id);
    *count = picture ? picture->count : 0;
    return picture ? (const double(*)[4])detections->boxes + picture->first : NULL;
}
