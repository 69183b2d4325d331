// The files of `xvlm scenes`: layouts, boxes, determinism, separation of the splits, and the command line.
//
// Runs the toolbox and judges what it leaves; see scenes_set.h.
#include "tests/unit/scenes_set.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// ---- layouts and boxes

static void test_record_counts(void **state)
{
    const SceneSet *set = *state;
    for (int split = 0; split < 3; split++) {
        const struct {
            const char *pattern;
            int count;
        } rows[] = {
            {"*_images.jsonl", scene_set_count(split)},
            {"*_regions.jsonl", scene_set_count(split)},
            {"retrieval_*.json", split == 0 ? 5 * scene_set_count(split) : scene_set_count(split)},
            {"captioning_*.json", split == 0 ? 5 * scene_set_count(split) : scene_set_count(split)},
            {"vqa_*.json", 6 * scene_set_count(split)},
            {"nlvr_*.json", 4 * scene_set_count(split)},
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            cJSON *records = scene_set_load_split(set, rows[i].pattern, split);
            assert_int_equal(cJSON_GetArraySize(records), rows[i].count);
            cJSON_Delete(records);
        }
    }
}

static void test_layouts(void **state)
{
    const SceneSet *set = *state;
    cJSON *train = scene_set_load(set, "retrieval_train.json"),
          *test = scene_set_load(set, "retrieval_test.json");
    const cJSON *first = cJSON_GetArrayItem(train, 0);
    assert_non_null(scene_text(first, "caption"));
    assert_string_equal(scene_text(first, "image"), "images/train/000001.jpg");
    assert_string_equal(scene_text(first, "image_id"), "scenes_1");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(cJSON_GetArrayItem(test, 0), "caption")), 5);
    cJSON_Delete(train);
    cJSON_Delete(test);

    cJSON *truth = scene_set_load(set, "captioning_test_gt.json");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(truth, "images")), N_TEST);
    const cJSON *annotations = cJSON_GetObjectItem(truth, "annotations");
    assert_int_equal(cJSON_GetArraySize(annotations), 5 * N_TEST);
    assert_int_equal(cJSON_GetObjectItem(cJSON_GetArrayItem(annotations, 0), "image_id")->valueint, 900001);
    cJSON_Delete(truth);

    cJSON *questions = scene_set_load(set, "vqa_train.json"),
          *answered = scene_set_load(set, "vqa_test.json");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(cJSON_GetArrayItem(questions, 0), "answer")), 10);
    assert_non_null(scene_text(cJSON_GetArrayItem(answered, 0), "answer"));
    cJSON_Delete(questions);
    cJSON_Delete(answered);
}

// Reads the frame header of a JPEG file.
static void assert_jpeg_side(const char *path, int side)
{
    size_t length;
    unsigned char *bytes = (unsigned char *)scene_set_read(path, &length);
    size_t at = 2;
    while (at + 9 < length && !(bytes[at] == 0xff && bytes[at + 1] == 0xc0)) {
        at += 2 + (size_t)(bytes[at + 2] << 8 | bytes[at + 3]);
    }
    assert_true(at + 9 < length);
    assert_int_equal(bytes[at + 5] << 8 | bytes[at + 6], side);
    assert_int_equal(bytes[at + 7] << 8 | bytes[at + 8], side);
    free(bytes);
}

static void test_pictures_and_boxes(void **state)
{
    const SceneSet *set = *state;
    for (int split = 0; split < 3; split++) {
        const cJSON *record, *element;
        cJSON_ArrayForEach(record, set->regions[split])
        {
            char path[1024];
            snprintf(path, sizeof path, "%s/main/%s", set->folder, scene_text(record, "image"));
            assert_jpeg_side(path, PIXELS);
            int n_elements = cJSON_GetArraySize(cJSON_GetObjectItem(record, "elems"));
            assert_in_range(n_elements, 2, 3);
            cJSON_ArrayForEach(element, cJSON_GetObjectItem(record, "elems"))
            {
                int box[4];
                for (int i = 0; i < 4; i++) {
                    box[i] = cJSON_GetArrayItem(cJSON_GetObjectItem(element, "bb"), i)->valueint;
                }
                assert_true(box[0] >= 0 && box[1] >= 0 && box[2] >= 8 && box[3] >= 8);
                assert_true(box[0] + box[2] <= PIXELS && box[1] + box[3] <= PIXELS);
                assert_int_equal(scene_is_large(element), box[2] * box[3] * 4 * n_elements > PIXELS * PIXELS);
            }
        }
    }
}

