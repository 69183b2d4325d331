// The kinds of fine-tuning data: every input of every kind, in training and in evaluation, on real records.
#include "data_golden.h"
#include "data_loader_fixture.h"

#include "runtime/data/caption.h"
#include "runtime/data/wordpiece.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { A = 12, L = 6, P = 4 };

#define MINI "tests/data/mini_coco/"

static XvLoaderOptions task_options(const char *kind, const char *const *path, const XvValue *inputs,
                                    int n_inputs)
{
    XvLoaderOptions options = pair_options();
    options.kind = kind;
    options.paths = path;
    options.image_key = NULL;
    options.is_image_rpath = false;
    options.inputs = inputs;
    options.n_inputs = n_inputs;
    return options;
}

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static cJSON *read_json(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 16);
    assert_non_null(file);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    free(text);
    return tree;
}

static const int32_t *ints(const XvBatch *batch, const char *name)
{
    return batch_tensor(batch, name);
}

// ids[0..n) are the tokens of the text (after pre_caption or pre_question, or as it is), start token first.
static void assert_ids(const int32_t *ids, int n, const char *text, bool has_end)
{
    XvError error;
    XvVocabulary *vocabulary = xv_vocabulary_open("tests/data/vocab/bert-base-uncased-vocab.txt", &error);
    XvTokens tokens = {0};
    assert_true(xv_tokens_add(&tokens, 101, false));
    assert_true(xv_wordpiece(vocabulary, text, &tokens, &error));
    int most = n - has_end;
    tokens.count = tokens.count < most ? tokens.count : most;
    if (has_end) {
        assert_true(xv_tokens_add(&tokens, 102, false));
    }
    for (int i = 0; i < n; i++) {
        assert_int_equal(ids[i], i < tokens.count ? tokens.ids[i] : 0);
    }
    xv_tokens_free(&tokens);
    xv_vocabulary_close(vocabulary);
}

// ---- retrieval

static const char *const RETRIEVAL_TRAIN[] = {MINI "retrieval_train.json"};
static const char *const RETRIEVAL_TEST[] = {MINI "retrieval_test.json"};

static const XvValue RETRIEVAL[] = {{"image", XV_F32, 4, {B, 3, R, R}, 0},
                                    {"text_ids", XV_I32, 2, {B, T}, 0},
                                    {"text_atts", XV_I32, 2, {B, T}, 0},
                                    {"idx", XV_I32, 1, {B}, 0}};

// Equal numbers for captions of one picture and for them alone, counted in the order of the file.
static void test_retrieval_train(void **state)
{
    (void)state;
    cJSON *records = read_json(RETRIEVAL_TRAIN[0]);
    XvLoaderOptions options = task_options("retrieval", RETRIEVAL_TRAIN, RETRIEVAL, COUNT(RETRIEVAL));
    XvLoader *loader = open_loader(&options);
    assert_int_equal(xv_loader_records(loader), 50);
    bool has_equal = false;
    for (int index = 0; index < 12; index++) {
        XvBatch batch = next_batch(loader);
        for (int b = 0; b < B; b++) {
            const cJSON *record = cJSON_GetArrayItem(records, (int)batch.records[b]);
            assert_text(&batch, b, golden_string(record, "caption"));
            assert_int_equal(ints(&batch, "idx")[b], batch.records[b] / 5);  // five captions a picture
            has_equal |= b > 0 && ints(&batch, "idx")[b] == ints(&batch, "idx")[0];
        }
    }
    assert_true(has_equal);
    xv_loader_close(loader);
    cJSON_Delete(records);
}

