// One pass over all records; see loader_survey.h. Names are kept as 64-bit hashes: two of a hundred million would have
// to collide with a chance of one in three thousand.
#include "runtime/data/loader_survey.h"

#include "runtime/data/json_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct XvSurvey {
    int64_t n_items, room;
    int64_t *records;  // [n_items] record of each item; the first one of a group
    int32_t *labels;   // [n_items] number of its picture
    int32_t *texts;    // [n_items] caption of its record, or NULL
    int64_t *starts;   // [n_items + 1] of groups, into members; or NULL
    int64_t *members;  // records, group by group
};

// Numbers for names: open addressing, the size a power of two.
typedef struct Numbers {
    uint64_t *hashes;  // 0: free
    int32_t *numbers;
    int64_t size, count;
} Numbers;

static uint64_t hash_text(const char *text)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (; *text; text++) {
        hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
    }
    hash ^= hash >> 32;
    hash *= 0xD6E8FEB86659FD93u;
    hash ^= hash >> 32;
    return hash | 1;
}

static void put(Numbers *numbers, uint64_t hash, int32_t number)
{
    uint64_t at = hash & (uint64_t)(numbers->size - 1);
    while (numbers->hashes[at]) {
        at = (at + 1) & (uint64_t)(numbers->size - 1);
    }
    numbers->hashes[at] = hash;
    numbers->numbers[at] = number;
}

static bool grow_numbers(Numbers *numbers)
{
    int64_t size = numbers->size ? 2 * numbers->size : 1024;
    Numbers larger = {calloc((size_t)size, sizeof *larger.hashes),
                      calloc((size_t)size, sizeof *larger.numbers), size, numbers->count};
    if (!larger.hashes || !larger.numbers) {
        free(larger.hashes);
        free(larger.numbers);
        return false;
    }
    for (int64_t i = 0; i < numbers->size; i++) {
        if (numbers->hashes[i]) {
            put(&larger, numbers->hashes[i], numbers->numbers[i]);
        }
    }
    free(numbers->hashes);
    free(numbers->numbers);
    *numbers = larger;
    return true;
}

// The number of a name, a new one for a new name; -1 without memory.
static int32_t number_of(Numbers *numbers, const char *name)
{
    if (2 * (numbers->count + 1) > numbers->size && !grow_numbers(numbers)) {
        return -1;
    }
    uint64_t hash = hash_text(name);
    uint64_t at = hash & (uint64_t)(numbers->size - 1);
    while (numbers->hashes[at] && numbers->hashes[at] != hash) {
        at = (at + 1) & (uint64_t)(numbers->size - 1);
    }
    if (!numbers->hashes[at]) {
        numbers->hashes[at] = hash;
        numbers->numbers[at] = (int32_t)numbers->count++;
    }
    return numbers->numbers[at];
}

// ---- items

static bool reserve(XvSurvey *survey, bool is_split)
{
    if (survey->n_items < survey->room) {
        return true;
    }
    int64_t room = survey->room + survey->room / 2 + 1024;
    int64_t *records = realloc(survey->records, (size_t)room * sizeof *records);
    survey->records = records ? records : survey->records;
    int32_t *labels = realloc(survey->labels, (size_t)room * sizeof *labels);
    survey->labels = labels ? labels : survey->labels;
    int32_t *texts = is_split ? realloc(survey->texts, (size_t)room * sizeof *texts) : NULL;
    survey->texts = texts ? texts : survey->texts;
    if (!records || !labels || (is_split && !texts)) {
        return false;
    }
    survey->room = room;
    return true;
}

typedef struct Item {
    int64_t record;
    int32_t label;
    int text;  // -1: the record is one item
} Item;