static void test_detections_cover_objects(void **state)
{
    const SceneSet *set = *state;
    cJSON *detections = scene_set_load(set, "grounding_dets.json"),
          *boxes = scene_set_load(set, "grounding_boxes.json");
    const cJSON *box;
    cJSON_ArrayForEach(box, boxes)
    {
        char id[16];
        snprintf(id, sizeof id, "%d", cJSON_GetObjectItem(box, "image_id")->valueint);
        const cJSON *found = NULL, *detection;
        cJSON_ArrayForEach(detection, cJSON_GetObjectItem(detections, id))
        {
            double distance = 0;
            for (int i = 0; i < 4; i++) {
                double difference = cJSON_GetArrayItem(detection, i)->valuedouble -
                                    cJSON_GetArrayItem(cJSON_GetObjectItem(box, "bbox"), i)->valuedouble;
                distance += difference * difference;
            }
            found = distance <= 4 * 4 ? detection : found;
        }
        assert_non_null(found);
    }
    cJSON_Delete(detections);
    cJSON_Delete(boxes);
}

// ---- determinism

static void assert_same_files(const char *first, const char *second)
{
    DIR *folder = opendir(first);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path_a[2048], path_b[2048];
        snprintf(path_a, sizeof path_a, "%s/%s", first, entry->d_name);
        snprintf(path_b, sizeof path_b, "%s/%s", second, entry->d_name);
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (entry->d_type == DT_DIR) {
            assert_same_files(path_a, path_b);
            continue;
        }
        size_t n_a, n_b;
        char *a = scene_set_read(path_a, &n_a), *b = scene_set_read(path_b, &n_b);
        if (n_a != n_b || memcmp(a, b, n_a) != 0) {
            fail_msg("%s differs from %s", path_a, path_b);
        }
        free(a);
        free(b);
    }
    closedir(folder);
}

static void run_into(const SceneSet *set, const char *name, const char *rest)
{
    char arguments[1024];
    snprintf(arguments, sizeof arguments, "scenes --output %s/%s --size %d %s", set->folder, name, PIXELS,
             rest);
    assert_int_equal(scene_set_run(arguments), 0);
}

static void test_same_seed_same_bytes(void **state)
{
    const SceneSet *set = *state;
    char a[1024], b[1024];
    snprintf(a, sizeof a, "%s/main", set->folder);
    snprintf(b, sizeof b, "%s/again", set->folder);
    setenv("OMP_NUM_THREADS", "1", 1);
    run_into(set, "again", "--train=150 --val=60 --test=60 --seed=7");
    unsetenv("OMP_NUM_THREADS");
    assert_same_files(a, b);
}

static void test_test_split_ignores_other_splits(void **state)
{
    const SceneSet *set = *state;
    char a[1024], b[1024];
    run_into(set, "smaller", "--train 3 --val 2 --test 60 --seed 7");
    snprintf(a, sizeof a, "%s/main/images/test", set->folder);
    snprintf(b, sizeof b, "%s/smaller/images/test", set->folder);
    assert_same_files(a, b);
}

static void test_other_seed_other_scenes(void **state)
{
    const SceneSet *set = *state;
    char path[1024];
    run_into(set, "other", "--train 1 --val 1 --test 1 --seed 8");
    snprintf(path, sizeof path, "%s/main/images/test/900001.jpg", set->folder);
    size_t n_a, n_b;
    char *a = scene_set_read(path, &n_a);
    snprintf(path, sizeof path, "%s/other/images/test/900001.jpg", set->folder);
    char *b = scene_set_read(path, &n_b);
    assert_true(n_a != n_b || memcmp(a, b, n_a) != 0);
    free(a);
    free(b);
}

// ---- splits

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// All that is said of the objects, in an order that does not depend on theirs.
static char *combination(const cJSON *record)
{
    char *parts[8];
    int n_parts = 0;
    const cJSON *element;
    cJSON_ArrayForEach(element, cJSON_GetObjectItem(record, "elems"))
    {
        char *attributes = cJSON_PrintUnformatted(cJSON_GetObjectItem(element, "attributes"));
        parts[n_parts] = malloc(strlen(attributes) + 32);
        // Attributes depend on what the other objects are, but the colour, size and texture are always among
        // them.
        sprintf(parts[n_parts++], "%s %s;", scene_shape(element), attributes);
        cJSON_free(attributes);
    }
    qsort(parts, (size_t)n_parts, sizeof parts[0], compare_texts);
    char *joined = calloc(1, 4096);
    for (int i = 0; i < n_parts; i++) {
        strcat(joined, parts[i]);
        free(parts[i]);
    }
    return joined;
}