static void test_retrieval_eval(void **state)
{
    (void)state;
    cJSON *records = read_json(RETRIEVAL_TEST[0]);
    XvLoaderOptions images = task_options("retrieval", RETRIEVAL_TEST, RETRIEVAL, 1);
    images.mode = XV_LOADER_EVAL;
    XvLoader *loader = open_loader(&images);
    assert_int_equal(xv_loader_records(loader), N);
    XvBatch batch = next_batch(loader);
    for (int b = 0; b < B; b++) {
        const cJSON *record = cJSON_GetArrayItem(records, b);
        assert_picture((const float *)batch_tensor(&batch, "image") + b * 3 * R * R,
                       golden_string(record, "image"));
    }
    xv_loader_close(loader);

    XvValue names[] = {RETRIEVAL[1], RETRIEVAL[2], RETRIEVAL[3]};
    names[0].name = "eval.text_ids";  // the official names
    names[1].name = "eval.text_atts";
    names[2].name = "eval.txt2img";
    XvLoaderOptions texts = task_options("retrieval", RETRIEVAL_TEST, names, 3);
    texts.mode = XV_LOADER_EVAL;
    loader = open_loader(&texts);
    int seen = 0;
    for (const cJSON *record = records->child; record; record = record->next) {
        seen += cJSON_GetArraySize(golden_get(record, "caption"));
    }
    assert_int_equal(xv_loader_records(loader), seen);
    int record = 0, at = 0;
    for (batch = next_batch(loader); !batch.is_end; batch = next_batch(loader)) {
        for (int b = 0; b < batch.valid; b++, at++, seen--) {
            const cJSON *captions = golden_get(cJSON_GetArrayItem(records, record), "caption");
            if (at == cJSON_GetArraySize(captions)) {
                captions = golden_get(cJSON_GetArrayItem(records, ++record), "caption");
                at = 0;
            }
            assert_int_equal(batch.records[b], record);
            assert_int_equal(ints(&batch, "eval.txt2img")[b], record);
            XvError error;
            char *clean = xv_pre_caption(cJSON_GetArrayItem(captions, at)->valuestring, 30, &error);
            assert_ids(ints(&batch, "eval.text_ids") + b * T, T, clean, false);
            free(clean);
        }
    }
    assert_int_equal(seen, 0);
    XvBytes text = {0};
    XvError error;
    assert_true(xv_loader_record(loader, 3, &text, &error));
    cJSON *fourth = cJSON_Parse((const char *)text.data);
    assert_string_equal(golden_string(fourth, "image"),
                        golden_string(cJSON_GetArrayItem(records, 3), "image"));
    cJSON_Delete(fourth);
    xv_bytes_free(&text);
    xv_loader_close(loader);
    cJSON_Delete(records);
}

// ---- NLVR2

static void test_nlvr(void **state)
{
    (void)state;
    static const char *const path[] = {MINI "nlvr.json"};
    static const XvValue inputs[] = {{"image", XV_F32, 4, {2 * B, 3, R, R}, 0},
                                     {"text_ids", XV_I32, 2, {B, T}, 0},
                                     {"text_atts", XV_I32, 2, {B, T}, 0},
                                     {"targets", XV_I32, 1, {B}, 0}};
    cJSON *records = read_json(path[0]);
    XvLoaderOptions options = task_options("nlvr", path, inputs, COUNT(inputs));
    options.mode = XV_LOADER_EVAL;
    options.threads = 2;
    XvLoader *loader = open_loader(&options);
    int targets[2] = {0};
    for (XvBatch batch = next_batch(loader); !batch.is_end; batch = next_batch(loader)) {
        for (int b = 0; b < batch.valid; b++) {
            const cJSON *record = cJSON_GetArrayItem(records, (int)batch.records[b]);
            for (int picture = 0; picture < 2; picture++) {
                const float *image =
                    (const float *)batch_tensor(&batch, "image") + (picture * B + b) * 3 * R * R;
                assert_picture(image, cJSON_GetArrayItem(golden_get(record, "images"), picture)->valuestring);
            }
            assert_text(&batch, b, golden_string(record, "sentence"));
            bool is_true = strcmp(golden_string(record, "label"), "True") == 0;
            assert_int_equal(ints(&batch, "targets")[b], is_true);
            targets[is_true]++;
        }
    }
    assert_int_equal(targets[0] + targets[1], 12);
    assert_true(targets[0] > 0 && targets[1] > 0);
    xv_loader_close(loader);
    cJSON_Delete(records);
}

// ---- VQA

static const XvValue VQA[] = {
    {"image", XV_F32, 4, {B, 3, R, R}, 0},   {"question_ids", XV_I32, 2, {B, T}, 0},
    {"question_atts", XV_I32, 2, {B, T}, 0}, {"answer_ids", XV_I32, 2, {A, L}, 0},
    {"answer_atts", XV_I32, 2, {A, L}, 0},   {"weights", XV_F32, 1, {A}, 0},
    {"answer_question", XV_I32, 1, {A}, 0},  {"k", XV_I32, 1, {B}, 0},
};

