// Configuration: the official files as they are (tests/data/configs), cases with other keys around, --set,
// messages.
#include "compiler/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Session {
    Arena *arena;
    Diag diag;
    ParseContext context;
    Config *config;
    char *messages;
    size_t n_messages;
    char folder[64];  // for files that a test writes
} Session;

static int set_up(void **state)
{
    Session *session = calloc(1, sizeof *session);
    assert_non_null(session);
    session->arena = arena_new();
    session->diag.stream = open_memstream(&session->messages, &session->n_messages);
    session->context = (ParseContext){session->arena, interner_new(session->arena), &session->diag};
    session->config = config_new(&session->context);
    snprintf(session->folder, sizeof session->folder, "%s/test_config_XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(session->folder));
    *state = session;
    return 0;
}

static int tear_down(void **state)
{
    Session *session = *state;
    rmdir(session->folder);
    fclose(session->diag.stream);
    free(session->messages);
    arena_free(session->arena);
    free(session);
    return 0;
}

static const char *messages(Session *session)
{
    fflush(session->diag.stream);
    return session->messages;
}

// Reads `text` as a configuration file of the given name.
static bool read_text(Session *session, const char *name, const char *text)
{
    const char *path = arena_format(session->arena, "%s/%s", session->folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
    bool is_good = config_read(session->config, path);
    unlink(path);
    return is_good;
}

static const ConfigValue *value_at(Session *session, const char *path)
{
    const ConfigEntry *entry = config_find(session->config, path);
    if (!entry) {
        fail_msg("no entry %s", path);
    }
    return &entry->value;
}

static void check_int(Session *session, const char *path, int64_t expected)
{
    assert_int_equal(value_at(session, path)->kind, CONFIG_INT);
    assert_int_equal(value_at(session, path)->integer, expected);
}

static void check_float(Session *session, const char *path, double expected)
{
    assert_int_equal(value_at(session, path)->kind, CONFIG_FLOAT);
    assert_true(value_at(session, path)->number == expected);
}

static void check_bool(Session *session, const char *path, bool expected)
{
    assert_int_equal(value_at(session, path)->kind, CONFIG_BOOL);
    assert_int_equal(value_at(session, path)->truth, expected);
}

static void check_text(Session *session, const char *path, const char *expected)
{
    assert_int_equal(value_at(session, path)->kind, CONFIG_STRING);
    assert_string_equal(value_at(session, path)->text, expected);
}

// Official files --------------------------------------------------------------------------------------------

// What each official recipe says; the number of entries includes those of the two model configurations.
static const struct {
    const char *name;
    int n_entries;
    int64_t image_res, window_size, epochs;  // 0: the recipe counts steps
    double lr;
    const char *batch;  // path of a batch size
    int64_t batch_size;
} RECIPES[] = {
    {"Captioning.yaml", 54, 384, 12, 5, 1e-5, "batch_size_train", 32},
    {"Captioning_pretrain_O1.yaml", 61, 224, 7, 2, 3e-5, "images.batch_size", 128},
    {"Captioning_scst.yaml", 58, 384, 12, 0, 1e-5, "batch_size_train", 8},
    {"Grounding.yaml", 49, 384, 12, 5, 2e-5, "batch_size", 20},
    {"Grounding_bbox.yaml", 46, 384, 12, 10, 3e-5, "batch_size", 20},
    {"Grounding_bbox_pretrain_O1.yaml", 69, 224, 7, 2, 3e-5, "regions.batch_size", 24},
    {"NLVR.yaml", 43, 384, 12, 10, 3e-5, "batch_size", 10},
    {"Pretrain_XVLM_base_16m.yaml", 76, 224, 7, 38, 1e-4, "images.batch_size", 128},
    {"Pretrain_XVLM_base_4m.yaml", 76, 224, 7, 41, 1e-4, "regions.batch_size", 128},
    {"Retrieval_coco.yaml", 49, 384, 12, 10, 3e-5, "batch_size_test_text", 64},
    {"Retrieval_flickr.yaml", 49, 384, 12, 10, 3e-5, "batch_size_train", 20},
    {"VQA.yaml", 49, 384, 12, 10, 5e-5, "batch_size_train", 24},
    {"VQA_480.yaml", 49, 480, 15, 10, 5e-5, "batch_size_test", 32},
};

static void test_recipes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof RECIPES / sizeof *RECIPES; i++) {
        void *inner;
        set_up(&inner);
        Session *session = inner;
        const char *path = arena_format(session->arena, "tests/data/configs/%s", RECIPES[i].name);
        assert_true(config_read(session->config, path));
        assert_string_equal(messages(session), "");
        assert_int_equal(session->config->entries->n_entries, RECIPES[i].n_entries);
        check_int(session, "image_res", RECIPES[i].image_res);
        check_int(session, "vision_config.image_res", RECIPES[i].image_res);
        check_int(session, "vision_config.window_size", RECIPES[i].window_size);
        check_int(session, "text_config.vocab_size", 30522);
        check_float(session, "text_config.layer_norm_eps", 1e-12);
        check_bool(session, "use_swin", true);
        check_bool(session, "use_roberta", false);
        check_text(session, "optimizer.opt", "adamW");
        check_float(session, "optimizer.lr", RECIPES[i].lr);
        check_float(session, "schedular.lr", RECIPES[i].lr);
        if (RECIPES[i].epochs > 0) {
            check_int(session, "schedular.epochs", RECIPES[i].epochs);
        } else {
            check_int(session, "schedular.num_training_steps", 44275);
        }
        check_int(session, RECIPES[i].batch, RECIPES[i].batch_size);
        assert_null(config_find(session->config, "vision_config"));
        tear_down(&inner);
    }
}

