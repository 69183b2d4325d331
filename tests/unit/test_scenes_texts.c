// The texts of `xvlm scenes`: the vocabulary covers them, they are true, and their wording gives nothing
// away.
//
// Runs the toolbox and judges what it leaves; see scenes_set.h.
#include "tests/unit/scenes_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_TOKENS = 16 };

// ---- vocabulary: a WordPiece of its own

typedef struct Vocabulary {
    char *text;
    const char *entries[512];
    int n_entries;
} Vocabulary;

static Vocabulary load_vocabulary(const SceneSet *set)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/main/vocab.txt", set->folder);
    Vocabulary vocabulary = {.text = scene_set_read(path, NULL)};
    char *position = NULL;
    for (char *line = strtok_r(vocabulary.text, "\n", &position); line;
         line = strtok_r(NULL, "\n", &position)) {
        assert_true(vocabulary.n_entries < 512);
        vocabulary.entries[vocabulary.n_entries++] = line;
    }
    return vocabulary;
}

static bool has_entry(const Vocabulary *vocabulary, const char *entry)
{
    for (int i = 0; i < vocabulary->n_entries; i++) {
        if (strcmp(vocabulary->entries[i], entry) == 0) {
            return true;
        }
    }
    return false;
}

// Tokens of one word by greedy longest match, or -1 for [UNK].
static int pieces_of(const Vocabulary *vocabulary, const char *word)
{
    int n_pieces = 0;
    size_t length = strlen(word), at = 0;
    while (at < length) {
        size_t end = length;
        char piece[80];
        do {
            snprintf(piece, sizeof piece, "%s%.*s", at > 0 ? "##" : "", (int)(end - at), word + at);
        } while (!has_entry(vocabulary, piece) && --end > at);
        if (end == at) {
            return -1;
        }
        at = end;
        n_pieces++;
    }
    return n_pieces;
}

static int tokens_of(const Vocabulary *vocabulary, const char *text)
{
    char copy[512];
    int n_tokens = 0;
    size_t length = 0;
    for (const char *at = text; *at; at++) {
        copy[length++] = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : strchr(".,?", *at) ? ' ' : *at);
    }
    copy[length] = '\0';
    char *position = NULL;
    for (char *word = strtok_r(copy, " ", &position); word; word = strtok_r(NULL, " ", &position)) {
        int pieces = pieces_of(vocabulary, word);
        if (pieces < 0) {
            fail_msg("\"%s\" in \"%s\" is unknown", word, text);
        }
        n_tokens += pieces;
    }
    return n_tokens;
}

// Every text below a key of every record; returns the longest in tokens.
static int longest_text(const Vocabulary *vocabulary, const cJSON *item, const char *key)
{
    int longest = 0;
    const cJSON *child;
    bool is_meant = item->string && strcmp(item->string, key) == 0;
    if (is_meant && cJSON_IsString(item)) {
        return tokens_of(vocabulary, item->valuestring);
    }
    cJSON_ArrayForEach(child, item)
    {
        bool is_listed = is_meant && cJSON_IsString(child);
        int length =
            is_listed ? tokens_of(vocabulary, child->valuestring) : longest_text(vocabulary, child, key);
        longest = length > longest ? length : longest;
    }
    return longest;
}

static void test_vocabulary_covers_all_texts(void **state)
{
    static const char *const TEXTS[][2] = {
        {"*_images.jsonl", "caption"},   {"*_regions.jsonl", "caption"}, {"*_regions.jsonl", "attributes"},
        {"retrieval_*.json", "caption"}, {"vqa_*.json", "question"},     {"vqa_*.json", "answer"},
        {"nlvr_*.json", "sentence"},     {"grounding_*.json", "text"},
    };
    const SceneSet *set = *state;
    Vocabulary vocabulary = load_vocabulary(set);
    static const char *const FIRST[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (int i = 0; i < 5; i++) {
        assert_string_equal(vocabulary.entries[i], FIRST[i]);
    }
    for (int i = 0; i < vocabulary.n_entries; i++) {
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(vocabulary.entries[i], vocabulary.entries[j]);
        }
    }
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        for (int split = 0; split < 3; split++) {
            cJSON *records = scene_set_load_split(set, TEXTS[i][0], split);
            int longest = longest_text(&vocabulary, records, TEXTS[i][1]);
            assert_in_range(longest, 1, MAX_TOKENS - 1);
            cJSON_Delete(records);
        }
    }
    free(vocabulary.text);
}

