// The command, its sources, and what they share; see data_convert.h.
#include "runtime/tools/data_convert.h"

#include "runtime/base/output.h"
#include "runtime/data/json_line.h"
#include "runtime/tools/data.h"
#include "runtime/tools/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Source {
    const char *name;
    const char *help;
    bool (*run)(XvConvert *convert);
    bool is_lines;
} Source;

static const Source SOURCES[] = {
    {"coco-captions", "captions_*.json of COCO", xv_convert_coco, false},
    {"karpathy", "dataset_coco.json, dataset_flickr30k.json; --split train,restval", xv_convert_karpathy,
     false},
    {"flickr30k", "results_20130124.token", xv_convert_flickr, false},
    {"vg-regions", "region_descriptions.json; --images image_data.json", xv_convert_vg_regions, true},
    {"vg-objects", "attributes.json or objects.json; --images image_data.json", xv_convert_vg_objects, true},
    {"vg-qa", "question_answers.json; --images image_data.json", xv_convert_vg_qa, false},
    {"vqa2", "v2_OpenEnded_*_questions.json; --annotations v2_mscoco_*_annotations.json", xv_convert_vqa,
     false},
    {"nlvr2", "train.json, dev.json, test1.json (JSON lines)", xv_convert_nlvr, false},
    {"refcoco+", "the folder with refs(unc).p and instances.json; --split train", xv_convert_refcoco, false},
};
enum { N_SOURCES = sizeof SOURCES / sizeof *SOURCES };

// ---- what the sources share

bool xv_convert_put(XvConvert *convert, cJSON *record)
{
    char *text = record ? cJSON_PrintUnformatted(record) : NULL;
    cJSON_Delete(record);
    if (!text) {
        return xv_fail(convert->error, "no memory for a record");
    }
    const char *before = convert->is_lines ? "" : convert->n_records > 0 ? ",\n" : "\n";
    bool ok = fprintf(convert->out, "%s%s%s", before, text, convert->is_lines ? "\n" : "") >= 0;
    convert->n_records++;
    free(text);
    return ok || xv_fail(convert->error, "cannot write a record: %s", strerror(errno));
}

bool xv_convert_wants(const XvConvert *convert, const char *split)
{
    if (!convert->split) {
        return true;
    }
    size_t length = strlen(split);
    for (const char *at = convert->split; *at;) {
        size_t name = strcspn(at, ",");
        if (name == length && strncmp(at, split, name) == 0) {
            return true;
        }
        at += name + (at[name] == ',');
    }
    return false;
}