static void test_all_official_files(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob("tests/data/configs/*.yaml", 0, NULL, &files), 0);
    assert_int_equal(glob("tests/data/configs/*.json", GLOB_APPEND, NULL, &files), 0);
    assert_int_equal(files.gl_pathc, 19);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        void *inner;
        set_up(&inner);
        Session *session = inner;
        assert_true(config_read(session->config, files.gl_pathv[i]));
        assert_string_equal(messages(session), "");
        assert_true(session->config->entries->n_entries >= 7);
        tear_down(&inner);
    }
    globfree(&files);
}

static void test_values(void **state)
{
    Session *session = *state;
    assert_true(config_read(session->config, "tests/data/configs/Pretrain_XVLM_base_4m.yaml"));
    const ConfigValue *files = value_at(session, "train_file");
    assert_int_equal(files->kind, CONFIG_LIST);
    assert_int_equal(files->n_items, 4);
    assert_string_equal(files->items[3].text, "hdfs://path/to/cc3m");
    check_float(session, "regions.iter_perc", 0.5);
    check_bool(session, "images.is_image_rpath", false);
    check_bool(session, "accelerator.SYNCBN", false);
    check_text(session, "accelerator.FP16_OPT_LEVEL", "O1");
    check_float(session, "accelerator.CLIP_GRAD_NORM", 1.0);
    check_int(session, "schedular.num_warmup_steps", 2500);
    const ConfigEntry *rate = config_find(session->config, "optimizer.lr");
    assert_string_equal(rate->origin, "tests/data/configs/Pretrain_XVLM_base_4m.yaml:69");
    assert_int_equal(rate->key.end - rate->key.begin, 2);
    assert_memory_equal(rate->value.span.source->text + rate->value.span.begin, "1e-4,", 5);
    assert_string_equal(config_find(session->config, "vision_config.depths")->origin,
                        "tests/data/configs/config_swinB_224.json:7");
    const ConfigValue *depths = value_at(session, "vision_config.depths");
    assert_int_equal(depths->n_items, 4);
    assert_int_equal(depths->items[2].integer, 18);
    assert_memory_equal(depths->span.source->text + depths->span.begin, "[ 2, 2, 18, 2 ],", 16);
}

