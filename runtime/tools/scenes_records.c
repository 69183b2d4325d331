// Record files of a scene set in the layouts that the loaders of each task read; see scenes.h.
//
// All texts pass through put_text, which refuses a word that the vocabulary lacks. Since the vocabulary knows
// neither quotation mark nor backslash, texts need no escaping.
#include "runtime/tools/scenes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct Records {
    FILE *file;
    XvError *error;
    char path[1024];
    bool is_lines;  // one record a line; else one array
    int n_records;
    bool is_sound;  // false once a word was unknown
} Records;

typedef struct SceneRange {
    const XvScene *scenes;
    int n_scenes;
} SceneRange;

// ---- writing

static bool records_open(Records *records, const char *folder, const char *name, XvError *error)
{
    *records = (Records){.error = error, .is_sound = true};
    snprintf(records->path, sizeof records->path, "%s/%s", folder, name);
    size_t length = strlen(name);
    records->is_lines = length > 6 && strcmp(name + length - 6, ".jsonl") == 0;
    records->file = fopen(records->path, "wb");
    if (!records->file) {
        return xv_fail(error, "cannot write %s: %s", records->path, strerror(errno));
    }
    if (!records->is_lines) {
        fputs("[", records->file);
    }
    return true;
}

static void begin_record(Records *records)
{
    const char *between = records->is_lines ? "" : records->n_records > 0 ? ",\n" : "\n";
    fprintf(records->file, "%s{", between);
    records->n_records++;
}

static void end_record(Records *records)
{
    fputs(records->is_lines ? "}\n" : "}", records->file);
}

static bool close_file(FILE *file, const char *path, XvError *error)
{
    bool is_written = !ferror(file);
    is_written &= fclose(file) == 0;
    return is_written || xv_fail(error, "cannot write %s: %s", path, strerror(errno));
}

static bool records_close(Records *records)
{
    if (!records->is_lines) {
        fputs("\n]\n", records->file);
    }
    return close_file(records->file, records->path, records->error) && records->is_sound;
}

static void put_text(Records *records, const char *text)
{
    if (xv_scene_vocabulary_count(text) < 0) {
        records->is_sound = xv_fail(records->error, "no vocabulary entry covers a word of \"%s\"", text);
    }
    fprintf(records->file, "\"%s\"", text);
}

static void put_image(Records *records, const XvScene *scene)
{
    fprintf(records->file, "\"image\": \"images/%s/%06d.jpg\"", xv_split_name(scene->split), scene->number);
}

static void put_captions(Records *records, const XvScene *scene)
{
    XvText captions[XV_SCENE_CAPTIONS];
    xv_scene_captions(scene, captions);
    fputs(", \"caption\": [", records->file);
    for (int i = 0; i < XV_SCENE_CAPTIONS; i++) {
        fputs(i > 0 ? ", " : "", records->file);
        put_text(records, captions[i].text);
    }
    fputs("]", records->file);
}

static void put_box(Records *records, const char *key, XvBox box)
{
    fprintf(records->file, "\"%s\": [%d, %d, %d, %d]", key, box.x, box.y, box.w, box.h);
}

// ---- pre-training

static void write_image_texts(Records *records, SceneRange range)
{
    for (int i = 0; i < range.n_scenes; i++) {
        begin_record(records);
        put_image(records, &range.scenes[i]);
        put_captions(records, &range.scenes[i]);
        end_record(records);
    }
}

