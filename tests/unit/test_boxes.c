// Overlap of boxes and the choice of a detection from a map of attention, against the official functions' results.
#include "data_golden.h"

#include "runtime/metrics/boxes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BOXES = 16, N_SPLITS = 3 };
static const char *const SPLITS[N_SPLITS] = {"val", "testA", "testB"};

// A number, or one of the strings "nan", "inf", "-inf".
static double number(const cJSON *item)
{
    return cJSON_IsString(item) ? strtod(item->valuestring, NULL) : item->valuedouble;
}

static void read_box(const cJSON *list, double box[4])
{
    assert_int_equal(cJSON_GetArraySize(list), 4);
    for (int i = 0; i < 4; i++) {
        box[i] = number(cJSON_GetArrayItem(list, i));
    }
}

static void assert_near(double found, double expected, double tolerance)
{
    bool is_same = found == expected || fabs(found - expected) <= tolerance;
    if (isnan(expected) ? !isnan(found) : !is_same) {
        fail_msg("%.9g, expected %.9g", found, expected);
    }
}

// Hits by split.
typedef struct Tally {
    int found[N_SPLITS], all[N_SPLITS];
} Tally;

static void count(Tally *tally, const cJSON *line, bool is_hit)
{
    for (int i = 0; i < N_SPLITS; i++) {
        if (strcmp(golden_string(line, "split"), SPLITS[i]) == 0) {
            tally->all[i]++;
            tally->found[i] += is_hit;
        }
    }
}

static void check_tally(const Tally *tally, const char *kind)
{
    cJSON *scores = golden_json("tests/data/metrics/grounding_scores.json");
    for (int i = 0; i < N_SPLITS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%s_d", SPLITS[i]);
        assert_true(tally->all[i] > 0);
        assert_near((double)tally->found[i] / tally->all[i], golden_number(golden_get(scores, kind), key),
                    1e-12);
    }
    cJSON_Delete(scores);
}

static void test_overlap(void **state)
{
    (void)state;
    cJSON *json = golden_json("tests/data/data_utils.json");
    int n = 0;
    for (const cJSON *item = golden_get(json, "grounding_iou_xywh")->child; item; item = item->next, n++) {
        double a[4], b[4];
        read_box(golden_get(item, "a"), a);
        read_box(golden_get(item, "b"), b);
        assert_near(xv_box_iou(a, b), golden_number(item, "iou"), 1e-14);
        assert_near(xv_box_iou(b, a), golden_number(item, "iou"), 1e-14);
    }
    assert_int_equal(n, 24);
    cJSON_Delete(json);
    const double empty[4] = {3, 4, 0, 0};
    assert_near(xv_box_iou(empty, empty), 0, 0);
}

// The official overlaps are computed in float32 from corners of up to some thousand pixels, each rounded by up to 6e-5
// of a pixel: of the smallest boxes here, some pixels wide, that is 1e-5.
static void test_predictions(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/metrics/grounding_iou.jsonl");
    Tally tally = {{0}, {0}};
    for (int i = 0; i < lines.count; i++) {
        const cJSON *line = lines.items[i];
        double shares[4], box[4], expected[4], truth[4];
        read_box(golden_get(line, "pred_cxcywh"), shares);
        read_box(golden_get(line, "pred_xywh"), expected);
        read_box(golden_get(line, "bbox_xywh"), truth);
        const float single[4] = {(float)shares[0], (float)shares[1], (float)shares[2], (float)shares[3]};
        xv_box_of_shares(single, golden_int(line, "width"), golden_int(line, "height"), box);
        for (int k = 0; k < 4; k++) {
            assert_near(box[k], expected[k], 0);
        }
        double iou = xv_box_iou(truth, box);
        assert_near(iou, number(golden_get(line, "iou")), 1e-5);
        assert_int_equal(xv_box_is_hit(iou), cJSON_IsTrue(golden_get(line, "correct")));
        count(&tally, line, xv_box_is_hit(iou));
    }
    assert_int_equal(lines.count, 420);
    check_tally(&tally, "bbox");
    golden_lines_free(&lines);
}

static const XvTensor *tensor_of(const GoldenTensors *tensors, const char *kind, int ref_id)
{
    char name[32];
    snprintf(name, sizeof name, "%s/%d", kind, ref_id);
    const XvTensor *tensor = golden_find(tensors, name);
    assert_non_null(tensor);
    return tensor;
}