static void test_splits_share_no_scene(void **state)
{
    const SceneSet *set = *state;
    char *combinations[N_TRAIN + N_VAL + N_TEST];
    int total = 0;
    for (int split = 0; split < 3; split++) {
        const cJSON *record;
        cJSON_ArrayForEach(record, set->regions[split])
        {
            combinations[total++] = combination(record);
        }
    }
    for (int i = N_TRAIN; i < total; i++) {
        for (int j = 0; j < i; j++) {
            if (strcmp(combinations[i], combinations[j]) == 0) {
                fail_msg("scenes %d and %d show the same: %s", i, j, combinations[i]);
            }
        }
    }
    for (int i = 0; i < total; i++) {
        free(combinations[i]);
    }
}

// A caption of the test split belongs to one picture, or retrieval has no right answer.
static void test_captions_are_unambiguous(void **state)
{
    const SceneSet *set = *state;
    cJSON *records = scene_set_load(set, "retrieval_test.json");
    const cJSON *record, *other, *caption, *compared;
    cJSON_ArrayForEach(record, records)
    {
        cJSON_ArrayForEach(caption, cJSON_GetObjectItem(record, "caption"))
        {
            cJSON_ArrayForEach(other, records)
            {
                cJSON_ArrayForEach(compared, cJSON_GetObjectItem(other, "caption"))
                {
                    bool is_same = strcmp(caption->valuestring, compared->valuestring) == 0;
                    assert_false(is_same && caption != compared);
                }
            }
        }
    }
    cJSON_Delete(records);
}

// ---- the command line

static void test_usage_errors(void **state)
{
    const SceneSet *set = *state;
    assert_int_equal(scene_set_run(""), 2);
    assert_int_equal(scene_set_run("help"), 0);
    assert_int_equal(scene_set_run("scene"), 2);
    assert_int_equal(scene_set_run("scenes"), 2);
    assert_int_equal(scene_set_run("scenes --help"), 0);
    assert_int_equal(scene_set_run("scenes --output x --trian 3"), 2);
    assert_int_equal(scene_set_run("scenes --output x --train many"), 2);
    assert_int_equal(scene_set_run("scenes --output x --train -1"), 2);
    assert_int_equal(scene_set_run("scenes --output x --train"), 2);
    assert_int_equal(scene_set_run("scenes --output x --min-objects 3 --max-objects 2"), 2);
    assert_int_equal(scene_set_run("scenes --output /dev/null/x --train 1 --val 1 --test 1"), 1);
    char arguments[1024];
    snprintf(arguments, sizeof arguments,
             "scenes --output %s/few --shapes 2 --colors 2 --textures 1 --max-objects 2 "
             "--train 1 --val 500 --test 500",
             set->folder);
    assert_int_equal(scene_set_run(arguments), 1);
}

// The corners of the option space: many objects, few kinds, one scene, tiny pictures.
static void test_unusual_options(void **state)
{
    const SceneSet *set = *state;
    run_into(set, "crowded", "--train 20 --val 5 --test 5 --min-objects 6 --max-objects 6");
    run_into(set, "poor",
             "--train 40 --val 4 --test 4 --shapes 2 --colors 2 --textures 1 --max-objects 2 --plain");
    run_into(set, "single", "--train 1 --val 1 --test 1");
    run_into(set, "tiny", "--train 4 --val 0 --test 0 --size 32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_counts),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_pictures_and_boxes),
        cmocka_unit_test(test_detections_cover_objects),
        cmocka_unit_test(test_same_seed_same_bytes),
        cmocka_unit_test(test_test_split_ignores_other_splits),
        cmocka_unit_test(test_other_seed_other_scenes),
        cmocka_unit_test(test_splits_share_no_scene),
        cmocka_unit_test(test_captions_are_unambiguous),
        cmocka_unit_test(test_usage_errors),
        cmocka_unit_test(test_unusual_options),
    };
    return cmocka_run_group_tests(tests, scene_set_make, scene_set_drop);
}