static void test_left_and_right_are_rare_in_captions(void **state)
{
    const SceneSet *set = *state;
    int n_captions = 0, n_sided = 0;
    cJSON *records = scene_set_load(set, "train_images.jsonl");
    const cJSON *record, *caption;
    cJSON_ArrayForEach(record, records)
    {
        cJSON_ArrayForEach(caption, cJSON_GetObjectItem(record, "caption"))
        {
            n_captions++;
            n_sided += strstr(caption->valuestring, "left") || strstr(caption->valuestring, "right");
        }
    }
    cJSON_Delete(records);
    assert_in_range(n_sided, 0, n_captions / 10);
    cJSON_ArrayForEach(record, set->regions[0])
    {
        assert_null(strstr(scene_text(record, "caption"), "left"));
        assert_null(strstr(scene_text(record, "caption"), "right"));
    }
}

// ---- truth of the texts

static void test_answers_are_listed_and_balanced(void **state)
{
    const SceneSet *set = *state;
    cJSON *list = scene_set_load(set, "answer_list.json"), *records = scene_set_load(set, "vqa_test.json");
    int n_yes = 0, n_no = 0;
    const cJSON *record, *listed;
    cJSON_ArrayForEach(record, records)
    {
        const char *answer = scene_text(record, "answer");
        bool is_listed = false;
        cJSON_ArrayForEach(listed, list)
        {
            is_listed |= strcmp(listed->valuestring, answer) == 0;
        }
        assert_true(is_listed);
        n_yes += strcmp(answer, "yes") == 0;
        n_no += strcmp(answer, "no") == 0;
    }
    assert_int_equal(n_yes, N_TEST);
    assert_int_equal(n_no, N_TEST);
    cJSON_Delete(list);
    cJSON_Delete(records);
}

static void assert_question_true(const cJSON *truth, const char *question, const char *answer, int *n_checked)
{
    char colour[32], shape[32], other_colour[32], other_shape[32], relation[16];
    if (sscanf(question, "How many %31s", shape) == 1 && strstr(question, "objects") == NULL) {
        size_t length = strlen(shape);
        shape[strcmp(shape, "crosses") == 0 ? length - 2 : length - 1] = '\0';
        assert_int_equal(scene_count_objects(truth, shape, NULL), atoi(answer));
        ++*n_checked;
    } else if (strncmp(question, "How many objects", 16) == 0) {
        assert_int_equal(scene_count_objects(truth, NULL, NULL), atoi(answer));
        ++*n_checked;
    } else if (sscanf(question, "Is there a%*[n ] %31s %31[a-z]?", colour, shape) == 2) {
        assert_int_equal(scene_count_objects(truth, shape, colour) > 0, strcmp(answer, "yes") == 0);
        ++*n_checked;
    } else if (sscanf(question, "Is the %31s %31s %15s the %31s %31[a-z]?", colour, shape, relation,
                      other_colour, other_shape) == 5 &&
               (strcmp(relation, "above") == 0 || strcmp(relation, "below") == 0)) {
        const cJSON *a = scene_find_object(truth, colour, shape),
                    *b = scene_find_object(truth, other_colour, other_shape);
        assert_true(a && b);
        bool is_above = scene_centre(a, 1) < scene_centre(b, 1);
        assert_int_equal(is_above == (strcmp(relation, "above") == 0), strcmp(answer, "yes") == 0);
        ++*n_checked;
    } else if (sscanf(question, "What size is the %31s %31[a-z]?", colour, shape) == 2) {
        assert_int_equal(scene_is_large(scene_find_object(truth, colour, shape)),
                         strcmp(answer, "large") == 0);
        ++*n_checked;
    }
}

static void test_answers_are_true(void **state)
{
    const SceneSet *set = *state;
    cJSON *records = scene_set_load(set, "vqa_test.json");
    int n_checked = 0;
    const cJSON *record;
    cJSON_ArrayForEach(record, records)
    {
        const cJSON *truth = scene_truth(set, scene_text(record, "image"));
        assert_question_true(truth, scene_text(record, "question"), scene_text(record, "answer"), &n_checked);
    }
    assert_true(n_checked > N_TEST);
    cJSON_Delete(records);
}

// The statement's truth where its form is one of three that are easy to judge, else -1.
static int judge(const char *sentence, const cJSON *pictures[2])
{
    char side[8], colour[32], shape[32];
    if (sscanf(sentence, "The %7s image contains a%*[n ] %31s %31[a-z].", side, colour, shape) == 3 ||
        sscanf(sentence, "There is a%*[n ] %31s %31s in the %7s image.", colour, shape, side) == 3) {
        bool is_object = strcmp(shape, "object") == 0;
        return scene_count_objects(pictures[side[0] == 'r'], is_object ? NULL : shape, colour) > 0;
    }
    if (sscanf(sentence, "The %7s image has %31s objects", side, colour) == 2) {
        int difference =
            scene_count_objects(pictures[0], NULL, NULL) - scene_count_objects(pictures[1], NULL, NULL);
        bool left_has_more = (side[0] == 'l') == (strcmp(colour, "more") == 0);
        return left_has_more ? difference > 0 : difference < 0;
    }
    if (sscanf(sentence, "Neither image contains a%*[n ] %31s %31[a-z].", colour, shape) == 2) {
        const char *asked = strcmp(shape, "object") == 0 ? NULL : shape;
        return scene_count_objects(pictures[0], asked, colour) +
                   scene_count_objects(pictures[1], asked, colour) ==
               0;
    }
    return -1;
}