// Cleaned questions, different answers in their order, and weights, as the official data set has them.
static void test_vqa_train(void **state)
{
    (void)state;
    static const char *const path[] = {"tests/data/text/vqa_train_items.jsonl"};
    enum { ROWS = 10 };
    static const XvValue inputs[] = {{"question_ids", XV_I32, 2, {1, 40}, 0},
                                     {"answer_ids", XV_I32, 2, {ROWS, 40}, 0},
                                     {"answer_atts", XV_I32, 2, {ROWS, 40}, 0},
                                     {"weights", XV_F32, 1, {ROWS}, 0},
                                     {"k", XV_I32, 1, {1}, 0}};
    GoldenLines lines = golden_lines(path[0]);
    XvLoaderOptions options = task_options("vqa", path, inputs, COUNT(inputs));
    XvLoader *loader = open_loader(&options);
    for (int index = 0; index < lines.count; index++) {
        XvBatch batch = next_batch(loader);
        const cJSON *line = lines.items[batch.records[0]];
        const cJSON *answers = golden_get(line, "answers_out"), *weights = golden_get(line, "weights");
        int count = cJSON_GetArraySize(answers);
        assert_ids(ints(&batch, "question_ids"), 40, golden_string(line, "question_out"), false);
        assert_int_equal(ints(&batch, "k")[0], count);
        for (int i = 0; i < ROWS; i++) {
            double weight = i < count ? cJSON_GetArrayItem(weights, i)->valuedouble : 0;
            assert_true(fabs(((const float *)batch_tensor(&batch, "weights"))[i] - weight) < 1e-6);
            if (i < count) {  // the official text ends with [SEP], which the tokenizer knows
                assert_ids(ints(&batch, "answer_ids") + 40 * i, 40,
                           cJSON_GetArrayItem(answers, i)->valuestring, false);
            } else {
                assert_int_equal(ints(&batch, "answer_ids")[40 * i], 101);
                assert_int_equal(ints(&batch, "answer_ids")[40 * i + 1], 102);
                assert_int_equal(ints(&batch, "answer_atts")[40 * i + 2], 0);
            }
        }
    }
    xv_loader_close(loader);
    golden_lines_free(&lines);
}

static void test_vqa_batch(void **state)
{
    (void)state;
    static const char *const path[] = {MINI "vqa_train.json"};
    XvLoaderOptions options = task_options("vqa", path, VQA, COUNT(VQA));
    options.threads = 2;
    XvLoader *loader = open_loader(&options);
    for (int index = 0; index < 6; index++) {
        XvBatch batch = next_batch(loader);
        const float *weights = batch_tensor(&batch, "weights");
        double sums[B] = {0};
        int counts[B] = {0}, last = 0;
        for (int row = 0; row < A; row++) {
            int question = ints(&batch, "answer_question")[row];
            assert_in_range(question, 0, B - 1);
            assert_true(weights[row] <= 0 || question >= last);
            last = weights[row] > 0 ? question : last;
            counts[question] += weights[row] > 0;
            sums[question] += weights[row];
        }
        for (int b = 0; b < B; b++) {
            assert_int_equal(counts[b], ints(&batch, "k")[b]);
            assert_true(fabs(sums[b] - 1) < 1e-5);
        }
    }
    xv_loader_close(loader);

    // Fewer rows than answers: the heaviest are kept.
    XvValue few[] = {{"weights", XV_F32, 1, {1}, 0},
                     {"k", XV_I32, 1, {B}, 0},
                     {"answer_question", XV_I32, 1, {1}, 0},
                     {"answer_ids", XV_I32, 2, {1, L}, 0}};
    options = task_options("vqa", path, few, COUNT(few));
    loader = open_loader(&options);
    XvBatch batch = next_batch(loader);
    int question = ints(&batch, "answer_question")[0];
    assert_true(((const float *)batch_tensor(&batch, "weights"))[0] >= 0.5f);
    for (int b = 0; b < B; b++) {
        assert_int_equal(ints(&batch, "k")[b], b == question);
    }
    xv_loader_close(loader);
}

