// Distributions of drawn masks and drawn regions beside those of the official samplers over the same texts
// and records. Bands are five standard deviations of the difference of two such samples; what does not depend
// on draws is equal.
#include "data_golden.h"

#include "runtime/data/caption.h"
#include "runtime/data/encode.h"
#include "runtime/data/file.h"
#include "runtime/data/json_line.h"
#include "runtime/data/masking.h"
#include "runtime/data/regions.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CAPTIONS = 2000, REPEATS = 25, PASSES = 250, MAX_TOKENS = 40, MOST = 64 };

static cJSON *read_json(const char *path)
{
    XvBytes file = {0};
    XvError error;
    if (!xv_file_read(path, &file, &error)) {
        fail_msg("%s", error.text);
    }
    cJSON *tree = xv_json_parse_line((const char *)file.data, file.count, &error);
    assert_non_null(tree);
    xv_bytes_free(&file);
    return tree;
}

// A share of n cases that is wanted, and one of as many that was found.
static int is_off(const char *what, double found, double wanted, double n)
{
    double band = 5 * sqrt(2 * (wanted * (1 - wanted) + 1 / n) / n);
    if (fabs(found - wanted) <= band) {
        return 0;
    }
    print_error("%s: %.5f, not %.5f +- %.5f\n", what, found, wanted, band);
    return 1;
}

// ---- masks

typedef struct Texts {
    XvTokens rows[CAPTIONS];
} Texts;

typedef struct Tally {
    long calls, positions, masked, random, kept;
    long first, last, interior, n_interior;
    long runs[MOST], n_runs, per_call[MOST];
    long words, whole, cut;  // words of several pieces: how many, masked whole, masked in part
} Tally;

static void read_texts(const XvVocabulary *vocabulary, Texts *texts)
{
    FILE *file = fopen("tests/data/mlm/captions.txt", "r");
    assert_non_null(file);
    char *line = NULL;
    size_t room = 0;
    XvError error;
    for (int i = 0; i < CAPTIONS; i++) {
        ssize_t length = getline(&line, &room, file);
        assert_true(length > 0);
        line[length - 1] = '\0';
        char *clean = xv_pre_caption(line, MAX_TOKENS, &error);
        assert_non_null(clean);
        texts->rows[i] = (XvTokens){0};
        assert_true(
            xv_encode(vocabulary, (XvEncoding){.max_tokens = MAX_TOKENS}, clean, &texts->rows[i], &error));
        free(clean);
    }
    free(line);
    fclose(file);
}

static void free_texts(Texts *texts)
{
    for (int i = 0; i < CAPTIONS; i++) {
        xv_tokens_free(&texts->rows[i]);
    }
    free(texts);
}

static void count_runs(const bool *is_masked, int n_tokens, Tally *tally)
{
    for (int i = 1, run = 0; i <= n_tokens; i++) {
        if (i < n_tokens && is_masked[i]) {
            run++;
        } else if (run > 0) {
            tally->runs[run]++;
            tally->n_runs++;
            run = 0;
        }
    }
}

static void count_words(const bool *is_masked, const XvTokens *row, Tally *tally)
{
    for (int begin = 1, end; begin < row->count; begin = end) {
        int masked = is_masked[begin];
        for (end = begin + 1; end < row->count && row->is_continuation[end]; end++) {
            masked += is_masked[end];
        }
        if (end - begin > 1) {
            tally->words++;
            tally->whole += masked == end - begin;
            tally->cut += masked > 0 && masked < end - begin;
        }
    }
}

static void count_call(const XvTokens *row, const XvMaskOptions *options, const XvMaskVocabulary *vocabulary,
                       const XvDraws *draws, Tally *tally)
{
    // Without the whole-word rule a RoBERTa row has no continuations: the official generator sees "##" only.
    int32_t positions[MOST], ids[MOST];
    bool is_masked[MOST] = {false};
    int count = xv_mask_choose(options, row->is_continuation, row->count, draws, positions);
    assert_int_equal(count, xv_mask_count(options, row->count));
    memcpy(ids, row->ids, (size_t)row->count * sizeof *ids);
    xv_mask_replace(vocabulary, positions, count, draws, ids);
    for (int i = 0; i < count; i++) {
        int at = positions[i];
        is_masked[at] = true;
        bool is_mask = ids[at] == vocabulary->mask_id;
        tally->masked += is_mask;
        tally->kept += !is_mask && ids[at] == row->ids[at];
        tally->random += !is_mask && ids[at] != row->ids[at];
    }
    tally->calls++;
    tally->positions += count;
    tally->per_call[count]++;
    tally->first += is_masked[1];
    tally->last += is_masked[row->count - 1];
    for (int i = 2; i < row->count - 1; i++) {
        tally->interior += is_masked[i];
        tally->n_interior++;
    }
    count_runs(is_masked, row->count, tally);
    count_words(is_masked, row, tally);
}

