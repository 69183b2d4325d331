// The check of one record; see data_layout.h.
#include "runtime/tools/data_layout.h"

#include "runtime/data/base64.h"
#include "runtime/data/caption.h"
#include "runtime/data/json_line.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- pictures that were seen

typedef struct SeenPicture {
    char *path;
    XvImageSize size;  // 0 x 0 for one that cannot be read
    char *problem;     // owned, or NULL
} SeenPicture;

struct XvSeen {
    pthread_mutex_t lock;
    SeenPicture *items;  // open addressing
    size_t size, count;
};

XvSeen *xv_seen_open(void)
{
    XvSeen *seen = calloc(1, sizeof *seen);
    if (seen) {
        pthread_mutex_init(&seen->lock, NULL);
    }
    return seen;
}

void xv_seen_close(XvSeen *seen)
{
    for (size_t i = 0; seen && i < seen->size; i++) {
        free(seen->items[i].path);
        free(seen->items[i].problem);
    }
    if (seen) {
        free(seen->items);
        pthread_mutex_destroy(&seen->lock);
    }
    free(seen);
}

static SeenPicture *find_seen(const XvSeen *seen, const char *path)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (const char *at = path; *at; at++) {
        hash = (hash ^ (unsigned char)*at) * 0x100000001B3u;
    }
    size_t at = (size_t)(hash ^ hash >> 29) & (seen->size - 1);
    while (seen->items[at].path && strcmp(seen->items[at].path, path) != 0) {
        at = (at + 1) & (seen->size - 1);
    }
    return &seen->items[at];
}

static bool grow_seen(XvSeen *seen)
{
    XvSeen larger = {.size = seen->size ? 2 * seen->size : 1024, .count = seen->count};
    larger.items = calloc(larger.size, sizeof *larger.items);
    if (!larger.items) {
        return false;
    }
    for (size_t i = 0; i < seen->size; i++) {
        if (seen->items[i].path) {
            *find_seen(&larger, seen->items[i].path) = seen->items[i];
        }
    }
    free(seen->items);
    seen->items = larger.items;
    seen->size = larger.size;
    return true;
}

static bool get_seen(XvSeen *seen, const char *path, SeenPicture *picture)
{
    pthread_mutex_lock(&seen->lock);
    const SeenPicture *found = seen->size > 0 ? find_seen(seen, path) : NULL;
    bool is_known = found && found->path;
    if (is_known) {
        *picture = *found;  // its texts live as long as `seen`
    }
    pthread_mutex_unlock(&seen->lock);
    return is_known;
}

// Without memory the picture is just opened again. True for the first that says so.
static bool put_seen(XvSeen *seen, const char *path, XvImageSize size, const char *problem)
{
    bool is_first = false;
    pthread_mutex_lock(&seen->lock);
    if (2 * (seen->count + 1) <= seen->size || grow_seen(seen)) {
        SeenPicture *slot = find_seen(seen, path);
        is_first = !slot->path;
        if (is_first && (slot->path = strdup(path))) {
            slot->size = size;
            slot->problem = problem ? strdup(problem) : NULL;
            seen->count++;
        }
    }
    pthread_mutex_unlock(&seen->lock);
    return is_first;
}

// ---- problems and numbers

