// The shipped models at their official sizes: how many parameters every part has, and how many entries the state dict
// (those of the official implementation).
#include "compiler/elaborate.h"
#include "dsl_session.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct Count {
    const char *path;  // of a module or parameter; "" for everything
    int64_t elements;
} Count;

typedef struct Model {
    const char *task;
    const char *settings;  // "image_res=384 use_clip_vit=true"
    int n_entries;         // of the state dict; 0: not recorded
    Count counts[8];
} Model;

static const Model MODELS[] = {
    {"pretrain",
     "",
     644,
     {{"", 215637241},
      {"vision_encoder", 86743224},
      {"text_encoder.bert", 125434368},
      {"text_encoder.bert.embeddings", 23837184},
      {"text_encoder.bert.encoder.layer.5", 7087872},
      {"text_encoder.bert.encoder.layer.6", 9844992},
      {"text_encoder.cls", 622650}}},
    {"pretrain",
     "",
     644,
     {{"vision_proj", 262400},
      {"text_proj", 196864},
      {"temp", 1},
      {"itm_head", 1187330},
      {"bbox_head", 1190404}}},
    {"pretrain", "image_res=384", 644, {{"vision_encoder", 86878584}}},
    {"pretrain", "image_res=480", 644, {{"vision_encoder", 86995896}}},
    {"pretrain", "use_clip_vit=true", 482, {{"", 212268609}, {"vision_encoder", 85799424}}},
    {"pretrain", "use_clip_vit=true image_res=384", 482, {{"vision_encoder", 86091264}}},
    {"pretrain",
     "use_swin=false",
     0,
     {{"vision_encoder", 85798656}, {"text_encoder.bert.encoder.layer.6", 9451776}}},
    {"pretrain", "use_swin=false image_res=384", 0, {{"vision_encoder", 86090496}}},
    {"pretrain", "use_swin=false use_roberta=true", 432, {{"", 227450976}, {"text_encoder.lm_head", 642393}}},
    {"pretrain",
     "use_roberta=true",
     644,
     {{"text_encoder.roberta", 140597760}, {"text_encoder.lm_head", 642393}}},
    {"retrieval", "image_res=384", 631, {{"", 213959547}, {"text_encoder.embeddings", 23837184}}},
    {"grounding_weak", "image_res=384", 631, {{"", 213959547}}},
    {"grounding_bbox", "image_res=384", 0, {{"", 213503356}}},
    {"grounding_bbox_pretrain", "image_res=224", 0, {{"", 213367996}}},
    {"nlvr", "image_res=384", 0, {{"", 263123834}, {"cls_head", 1187330}}},
    {"vqa", "image_res=384", 0, {{"", 293483442}, {"text_decoder", 81170490}}},
    {"vqa", "image_res=480", 0, {{"", 293600754}}},
    {"captioning", "image_res=384", 0, {{"", 212935602}}},
    {"captioning_scst", "image_res=384", 0, {{"", 212935602}}},
    {"captioning_pretrain", "image_res=224", 0, {{"", 212800242}}},
    {"nlvr_pretrain", "image_res=224", 0, {{"", 262065851}, {"ta_head", 2307}}},
};

static Override setting(Session *session, const char *text)
{
    const char *equals = strchr(text, '=');
    Value value = isdigit((unsigned char)equals[1]) ? value_int(atoll(equals + 1), (Span){0})
                                                    : value_bool(strcmp(equals + 1, "true") == 0, (Span){0});
    return (Override){.path = arena_copy(session->arena, text, (size_t)(equals - text)),
                      .value = value,
                      .origin = "test",
                      .is_strict = true};
}

