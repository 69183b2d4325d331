// VQA v2, NLVR2 and RefCOCO+ as published.
#include "runtime/checkpoint/pickle.h"
#include "runtime/data/json_line.h"
#include "runtime/data/records.h"
#include "runtime/data/references.h"
#include "runtime/tools/data_convert.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// ---- VQA v2: {"questions": [{"image_id", "question", "question_id"}], "data_subtype": "train2014"} and
// {"annotations": [{"question_id", "answers": [{"answer"}]}]}

typedef struct Answered {
    double question_id;
    const cJSON *answers;
} Answered;

static int by_question(const void *a, const void *b)
{
    const Answered *left = a, *right = b;
    return (left->question_id > right->question_id) - (left->question_id < right->question_id);
}

static Answered *sort_answers(const cJSON *tree, size_t *count, XvError *error)
{
    const cJSON *list = xv_json_member(tree, "annotations");
    Answered *items = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *items);
    *count = 0;
    if (!items) {
        xv_fail(error, "no memory for the answers");
        return NULL;
    }
    for (const cJSON *row = list ? list->child : NULL; row; row = row->next) {
        const cJSON *id = xv_json_member(row, "question_id");
        if (cJSON_IsNumber(id)) {
            items[(*count)++] = (Answered){id->valuedouble, xv_json_member(row, "answers")};
        }
    }
    qsort(items, *count, sizeof *items, by_question);
    return items;
}

static void add_answers(cJSON *record, const cJSON *answers)
{
    cJSON *list = cJSON_AddArrayToObject(record, "answer");
    for (const cJSON *answer = answers ? answers->child : NULL; answer; answer = answer->next) {
        const cJSON *text = xv_json_member(answer, "answer");
        if (cJSON_IsString(text)) {
            cJSON_AddItemToArray(list, cJSON_CreateString(text->valuestring));
        }
    }
}

static bool put_question(XvConvert *convert, const cJSON *row, const char *subset, const Answered *answers,
                         size_t count)
{
    const cJSON *id = xv_json_member(row, "question_id"), *image = xv_json_member(row, "image_id");
    const cJSON *question = xv_json_member(row, "question");
    Answered key = {.question_id = cJSON_IsNumber(id) ? id->valuedouble : -1};
    const Answered *found = count ? bsearch(&key, answers, count, sizeof key, by_question) : NULL;
    if (!cJSON_IsNumber(id) || !cJSON_IsNumber(image) || !cJSON_IsString(question) ||
        (convert->annotations && !found)) {
        convert->n_left_out++;
        return true;
    }
    char path[512];
    snprintf(path, sizeof path, "%.200s%.64s/COCO_%.64s_%012.0f.jpg", convert->prefix, subset, subset,
             image->valuedouble);
    cJSON *record = cJSON_CreateObject();
    cJSON_AddNumberToObject(record, "question_id", id->valuedouble);
    cJSON_AddStringToObject(record, "question", question->valuestring);
    if (found) {
        add_answers(record, found->answers);
    }
    cJSON_AddStringToObject(record, "image", path);
    cJSON_AddStringToObject(record, "dataset", "vqa");
    return xv_convert_put(convert, record);
}

static bool convert_questions(XvConvert *convert, const char *path, const Answered *answers, size_t count)
{
    cJSON *tree = xv_json_file(path, convert->error);
    const cJSON *rows = tree ? xv_json_member(tree, "questions") : NULL;
    const cJSON *subset = tree ? xv_json_member(tree, "data_subtype") : NULL;
    bool ok = tree && (cJSON_IsArray(rows) || xv_fail(convert->error, "%s: no list \"questions\"", path));
    const char *name = cJSON_IsString(subset) ? subset->valuestring : "test2015";
    name = strncmp(name, "test", 4) == 0 ? "test2015" : name;  // test-dev2015 are pictures of test2015
    for (const cJSON *row = ok ? rows->child : NULL; row && ok; row = row->next) {
        ok = put_question(convert, row, name, answers, count);
    }
    cJSON_Delete(tree);
    return ok;
}

bool xv_convert_vqa(XvConvert *convert)
{
    cJSON *tree = convert->annotations ? xv_json_file(convert->annotations, convert->error) : NULL;
    size_t count = 0;
    Answered *answers = tree ? sort_answers(tree, &count, convert->error) : NULL;
    bool ok = !convert->annotations || answers;
    for (int i = 0; i < convert->n_inputs && ok; i++) {
        ok = convert_questions(convert, convert->inputs[i], answers, count);
    }
    free(answers);
    cJSON_Delete(tree);
    return ok;
}

// ---- NLVR2: {"identifier": "dev-512-3-0", "sentence", "label", "directory" (train)}

