// Records as views into a cJSON tree; see record.h.
#include "runtime/data/record.h"

#include "runtime/data/json_line.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Storage {
    cJSON *tree;           // owned; NULL for a view
    const char **strings;  // all lists of strings, one after the other
    XvElement *elements;
} Storage;

static int count_strings(const cJSON *value)
{
    return cJSON_IsString(value) ? 1 : cJSON_IsArray(value) ? cJSON_GetArraySize(value) : 0;
}

static int count_record_strings(const cJSON *tree, const XvRecordKeys *keys)
{
    int count = count_strings(xv_json_member(tree, keys->caption));
    const cJSON *elements = xv_json_member(tree, "elems");
    for (const cJSON *element = elements ? elements->child : NULL; element; element = element->next) {
        count += count_strings(xv_json_member(element, "caption"));
        count += count_strings(xv_json_member(element, "attributes"));
    }
    return count;
}

// Takes the strings of a value from *next on.
static XvTexts texts_of(const cJSON *value, const char ***next)
{
    XvTexts texts = {.is_present = value != NULL, .items = *next};
    if (cJSON_IsString(value)) {
        *(*next)++ = value->valuestring;
    } else if (cJSON_IsArray(value)) {
        for (const cJSON *item = value->child; item; item = item->next) {
            *(*next)++ = cJSON_IsString(item) ? item->valuestring : NULL;
        }
    }
    texts.count = (int)(*next - texts.items);
    return texts;
}

static bool read_box(const cJSON *value, int box[4])
{
    if (!cJSON_IsArray(value) || cJSON_GetArraySize(value) != 4) {
        return false;
    }
    const cJSON *item = value->child;
    for (int i = 0; i < 4; i++, item = item->next) {
        if (!cJSON_IsNumber(item) || !(fabs(item->valuedouble) < INT_MAX / 4)) {
            return false;
        }
        box[i] = (int)item->valuedouble;
    }
    return true;
}

static void read_elements(const cJSON *list, XvElement *elements, const char ***next)
{
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next, elements++) {
        elements->has_box = read_box(xv_json_member(item, "bb"), elements->box);
        elements->captions = texts_of(xv_json_member(item, "caption"), next);
        elements->attributes = texts_of(xv_json_member(item, "attributes"), next);
    }
}

static bool fill(XvRecord *record, const cJSON *tree, const XvRecordKeys *keys, XvError *error)
{
    Storage *storage = record->storage;
    if (!cJSON_IsObject(tree)) {
        return xv_fail(error, "the line is not a JSON object");
    }
    const cJSON *image = xv_json_member(tree, keys->image);
    if (!cJSON_IsString(image)) {
        return xv_fail(error,
                       image ? "field \"%s\" (the image) is not a string" : "no field \"%s\" (the image)",
                       keys->image);
    }
    const cJSON *elements = xv_json_member(tree, "elems");
    if (elements && !cJSON_IsArray(elements)) {
        return xv_fail(error, "field \"elems\" is not a list");
    }
    record->image = image->valuestring;
    record->n_elements = elements ? cJSON_GetArraySize(elements) : 0;
    storage->strings = calloc((size_t)count_record_strings(tree, keys) + 1, sizeof *storage->strings);
    storage->elements = calloc((size_t)record->n_elements + 1, sizeof *storage->elements);
    if (!storage->strings || !storage->elements) {
        return xv_fail(error, "no memory for a record");
    }
    const char **next = storage->strings;
    record->captions = texts_of(xv_json_member(tree, keys->caption), &next);
    record->elements = storage->elements;
    read_elements(elements, storage->elements, &next);
    return true;
}

bool xv_record_view(const cJSON *tree, const XvRecordKeys *keys, XvRecord *record, XvError *error)
{
    *record = (XvRecord){0};
    XvRecord filled = {.storage = calloc(1, sizeof(Storage))};
    if (!filled.storage) {
        return xv_fail(error, "no memory for a record");
    }
    if (!fill(&filled, tree, keys, error)) {
        xv_record_free(&filled);
        return false;
    }
    *record = filled;
    return true;
}

bool xv_record_parse(char *line, size_t length, const XvRecordKeys *keys, XvRecord *record, XvError *error)
{
    *record = (XvRecord){0};
    cJSON *tree = xv_json_parse_line(line, length, error);
    if (!tree) {
        return false;
    }
    if (!xv_record_view(tree, keys, record, error)) {
        cJSON_Delete(tree);
        return false;
    }
    ((Storage *)record->storage)->tree = tree;
    return true;
}

void xv_record_free(XvRecord *record)
{
    Storage *storage = record->storage;
    if (storage) {
        cJSON_Delete(storage->tree);
        free(storage->strings);
        free(storage->elements);
        free(storage);
    }
    *record = (XvRecord){0};
}