// The task of the base model under these settings; NULL when there are messages.
static Task *configured(Session *session, const char *task, const char *settings)
{
    enum { MOST = 4 };
    Override overrides[MOST];
    ElaborateOptions options = {.model = "xvlm_base", .task = task, .overrides = overrides, .batch = 2};
    char *texts = arena_copy(session->arena, settings, strlen(settings)), *rest = NULL;
    for (char *text = strtok_r(texts, " ", &rest); text; text = strtok_r(NULL, " ", &rest)) {
        assert_true(options.n_overrides < MOST);
        overrides[options.n_overrides++] = setting(session, text);
    }
    const AstFile *files = load_files(&session->context, "models/xvlm_base.dsl");
    assert_non_null(files);
    Task *result = elaborate(session->arena, session->context.names, &session->diag, files, &options);
    diag_finish(&session->diag);
    return result;
}

static Task *elaborated(Session *session, const Model *model)
{
    Task *task = configured(session, model->task, model->settings);
    if (!task) {
        fail_msg("%s %s: %s", model->task, model->settings, session_messages(session));
    }
    return task;
}

static int64_t elements_below(const Task *task, const char *path)
{
    int64_t elements = 0;
    size_t length = strlen(path);
    for (int i = 0; i < task->n_parameters; i++) {
        const char *name = task->parameters[i].name;
        if (length == 0 || (strncmp(name, path, length) == 0 && (name[length] == '.' || name[length] == 0))) {
            elements += shape_count(&task->parameters[i].shape);
        }
    }
    return elements;
}

static void check_model(const Model *model)
{
    void *state = NULL;
    session_set_up(&state);
    const Task *task = elaborated(state, model);
    for (const Count *count = model->counts; count->path; count++) {
        int64_t found = elements_below(task, count->path);
        if (found != count->elements) {
            fail_msg("%s %s: '%s' has %lld parameters, expected %lld", model->task, model->settings,
                     count->path, (long long)found, (long long)count->elements);
        }
    }
    if (model->n_entries > 0) {
        assert_int_equal(task->n_parameters + task->n_aliases + task->n_buffers, model->n_entries);
    }
    session_tear_down(&state);
}

static void test_parameter_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof MODELS / sizeof *MODELS; i++) {
        check_model(&MODELS[i]);
    }
}

// Weight decay and the larger rate: tensors and elements of the four groups of pre-training.
static void test_groups_of_the_optimizer(void **state)
{
    static const struct {
        int tensors;
        int64_t elements;
    } wanted[4] = {{176, 195873792}, {353, 383730}, {33, 19345409}, {44, 34310}};
    const Task *task = elaborated(*state, &MODELS[0]);
    int tensors[4] = {0};
    int64_t elements[4] = {0};
    for (int i = 0; i < task->n_parameters; i++) {
        const Parameter *parameter = &task->parameters[i];
        int group = 2 * parameter->is_fresh + !parameter->has_decay;
        tensors[group]++;
        elements[group] += shape_count(&parameter->shape);
    }
    for (int group = 0; group < 4; group++) {
        assert_int_equal(tensors[group], wanted[group].tensors);
        assert_int_equal(elements[group], wanted[group].elements);
    }
}

// What the official code asserts of a configuration, in the words of ours.
static void test_wrong_configurations(void **state)
{
    static const struct {
        const char *settings, *message;
    } wrong[] = {
        {"image_res=384 vision_config.image_res=224", "image_res of the model and of vision_config differ"},
        {"patch_size=16", "patch_size of a model with Swin is 32"},
        {"use_clip_vit=true patch_size=32", "patch_size of the model and of vision_config differ"},
        {"use_swin=false patch_size=32", "patch_size of a model with DeiT is 16"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        void *own = NULL;
        session_set_up(&own);
        Session *session = own;
        assert_null(configured(session, "pretrain", wrong[i].settings));
        if (!strstr(session_messages(session), wrong[i].message)) {
            fail_msg("%s: %s", wrong[i].settings, session_messages(session));
        }
        session_tear_down(&own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(test_parameter_counts),
        SESSION_TEST(test_groups_of_the_optimizer),
        SESSION_TEST(test_wrong_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