static bool add_item(XvSurvey *survey, Item item)
{
    if (!reserve(survey, item.text >= 0)) {
        return false;
    }
    survey->records[survey->n_items] = item.record;
    survey->labels[survey->n_items] = item.label;
    if (item.text >= 0) {
        survey->texts[survey->n_items] = item.text;
    }
    survey->n_items++;
    return true;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

// What identifies the picture of a record; NULL for a record that does not say.
static const char *name_of(const cJSON *record, XvSurveyNeed need, char buffer[32])
{
    const cJSON *image = xv_json_member(record, "image");
    const cJSON *id = need == XV_SURVEY_IMAGE_ID ? xv_json_member(record, "image_id") : NULL;
    if (cJSON_IsNumber(id)) {
        snprintf(buffer, 32, "%.17g", id->valuedouble);
        return buffer;
    }
    if (cJSON_IsString(id)) {
        return id->valuestring;
    }
    if (!cJSON_IsString(image)) {
        return NULL;
    }
    return need == XV_SURVEY_IMAGE_NAME ? last_part(image->valuestring) : image->valuestring;
}

typedef struct Pass {
    const XvRecordFiles *files;
    const XvSurveyOptions *options;
    XvSurvey *survey;
    Numbers numbers;
    XvError *error;
} Pass;

static bool add_record(Pass *pass, int64_t record, const cJSON *tree)
{
    char buffer[32];
    const char *name = cJSON_IsObject(tree) ? name_of(tree, pass->options->need, buffer) : NULL;
    if (!name) {  // a picture of its own
        snprintf(buffer, sizeof buffer, "\n%lld", (long long)record);
        name = buffer;
    }
    int32_t label = pass->options->is_split ? (int32_t)record : number_of(&pass->numbers, name);
    const cJSON *captions = pass->options->is_split ? xv_json_member(tree, "caption") : NULL;
    int count = cJSON_IsArray(captions) ? cJSON_GetArraySize(captions) : 1;
    bool ok = label >= 0;
    for (int i = 0; i < count && ok; i++) {
        ok = add_item(pass->survey, (Item){record, label, pass->options->is_split ? i : -1});
    }
    return ok || xv_fail(pass->error, "no memory for a survey of %lld records",
                         (long long)xv_records_count(pass->files));
}

static bool read_all(Pass *pass)
{
    XvBytes line = {0};
    bool ok = true;
    for (int64_t record = 0; record < xv_records_count(pass->files) && ok; record++) {
        XvError broken;
        ok = xv_records_read(pass->files, record, &line, pass->error);
        cJSON *tree = ok ? xv_json_parse_line((char *)line.data, line.count, &broken) : NULL;
        ok = ok && add_record(pass, record, tree);
        cJSON_Delete(tree);
    }
    xv_bytes_free(&line);
    return ok;
}

// Turns an item per record into an item per picture, in the order of their first records.
static bool group(XvSurvey *survey, int64_t n_groups, XvError *error)
{
    survey->starts = calloc((size_t)n_groups + 2, sizeof *survey->starts);
    survey->members = calloc((size_t)survey->n_items + 1, sizeof *survey->members);
    if (!survey->starts || !survey->members) {
        return xv_fail(error, "no memory for the captions of %lld pictures", (long long)n_groups);
    }
    int64_t *next =
        survey->starts + 1;  // where the next member of a group goes; in the end the next group's start
    for (int64_t i = 0; i < survey->n_items; i++) {
        if (survey->labels[i] + 1 < n_groups) {
            next[survey->labels[i] + 1]++;
        }
    }
    for (int64_t g = 1; g < n_groups; g++) {
        next[g] += next[g - 1];
    }
    for (int64_t i = 0; i < survey->n_items; i++) {
        survey->members[next[survey->labels[i]]++] = survey->records[i];
    }
    for (int64_t g = 0; g < n_groups; g++) {
        survey->records[g] = survey->members[survey->starts[g]];
        survey->labels[g] = (int32_t)g;
    }
    survey->n_items = n_groups;
    return true;
}

XvSurvey *xv_survey_open(const XvRecordFiles *files, const XvSurveyOptions *options, XvError *error)
{
    XvSurvey *survey = calloc(1, sizeof *survey);
    if (!survey) {
        xv_fail(error, "no memory for a survey of the records");
        return NULL;
    }
    Pass pass = {.files = files, .options = options, .survey = survey, .error = error};
    bool is_group = options->need == XV_SURVEY_GROUP;
    bool ok = read_all(&pass) && (!is_group || group(survey, pass.numbers.count, error));
    free(pass.numbers.hashes);
    free(pass.numbers.numbers);
    if (ok && survey->n_items == 0) {
        ok = xv_fail(error, "the records hold no caption at all");
    }
    if (!ok) {
        xv_survey_close(survey);
        return NULL;
    }
    return survey;
}

void xv_survey_close(XvSurvey *survey)
{
    if (survey) {
        free(survey->records);
        free(survey->labels);
        free(survey->texts);
        free(survey->starts);
        free(survey->members);
        free(survey);
    }
}

int64_t xv_survey_items(const XvSurvey *survey, const XvRecordFiles *files)
{
    return survey ? survey->n_items : xv_records_count(files);
}

int64_t xv_survey_record(const XvSurvey *survey, int64_t item)
{
    return survey ? survey->records[item] : item;
}

int32_t xv_survey_label(const XvSurvey *survey, int64_t item)
{
    return survey ? survey->labels[item] : (int32_t)item;
}

int xv_survey_text(const XvSurvey *survey, int64_t item)
{
    return survey && survey->texts ? survey->texts[item] : -1;
}

int xv_survey_members(const XvSurvey *survey, int64_t item, const int64_t **records)
{
    *records = survey->members + survey->starts[item];
    return (int)(survey->starts[item + 1] - survey->starts[item]);
}