// The map of an expression at the size of its picture; the caller frees it.
static float *enlarged(const GoldenTensors *tensors, const cJSON *line)
{
    int ref_id = golden_int(line, "ref_id"), width = golden_int(line, "width"),
        height = golden_int(line, "height");
    const XvTensor *mask = tensor_of(tensors, "mask", ref_id);
    const XvTensor *upsampled = tensor_of(tensors, "upsampled", ref_id);
    assert_int_equal(xv_tensor_count(upsampled), width * height);
    XvMap map = {mask->data, (int)mask->shape[0], (int)mask->shape[1]};
    float *values = calloc((size_t)width * (size_t)height, sizeof *values);
    XvError error;
    assert_true(xv_map_resize(&map, height, width, values, &error));
    const float *expected = upsampled->data;
    float largest = 0;
    for (int i = 0; i < width * height; i++) {
        largest = fmaxf(largest, fabsf(expected[i]));
    }
    for (int i = 0; i < width * height; i++) {
        assert_near((double)values[i], (double)expected[i], 1e-6 * (double)largest);
    }
    return values;
}

static void test_weak(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/metrics/grounding_weak.jsonl");
    GoldenTensors tensors = golden_tensors("tests/data/metrics/grounding_weak.safetensors");
    Tally tally = {{0}, {0}};
    for (int i = 0; i < lines.count; i++) {
        const cJSON *line = lines.items[i], *boxes = golden_get(line, "dets"),
                    *expected = golden_get(line, "scores");
        float *values = enlarged(&tensors, line);
        XvMap map = {values, golden_int(line, "height"), golden_int(line, "width")};
        double detections[MOST_BOXES][4], truth[4], scores[MOST_BOXES];
        int n = cJSON_GetArraySize(boxes);
        assert_true(n > 0 && n <= MOST_BOXES);
        for (int k = 0; k < n; k++) {
            read_box(cJSON_GetArrayItem(boxes, k), detections[k]);
        }
        int64_t picked = xv_box_pick(&map, detections, n, scores);
        assert_int_equal(picked, golden_int(line, "picked"));
        for (int k = 0; k < n; k++) {
            double score = cJSON_GetArrayItem(expected, k)->valuedouble;
            assert_near(scores[k], score, 1e-5 * fmax(1, fabs(score)));
        }
        read_box(golden_get(line, "bbox_xywh"), truth);
        double iou = xv_box_iou(truth, detections[picked]);
        assert_near(iou, golden_number(line, "iou"), 1e-12);
        count(&tally, line, xv_box_is_hit(iou));
        free(values);
    }
    assert_int_equal(lines.count, 12);
    check_tally(&tally, "weak");
    golden_tensors_free(&tensors);
    golden_lines_free(&lines);
}

// Maps and detections of which the official code makes nothing, or an exception.
static void test_odd_detections(void **state)
{
    (void)state;
    const float values[6] = {1, 2, 0, 4, -9, 0};
    XvMap map = {values, 2, 3};
    const double boxes[][4] = {{2, 0, 1, 2},        {1, 1, 1, 1}, {0, 0, 0, 2},    {NAN, 0, 1, 1},
                               {0, 0, INFINITY, 1}, {5, 5, 2, 2}, {-1, -1, -2, -2}};
    enum { N = sizeof boxes / sizeof *boxes };
    double scores[N + 3];
    assert_int_equal(xv_box_pick(&map, boxes, N, scores), -1);
    assert_int_equal(xv_box_pick(&map, boxes, 0, scores), -1);
    for (int i = 0; i < N; i++) {
        assert_near(scores[i], i == 1 ? -9 : 0, 0);
    }
    // Parts outside the picture count for the area alone; of equal scores the first one is picked.
    const double better[][4] = {{2, 0, 1, 1}, {-2, 0, 4, 1}, {-2, 0, 4, 1}, {1e300, 0, 1, 1}};
    assert_int_equal(xv_box_pick(&map, better, 4, scores), 1);
    assert_near(scores[1], 3.0 / 2, 1e-15);
    assert_near(scores[3], 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_predictions),
        cmocka_unit_test(test_weak),
        cmocka_unit_test(test_odd_detections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
