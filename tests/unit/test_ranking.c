// Recalls from score matrices, and the two-stage retrieval around made-up encoders.
#include "runtime/loop/two_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

// Recalls ----------------------------------------------------------------------------------------------------------

static void test_recalls(void **state)
{
    (void)state;
    // Two images, three texts; texts 0 and 2 belong to image 1, text 1 to image 0.
    const float i2t[] = {5, 4, 3, 1, 2, 2};
    const float t2i[] = {1, 2, 7, 7, NAN, 0};
    const int32_t owner[] = {1, 0, 1};
    XvScores scores = {i2t, t2i, owner, 2, 3};
    XvRecalls recalls;
    XvError error = {{0}};
    assert_true(xv_recalls(&scores, &recalls, &error));
    // Image 0: its text 1 is second. Image 1: texts 1 and 2 tie, the later one, its own, is first.
    assert_true(fabs(recalls.text[0] - 50) < 1e-9);
    assert_true(fabs(recalls.text[1] - 100) < 1e-9);
    // Text 0: its image is first. Text 1: a tie with the later image 1. Text 2: a number beats NaN.
    assert_true(fabs(recalls.image[0] - 200.0 / 3) < 1e-9);
    assert_true(fabs(recalls.image[1] - 100) < 1e-9);
    assert_true(fabs(recalls.text_mean - 250.0 / 3) < 1e-9);
    assert_true(fabs(recalls.mean - (250.0 / 3 + 800.0 / 9) / 2) < 1e-9);
    assert_string_equal(xv_recall_name(0), "txt_r1");
    assert_true(fabs(xv_recall_value(&recalls, XV_RECALL_ROWS - 1) - recalls.mean) < 1e-9);
}

static void test_recalls_refuse(void **state)
{
    (void)state;
    const float score[] = {1};
    const int32_t owner[] = {1};
    XvScores scores = {score, score, owner, 1, 1};
    XvRecalls recalls;
    XvError error = {{0}};
    assert_false(xv_recalls(&scores, &recalls, &error));
    assert_non_null(strstr(error.text, "text 0 belongs to image 1"));
    scores.texts = 0;
    assert_false(xv_recalls(&scores, &recalls, &error));
}

// A program whose encoders copy: image x -> feature (x, 1) and state 10 x; text y -> feature (1, -|y - 2|) and state y;
// match: state of the image plus that of the text ------------------------------------------------------------------

enum { IMAGE_ROWS = 2, TEXT_ROWS = 3, PAIR_ROWS = 4 };

static const XvValue IMAGE_IN[] = {
    {.name = "eval.x", .dtype = XV_F32, .rank = 1, .shape = {IMAGE_ROWS}, .offset = 0}};
static const XvValue IMAGE_OUT[] = {
    {.name = "eval.image_feat", .dtype = XV_F32, .rank = 2, .shape = {IMAGE_ROWS, 2}, .offset = 64},
    {.name = "eval.image_embeds", .dtype = XV_F32, .rank = 2, .shape = {IMAGE_ROWS, 1}, .offset = 128}};
static const XvValue TEXT_IN[] = {
    {.name = "eval.y", .dtype = XV_I32, .rank = 2, .shape = {TEXT_ROWS, 1}, .offset = 0},
    {.name = "eval.txt2img", .dtype = XV_I32, .rank = 1, .shape = {TEXT_ROWS}, .offset = 64}};
static const XvValue TEXT_OUT[] = {
    {.name = "eval.text_feat", .dtype = XV_F32, .rank = 2, .shape = {TEXT_ROWS, 2}, .offset = 128},
    {.name = "eval.image_of_text", .dtype = XV_I32, .rank = 1, .shape = {TEXT_ROWS}, .offset = 64}};
static const XvValue MATCH_IN[] = {
    {.name = "eval.image_embeds", .dtype = XV_F32, .rank = 2, .shape = {PAIR_ROWS, 1}, .offset = 0},
    {.name = "eval.y", .dtype = XV_I32, .rank = 2, .shape = {PAIR_ROWS, 1}, .offset = 64}};
static const XvValue MATCH_OUT[] = {
    {.name = "eval.match_score", .dtype = XV_F32, .rank = 1, .shape = {PAIR_ROWS}, .offset = 128}};

static float *floats(const XvRun *run, size_t offset)
{
    return (float *)(void *)(run->arena + offset);
}

static int32_t *integers(const XvRun *run, size_t offset)
{
    return (int32_t *)(void *)(run->arena + offset);
}

static void run_image(const XvRun *run)
{
    for (int i = 0; i < IMAGE_ROWS; i++) {
        float x = floats(run, 0)[i];
        floats(run, 64)[2 * i] = x;
        floats(run, 64)[2 * i + 1] = 1;
        floats(run, 128)[i] = 10 * x;
    }
}

static void run_text(const XvRun *run)
{
    for (int i = 0; i < TEXT_ROWS; i++) {
        int32_t y = integers(run, 0)[i];
        floats(run, 128)[2 * i] = 1;
        floats(run, 128)[2 * i + 1] = -fabsf((float)y - 2);
        integers(run, 0)[i] = -1;  // a run may overwrite its inputs
    }
}

static void run_match(const XvRun *run)
{
    for (int i = 0; i < PAIR_ROWS; i++) {
        floats(run, 128)[i] = floats(run, 0)[i] + (float)integers(run, 64)[i];
    }
}

