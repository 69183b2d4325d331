// Captions as published: COCO's own files, Karpathy's splits, Flickr30k's token file.
#include "runtime/data/json_line.h"
#include "runtime/data/references.h"
#include "runtime/tools/data_convert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// ---- COCO: {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}

typedef struct Annotation {
    double image_id;
    int order;
    const cJSON *value;
} Annotation;

static int by_image(const void *a, const void *b)
{
    const Annotation *left = a, *right = b;
    int ids = (left->image_id > right->image_id) - (left->image_id < right->image_id);
    return ids ? ids : left->order - right->order;
}

// Annotations by picture, in their order. NULL with a message.
static Annotation *sort_annotations(const cJSON *list, int *count, XvError *error)
{
    Annotation *items = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *items);
    if (!items) {
        xv_fail(error, "no memory for the captions");
        return NULL;
    }
    *count = 0;
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
        const cJSON *id = xv_json_member(item, "image_id");
        if (cJSON_IsNumber(id)) {
            items[*count] = (Annotation){id->valuedouble, *count, item};
            (*count)++;
        }
    }
    qsort(items, (size_t)*count, sizeof *items, by_image);
    return items;
}

// First annotation of a picture.
static int find_first(const Annotation *items, int count, double id)
{
    int low = 0, high = count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (items[middle].image_id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool put_image(XvConvert *convert, const cJSON *image, const Annotation *items, int count)
{
    char room[32], id[48];
    const char *number = xv_convert_text(image, "id", room), *name = xv_convert_text(image, "file_name", id);
    const cJSON *value = xv_json_member(image, "id");
    if (!number || !cJSON_IsNumber(value) || !cJSON_IsString(xv_json_member(image, "file_name"))) {
        convert->n_left_out++;
        return true;
    }
    cJSON *captions = cJSON_CreateArray();
    for (int i = find_first(items, count, value->valuedouble);
         i < count && !(items[i].image_id > value->valuedouble); i++) {
        const cJSON *caption = xv_json_member(items[i].value, "caption");
        if (cJSON_IsString(caption)) {
            cJSON_AddItemToArray(captions, cJSON_CreateString(caption->valuestring));
        }
    }
    snprintf(id, sizeof id, "coco_%s", number);
    XvCaptioned picture = {.path = name, .id = id, .number = value->valuedouble, .captions = captions};
    bool ok = xv_convert_captions(convert, &picture);
    cJSON_Delete(captions);
    return ok;
}

static bool convert_coco(XvConvert *convert, const char *path)
{
    cJSON *tree = xv_json_file(path, convert->error);
    if (!tree) {
        return false;
    }
    const cJSON *images = xv_json_member(tree, "images");
    int count = 0;
    Annotation *items = sort_annotations(xv_json_member(tree, "annotations"), &count, convert->error);
    bool ok = items && (cJSON_IsArray(images) || xv_fail(convert->error, "%s: no list \"images\"", path));
    for (const cJSON *image = ok ? images->child : NULL; image && ok; image = image->next) {
        ok = put_image(convert, image, items, count);
    }
    free(items);
    cJSON_Delete(tree);
    return ok;
}

bool xv_convert_coco(XvConvert *convert)
{
    bool ok = true;
    for (int i = 0; i < convert->n_inputs && ok; i++) {
        ok = convert_coco(convert, convert->inputs[i]);
    }
    return ok;
}

// ---- Karpathy: {"images": [{"filepath", "filename", "cocoid", "imgid", "split", "sentences": [{"raw"}]}]}

static bool put_karpathy(XvConvert *convert, const cJSON *image)
{
    const cJSON *folder = xv_json_member(image, "filepath"), *name = xv_json_member(image, "filename");
    const cJSON *split = xv_json_member(image, "split"), *number = xv_json_member(image, "cocoid");
    bool is_coco = cJSON_IsNumber(number);
    number = is_coco ? number : xv_json_member(image, "imgid");
    if (!cJSON_IsString(name) || !cJSON_IsString(split) || !xv_convert_wants(convert, split->valuestring)) {
        convert->n_left_out++;
        return true;
    }
    char path[4096], id[64];
    snprintf(path, sizeof path, "%s%s%s", cJSON_IsString(folder) ? folder->valuestring : "",
             cJSON_IsString(folder) ? "/" : "", name->valuestring);
    double value = cJSON_IsNumber(number) ? number->valuedouble : 0;
    snprintf(id, sizeof id, "%s_%.15g", is_coco ? "coco" : "flickr", value);
    XvCaptioned picture = {path, cJSON_IsNumber(number) ? id : NULL, value,
                           xv_json_member(image, "sentences"), "raw"};
    return xv_convert_captions(convert, &picture);
}

bool xv_convert_karpathy(XvConvert *convert)
{
    bool ok = true;
    for (int i = 0; i < convert->n_inputs && ok; i++) {
        cJSON *tree = xv_json_file(convert->inputs[i], convert->error);
        const cJSON *images = tree ? xv_json_member(tree, "images") : NULL;
        ok = tree &&
             (cJSON_IsArray(images) || xv_fail(convert->error, "%s: no list \"images\"", convert->inputs[i]));
        for (const cJSON *image = ok ? images->child : NULL; image && ok; image = image->next) {
            ok = put_karpathy(convert, image);
        }
        cJSON_Delete(tree);
    }
    return ok;
}

// ---- Flickr30k: NAME.jpg#NUMBER<tab>CAPTION a line, the captions of a picture together

typedef struct FlickrPicture {
    char name[256];
    cJSON *captions;
} FlickrPicture;

static bool flush(XvConvert *convert, FlickrPicture *picture)
{
    bool ok = true;
    if (picture->captions) {
        char id[300];
        snprintf(id, sizeof id, "flickr_%.*s", (int)strcspn(picture->name, "."), picture->name);
        XvCaptioned captioned = {.path = picture->name, .id = id, .captions = picture->captions};
        ok = xv_convert_captions(convert, &captioned);
    }
    cJSON_Delete(picture->captions);
    *picture = (FlickrPicture){.captions = NULL};
    return ok;
}

static bool take_line(XvConvert *convert, FlickrPicture *picture, char *line)
{
    char *tab = strchr(line, '\t'), *mark = strchr(line, '#');
    line[strcspn(line, "\r\n")] = 0;
    if (!tab || !mark || mark > tab || mark - line >= (int)sizeof picture->name) {
        convert->n_left_out += *line != 0;
        return true;
    }
    *mark = 0;
    bool ok = strcmp(line, picture->name) == 0 || flush(convert, picture);
    snprintf(picture->name, sizeof picture->name, "%.255s", line);
    picture->captions = picture->captions ? picture->captions : cJSON_CreateArray();
    cJSON_AddItemToArray(picture->captions, cJSON_CreateString(tab + 1));
    return ok;
}

bool xv_convert_flickr(XvConvert *convert)
{
    bool ok = true;
    FlickrPicture picture = {.captions = NULL};
    for (int i = 0; i < convert->n_inputs && ok; i++) {
        FILE *file = fopen(convert->inputs[i], "rb");
        char *line = NULL;
        size_t room = 0;
        ok = file || xv_fail(convert->error, "cannot read %s: %s", convert->inputs[i], strerror(errno));
        while (ok && getline(&line, &room, file) > 0) {
            ok = take_line(convert, &picture, line);
        }
        free(line);
        if (file) {
            fclose(file);
        }
    }
    return flush(convert, &picture) && ok;
}