static void test_vqa_eval(void **state)
{
    (void)state;
    static const char *const path[] = {MINI "vqa_test.json"}, *const list[] = {MINI "vqa_answer_list.json"};
    XvLoaderOptions options = task_options("vqa", path, VQA, COUNT(VQA));
    options.mode = XV_LOADER_EVAL;
    XvLoader *loader = open_loader(&options);
    XvBatch batch = next_batch(loader);
    assert_int_equal(batch.valid, B);
    assert_int_equal(ints(&batch, "k")[0], 0);
    xv_loader_close(loader);

    static const XvValue answers[] = {{"answer_ids", XV_I32, 2, {A, L}, 0},
                                      {"answer_atts", XV_I32, 2, {A, L}, 0}};
    cJSON *texts = read_json(list[0]);
    options = task_options("vqa_answers", list, answers, COUNT(answers));
    options.mode = XV_LOADER_EVAL;
    loader = open_loader(&options);
    assert_int_equal(xv_loader_records(loader), cJSON_GetArraySize(texts));
    int at = 0;
    for (batch = next_batch(loader); !batch.is_end; batch = next_batch(loader)) {
        for (int row = 0; row < batch.valid; row++, at++) {
            assert_int_equal(batch.records[row], at);
            assert_ids(ints(&batch, "answer_ids") + row * L, L, cJSON_GetArrayItem(texts, at)->valuestring,
                       true);
        }
    }
    assert_int_equal(at, cJSON_GetArraySize(texts));
    xv_loader_close(loader);
    cJSON_Delete(texts);
}

// ---- grounding

static const char *const GROUNDING[] = {MINI "grounding.json"};

static const XvValue BOXES[] = {{"image", XV_F32, 4, {B, 3, R, R}, 0},
                                {"text_ids", XV_I32, 2, {B, T}, 0},
                                {"text_atts", XV_I32, 2, {B, T}, 0},
                                {"target_bbox", XV_F32, 2, {B, 4}, 0}};

static void test_grounding_eval(void **state)
{
    (void)state;
    cJSON *records = read_json(GROUNDING[0]), *boxes = read_json(MINI "grounding_boxes.json");
    XvLoaderOptions options = task_options("grounding_bbox", GROUNDING, BOXES, COUNT(BOXES));
    options.references = MINI "grounding_boxes.json";
    options.mode = XV_LOADER_EVAL;
    XvLoader *loader = open_loader(&options);
    const XvReferences *references = xv_loader_references(loader);
    assert_int_equal(xv_references_count(references), cJSON_GetArraySize(boxes));
    for (XvBatch batch = next_batch(loader); !batch.is_end; batch = next_batch(loader)) {
        for (int b = 0; b < batch.valid; b++) {
            const cJSON *record = cJSON_GetArrayItem(records, (int)batch.records[b]);
            const XvReference *reference = xv_references_find(references, golden_int(record, "ref_id"));
            const float *target = (const float *)batch_tensor(&batch, "target_bbox") + 4 * b;
            const double *box = reference->box;
            assert_true(fabs(target[0] - (box[0] + box[2] / 2) / reference->width) < 1e-5);
            assert_true(fabs(target[1] - (box[1] + box[3] / 2) / reference->height) < 1e-5);
            assert_true(fabs(target[2] - box[2] / reference->width) < 1e-5);
            assert_true(fabs(target[3] - box[3] / reference->height) < 1e-5);
            const float *image = (const float *)batch_tensor(&batch, "image") + b * 3 * R * R;
            assert_picture(image, golden_string(record, "image"));
            assert_text(&batch, b, golden_string(record, "text"));
        }
    }
    assert_null(xv_references_find(references, 100000));
    xv_loader_close(loader);
    cJSON_Delete(records);
    cJSON_Delete(boxes);
}