// Adjectives that, one at a time in front of the shape, identify the object.
static void put_attributes(Records *records, const XvScene *scene, int object)
{
    static const unsigned SAYS[] = {XV_SAY_COLOUR,
                                    XV_SAY_COLOUR | XV_SAY_SIZE,
                                    XV_SAY_COLOUR | XV_SAY_TEXTURE,
                                    XV_SAY_COLOUR | XV_SAY_SIZE | XV_SAY_TEXTURE,
                                    XV_SAY_SIZE,
                                    XV_SAY_TEXTURE};
    bool has_texture = scene->objects[object].texture > 0;
    fputs("\"attributes\": [", records->file);
    int written = 0;
    for (size_t i = 0; i < sizeof SAYS / sizeof SAYS[0]; i++) {
        bool says_texture = (SAYS[i] & XV_SAY_TEXTURE) != 0;
        if ((says_texture && !has_texture) || !xv_scene_identifies(scene, object, SAYS[i] | XV_SAY_SHAPE)) {
            continue;
        }
        XvText text;
        xv_say_adjectives(&scene->objects[object], SAYS[i], &text);
        fputs(written++ > 0 ? ", " : "", records->file);
        put_text(records, text.text);
    }
    fputs("]", records->file);
}

// The shape, and where a relation that survives flipping is clear, also the shape with it.
static void put_region_captions(Records *records, const XvScene *scene, int object, XvStream *stream)
{
    const char *shape = XV_SHAPE_NAMES[scene->objects[object].shape];
    int other = (int)xv_stream_below(stream, (uint32_t)scene->n_objects - 1);
    other += other >= object;
    XvRelation relation = xv_scene_relation(scene, object, other);
    bool is_sayable = relation != XV_UNCLEAR && relation != XV_LEFT && relation != XV_RIGHT;
    fputs("\"caption\": ", records->file);
    if (!is_sayable) {
        put_text(records, shape);
        return;
    }
    XvText name, text;
    xv_say(&scene->objects[other], XV_SAY_COLOUR | XV_SAY_SHAPE, &name);
    const char *parts[] = {shape, name.text, xv_say_relation(relation, stream)};
    xv_text_compose(&text, "A C the B", parts);
    fputs("[", records->file);
    put_text(records, shape);
    fputs(", ", records->file);
    put_text(records, text.text);
    fputs("]", records->file);
}

static void write_regions(Records *records, SceneRange range)
{
    for (int i = 0; i < range.n_scenes; i++) {
        const XvScene *scene = &range.scenes[i];
        XvStream stream = xv_scene_stream(scene, XV_FOR_REGIONS);
        XvText captions[XV_SCENE_CAPTIONS];
        xv_scene_captions(scene, captions);
        begin_record(records);
        put_image(records, scene);
        fputs(", \"caption\": ", records->file);
        put_text(records, captions[0].text);  // the one without left and right
        fputs(", \"elems\": [", records->file);
        for (int object = 0; object < scene->n_objects; object++) {
            fputs(object > 0 ? ", {" : "{", records->file);
            put_box(records, "bb", scene->objects[object].box);
            fputs(", ", records->file);
            put_region_captions(records, scene, object, &stream);
            fputs(", ", records->file);
            put_attributes(records, scene, object);
            fputs("}", records->file);
        }
        fputs("]", records->file);
        end_record(records);
    }
}

// ---- retrieval and captioning

static void put_image_id(Records *records, const XvScene *scene)
{
    fprintf(records->file, ", \"image_id\": \"scenes_%d\"", scene->number);
}

static void write_caption_each(Records *records, SceneRange range)
{
    for (int i = 0; i < range.n_scenes; i++) {
        XvText captions[XV_SCENE_CAPTIONS];
        xv_scene_captions(&range.scenes[i], captions);
        for (int j = 0; j < XV_SCENE_CAPTIONS; j++) {
            begin_record(records);
            fputs("\"caption\": ", records->file);
            put_text(records, captions[j].text);
            fputs(", ", records->file);
            put_image(records, &range.scenes[i]);
            put_image_id(records, &range.scenes[i]);
            end_record(records);
        }
    }
}

static void write_images_only(Records *records, SceneRange range)
{
    for (int i = 0; i < range.n_scenes; i++) {
        begin_record(records);
        put_image(records, &range.scenes[i]);
        put_image_id(records, &range.scenes[i]);
        end_record(records);
    }
}