#define GRAPH(in, out, function)                                                                      \
    {                                                                                                 \
        .arena_bytes = 256, .run = (function), .inputs = (in), .n_inputs = sizeof(in) / sizeof *(in), \
        .outputs = (out), .n_outputs = sizeof(out) / sizeof *(out)                                    \
    }

static const XvEntry ENTRIES[] = {{.name = "encode_image", .observe = GRAPH(IMAGE_IN, IMAGE_OUT, run_image)},
                                  {.name = "encode_text", .observe = GRAPH(TEXT_IN, TEXT_OUT, run_text)},
                                  {.name = "match", .observe = GRAPH(MATCH_IN, MATCH_OUT, run_match)}};
static const XvProgram PROGRAM = {.task = "toy", .entries = ENTRIES, .n_entries = 3, .parameter_count = 16};

static const float X[] = {3, 1, 2};
static const int32_t Y[] = {0, 1, 2, 3, 4}, OWNER[] = {0, 0, 1, 1, 2};

typedef struct Position {
    int64_t at;
} Position;

static bool next_images(void *context, XvHost *host, const XvGraph *graph, int64_t *rows, XvError *error)
{
    (void)error;
    Position *position = context;
    int64_t left = 3 - position->at;
    *rows = left == 0 ? XV_ROWS_END : left < IMAGE_ROWS ? left : IMAGE_ROWS;
    for (int64_t i = 0; i < *rows; i++) {
        ((float *)xv_host_tensor(host, &graph->inputs[0]).data)[i] = X[position->at + i];
    }
    position->at += *rows > 0 ? *rows : 0;
    return true;
}

static bool next_texts(void *context, XvHost *host, const XvGraph *graph, int64_t *rows, XvError *error)
{
    (void)error;
    Position *position = context;
    int64_t left = 5 - position->at;
    *rows = left == 0 ? XV_ROWS_END : left < TEXT_ROWS ? left : TEXT_ROWS;
    for (int64_t i = 0; i < *rows; i++) {
        ((int32_t *)xv_host_tensor(host, &graph->inputs[0]).data)[i] = Y[position->at + i];
        ((int32_t *)xv_host_tensor(host, &graph->inputs[1]).data)[i] = OWNER[position->at + i];
    }
    position->at += *rows > 0 ? *rows : 0;
    return true;
}

static void run_stages(int64_t k, XvTwoStageResult *result)
{
    XvError error = {{0}};
    XvTwoStage stages;
    XvHost host;
    assert_true(xv_two_stage_find(&PROGRAM, &stages, &error));
    assert_true(
        xv_host_create(&host, &PROGRAM, XV_HOST_OBSERVE, xv_two_stage_entries(&PROGRAM, &stages), &error));
    Position images = {0}, texts = {0};
    XvTwoStageData data = {.images = {&images, next_images}, .texts = {&texts, next_texts}, .k = k};
    assert_true(xv_two_stage_run(&host, &stages, &data, result, &error));
    assert_int_equal(result->images, 3);
    assert_int_equal(result->texts, 5);
    assert_memory_equal(result->image_of_text, OWNER, sizeof OWNER);
    xv_host_free(&host);
}

static void test_two_stages(void **state)
{
    (void)state;
    XvTwoStageResult result;
    run_stages(2, &result);
    for (int64_t i = 0; i < 3; i++) {
        for (int64_t t = 0; t < 5; t++) {
            // Every image likes text 2 best, then 1 and 3 alike, of which the earlier one counts; every text likes the
            // images by x: 0, then 2.
            float score = 10 * X[i] + (float)Y[t];
            float expected = t == 2 || t == 1 ? score : -100;
            assert_true(fabsf(result.image_to_text[i * 5 + t] - expected) < 1e-6f);
            expected = i == 0 || i == 2 ? score : -100;
            assert_true(fabsf(result.text_to_image[t * 3 + i] - expected) < 1e-6f);
        }
    }
    assert_int_equal(result.pairs, 12);  // 6 and 10, of which 4 are the same
    xv_two_stage_free(&result);
}

static void test_more_candidates_than_there_are(void **state)
{
    (void)state;
    XvTwoStageResult result;
    run_stages(100, &result);
    assert_int_equal(result.pairs, 15);
    assert_true(fabsf(result.image_to_text[14] - 24) < 1e-6f);
    xv_two_stage_free(&result);
}

static void test_programs_without(void **state)
{
    (void)state;
    XvTwoStage stages;
    XvError error = {{0}};
    XvProgram program = PROGRAM;
    program.n_entries = 2;
    assert_false(xv_two_stage_find(&program, &stages, &error));
    assert_string_equal(error.text, "");
    XvEntry entries[3];
    memcpy(entries, ENTRIES, sizeof entries);
    entries[1].observe.n_outputs = 1;
    program = PROGRAM;
    program.entries = entries;
    assert_false(xv_two_stage_find(&program, &stages, &error));
    assert_non_null(strstr(error.text, "image_of_text"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recalls),          cmocka_unit_test(test_recalls_refuse),
        cmocka_unit_test(test_two_stages),       cmocka_unit_test(test_more_candidates_than_there_are),
        cmocka_unit_test(test_programs_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