// A record's own box counts (VLUE). The picture is white inside the box and black around it, so whatever the crop and
// the flip, the white part of what comes out is the target.
static void test_grounding_train(void **state)
{
    (void)state;
    char *folder = golden_folder();
    char path[4096], text[8192];
    const char *here = realpath("tests/data/boxes/white_box.png", NULL);
    assert_non_null(here);
    snprintf(
        text, sizeof text,
        "[{\"image\": \"%s\", \"text\": \"white on the left\", \"ref_id\": 1, \"bbox\": [20, 30, 40, 50.0]},\n"
        " {\"image\": \"%s\", \"text\": \"white thing\", \"ref_id\": 2, \"bbox\": [20, 30, 40, 50]}]",
        here, here);
    snprintf(path, sizeof path, "%s/boxes.json", folder);
    golden_write(path, text);
    const char *paths[] = {path};
    XvLoaderOptions options = task_options("grounding_bbox", paths, BOXES, COUNT(BOXES));
    options.augment.n_ops = 0;
    XvLoader *loader = open_loader(&options);
    int sides[2][2] = {{0}};  // by record: the box left of the middle, or right of it
    for (int index = 0; index < 40; index++) {
        XvBatch batch = next_batch(loader);
        for (int b = 0; b < B; b++) {
            const float *pixels = (const float *)batch_tensor(&batch, "image") + b * 3 * R * R;
            const float *target = (const float *)batch_tensor(&batch, "target_bbox") + 4 * b;
            int left = R, right = -1, top = R, bottom = -1;
            for (int i = 0; i < R * R; i++) {
                if (pixels[i] > 0.2f) {  // halfway between black and white
                    left = i % R < left ? i % R : left;
                    right = i % R > right ? i % R : right;
                    top = i / R < top ? i / R : top;
                    bottom = i / R > bottom ? i / R : bottom;
                }
            }
            assert_true(fabs((double)target[0] * R - (left + right + 1) / 2.0) <= 1);
            assert_true(fabs((double)target[1] * R - (top + bottom + 1) / 2.0) <= 1);
            assert_true(fabs((double)target[2] * R - (right + 1 - left)) <= 1.5);
            assert_true(fabs((double)target[3] * R - (bottom + 1 - top)) <= 1.5);
            sides[batch.records[b]][target[0] > 0.6f]++;
        }
    }
    assert_true(sides[0][0] > 40 && sides[1][1] > sides[0][1] + 5);  // only the second may be mirrored
    xv_loader_close(loader);
    golden_remove(folder);
    free(folder);
    free((void *)(uintptr_t)here);
}

static void test_grounding_weak(void **state)
{
    (void)state;
    XvLoaderOptions options = task_options("grounding_weak", GROUNDING, RETRIEVAL, COUNT(RETRIEVAL));
    options.mode = XV_LOADER_EVAL;
    cJSON *records = read_json(GROUNDING[0]);
    XvLoader *loader = open_loader(&options);
    XvBatch batch = next_batch(loader);
    const char *first = golden_string(records->child, "image");
    for (int b = 0; b < B; b++) {
        const cJSON *record = cJSON_GetArrayItem(records, b);
        assert_text(&batch, b, golden_string(record, "text"));
        assert_int_equal(ints(&batch, "idx")[b] == 0, strcmp(golden_string(record, "image"), first) == 0);
    }
    xv_loader_close(loader);
    cJSON_Delete(records);
}

// ---- captioning

static void test_captioning(void **state)
{
    (void)state;
    static const XvValue inputs[] = {{"image", XV_F32, 4, {B, 3, R, R}, 0},
                                     {"text_ids", XV_I32, 2, {B, T}, 0},
                                     {"text_atts", XV_I32, 2, {B, T}, 0},
                                     {"prompt_ids", XV_I32, 2, {B, P}, 0}};
    cJSON *records = read_json(RETRIEVAL_TRAIN[0]);  // the layout is the same
    XvLoaderOptions options = task_options("captions", RETRIEVAL_TRAIN, inputs, COUNT(inputs));
    options.prompt = "a picture of ";
    XvLoader *loader = open_loader(&options);
    static const int32_t prompt[P] = {101, 1037, 3861, 1997};
    for (int index = 0; index < 6; index++) {
        XvBatch batch = next_batch(loader);
        for (int b = 0; b < B; b++) {
            XvError error;
            char text[1024];
            const cJSON *record = cJSON_GetArrayItem(records, (int)batch.records[b]);
            char *clean = xv_pre_caption(golden_string(record, "caption"), 40, &error);
            snprintf(text, sizeof text, "a picture of %s", clean);
            assert_ids(ints(&batch, "text_ids") + b * T, T, text, true);
            assert_memory_equal(ints(&batch, "prompt_ids") + b * P, prompt, sizeof prompt);
            free(clean);
        }
    }
    xv_loader_close(loader);

    static const char *const test[] = {MINI "caption_test.json"};  // has no captions: they are not asked for
    static const XvValue images[] = {{"image", XV_F32, 4, {B, 3, R, R}, 0},
                                     {"prompt_ids", XV_I32, 2, {B, P}, 0}};
    options = task_options("captions", test, images, COUNT(images));
    options.prompt = "a picture of ";
    options.mode = XV_LOADER_EVAL;
    loader = open_loader(&options);
    assert_int_equal(next_batch(loader).valid, B);
    xv_loader_close(loader);
    options.prompt = "a photo";
    XvError error = {""};
    assert_null(xv_loader_open(&options, &error));
    assert_non_null(strstr(error.text, "prompt_ids"));
    cJSON_Delete(records);
}