// The COCO annotation layout is one object rather than an array of records.
static bool write_caption_truth(const char *folder, const char *name, SceneRange range, XvError *error)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file) {
        return xv_fail(error, "cannot write %s: %s", path, strerror(errno));
    }
    fputs("{\"images\": [", file);
    for (int i = 0; i < range.n_scenes; i++) {
        fprintf(file, "%s{\"id\": %d}", i > 0 ? ", " : "", range.scenes[i].number);
    }
    fputs("],\n\"annotations\": [", file);
    for (int i = 0, id = 0; i < range.n_scenes; i++) {
        XvText captions[XV_SCENE_CAPTIONS];
        xv_scene_captions(&range.scenes[i], captions);
        for (int j = 0; j < XV_SCENE_CAPTIONS; j++, id++) {
            fprintf(file, "%s\n{\"image_id\": %d, \"caption\": \"%s\", \"id\": %d}", id > 0 ? "," : "",
                    range.scenes[i].number, captions[j].text, id);
        }
    }
    fputs("\n]}\n", file);
    return close_file(file, path, error);
}

// ---- questions

// Training layout: the answers of ten annotators, who all agree. Test layout: one string.
static void put_answer(Records *records, const char *answer, bool is_test)
{
    fputs(", \"answer\": ", records->file);
    if (is_test) {
        put_text(records, answer);
        return;
    }
    for (int annotator = 0; annotator < 10; annotator++) {
        fputs(annotator > 0 ? ", " : "[", records->file);
        put_text(records, answer);
    }
    fputs("]", records->file);
}

static void write_questions(Records *records, SceneRange range)
{
    for (int i = 0; i < range.n_scenes; i++) {
        const XvScene *scene = &range.scenes[i];
        XvQuestion questions[XV_SCENE_QUESTIONS];
        xv_scene_questions(scene, questions);
        for (int j = 0; j < XV_SCENE_QUESTIONS; j++) {
            begin_record(records);
            fprintf(records->file, "\"question_id\": %d, \"question\": ", scene->number * 100 + j);
            put_text(records, questions[j].question.text);
            put_answer(records, questions[j].answer.text, scene->split == XV_TEST);
            fputs(", ", records->file);
            put_image(records, scene);
            fputs(", \"dataset\": \"vqa\"", records->file);
            end_record(records);
        }
    }
}

static bool write_answer_list(const XvScenesOptions *options, XvError *error)
{
    static const char *const OTHERS[] = {"yes",   "no",      "large",  "small",    "above",
                                         "below", "left",    "right",  "inside",   "around",
                                         "solid", "striped", "dotted", "checkered"};
    char path[1024];
    snprintf(path, sizeof path, "%s/answer_list.json", options->output);
    FILE *file = fopen(path, "wb");
    if (!file) {
        return xv_fail(error, "cannot write %s: %s", path, strerror(errno));
    }
    fputs("[", file);
    for (int i = 0; i <= XV_SCENE_MAX_OBJECTS; i++) {
        fprintf(file, "\"%d\", ", i);
    }
    for (int i = 0; i < options->n_colours; i++) {
        fprintf(file, "\"%s\", ", XV_COLOURS[i].name);
    }
    for (int i = 0; i < options->n_shapes; i++) {
        fprintf(file, "\"%s\", ", XV_SHAPE_NAMES[i]);
    }
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++) {
        fprintf(file, "%s\"%s\"", i > 0 ? ", " : "", OTHERS[i]);
    }
    fputs("]\n", file);
    return close_file(file, path, error);
}

// ---- pairs

static void put_statement(Records *records, const XvScene *scenes[2], const XvText *sentence, bool truth)
{
    begin_record(records);
    fputs("\"sentence\": ", records->file);
    put_text(records, sentence->text);
    fprintf(records->file, ", \"label\": \"%s\", \"images\": [", truth ? "True" : "False");
    for (int i = 0; i < 2; i++) {
        fprintf(records->file, "%s\"images/%s/%06d.jpg\"", i > 0 ? ", " : "", xv_split_name(scenes[i]->split),
                scenes[i]->number);
    }
    fputs("]", records->file);
    end_record(records);
}

