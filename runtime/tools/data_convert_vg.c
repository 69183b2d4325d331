// Visual Genome: regions, objects with attributes, questions. The files are arrays, read picture by picture.
#include "runtime/data/json_line.h"
#include "runtime/data/records.h"
#include "runtime/data/references.h"
#include "runtime/tools/data_convert.h"

#include <stdlib.h>
#include <string.h>

// Paths and sizes of pictures: image_data.json.
typedef struct VgImage {
    double id;
    int width, height;
    char path[48];  // "VG_100K_2/1.jpg"
} VgImage;

typedef struct VgImages {
    VgImage *items;  // by id
    size_t count;
} VgImages;

static int by_id(const void *a, const void *b)
{
    const VgImage *left = a, *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

static int integer_in(const cJSON *object, const char *key)
{
    const cJSON *value = xv_json_member(object, key);
    return cJSON_IsNumber(value) ? value->valueint : 0;
}

// The last two parts of the picture's address are its path.
static const char *tail_of(const char *url)
{
    const char *last = strrchr(url, '/');
    const char *at = last;
    while (at && at > url && at[-1] != '/') {
        at--;
    }
    return at ? at : url;
}

static bool read_images(const XvConvert *convert, VgImages *images)
{
    *images = (VgImages){.count = 0};
    if (!convert->images) {
        return true;
    }
    cJSON *tree = xv_json_file(convert->images, convert->error);
    bool ok = tree && (cJSON_IsArray(tree) || xv_fail(convert->error, "%s: not an array", convert->images));
    images->items = ok ? calloc((size_t)cJSON_GetArraySize(tree) + 1, sizeof *images->items) : NULL;
    ok = ok && (images->items || xv_fail(convert->error, "no memory for %s", convert->images));
    for (const cJSON *row = ok ? tree->child : NULL; row; row = row->next) {
        const cJSON *id = xv_json_member(row, "image_id"), *url = xv_json_member(row, "url");
        id = id ? id : xv_json_member(row, "id");
        if (cJSON_IsNumber(id) && cJSON_IsString(url)) {
            VgImage *image = &images->items[images->count++];
            *image = (VgImage){id->valuedouble, integer_in(row, "width"), integer_in(row, "height"), ""};
            snprintf(image->path, sizeof image->path, "%s", tail_of(url->valuestring));
        }
    }
    qsort(images->items, images->count, sizeof *images->items, by_id);
    cJSON_Delete(tree);
    return ok;
}

// Starts a record with the path of the picture, and its size if that is known. Without image_data.json pictures are
// called after their numbers.
static cJSON *start_record(const XvConvert *convert, const VgImages *images, double id)
{
    VgImage key = {.id = id};
    const VgImage *image =
        images->count ? bsearch(&key, images->items, images->count, sizeof key, by_id) : NULL;
    if (images->count && !image) {
        return NULL;
    }
    char path[512];
    snprintf(key.path, sizeof key.path, "%.15g.jpg", id);
    snprintf(path, sizeof path, "%.400s%s", convert->prefix, image ? image->path : key.path);
    cJSON *record = cJSON_CreateObject();
    cJSON_AddStringToObject(record, "image", path);
    if (image && image->width > 0) {
        cJSON_AddNumberToObject(record, "width", image->width);
        cJSON_AddNumberToObject(record, "height", image->height);
    }
    return record;
}

typedef bool (*Taker)(XvConvert *convert, const VgImages *images, const cJSON *entry);

// Hands over the entries of all inputs.
static bool each_entry(XvConvert *convert, Taker take)
{
    VgImages images;
    XvBytes text = {0};
    bool ok = read_images(convert, &images);
    XvRecordFiles *files = ok ? xv_records_open(convert->inputs, convert->n_inputs, convert->error) : NULL;
    ok = files != NULL;
    for (int64_t i = 0; ok && i < xv_records_count(files); i++) {
        ok = xv_records_read(files, i, &text, convert->error);
        cJSON *entry = ok ? xv_json_parse_line((const char *)text.data, text.count, convert->error) : NULL;
        ok = entry ? take(convert, &images, entry)
                   : xv_fail_in(convert->error, "%s: entry %lld", convert->inputs[0], (long long)i + 1);
        cJSON_Delete(entry);
    }
    xv_bytes_free(&text);
    xv_records_close(files);
    free(images.items);
    return ok;
}

static double id_of(const cJSON *entry)
{
    const cJSON *id = xv_json_member(entry, "image_id");
    id = id ? id : xv_json_member(entry, "id");
    return cJSON_IsNumber(id) ? id->valuedouble : -1;
}

static void add_box(cJSON *element, const cJSON *from, const char *const keys[4])
{
    cJSON *box = cJSON_AddArrayToObject(element, "bb");
    for (int i = 0; i < 4; i++) {
        const cJSON *value = xv_json_member(from, keys[i]);
        cJSON_AddItemToArray(box, cJSON_CreateNumber(cJSON_IsNumber(value) ? value->valuedouble : 0));
    }
}

// Ends a record of regions: one without regions is left out.
static bool put_regions(XvConvert *convert, cJSON *record, cJSON *elements)
{
    if (!record || !elements->child) {
        cJSON_Delete(record);
        cJSON_Delete(elements);
        convert->n_left_out++;
        return true;
    }
    cJSON_AddItemToObject(record, "elems", elements);
    return xv_convert_put(convert, record);
}

static bool take_regions(XvConvert *convert, const VgImages *images, const cJSON *entry)
{
    static const char *const BOX[4] = {"x", "y", "width", "height"};
    const cJSON *regions = xv_json_member(entry, "regions");
    cJSON *record = start_record(convert, images, id_of(entry)), *elements = cJSON_CreateArray();
    for (const cJSON *region = regions ? regions->child : NULL; region; region = region->next) {
        const cJSON *phrase = xv_json_member(region, "phrase");
        if (!cJSON_IsString(phrase)) {
            convert->n_left_out++;
            continue;
        }
        cJSON *element = cJSON_CreateObject();
        cJSON_AddStringToObject(element, "caption", phrase->valuestring);
        add_box(element, region, BOX);
        cJSON_AddItemToArray(elements, element);
    }
    return put_regions(convert, record, elements);
}

static bool take_objects(XvConvert *convert, const VgImages *images, const cJSON *entry)
{
    static const char *const BOX[4] = {"x", "y", "w", "h"};
    const cJSON *objects = xv_json_member(entry, "objects");
    objects = objects ? objects : xv_json_member(entry, "attributes");  // the name in attributes.json
    cJSON *record = start_record(convert, images, id_of(entry)), *elements = cJSON_CreateArray();
    for (const cJSON *object = objects ? objects->child : NULL; object; object = object->next) {
        const cJSON *names = xv_json_member(object, "names"),
                    *attributes = xv_json_member(object, "attributes");
        const cJSON *name = cJSON_IsArray(names) ? names->child : names;
        if (!cJSON_IsString(name)) {
            convert->n_left_out++;
            continue;
        }
        cJSON *element = cJSON_CreateObject();
        cJSON_AddStringToObject(element, "caption", name->valuestring);
        add_box(element, object, BOX);
        if (cJSON_IsArray(attributes) && attributes->child) {
            cJSON_AddItemToObject(element, "attributes", cJSON_Duplicate(attributes, true));
        }
        cJSON_AddItemToArray(elements, element);
    }
    return put_regions(convert, record, elements);
}

static bool take_questions(XvConvert *convert, const VgImages *images, const cJSON *entry)
{
    const cJSON *questions = xv_json_member(entry, "qas");
    bool ok = true;
    for (const cJSON *qa = questions ? questions->child : NULL; qa && ok; qa = qa->next) {
        const cJSON *question = xv_json_member(qa, "question"), *answer = xv_json_member(qa, "answer");
        double id = xv_json_member(qa, "image_id") ? id_of(qa) : id_of(entry);
        cJSON *record = start_record(convert, images, id);
        if (!record || !cJSON_IsString(question) || !cJSON_IsString(answer)) {
            cJSON_Delete(record);
            convert->n_left_out++;
            continue;
        }
        cJSON_DeleteItemFromObject(record, "width");
        cJSON_DeleteItemFromObject(record, "height");
        cJSON_AddStringToObject(record, "question", question->valuestring);
        cJSON_AddStringToObject(record, "answer", answer->valuestring);
        cJSON_AddStringToObject(record, "dataset", "vg");
        ok = xv_convert_put(convert, record);
    }
    return ok;
}

bool xv_convert_vg_regions(XvConvert *convert)
{
    return each_entry(convert, take_regions);
}

bool xv_convert_vg_objects(XvConvert *convert)
{
    return each_entry(convert, take_objects);
}

bool xv_convert_vg_qa(XvConvert *convert)
{
    return each_entry(convert, take_questions);
}