static void test_order(void **state)
{
    Session *session = *state;
    assert_true(read_text(session, "a.yaml", "b: 1\na: {d: 2, c: 3}\ne: 4\n"));
    assert_true(config_set(session->config, "a.d=5"));
    assert_true(config_set(session->config, "f=6"));
    static const char *const order[] = {"b", "a.d", "a.c", "e", "f"};
    assert_int_equal(session->config->entries->n_entries, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(session->config->entries->entries[i].key, order[i]);
    }
    check_int(session, "a.d", 5);
    assert_string_equal(config_find(session->config, "a.d")->origin, "--set a.d=5");
}

// Forms -----------------------------------------------------------------------------------------------------

static void test_case_file(void **state)
{
    Session *session = *state;
    assert_true(
        read_text(session, "config.json",
                  "{\n \"case\": \"x\", \"many\": [{\"a\": 1}, [[{}]]], \"seed\": 7,\n"
                  " \"config\": {\"image_res\": 128, \"temp\": 0.07, \"use_swin\": true, \"note\": null},\n"
                  " \"text_config\": {\"hidden_size\":64,\"hidden_act\":\"gelu\"}, \"vision_config\": "
                  "{\"depths\": [2, 2]}\n}\n"));
    assert_string_equal(messages(session), "");
    assert_int_equal(session->config->entries->n_entries, 9);
    check_int(session, "image_res", 128);
    check_float(session, "temp", 0.07);
    check_bool(session, "use_swin", true);
    assert_int_equal(value_at(session, "note")->kind, CONFIG_NONE);
    check_int(session, "text_config.hidden_size", 64);
    check_text(session, "text_config.hidden_act", "gelu");
    assert_int_equal(value_at(session, "vision_config.depths")->n_items, 2);
    assert_false(config_find(session->config, "image_res")->is_optional);
    assert_null(config_find(session->config, "many"));
    check_int(session, "seed", 7);
    assert_true(config_find(session->config, "seed")->is_optional);
}

static void test_scalars(void **state)
{
    Session *session = *state;
    assert_true(read_text(
        session, "a.yaml",
        "int: -12\nplus: +3\nfloat: 1e-4\npoint: .5\nend: 5.\nbig: 1E+3\n"
        "yes: yes\nversion: 1.2.3\nquoted: '1e-4'\ndouble: \"a\\tb \\u00e9\"\n"
        "nothing:\ntilde: ~\nTrue: True\nno: false\nwords: a b  # not this\nminus: 1-2\nexp: 1e\n"));
    assert_string_equal(messages(session), "");
    check_int(session, "int", -12);
    check_int(session, "plus", 3);
    check_float(session, "float", 1e-4);
    check_float(session, "point", 0.5);
    check_float(session, "end", 5.0);
    check_float(session, "big", 1000.0);
    check_text(session, "yes", "yes");
    check_text(session, "version", "1.2.3");
    check_text(session, "quoted", "1e-4");
    check_text(session, "double", "a\tb \xC3\xA9");
    assert_int_equal(value_at(session, "nothing")->kind, CONFIG_NONE);
    assert_int_equal(value_at(session, "tilde")->kind, CONFIG_NONE);
    check_bool(session, "True", true);
    check_bool(session, "no", false);
    check_text(session, "words", "a b");
    check_text(session, "minus", "1-2");
    check_text(session, "exp", "1e");
}

static void test_set(void **state)
{
    Session *session = *state;
    assert_true(config_set(session->config, "optimizer.lr=1e-4"));
    assert_true(config_set(session->config, "depths=[2, 2, 6, 2]"));
    assert_true(config_set(session->config, "name=a=b c"));
    assert_true(config_set(session->config, "group={a: 1, b: {c: true}}"));
    assert_true(config_set(session->config, "empty="));
    check_float(session, "optimizer.lr", 1e-4);
    assert_int_equal(value_at(session, "depths")->items[2].integer, 6);
    check_text(session, "name", "a=b c");
    check_int(session, "group.a", 1);
    check_bool(session, "group.b.c", true);
    assert_int_equal(value_at(session, "empty")->kind, CONFIG_NONE);
    assert_true(config_set(session->config, "vision_config=tests/data/configs/config_swinB_480.json"));
    check_int(session, "vision_config.window_size", 15);
    assert_string_equal(messages(session), "");
}