// Each scene comes first in XV_SCENE_PAIRS records, with a new partner whenever the last one is too alike.
static void write_pairs(Records *records, SceneRange range)
{
    for (int i = 0; i < range.n_scenes && range.n_scenes > 1; i++) {
        XvStream stream = xv_scene_stream(&range.scenes[i], XV_FOR_PAIRS);
        for (int j = 0; j < XV_SCENE_PAIRS; j++) {
            bool truth = j % 2 == 0, is_found = false;
            const XvScene *scenes[2] = {&range.scenes[i], NULL};
            XvText sentence;
            for (int attempt = 0; attempt < 20 && !is_found; attempt++) {
                int partner = (int)xv_stream_below(&stream, (uint32_t)range.n_scenes - 1);
                scenes[1] = &range.scenes[partner + (partner >= i)];
                is_found = xv_scene_statement(scenes[0], scenes[1], truth, &stream, &sentence);
            }
            if (is_found) {
                put_statement(records, scenes, &sentence, truth);
            }
        }
    }
}

// ---- grounding

static int ref_id(const XvScene *scene, int object)
{
    return scene->number * 10 + object;
}

static void write_expressions(Records *records, SceneRange range)
{
    for (int i = 0; i < range.n_scenes; i++) {
        const XvScene *scene = &range.scenes[i];
        XvStream stream = xv_scene_stream(scene, XV_FOR_EXPRESSIONS);
        for (int j = 0; j < scene->n_objects * XV_SCENE_EXPRESSIONS; j++) {
            int object = j / XV_SCENE_EXPRESSIONS;
            XvText text;
            xv_scene_expression(scene, object, &stream, &text);
            begin_record(records);
            put_image(records, scene);
            fputs(", \"text\": ", records->file);
            put_text(records, text.text);
            fprintf(records->file, ", \"ref_id\": %d", ref_id(scene, object));
            end_record(records);
        }
    }
}

// Boxes of all splits in one file; the test scenes alternate between testA and testB.
static void write_boxes(Records *records, SceneRange range)
{
    for (int i = 0; i < range.n_scenes; i++) {
        const XvScene *scene = &range.scenes[i];
        const char *test = scene->number % 2 ? "testA" : "testB";
        const char *split = scene->split == XV_TEST ? test : xv_split_name(scene->split);
        for (int object = 0; object < scene->n_objects; object++) {
            begin_record(records);
            fprintf(records->file, "\"ref_id\": %d, \"image_id\": %d, ", ref_id(scene, object),
                    scene->number);
            put_box(records, "bbox", scene->objects[object].box);
            fprintf(records->file, ", \"split\": \"%s\", \"width\": %d, \"height\": %d, ", split,
                    scene->pixels, scene->pixels);
            fprintf(records->file, "\"file_name\": \"images/%s/%06d.jpg\"", xv_split_name(scene->split),
                    scene->number);
            end_record(records);
        }
    }
}

static int jitter(XvStream *stream, int reach)
{
    return (int)xv_stream_below(stream, (uint32_t)(2 * reach + 1)) - reach;
}