static int compare(const char *name, const Tally *tally, const cJSON *wanted)
{
    double calls = (double)tally->calls, positions = (double)tally->positions;
    const cJSON *share = golden_get(wanted, "share"), *words = golden_get(wanted, "multi_piece_words");
    assert_int_equal(tally->positions, golden_int(wanted, "masked_positions"));
    for (const cJSON *item = golden_get(wanted, "masks_per_call")->child; item; item = item->next) {
        assert_true(fabs((double)tally->per_call[atoi(item->string)] / calls - item->valuedouble) < 1e-9);
    }
    int off = is_off("masked", (double)tally->masked / positions, golden_number(share, "mask"), positions) +
              is_off("random", (double)tally->random / positions, golden_number(share, "random"), positions) +
              is_off("kept", (double)tally->kept / positions, golden_number(share, "keep"), positions) +
              is_off("first", (double)tally->first / calls, golden_number(wanted, "p_position1"), calls) +
              is_off("last", (double)tally->last / calls, golden_number(wanted, "p_last_position"), calls) +
              is_off("interior", (double)tally->interior / (double)tally->n_interior,
                     golden_number(wanted, "p_interior_position"), calls);
    for (const cJSON *item = golden_get(wanted, "run_length_share")->child; item; item = item->next) {
        off += is_off("runs", (double)tally->runs[atoi(item->string)] / (double)tally->n_runs,
                      item->valuedouble, (double)tally->n_runs);
    }
    double n_words = (double)tally->words;
    assert_int_equal(tally->words, golden_int(wanted, "multi_piece_word_count") * REPEATS);
    off += is_off("whole words", (double)tally->whole / n_words, golden_number(words, "all"), n_words) +
           is_off("cut words", (double)tally->cut / n_words, golden_number(words, "some"), n_words);
    if (off) {
        print_error("in %s\n", name);
    }
    return off;
}

static int check_masks(const char *name, const cJSON *wanted, const Texts *texts, bool is_roberta)
{
    const cJSON *config = golden_get(wanted, "config");
    bool sees_words = !is_roberta || cJSON_IsTrue(golden_get(config, "use_roberta"));
    XvMaskOptions options = {
        .prob = golden_number(config, "mask_prob"),
        .max = golden_int(config, "mask_max"),
        .skipgram_prb = golden_number(config, "skipgram_prb"),
        .skipgram_size = golden_int(config, "skipgram_size"),
        .whole_word = cJSON_IsTrue(golden_get(config, "mask_whole_word")) && sees_words,
    };
    XvMaskVocabulary vocabulary =
        is_roberta ? (XvMaskVocabulary){50264, 50265} : (XvMaskVocabulary){103, 30522};
    Tally tally = {0};
    XvStream stream = xv_stream(xv_key(20211, (uint64_t)strlen(name)));
    XvDraws draws = xv_stream_draws(&stream);
    for (int i = 0; i < CAPTIONS * REPEATS; i++) {
        count_call(&texts->rows[i % CAPTIONS], &options, &vocabulary, &draws, &tally);
    }
    return compare(name, &tally, wanted);
}

static void test_masks(void **state)
{
    (void)state;
    XvError error;
    XvVocabulary *vocabularies[2] = {
        xv_vocabulary_open("tests/data/vocab/bert-base-uncased-vocab.txt", &error),
        xv_vocabulary_open_bpe("tests/data/vocab/roberta-base-vocab.json",
                               "tests/data/vocab/roberta-base-merges.txt", &error)};
    Texts *texts[2];
    for (int i = 0; i < 2; i++) {
        texts[i] = malloc(sizeof *texts[i]);
        read_texts(vocabularies[i], texts[i]);
    }
    cJSON *statistics = read_json("tests/data/mlm/masking_statistics.json");
    int off = 0, cases = 0;
    for (const cJSON *item = statistics->child; item; item = item->next, cases++) {
        bool is_roberta = strncmp(golden_string(item, "tokenizer"), "roberta", 7) == 0;
        off += check_masks(item->string, item, texts[is_roberta], is_roberta);
    }
    assert_int_equal(off, 0);
    assert_int_equal(cases, 9);
    cJSON_Delete(statistics);
    for (int i = 0; i < 2; i++) {
        free_texts(texts[i]);
        xv_vocabulary_close(vocabularies[i]);
    }
}

// ---- regions

typedef struct Moments {
    double sum, squares, n;
} Moments;

static void note(Moments *moments, double value)
{
    moments->sum += value;
    moments->squares += value * value;
    moments->n++;
}