const char *xv_convert_text(const cJSON *object, const char *key, char room[32])
{
    const cJSON *value = xv_json_member(object, key);
    if (cJSON_IsNumber(value)) {
        snprintf(room, 32, "%.15g", value->valuedouble);
        return room;
    }
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

static const char *caption_at(const XvCaptioned *picture, const cJSON *item)
{
    const cJSON *text = picture->key ? xv_json_member(item, picture->key) : item;
    return cJSON_IsString(text) ? text->valuestring : NULL;
}

static cJSON *picture_record(const XvConvert *convert, const XvCaptioned *picture)
{
    char path[PATH_MAX];
    cJSON *record = cJSON_CreateObject();
    snprintf(path, sizeof path, "%s%s", convert->prefix, picture->path);
    cJSON_AddStringToObject(record, "image", path);
    return record;
}

// A record per caption.
static bool put_each(XvConvert *convert, const XvCaptioned *picture)
{
    bool ok = true;
    for (const cJSON *item = picture->captions ? picture->captions->child : NULL; item && ok;
         item = item->next) {
        const char *caption = caption_at(picture, item);
        if (!caption) {
            convert->n_left_out++;
            continue;
        }
        cJSON *record = picture_record(convert, picture);
        cJSON_AddStringToObject(record, "caption", caption);
        if (picture->id) {
            cJSON_AddStringToObject(record, "image_id", picture->id);
        }
        ok = xv_convert_put(convert, record);
    }
    return ok;
}

bool xv_convert_captions(XvConvert *convert, const XvCaptioned *picture)
{
    if (strcmp(convert->layout, "train") == 0) {
        return put_each(convert, picture);
    }
    cJSON *record = picture_record(convert, picture);
    if (strcmp(convert->layout, "test") == 0) {
        cJSON *list = cJSON_AddArrayToObject(record, "caption");
        for (const cJSON *item = picture->captions ? picture->captions->child : NULL; item;
             item = item->next) {
            const char *caption = caption_at(picture, item);
            cJSON_AddItemToArray(list, caption ? cJSON_CreateString(caption) : NULL);
            convert->n_left_out += !caption;
        }
    } else if (picture->id) {
        cJSON_AddStringToObject(record, "image_id", picture->id);
    }
    return xv_convert_put(convert, record);
}

// ---- the command

static const Source *find_source(const char *name, XvError *error)
{
    char names[256] = "";
    for (int i = 0; name && i < N_SOURCES; i++) {
        if (strcmp(SOURCES[i].name, name) == 0) {
            return &SOURCES[i];
        }
    }
    for (int i = 0; i < N_SOURCES; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", SOURCES[i].name);
    }
    xv_fail(error, "--from %s (there are %s)", name ? "names no known source" : "is needed", names);
    return NULL;
}

static bool check_layout(const XvConvert *convert, XvError *error)
{
    static const char *const NAMES[] = {"train", "test", "images"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (strcmp(convert->layout, NAMES[i]) == 0) {
            return true;
        }
    }
    return xv_fail(
        error,
        "--layout is train (a record per caption), test (a record per picture) or images (no captions)");
}

static bool convert_to(XvConvert *convert, const Source *source, const char *output)
{
    char partial[PATH_MAX];
    if (snprintf(partial, sizeof partial, "%s.partial.%d", output, (int)getpid()) >= (int)sizeof partial) {
        return xv_fail(convert->error, "--output is too long a path");
    }
    if (!xv_output_check(output, convert->error)) {
        return false;
    }
    convert->out = fopen(partial, "wb");
    if (!convert->out) {
        return xv_fail(convert->error, "cannot write %s: %s", partial, strerror(errno));
    }
    convert->is_lines = source->is_lines;
    fputs(convert->is_lines ? "" : "[", convert->out);
    bool ok = source->run(convert);
    fputs(convert->is_lines ? "" : "\n]\n", convert->out);
    bool is_written = !ferror(convert->out);
    is_written &= fclose(convert->out) == 0;
    ok = ok && (is_written || xv_fail(convert->error, "cannot write %s: %s", partial, strerror(errno)));
    ok = ok &&
         (convert->n_records > 0 || xv_fail(convert->error, "nothing to write: no record of split \"%s\"",
                                            convert->split ? convert->split : "(all)"));
    ok = ok && (rename(partial, output) == 0 ||
                xv_fail(convert->error, "cannot write %s: %s", output, strerror(errno)));
    if (!ok) {
        unlink(partial);
    }
    return ok;
}

static void print_help(const XvOption *options, int n_options)
{
    printf("usage: xvlm data convert --from SOURCE --output FILE [options] INPUT...\n\n"
           "Turns published annotation files into records.\n\nsources:\n");
    for (int i = 0; i < N_SOURCES; i++) {
        printf("  %-14s %s\n", SOURCES[i].name, SOURCES[i].help);
    }
    printf("\noptions:\n");
    xv_options_print(stdout, options, n_options);
}

int xv_data_convert(int argc, char **argv)
{
    XvError error = {""};
    const char *from = NULL, *output = NULL;
    bool wants_help = false;
    XvConvert convert = {.layout = "train", .prefix = "", .error = &error};
    const XvOption options[] = {
        {"--from", "SOURCE", XV_OPTION_TEXT, &from, 0, 0, "what the inputs are"},
        {"--output", "FILE", XV_OPTION_TEXT, &output, 0, 0, "records: a JSON array; JSON lines for regions"},
        {"--layout", "NAME", XV_OPTION_TEXT, &convert.layout, 0, 0,
         "captions: train, test or images (train)"},
        {"--split", "A,B", XV_OPTION_TEXT, &convert.split, 0, 0,
         "splits to take, where the inputs have them"},
        {"--prefix", "TEXT", XV_OPTION_TEXT, &convert.prefix, 0, 0,
         "put before paths of pictures: \"val2017/\""},
        {"--images", "FILE", XV_OPTION_TEXT, &convert.images, 0, 0, "image_data.json of Visual Genome"},
        {"--annotations", "FILE", XV_OPTION_TEXT, &convert.annotations, 0, 0, "answers of VQA v2"},
        {"--help", NULL, XV_OPTION_FLAG, &wants_help, 0, 0, "this text"},
    };
    enum { N_OPTIONS = sizeof options / sizeof *options };
    bool is_understood = xv_options_parse_some(options, N_OPTIONS, &argc, argv, &error);
    if (is_understood && wants_help) {
        print_help(options, N_OPTIONS);
        return XV_EXIT_OK;
    }
    const Source *source = is_understood ? find_source(from, &error) : NULL;
    is_understood = source && check_layout(&convert, &error) &&
                    (output || xv_fail(&error, "--output is needed: the file of records to write")) &&
                    (argc > 1 || xv_fail(&error, "no input was given"));
    convert.inputs = (const char *const *)argv + 1;
    convert.n_inputs = argc - 1;
    if (!is_understood || !convert_to(&convert, source, output)) {
        fprintf(stderr, "xvlm data convert: %s\n", error.text);
        return is_understood ? XV_EXIT_FAILED : XV_EXIT_USAGE;
    }
    printf("%s: %" PRId64 " records", output, convert.n_records);
    if (convert.n_left_out > 0) {
        printf("; %" PRId64 " entries were left out (other splits, or no picture or text)",
               convert.n_left_out);
    }
    printf("\n");
    return XV_EXIT_OK;
}