static bool put_statement(XvConvert *convert, const cJSON *row)
{
    const cJSON *identifier = xv_json_member(row, "identifier"), *sentence = xv_json_member(row, "sentence");
    const cJSON *label = xv_json_member(row, "label"), *folder = xv_json_member(row, "directory");
    char room[32], path[512];
    const char *last = cJSON_IsString(identifier) ? strrchr(identifier->valuestring, '-') : NULL;
    if (!last || !cJSON_IsString(sentence)) {
        convert->n_left_out++;
        return true;
    }
    const char *name = identifier->valuestring;
    const char *directory = folder ? xv_convert_text(row, "directory", room) : NULL;
    cJSON *record = cJSON_CreateObject();
    cJSON_AddStringToObject(record, "sentence", sentence->valuestring);
    if (cJSON_IsString(label)) {
        cJSON_AddStringToObject(record, "label", label->valuestring);
    }
    cJSON *images = cJSON_AddArrayToObject(record, "images");
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%.100s%.*s/%.32s%s%.*s-img%d.png", convert->prefix,
                 (int)strcspn(name, "-"), name, directory ? directory : "", directory ? "/" : "",
                 (int)(last - name) < 100 ? (int)(last - name) : 100, name, i);
        cJSON_AddItemToArray(images, cJSON_CreateString(path));
    }
    return xv_convert_put(convert, record);
}

bool xv_convert_nlvr(XvConvert *convert)
{
    XvBytes text = {0};
    XvRecordFiles *files = xv_records_open(convert->inputs, convert->n_inputs, convert->error);
    bool ok = files != NULL;
    for (int64_t i = 0; ok && i < xv_records_count(files); i++) {
        ok = xv_records_read(files, i, &text, convert->error);
        cJSON *row = ok ? xv_json_parse_line((const char *)text.data, text.count, convert->error) : NULL;
        XvRecordPlace place = xv_records_place(files, i);
        ok = row ? put_statement(convert, row)
                 : xv_fail_in(convert->error, "%s:%lld", place.path, (long long)place.line);
        cJSON_Delete(row);
    }
    xv_bytes_free(&text);
    xv_records_close(files);
    return ok;
}

// ---- RefCOCO+: a record per sentence of a reference

static bool put_reference(XvConvert *convert, const XvPickle *entry)
{
    const XvPickle *sentences = xv_pickle_get(entry, "sentences"), *split = xv_pickle_get(entry, "split");
    const char *name = split ? xv_pickle_text(split) : NULL;
    int64_t ref_id, image_id;
    if (!name || !xv_convert_wants(convert, name) || !sentences || sentences->kind != XV_PICKLE_LIST ||
        !xv_pickle_integer(xv_pickle_get(entry, "ref_id"), &ref_id) ||
        !xv_pickle_integer(xv_pickle_get(entry, "image_id"), &image_id)) {
        convert->n_left_out++;
        return true;
    }
    bool ok = true;
    for (uint32_t i = 0; i < sentences->count && ok; i++) {
        const XvPickle *sent = xv_pickle_get(sentences->items[i], "sent");
        const char *text = sent ? xv_pickle_text(sent) : NULL;
        if (!text) {
            convert->n_left_out++;
            continue;
        }
        char path[256];
        snprintf(path, sizeof path, "%.120strain2014/COCO_train2014_%012lld.jpg", convert->prefix,
                 (long long)image_id);
        cJSON *record = cJSON_CreateObject();
        cJSON_AddStringToObject(record, "image", path);
        cJSON_AddStringToObject(record, "text", text);
        cJSON_AddNumberToObject(record, "ref_id", (double)ref_id);
        ok = xv_convert_put(convert, record);
    }
    return ok;
}

bool xv_convert_refcoco(XvConvert *convert)
{
    char path[PATH_MAX];
    struct stat status;
    const char *input = convert->inputs[0];
    bool is_folder = stat(input, &status) == 0 && S_ISDIR(status.st_mode);
    if (snprintf(path, sizeof path, "%s%s", input, is_folder ? "/refs(unc).p" : "") >= (int)sizeof path) {
        return xv_fail(convert->error, "%.200s...: the path is too long", input);
    }
    XvPickleTree tree;
    if (!xv_pickle_open(&tree, path, convert->error)) {
        return false;
    }
    bool ok =
        tree.root->kind == XV_PICKLE_LIST || xv_fail(convert->error, "%s: not a list of references", path);
    for (uint32_t i = 0; ok && i < tree.root->count; i++) {
        ok = put_reference(convert, tree.root->items[i]);
    }
    xv_pickle_free(&tree);
    return ok;
}