static void test_statements_are_true_and_balanced(void **state)
{
    const SceneSet *set = *state;
    cJSON *records = scene_set_load(set, "nlvr_train.json");
    int n_true = 0, n_judged = 0, n_both = 0, n_both_true = 0;
    const cJSON *record;
    cJSON_ArrayForEach(record, records)
    {
        const cJSON *images = cJSON_GetObjectItem(record, "images");
        const cJSON *pictures[2];
        for (int i = 0; i < 2; i++) {
            pictures[i] = scene_truth(set, cJSON_GetStringValue(cJSON_GetArrayItem(images, i)));
        }
        assert_ptr_not_equal(pictures[0], pictures[1]);
        bool is_true = strcmp(scene_text(record, "label"), "True") == 0;
        assert_true(is_true || strcmp(scene_text(record, "label"), "False") == 0);
        int judged = judge(scene_text(record, "sentence"), pictures);
        if (judged >= 0 && judged != is_true) {
            fail_msg("%s is not %s", scene_text(record, "sentence"), scene_text(record, "label"));
        }
        n_judged += judged >= 0;
        n_true += is_true;
        bool says_both = strncmp(scene_text(record, "sentence"), "Both", 4) == 0;
        n_both += says_both;
        n_both_true += says_both && is_true;
    }
    assert_int_equal(2 * n_true, cJSON_GetArraySize(records));
    assert_true(n_judged > N_TRAIN);
    assert_true(n_both > 10);
    assert_in_range(n_both_true, n_both / 4,
                    n_both - n_both / 4);  // the wording must not give the truth away
    cJSON_Delete(records);
}

static const cJSON *box_of(const cJSON *boxes, int ref_id)
{
    const cJSON *box;
    cJSON_ArrayForEach(box, boxes)
    {
        if (cJSON_GetObjectItem(box, "ref_id")->valueint == ref_id) {
            return box;
        }
    }
    fail_msg("no box for ref_id %d", ref_id);
    return NULL;
}

static void test_expressions_point_at_their_boxes(void **state)
{
    const SceneSet *set = *state;
    cJSON *records = scene_set_load(set, "grounding_test.json"),
          *boxes = scene_set_load(set, "grounding_boxes.json");
    int n_checked = 0, n_sides[2] = {0, 0};
    const cJSON *record;
    cJSON_ArrayForEach(record, records)
    {
        const cJSON *box = box_of(boxes, cJSON_GetObjectItem(record, "ref_id")->valueint);
        assert_string_equal(scene_text(box, "file_name"), scene_text(record, "image"));
        assert_int_equal(strncmp(scene_text(box, "split"), "test", 4), 0);
        n_sides[scene_text(box, "split")[4] == 'B']++;
        const char *text = scene_text(record, "text");
        text += strncmp(text, "the ", 4) == 0 ? 4 : 0;
        char colour[32], shape[32], rest[8] = "";
        const cJSON *truth = scene_truth(set, scene_text(record, "image"));
        if (sscanf(text, "%31s %31s %7s", colour, shape, rest) != 2 ||
            !scene_find_object(truth, colour, shape)) {
            continue;
        }
        const cJSON *found = scene_find_object(truth, colour, shape);
        assert_true(cJSON_Compare(cJSON_GetObjectItem(found, "bb"), cJSON_GetObjectItem(box, "bbox"), true));
        n_checked++;
    }
    assert_true(n_checked > N_TEST / 2);
    assert_true(n_sides[0] > N_TEST && n_sides[1] > N_TEST);
    cJSON_Delete(records);
    cJSON_Delete(boxes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vocabulary_covers_all_texts),
        cmocka_unit_test(test_left_and_right_are_rare_in_captions),
        cmocka_unit_test(test_answers_are_listed_and_balanced),
        cmocka_unit_test(test_answers_are_true),
        cmocka_unit_test(test_statements_are_true_and_balanced),
        cmocka_unit_test(test_expressions_point_at_their_boxes),
    };
    return cmocka_run_group_tests(tests, scene_set_make, scene_set_drop);
}