static int clamp_int(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

// What a detector might report: every object a little off, and two boxes that hold nothing in particular.
static XvBox draw_detection(const XvScene *scene, int index, XvStream *stream)
{
    int side = scene->pixels, reach = side / 64 + 1;
    XvBox box;
    if (index < scene->n_objects) {
        box = scene->objects[index].box;
    } else {
        box.w = box.h = side / 5 + (int)xv_stream_below(stream, (uint32_t)(side / 4 + 1));
        box.x = (int)xv_stream_below(stream, (uint32_t)(side - box.w + 1));
        box.y = (int)xv_stream_below(stream, (uint32_t)(side - box.h + 1));
    }
    box.x = clamp_int(box.x + jitter(stream, reach), 0, side - 2);
    box.y = clamp_int(box.y + jitter(stream, reach), 0, side - 2);
    box.w = clamp_int(box.w + jitter(stream, reach), 2, side - box.x);
    box.h = clamp_int(box.h + jitter(stream, reach), 2, side - box.y);
    return box;
}

static bool write_detections(const XvScenesOptions *options, SceneRange range, XvError *error)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/grounding_dets.json", options->output);
    FILE *file = fopen(path, "wb");
    if (!file) {
        return xv_fail(error, "cannot write %s: %s", path, strerror(errno));
    }
    fputs("{", file);
    for (int i = 0; i < range.n_scenes; i++) {
        XvStream stream = xv_scene_stream(&range.scenes[i], XV_FOR_DETECTIONS);
        fprintf(file, "%s\n\"%d\": [", i > 0 ? "," : "", range.scenes[i].number);
        for (int j = 0; j < range.scenes[i].n_objects + 2; j++) {
            XvBox box = draw_detection(&range.scenes[i], j, &stream);
            fprintf(file, "%s[%d, %d, %d, %d]", j > 0 ? ", " : "", box.x, box.y, box.w, box.h);
        }
        fputs("]", file);
    }
    fputs("\n}\n", file);
    return close_file(file, path, error);
}

// ---- all files

typedef void (*Writer)(Records *records, SceneRange range);

typedef struct RecordFile {
    const char *pattern;  // file name around the split's name
    Writer train, eval;
} RecordFile;

static const RecordFile FILES[] = {
    {"%s_images.jsonl", write_image_texts, write_image_texts},
    {"%s_regions.jsonl", write_regions, write_regions},
    {"retrieval_%s.json", write_caption_each, write_image_texts},
    {"captioning_%s.json", write_caption_each, write_images_only},
    {"vqa_%s.json", write_questions, write_questions},
    {"nlvr_%s.json", write_pairs, write_pairs},
    {"grounding_%s.json", write_expressions, write_expressions},
};

static bool write_records(const XvScenesOptions *options, const char *name, Writer writer, SceneRange range,
                          XvError *error)
{
    Records records;
    if (!records_open(&records, options->output, name, error)) {
        return false;
    }
    writer(&records, range);
    return records_close(&records);
}

static void format_name(char name[64], const char *pattern, XvSplit split)
{
    const char *hole = strstr(pattern, "%s");
    snprintf(name, 64, "%.*s%s%s", (int)(hole - pattern), pattern, xv_split_name(split), hole + 2);
}

static bool write_split(const XvScenesOptions *options, XvSplit split, SceneRange range, XvError *error)
{
    char name[64];
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
        Writer writer = split == XV_TRAIN ? FILES[i].train : FILES[i].eval;
        format_name(name, FILES[i].pattern, split);
        if (!write_records(options, name, writer, range, error)) {
            return false;
        }
    }
    format_name(name, "captioning_%s_gt.json", split);
    return split == XV_TRAIN || write_caption_truth(options->output, name, range, error);
}

static bool write_vocabulary(const XvScenesOptions *options, XvError *error)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/vocab.txt", options->output);
    FILE *file = fopen(path, "wb");
    if (!file) {
        return xv_fail(error, "cannot write %s: %s", path, strerror(errno));
    }
    xv_scene_vocabulary_write(file);
    return close_file(file, path, error);
}

bool xv_scenes_write_records(const XvScenesOptions *options, const XvScene *scenes, XvError *error)
{
    const XvScene *at = scenes;
    for (int split = 0; split < XV_SPLIT_COUNT; split++) {
        SceneRange range = {at, options->n_scenes[split]};
        if (!write_split(options, (XvSplit)split, range, error)) {
            return false;
        }
        at += range.n_scenes;
    }
    SceneRange all = {scenes, (int)(at - scenes)};
    return write_records(options, "grounding_boxes.json", write_boxes, all, error) &&
           write_detections(options, all, error) && write_answer_list(options, error) &&
           write_vocabulary(options, error);
}