// Samples of one picture hang together, so the band counts pictures, not samples.
static int is_mean_off(const char *what, const Moments *moments, const cJSON *wanted)
{
    double mean = golden_number(wanted, "mean"), deviation = golden_number(wanted, "std");
    double found = moments->sum / moments->n;
    double spread = sqrt(moments->squares / moments->n - found * found);
    double pictures = 20.0 * PASSES;
    bool ok = fabs(found - mean) <= 5 * deviation * sqrt(2 / pictures) && fabs(spread / deviation - 1) < 0.05;
    if (!ok) {
        print_error("%s: %.4f (%.4f), not %.4f (%.4f)\n", what, found, spread, mean, deviation);
    }
    return !ok;
}

typedef struct RegionTally {
    Moments crop_w, crop_h, flip, regions, cx, cy, w, h, patches;
    long kept[8];
} RegionTally;

static void count_scene(const XvRegionScene *scene, RegionTally *tally)
{
    XvRegionView view;
    XvRegion regions[5];
    XvError error = {""};
    if (!xv_region_view(scene, &view, &error)) {
        fail_msg("%s", error.text);
    }
    int count = xv_region_choose(scene, &view, regions, &error);
    assert_in_range(count, 1, 5);
    note(&tally->crop_w, (double)view.crop.width / scene->size.width);
    note(&tally->crop_h, (double)view.crop.height / scene->size.height);
    note(&tally->flip, view.is_flipped);
    int first = count > 0 && regions[0].is_image;  // takes a place and is not counted
    note(&tally->regions, count - first);
    tally->kept[count - first]++;
    for (int i = first; i < count; i++) {
        float target[4];
        int32_t atts[50];
        int on = 0;
        xv_region_target(&regions[i], 224, target);
        xv_region_atts(&regions[i], 224, 32, atts);
        for (int k = 0; k < 50; k++) {
            on += atts[k];
        }
        note(&tally->cx, (double)target[0]);
        note(&tally->cy, (double)target[1]);
        note(&tally->w, (double)target[2]);
        note(&tally->h, (double)target[3]);
        note(&tally->patches, on);
    }
}

static void count_record(const cJSON *line, XvDraws *draws, RegionTally *tally)
{
    cJSON *copy = cJSON_Duplicate(line, 1);
    cJSON_AddStringToObject(copy, "image", "none.jpg");
    XvRecordKeys keys = {"image", "caption"};
    XvRecord record;
    XvError error;
    assert_true(xv_record_view(copy, &keys, &record, &error));
    XvRegionOptions options = {
        .image_res = 224, .patch_size = 32, .max_regions = 5, .min_perc_in_image = 0.5};
    XvRegionScene scene = {.record = &record,
                           .size = {golden_int(line, "width"), golden_int(line, "height")},
                           .options = &options,
                           .draws = draws};
    for (int pass = 0; pass < PASSES; pass++) {
        count_scene(&scene, tally);
    }
    xv_record_free(&record);
    cJSON_Delete(copy);
}

static void test_regions(void **state)
{
    (void)state;
    GoldenLines lines = golden_lines("tests/data/regions/statistics_records.jsonl");
    cJSON *wanted = read_json("tests/data/regions/region_statistics.json");
    RegionTally tally = {0};
    XvStream stream = xv_stream(20212);
    XvDraws draws = xv_stream_draws(&stream);
    for (int i = 0; i < lines.count; i++) {
        count_record(lines.items[i], &draws, &tally);
    }
    assert_int_equal(lines.count, 20);
    int off = is_mean_off("crop_w", &tally.crop_w, golden_get(wanted, "crop_w")) +
              is_mean_off("crop_h", &tally.crop_h, golden_get(wanted, "crop_h")) +
              is_mean_off("flip", &tally.flip, golden_get(wanted, "flip")) +
              is_mean_off("regions", &tally.regions, golden_get(wanted, "regions")) +
              is_mean_off("cx", &tally.cx, golden_get(wanted, "cx")) +
              is_mean_off("cy", &tally.cy, golden_get(wanted, "cy")) +
              is_mean_off("w", &tally.w, golden_get(wanted, "w")) +
              is_mean_off("h", &tally.h, golden_get(wanted, "h")) +
              is_mean_off("patches_on", &tally.patches, golden_get(wanted, "patches_on"));
    for (const cJSON *item = golden_get(wanted, "regions_kept_histogram")->child; item; item = item->next) {
        off += is_off("kept", (double)tally.kept[atoi(item->string)] / tally.regions.n, item->valuedouble,
                      tally.regions.n);
    }
    assert_int_equal(off, 0);
    cJSON_Delete(wanted);
    golden_lines_free(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_regions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