static void add_problem(XvRecordCheck *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_problem(XvRecordCheck *check, const char *format, ...)
{
    char text[1400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (check->n_problems == check->room) {
        int room = 2 * check->room + 4;
        char **problems = realloc(check->problems, (size_t)room * sizeof *problems);
        if (!problems) {
            return;
        }
        check->problems = problems;
        check->room = room;
    }
    char *copy = strdup(text);
    if (copy) {
        check->problems[check->n_problems++] = copy;
    }
}

void xv_check_clear(XvRecordCheck *check)
{
    for (int i = 0; i < check->n_problems; i++) {
        free(check->problems[i]);
    }
    check->n_problems = 0;
    check->tally = (XvTally){.smallest_box = 1};
}

void xv_check_free(XvRecordCheck *check)
{
    xv_check_clear(check);
    xv_bytes_free(&check->file);
    xv_image_free(&check->image);
    free(check->problems);
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

void xv_tally_add(XvTally *sum, const XvTally *other)
{
    sum->records += other->records;
    sum->pictures += other->pictures;
    sum->captions += other->captions;
    sum->words += other->words;
    sum->cut_captions += other->cut_captions;
    sum->elements += other->elements;
    sum->answers += other->answers;
    sum->bytes += other->bytes;
    sum->pixels += other->pixels;
    sum->longest_caption = larger(sum->longest_caption, other->longest_caption);
    sum->largest_side = larger(sum->largest_side, other->largest_side);
    if (other->smallest_side > 0 && (sum->smallest_side == 0 || other->smallest_side < sum->smallest_side)) {
        sum->smallest_side = other->smallest_side;
    }
    sum->smallest_box = fmin(sum->smallest_box, other->smallest_box);
}

static void count_picture(XvRecordCheck *check, XvImageSize size, size_t bytes)
{
    XvTally *tally = &check->tally;
    int low = size.width < size.height ? size.width : size.height;
    tally->pictures++;
    tally->bytes += (int64_t)bytes;
    tally->pixels += (int64_t)size.width * size.height;
    tally->largest_side = larger(tally->largest_side, larger(size.width, size.height));
    tally->smallest_side =
        tally->smallest_side == 0 || low < tally->smallest_side ? low : tally->smallest_side;
}

// ---- pictures

// Decodes what was read; a problem for what is damaged.
static XvImageSize look_at(XvRecordCheck *check, const char *name)
{
    XvError error = {""};
    const XvBytes *file = &check->file;
    if (!xv_image_decode(file->data, file->count, INT_MAX, &check->image, &error)) {
        add_problem(check, "%s: unreadable picture: %s", name, error.text);
        return (XvImageSize){0, 0};
    }
    if (check->image.is_partial) {
        add_problem(check, "%s: truncated or damaged picture: the missing part is filled with grey or black",
                    name);
    }
    return (XvImageSize){check->image.width, check->image.height};
}

// Reads and decodes a picture; where it was looked for, for messages.
static XvImageSize open_picture(XvRecordCheck *check, const XvLayoutOptions *options, const char *root,
                                const char *record_file, const char *image)
{
    char found[PATH_MAX] = "";
    XvError error = {""};
    XvImageSize size = {0, 0};
    if (!xv_image_read(root, record_file, image, found, &check->file, &error)) {
        add_problem(check, "missing picture: %s", error.text);
    } else if (!options->skips_pictures) {
        size = look_at(check, found);
    } else if (!xv_image_size(check->file.data, check->file.count, &size, &error)) {
        add_problem(check, "%s: unreadable picture: %s", found, error.text);
    }
    return size;
}

static XvImageSize check_picture(XvRecordCheck *check, const XvLayoutOptions *options, const cJSON *record,
                                 const char *path, const char *image)
{
    char name[PATH_MAX];
    SeenPicture before;
    const char *root = xv_image_root(&options->roots, record);
    snprintf(name, sizeof name, "%s\n%s", root ? root : "", image);
    if (check->seen && get_seen(check->seen, name, &before)) {
        if (before.problem) {
            add_problem(check, "%s", before.problem);
        }
        return before.size;
    }
    int n_problems = check->n_problems;
    XvImageSize size = open_picture(check, options, root, path, image);
    const char *problem = check->n_problems > n_problems ? check->problems[n_problems] : NULL;
    if (!check->seen || put_seen(check->seen, name, size, problem)) {
        count_picture(check, size, check->file.count);
    }
    return size;
}

static XvImageSize check_base64(XvRecordCheck *check, const char *text)
{
    XvError error = {""};
    if (!xv_base64_decode(text, &check->file, &error)) {
        add_problem(check, "unreadable picture: %s", error.text);
        return (XvImageSize){0, 0};
    }
    XvImageSize size = look_at(check, "base64");
    count_picture(check, size, check->file.count);
    return size;
}

// Paths are short, or have a dot; base64 of a picture has neither.
static bool is_path(const XvLayoutOptions *options, const char *text)
{
    return options->is_path || strlen(text) < 120 ||
           memchr(text, '.', 200 < strlen(text) ? 200 : strlen(text));
}

static const cJSON *picture_field(const XvLayoutOptions *options, const cJSON *record)
{
    static const char *const NAMES[] = {"binary", "image_rpath", "image"};
    const cJSON *found = options->image_key ? xv_json_member(record, options->image_key) : NULL;
    for (size_t i = 0; !options->image_key && !found && i < sizeof NAMES / sizeof *NAMES; i++) {
        found = xv_json_member(record, NAMES[i]);
    }
    return found;
}

static XvImageSize check_picture_field(XvRecordCheck *check, const XvLayoutOptions *options,
                                       const cJSON *record, const char *path, const char *key)
{
    const cJSON *value = key ? xv_json_member(record, key) : picture_field(options, record);
    const char *name = key ? key : options->image_key ? options->image_key : "binary";
    if (!cJSON_IsString(value)) {
        add_problem(check, value ? "field \"%s\" (the image) is not a string" : "no field \"%s\" (the image)",
                    name);
        return (XvImageSize){0, 0};
    }
    return key || is_path(options, value->valuestring)
               ? check_picture(check, options, record, path, value->valuestring)
               : check_base64(check, value->valuestring);
}

static void check_pair(XvRecordCheck *check, const XvLayoutOptions *options, const cJSON *record,
                       const char *path, const cJSON *value)
{
    for (int i = 0; i < 2; i++) {
        const cJSON *image = cJSON_IsArray(value) ? cJSON_GetArrayItem(value, i) : NULL;
        if (!cJSON_IsString(image)) {
            add_problem(check, "field \"images\" is not a list of two paths");
            return;
        }
        check_picture(check, options, record, path, image->valuestring);
    }
}

// ---- texts

static int count_words(const char *text)
{
    int words = *text != 0;
    for (; *text; text++) {
        words += *text == ' ';
    }
    return words;
}

static void check_caption(XvRecordCheck *check, const XvLayoutOptions *options, const char *where,
                          const char *text)
{
    XvError error = {""};
    char *clean = xv_pre_caption(text, INT_MAX, &error);
    if (!clean) {
        add_problem(check, "%s: empty caption \"%.60s\": %s", where, text, error.text);
        return;
    }
    int words = count_words(clean);
    check->tally.captions++;
    check->tally.words += words;
    check->tally.cut_captions += words > options->max_words;
    check->tally.longest_caption = larger(check->tally.longest_caption, words);
    free(clean);
}

static void check_captions(XvRecordCheck *check, const XvLayoutOptions *options, const char *where,
                           const cJSON *value)
{
    if (cJSON_IsString(value)) {
        check_caption(check, options, where, value->valuestring);
        return;
    }
    if (!cJSON_IsArray(value) || !value->child) {
        add_problem(check, "%s: %s", where,
                    cJSON_IsArray(value) ? "an empty list of captions"
                                         : "neither a string nor a list of strings");
        return;
    }
    for (const cJSON *item = value->child; item; item = item->next) {
        if (cJSON_IsString(item)) {
            check_caption(check, options, where, item->valuestring);
        } else {
            add_problem(check, "%s: a caption that is not a string", where);
        }
    }
}

static void check_answers(XvRecordCheck *check, const cJSON *value)
{
    int different = 0;
    if (!cJSON_IsString(value) && (!cJSON_IsArray(value) || !value->child)) {
        add_problem(check, "field \"answer\" is neither a string nor a list of strings");
        return;
    }
    for (const cJSON *item = cJSON_IsString(value) ? value : value->child; item; item = item->next) {
        bool is_new = true;
        if (!cJSON_IsString(item) || !item->valuestring[0]) {
            add_problem(check, "field \"answer\": an answer that is empty or not a string");
            return;
        }
        for (const cJSON *before = value->child; cJSON_IsArray(value) && before != item;
             before = before->next) {
            is_new = is_new && strcmp(before->valuestring, item->valuestring) != 0;
        }
        different += is_new;
        if (cJSON_IsString(value)) {
            break;
        }
    }
    check->tally.answers += different;
    if (different > 10) {
        add_problem(check, "field \"answer\": %d different answers, more than 10", different);
    }
}

// ---- boxes

static void check_box(XvRecordCheck *check, const char *where, const double box[4], XvImageSize size)
{
    if (!(box[2] > 0 && box[3] > 0)) {
        add_problem(check, "%s: box [%g, %g, %g, %g] is empty", where, box[0], box[1], box[2], box[3]);
    } else if (size.width > 0 && !(box[0] >= 0 && box[1] >= 0 && box[0] + box[2] <= size.width &&
                                   box[1] + box[3] <= size.height)) {
        add_problem(check, "%s: box [%g, %g, %g, %g] outside its picture of %dx%d", where, box[0], box[1],
                    box[2], box[3], size.width, size.height);
    } else if (size.width > 0) {
        double share = box[2] * box[3] / ((double)size.width * size.height);
        check->tally.smallest_box = fmin(check->tally.smallest_box, share);
    }
}

static void check_elements(XvRecordCheck *check, const XvLayoutOptions *options, const cJSON *list,
                           XvImageSize size)
{
    if (!cJSON_IsArray(list) || !list->child) {
        add_problem(check, "field \"elems\" is %s", cJSON_IsArray(list) ? "an empty list" : "not a list");
        return;
    }
    int number = 1;
    for (const cJSON *element = list->child; element; element = element->next, number++) {
        char where[64];
        double box[4];
        snprintf(where, sizeof where, "element %d", number);
        check->tally.elements++;
        if (!xv_json_box(xv_json_member(element, "bb"), box)) {
            add_problem(check, "%s: field \"bb\" is not a list of four numbers", where);
        } else {
            check_box(check, where, box, size);
        }
        check_captions(check, options, where, xv_json_member(element, "caption"));
    }
}

static const XvReference *reference_of(const XvLayoutOptions *options, const cJSON *record)
{
    const cJSON *id = xv_json_member(record, "ref_id");
    return options->references && cJSON_IsNumber(id)
               ? xv_references_find(options->references, (int64_t)id->valuedouble)
               : NULL;
}

// Candidates for the record's expression: from the file of detections, or the field "dets" of the record.
static void check_detections(XvRecordCheck *check, const XvLayoutOptions *options, const cJSON *record,
                             XvImageSize size)
{
    const XvReference *reference = reference_of(options, record);
    int count = 0, number = 1;
    const double(*boxes)[4] = options->detections && reference
                                  ? xv_detections_find(options->detections, reference->image_id, &count)
                                  : NULL;
    if (options->detections && reference && count == 0) {
        add_problem(check, "no detections are known for its picture, image id %lld",
                    (long long)reference->image_id);
    }
    char where[64];
    for (int i = 0; i < count; i++) {
        snprintf(where, sizeof where, "detection %d", i + 1);
        check_box(check, where, boxes[i], size);
    }
    const cJSON *own = xv_json_member(record, "dets");
    if (own && (!cJSON_IsArray(own) || !own->child)) {
        add_problem(check, "field \"dets\" is not a list of boxes");
    }
    for (const cJSON *item = cJSON_IsArray(own) ? own->child : NULL; item; item = item->next, number++) {
        double box[4];
        snprintf(where, sizeof where, "dets %d", number);
        if (xv_json_box(item, box)) {
            check_box(check, where, box, size);
        } else {
            add_problem(check, "%s: not a list of four numbers", where);
        }
    }
}

static void check_reference(XvRecordCheck *check, const XvLayoutOptions *options, const cJSON *record,
                            XvImageSize size)
{
    double box[4];
    const cJSON *own = xv_json_member(record, "bbox");
    if (own) {
        if (xv_json_box(own, box)) {
            check_box(check, "bbox", box, size);
        } else {
            add_problem(check, "field \"bbox\" is not a list of four numbers");
        }
        return;
    }
    const XvReference *reference = reference_of(options, record);
    if (reference) {
        check_box(check, "box of its ref_id", reference->box, size);
    } else if (options->references) {
        add_problem(check, "no box is known for its ref_id");
    } else {
        add_problem(check, "no \"bbox\" in the record; --boxes names a file or folder of boxes by ref_id");
    }
}

// ---- the record

static void check_label(XvRecordCheck *check, const cJSON *value)
{
    bool is_text = cJSON_IsString(value);
    if (!is_text || (strcmp(value->valuestring, "True") != 0 && strcmp(value->valuestring, "False") != 0)) {
        add_problem(check, "field \"label\" is neither \"True\" nor \"False\"");
    }
}

static void check_text_field(XvRecordCheck *check, const XvField *field, const cJSON *value)
{
    bool is_number = field->kind == XV_FIELD_NUMBER;
    bool is_id = field->kind == XV_FIELD_ID;
    if (is_number ? !cJSON_IsNumber(value) : !cJSON_IsString(value) && !(is_id && cJSON_IsNumber(value))) {
        add_problem(check, "field \"%s\" is not a %s", field->key, is_number ? "number" : "string");
    }
}

static void check_field(XvRecordCheck *check, const XvLayoutOptions *options, const XvField *field,
                        const cJSON *value)
{
    char where[64];
    snprintf(where, sizeof where, "field \"%s\"", field->key);
    switch (field->kind) {
    case XV_FIELD_CAPTIONS: check_captions(check, options, where, value); break;
    case XV_FIELD_ANSWERS: check_answers(check, value); break;
    case XV_FIELD_LABEL: check_label(check, value); break;
    default: check_text_field(check, field, value); break;
    }
}

void xv_check_record(XvRecordCheck *check, const XvLayoutOptions *options, const cJSON *record,
                     const char *path)
{
    XvImageSize size = {0, 0};
    check->tally.records++;
    if (!cJSON_IsObject(record)) {
        add_problem(check, "the record is not a JSON object");
        return;
    }
    for (const XvField *field = options->layout->fields; field->key || field == options->layout->fields;
         field++) {
        const cJSON *value = field->key ? xv_json_member(record, field->key) : NULL;
        if (field->kind == XV_FIELD_PICTURE) {
            size = check_picture_field(check, options, record, path, field->key);
        } else if (field->kind == XV_FIELD_REFERENCE) {
            check_reference(check, options, record, size);
        } else if (!value) {
            if (!field->is_optional) {
                add_problem(check, "no field \"%s\"", field->key);
            }
        } else if (field->kind == XV_FIELD_PICTURES) {
            check_pair(check, options, record, path, value);
        } else if (field->kind == XV_FIELD_ELEMENTS) {
            check_elements(check, options, value, size);
        } else {
            check_field(check, options, field, value);
        }
    }
    check_detections(check, options, record, size);
}
