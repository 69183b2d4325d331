// The region sampler against recorded calls of the official one, draw by draw, and the collation.
#include "data_draws.h"
#include "data_golden.h"

#include "runtime/data/caption.h"
#include "runtime/data/regions.h"
#include "runtime/data/wordpiece.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int open_vocabulary(void **state)
{
    XvError error;
    *state = xv_vocabulary_open("tests/data/vocab/bert-base-uncased-vocab.txt", &error);
    return *state ? 0 : -1;
}

static int close_vocabulary(void **state)
{
    xv_vocabulary_close(*state);
    return 0;
}

// The record as a JSON line with an image field, parsed by the library.
static XvRecord parse_record(const cJSON *recorded)
{
    cJSON *copy = cJSON_Duplicate(recorded, 1);
    cJSON_AddStringToObject(copy, "image", "none.jpg");
    char *line = cJSON_PrintUnformatted(copy);
    XvRecordKeys keys = {"image", "caption"};
    XvRecord record;
    XvError error;
    if (!xv_record_parse(line, strlen(line), &keys, &record, &error)) {
        fail_msg("%s", error.text);
    }
    free(line);
    cJSON_Delete(copy);
    return record;
}

static bool same_text(const XvVocabulary *vocabulary, const XvRegion *region, const cJSON *ids,
                      XvError *error)
{
    char text[1000];
    snprintf(text, sizeof text, "%s%s%s", region->attribute ? region->attribute : "",
             region->attribute ? " " : "", region->caption);
    char *clean = xv_pre_caption(text, 40, error);
    if (!clean) {
        return false;
    }
    XvTokens tokens = {0};
    bool same = xv_wordpiece(vocabulary, clean, &tokens, error) &&
                tokens.count + 1 == cJSON_GetArraySize(ids) && ids->child->valueint == 101;
    const cJSON *id = ids->child->next;
    for (int i = 0; same && i < tokens.count; i++, id = id->next) {
        same = tokens.ids[i] == id->valueint;
    }
    xv_tokens_free(&tokens);
    free(clean);
    return same;
}

static bool same_geometry(const XvRegion *region, const XvRegionOptions *options, const cJSON *line, int at)
{
    const cJSON *target = cJSON_GetArrayItem(golden_get(line, "target_bbox"), at);
    float box[4];
    xv_region_target(region, options->image_res, box);
    for (int i = 0; i < 4; i++) {
        if (box[i] != (float)cJSON_GetArrayItem(target, i)->valuedouble) {
            print_error("box[%d]: %.9g, not %.9g\n", i, box[i], cJSON_GetArrayItem(target, i)->valuedouble);
            return false;
        }
    }
    int side = options->image_res / options->patch_size;
    int32_t atts[1 + 32 * 32], expected[1 + 32 * 32] = {0};
    xv_region_atts(region, options->image_res, options->patch_size, atts);
    const cJSON *on = cJSON_GetArrayItem(golden_get(line, "image_atts_on"), at);
    for (const cJSON *position = on->child; position; position = position->next) {
        expected[position->valueint] = 1;
    }
    return memcmp(atts, expected, (size_t)(1 + side * side) * sizeof *atts) == 0;
}

static bool same_samples(const XvVocabulary *vocabulary, const XvRegionScene *scene, const XvRegion *regions,
                         const cJSON *line)
{
    const cJSON *is_image = golden_get(line, "is_image");
    for (int i = 0; i < cJSON_GetArraySize(is_image); i++) {
        XvError error;
        if (regions[i].is_image != (cJSON_GetArrayItem(is_image, i)->valueint != 0) ||
            !same_text(vocabulary, &regions[i], cJSON_GetArrayItem(golden_get(line, "text_ids"), i),
                       &error) ||
            !same_geometry(&regions[i], scene->options, line, i)) {
            return false;
        }
    }
    return true;
}

// Whether all texts of a refused record can be cleaned.
static bool texts_are_good(const XvRegion *regions, int count)
{
    bool good = true;
    for (int i = 0; i < count; i++) {
        XvError error;
        char *clean = xv_pre_caption(regions[i].caption, 40, &error);
        good &= clean != NULL;
        free(clean);
    }
    return good;
}

static bool replay(const XvVocabulary *vocabulary, const cJSON *line)
{
    const cJSON *recorded = golden_get(line, "record");
    XvRegionOptions options = {
        .image_res = golden_int(line, "image_res"),
        .patch_size = golden_int(line, "patch_size"),
        .max_regions = golden_int(line, "max_regions"),
        .min_perc_in_image = golden_number(line, "min_perc_in_image"),
        .careful_hflip = cJSON_IsTrue(golden_get(line, "careful_hflip")),
    };
    XvRecord record = parse_record(recorded);
    Recording recording = {golden_get(line, "draws")->child, false};
    XvDraws draws = recorded_draws(&recording);
    XvRegionScene scene = {
        &record, {golden_int(recorded, "width"), golden_int(recorded, "height")}, &options, &draws};
    XvRegionView view;
    XvRegion regions[32];
    XvError error = {""};
    bool ok = xv_region_view(&scene, &view, &error);
    int count = ok ? xv_region_choose(&scene, &view, regions, &error) : -1;
    bool same;
    if (cJSON_IsTrue(golden_get(line, "ok"))) {
        same = count == cJSON_GetArraySize(golden_get(line, "is_image")) && !recording.is_wrong &&
               same_samples(vocabulary, &scene, regions, line);
    } else {
        same = count < 0 ? error.text[0] != '\0' : !texts_are_good(regions, count);
    }
    xv_record_free(&record);
    return same;
}