// Messages --------------------------------------------------------------------------------------------------

static void test_messages_of_set(void **state)
{
    static const char *const wrong[] = {"", "lr", "=3", ".a=3", "a.=3", "a b=3", "a..b=3"};
    Session *session = *state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(config_set(session->config, wrong[i]));
        assert_int_equal(session->diag.n_errors, i + 1);
    }
    assert_int_equal(session->config->entries->n_entries, 0);
    assert_non_null(
        strstr(messages(session),
               "--set:1:3: error: expected key=value, for instance --set optimizer.lr=1e-4\n    lr\n"));
    assert_false(config_set(session->config, "a=[1, 2"));
    assert_non_null(strstr(messages(session), "error: neither YAML nor JSON: "));
    assert_false(config_set(session->config, "a=99999999999999999999"));
    assert_non_null(strstr(messages(session), "--set:1:3: error: this number is too large\n"));
}

static void test_messages_of_files(void **state)
{
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"a: 1\nb: {c: 2\n", "a.yaml:3:1: error: neither YAML nor JSON: "},
        {"a: 1\nb: 2\na: 3\n", "a.yaml:3:1: error: 'a' is given twice"},
        {"- 1\n- 2\n", "a.yaml:1:1: error: expected keys and values"},
        {"just words\n", "a.yaml:1:1: error: expected keys and values"},
        {"? [a]\n: 1\n", "error: a key must be a plain word"},
        {"\xC3\xA9: \xC3\xA9, x: {\n", "error: neither YAML nor JSON: "},
        {"a: \xFF\n", "a.yaml:1:4: error: neither YAML nor JSON: "},
        {"a: *b\n", "a.yaml:1:4: error: neither YAML nor JSON: "},
        {"a: &b [*b]\n", "error: this is nested more than 64 deep"},
        {"a: 1\nvision_config: nowhere.json\n",
         "a.yaml:2:16: error: cannot read 'nowhere.json': no such file here, beside this file or above it\n"
         "    vision_config: nowhere.json\n                   ^~~~~~~~~~~~\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        void *inner;
        set_up(&inner);
        Session *session = inner;
        assert_false(read_text(session, "a.yaml", wrong[i].text));
        assert_int_equal(session->diag.n_errors, 1);
        if (!strstr(messages(session), wrong[i].message)) {
            assert_string_equal(messages(session), wrong[i].message);
        }
        tear_down(&inner);
    }
}

static void test_left_out_groups(void **state)
{
    Session *session = *state;
    assert_true(read_text(session, "a.yaml", "a: [1, {b: 2}, 3]\n"));
    assert_int_equal(value_at(session, "a")->n_items, 2);
    assert_int_equal(value_at(session, "a")->items[1].integer, 3);
    assert_int_equal(session->diag.n_warnings, 1);
    assert_non_null(strstr(messages(session), "a.yaml:1:8: warning: groups in lists are no configuration"));
}

static void test_absent_and_empty(void **state)
{
    Session *session = *state;
    assert_true(read_text(session, "a.yaml", "# nothing\n"));
    assert_int_equal(session->config->entries->n_entries, 0);
    assert_false(config_read(session->config, "tests/data/configs/absent.yaml"));
    assert_string_equal(messages(session),
                        "error: cannot read 'tests/data/configs/absent.yaml': No such file or directory\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_recipes),
        TEST(test_all_official_files),
        TEST(test_values),
        TEST(test_order),
        TEST(test_case_file),
        TEST(test_scalars),
        TEST(test_set),
        TEST(test_messages_of_set),
        TEST(test_messages_of_files),
        TEST(test_left_out_groups),
        TEST(test_absent_and_empty),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