static void test_scst(void **state)
{
    (void)state;
    static const XvValue inputs[] = {{"sample_tokens", XV_I32, 2, {B, 7}, 0},
                                     {"image", XV_F32, 4, {B, 3, R, R}, 0}};
    cJSON *records = read_json(RETRIEVAL_TRAIN[0]);
    XvLoaderOptions options = task_options("self_critical", RETRIEVAL_TRAIN, inputs, COUNT(inputs));
    options.threads = 2;
    XvLoader *loader = open_loader(&options);
    assert_int_equal(xv_loader_records(loader), 10);  // pictures
    for (int index = 0; index < 5; index++) {
        XvBatch batch = next_batch(loader);
        assert_int_equal(batch.n_tensors, 1);  // the tokens are somebody else's
        for (int b = 0; b < B; b++) {
            int first = (int)batch.records[b], seen = 0;
            assert_int_equal(first % 5, 0);
            for (int k = 0; k < XV_REFERENCES; k++) {
                const char *found = batch.references[b * XV_REFERENCES + k];
                for (int i = 0; i < 5; i++) {
                    XvError error;
                    const cJSON *record = cJSON_GetArrayItem(records, first + i);
                    char *clean = xv_pre_caption(golden_string(record, "caption"), 40, &error);
                    if (found && strcmp(clean, found) == 0) {
                        seen |= 1 << i;
                    }
                    free(clean);
                }
            }
            assert_int_equal(seen, 31);  // all five, each once
        }
    }
    xv_loader_close(loader);
    cJSON_Delete(records);
}

// ---- domain pre-training

static void test_captioning_pretrain(void **state)
{
    (void)state;
    XvLoaderOptions options = pair_options();
    options.kind = "caption_pretrain";
    options.inputs = PAIR_INPUTS;
    options.n_inputs = 3;
    options.mode = XV_LOADER_EVAL;
    XvLoader *loader = open_loader(&options);
    XvBatch batch = next_batch(loader);
    for (int b = 0; b < B; b++) {
        const int32_t *ids = ints(&batch, "text_ids") + b * T, *atts = ints(&batch, "text_atts") + b * T;
        int count = 0;
        while (count < T && atts[count]) {
            count++;
        }
        assert_int_equal(ids[0], 101);
        assert_int_equal(ids[count - 1], 102);
    }
    xv_loader_close(loader);
    XvError error = {""};
    options.n_inputs = 4;  // masks
    assert_null(xv_loader_open(&options, &error));
    assert_non_null(strstr(error.text, "text_ids_masked"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retrieval_train),
        cmocka_unit_test(test_retrieval_eval),
        cmocka_unit_test(test_nlvr),
        cmocka_unit_test(test_vqa_train),
        cmocka_unit_test(test_vqa_batch),
        cmocka_unit_test(test_vqa_eval),
        cmocka_unit_test(test_grounding_eval),
        cmocka_unit_test(test_grounding_train),
        cmocka_unit_test(test_grounding_weak),
        cmocka_unit_test(test_captioning),
        cmocka_unit_test(test_scst),
        cmocka_unit_test(test_captioning_pretrain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