static void test_traces(void **state)
{
    GoldenLines lines = golden_lines("tests/data/regions/region_traces.jsonl");
    int wrong = 0;
    for (int i = 0; i < lines.count; i++) {
        if (!replay(*state, lines.items[i])) {
            print_error("line %d differs\n", i + 1);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_true(lines.count >= 80);
    golden_lines_free(&lines);
}

// The example of the facts: R=224, p=32, box (40, 10, 60, 100) covers columns 1..3 and rows 0..3.
static void test_patches(void **state)
{
    (void)state;
    XvRegion region = {.x = 40, .y = 10, .w = 60, .h = 100};
    const int on[] = {0, 2, 3, 4, 9, 10, 11, 16, 17, 18, 23, 24, 25};
    int32_t atts[50], expected[50] = {0};
    for (size_t i = 0; i < sizeof on / sizeof *on; i++) {
        expected[on[i]] = 1;
    }
    xv_region_atts(&region, 224, 32, atts);
    assert_memory_equal(atts, expected, sizeof atts);

    XvRegion corner = {.x = 224, .y = 224, .w = 0, .h = 0};  // an empty box still gets one patch
    xv_region_atts(&corner, 224, 32, atts);
    int sum = 0;
    for (int i = 0; i < 50; i++) {
        sum += atts[i];
    }
    assert_int_equal(sum, 2);
    assert_int_equal(atts[49], 1);
}

static void count_chosen(int n, int batch_size, uint64_t seed, int *counts)
{
    int32_t order[64], chosen[64];
    XvStream stream = xv_stream(seed);
    XvDraws draws = xv_stream_draws(&stream);
    memset(counts, 0, (size_t)n * sizeof *counts);
    xv_region_collate(n, batch_size, &draws, order, chosen);
    for (int i = 0; i < batch_size; i++) {
        assert_in_range(chosen[i], 0, n - 1);
        counts[chosen[i]]++;
    }
}

static void test_collation(void **state)
{
    (void)state;
    int counts[64], ever[40] = {0};
    for (uint64_t seed = 0; seed < 50; seed++) {
        count_chosen(40, 16, seed, counts);  // too many: each at most once
        for (int i = 0; i < 40; i++) {
            assert_in_range(counts[i], 0, 1);
            ever[i] += counts[i];
        }
        count_chosen(10, 16, seed, counts);  // six more
        for (int i = 0; i < 10; i++) {
            assert_in_range(counts[i], 1, 2);
        }
        count_chosen(5, 16, seed, counts);  // three times, and one more
        for (int i = 0; i < 5; i++) {
            assert_in_range(counts[i], 3, 4);
        }
        count_chosen(1, 4, seed, counts);
        assert_int_equal(counts[0], 4);
        count_chosen(16, 16, seed, counts);
        for (int i = 0; i < 16; i++) {
            assert_int_equal(counts[i], 1);
        }
    }
    for (int i = 0; i < 40; i++) {
        assert_true(ever[i] > 0);
    }
}

// With min_margin, a share of the picture around the drawn element stays in every crop; without, a crop may touch it.
static void test_margins(void **state)
{
    (void)state;
    cJSON *json = cJSON_Parse("{\"elems\": [{\"bb\": [40, 30, 20, 10], \"caption\": \"a\"}]}");
    XvRecord record = parse_record(json);
    const double kept[] = {0, 0.75, 1};
    const int low[][2] = {{40, 30}, {10, 7}, {0, 0}}, high[][2] = {{60, 40}, {90, 85}, {100, 100}};
    for (int k = 0; k < 3; k++) {
        XvRegionOptions options = {
            .image_res = 64, .patch_size = 16, .max_regions = 5, .min_margin = kept[k]};
        int left = 0, top = 0, right = 100, bottom = 100;
        for (uint64_t seed = 0; seed < 2000; seed++) {
            XvStream stream = xv_stream(seed);
            XvDraws draws = xv_stream_draws(&stream);
            XvRegionScene scene = {&record, {100, 100}, &options, &draws};
            XvRegionView view;
            XvError error;
            assert_true(xv_region_view(&scene, &view, &error));
            left = view.crop.left > left ? view.crop.left : left;
            top = view.crop.top > top ? view.crop.top : top;
            right = view.crop.left + view.crop.width < right ? view.crop.left + view.crop.width : right;
            bottom = view.crop.top + view.crop.height < bottom ? view.crop.top + view.crop.height : bottom;
        }
        assert_int_equal(left, low[k][0]);
        assert_int_equal(top, low[k][1]);
        assert_int_equal(right, high[k][0]);
        assert_int_equal(bottom, high[k][1]);
    }
    xv_record_free(&record);
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traces),
        cmocka_unit_test(test_patches),
        cmocka_unit_test(test_collation),
        cmocka_unit_test(test_margins),
    };
    return cmocka_run_group_tests(tests, open_vocabulary, close_vocabulary);
}
