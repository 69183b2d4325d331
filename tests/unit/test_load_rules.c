// Which tensor of a pre-training checkpoint fills which parameter of every task, and which tensors are not used,
// against what the official code does; with the vision width equal to the hidden size and different from it. The
// rules are the `source` blocks of tasks/*.dsl.
#include "compiler/elaborate.h"
#include "dsl/parse.h"
#include "runtime/checkpoint/load_plan.h"
#include "runtime/checkpoint/safetensors.h"

#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

// Tasks from configurations ------------------------------------------------------------------------------------------

enum { MOST_OVERRIDES = 64 };

typedef struct Built {
    Arena *arena;
    Task *task;
    XvProgram program;
} Built;

static Value value_of(Arena *arena, const cJSON *json)
{
    Span none = {0};
    if (cJSON_IsArray(json)) {
        Value list = value_list(arena, none);
        for (const cJSON *item = json->child; item; item = item->next) {
            value_append(arena, &list, value_of(arena, item));
        }
        return list;
    }
    if (cJSON_IsString(json)) {
        return value_string(json->valuestring, none);
    }
    double number = json->valuedouble;
    bool is_whole = number >= 1.0 && number < 1e9 && number - (double)(int64_t)number <= 0.0;
    return is_whole || number <= 0.0 ? value_int((int64_t)number, none) : value_float(number, none);
}

static void override(ElaborateOptions *options, const char *path, Value value)
{
    assert_true(options->n_overrides < MOST_OVERRIDES);
    options->overrides[options->n_overrides++] =
        (Override){.path = path, .value = value, .origin = "remap.json", .is_optional = true};
}

static void override_group(Arena *arena, ElaborateOptions *options, const char *group, const cJSON *json)
{
    for (const cJSON *item = json->child; item; item = item->next) {
        override(options, arena_format(arena, "%s.%s", group, item->string), value_of(arena, item));
    }
}

static XvParameter *parameters_of(const Built *built)
{
    const Task *task = built->task;
    XvParameter *parameters =
        arena_alloc(built->arena, ((size_t)task->n_parameters + 1) * sizeof *parameters);
    for (int i = 0; i < task->n_parameters; i++) {
        const Parameter *from = &task->parameters[i];
        parameters[i] = (XvParameter){.name = from->name,
                                      .rank = from->shape.rank,
                                      .count = shape_count(&from->shape),
                                      .offset = task->offsets[i],
                                      .is_fresh = from->is_fresh};
        for (int d = 0; d < from->shape.rank; d++) {
            parameters[i].shape[d] = from->shape.dim[d];
        }
    }
    return parameters;
}

// What codegen writes into the program's tables.
static void fill_program(Built *built)
{
    const Task *task = built->task;
    XvAlias *aliases = arena_alloc(built->arena, ((size_t)task->n_aliases + 1) * sizeof *aliases);
    XvBuffer *buffers = arena_alloc(built->arena, ((size_t)task->n_buffers + 1) * sizeof *buffers);
    XvLoadRule *rules = arena_alloc(built->arena, ((size_t)task->n_load_rules + 1) * sizeof *rules);
    for (int i = 0; i < task->n_aliases; i++) {
        aliases[i] = (XvAlias){task->aliases[i].name, task->aliases[i].parameter};
    }
    for (int i = 0; i < task->n_buffers; i++) {
        buffers[i] = (XvBuffer){.name = task->buffers[i].name};
    }
    for (int i = 0; i < task->n_load_rules; i++) {
        const LoadRule *rule = &task->load_rules[i];
        rules[i] = (XvLoadRule){rule->source, rule->destination, rule->from};
    }
    built->program = (XvProgram){.task = task->name,
                                 .parameters = parameters_of(built),
                                 .n_parameters = task->n_parameters,
                                 .aliases = aliases,
                                 .n_aliases = task->n_aliases,
                                 .buffers = buffers,
                                 .n_buffers = task->n_buffers,
                                 .load_rules = rules,
                                 .n_load_rules = task->n_load_rules};
}

static void build(Built *built, const char *task, const cJSON *vision, const cJSON *text)
{
    *built = (Built){.arena = arena_new()};
    Interner *names = interner_new(built->arena);
    Diag diag = {.stream = stderr};
    ParseContext context = {built->arena, names, &diag};
    AstFile *files = load_files(&context, "models/xvlm_base.dsl");
    assert_non_null(files);
    ElaborateOptions options = {.model = "xvlm_base", .task = task, .batch = 4};
    options.overrides = arena_alloc(built->arena, MOST_OVERRIDES * sizeof *options.overrides);
    override(&options, "image_res", value_of(built->arena, cJSON_GetObjectItem(vision, "image_res")));
    override(&options, "max_tokens", value_int(16, (Span){0}));
    override(&options, "num_dec_layers", value_int(2, (Span){0}));
    override_group(built->arena, &options, "vision_config", vision);
    override_group(built->arena, &options, "text_config", text);
    built->task = elaborate(built->arena, names, &diag, files, &options);
    diag_finish(&diag);
    assert_non_null(built->task);
    fill_program(built);
}

// The checkpoint -----------------------------------------------------------------------------------------------------

// A pre-training checkpoint as the official code saves it: tied names and buffers included. The values do not matter.
static void write_checkpoint(const Built *source, const char *path)
{
    const XvProgram *program = &source->program;
    int most = program->n_parameters + program->n_aliases + program->n_buffers;
    XvTensor *tensors = calloc((size_t)most + 1, sizeof *tensors);
    void *zeros = calloc((size_t)source->task->parameter_count, sizeof(float));
    int n = 0;
    for (int i = 0; i < program->n_parameters; i++) {
        const XvParameter *parameter = &program->parameters[i];
        tensors[n] =
            (XvTensor){.name = parameter->name, .dtype = XV_F32, .rank = parameter->rank, .data = zeros};
        memcpy(tensors[n++].shape, parameter->shape, sizeof parameter->shape);
    }
    for (int i = 0; i < program->n_aliases; i++) {
        tensors[n] = tensors[program->aliases[i].parameter];
        tensors[n++].name = program->aliases[i].name;
    }
    for (int i = 0; i < program->n_buffers; i++) {
        tensors[n++] = (XvTensor){
            .name = program->buffers[i].name, .dtype = XV_I64, .rank = 1, .shape = {1}, .data = zeros};
    }
    XvFileContent content = {.tensors = tensors, .n_tensors = n};
    XvError error = {{0}};
    if (!xv_safetensors_write(path, &content, &error)) {
        fail_msg("%s", error.text);
    }
    free(zeros);
    free(tensors);
}

// Comparison ---------------------------------------------------------------------------------------------------------

static int parameter_index(const XvProgram *program, const char *name)
{
    for (int i = 0; i < program->n_parameters; i++) {
        if (strcmp(program->parameters[i].name, name) == 0) {
            return i;
        }
    }
    for (int i = 0; i < program->n_aliases; i++) {
        if (strcmp(program->aliases[i].name, name) == 0) {
            return program->aliases[i].parameter;
        }
    }
    fail_msg("no parameter %s", name);
    return -1;
}

static void check_mapping(const XvLoadPlan *plan, const XvProgram *source, const cJSON *expected)
{
    for (const cJSON *item = expected->child; item; item = item->next) {
        const XvLoadItem *found = &plan->items[parameter_index(plan->program, item->string)];
        if (cJSON_IsNull(item)) {
            assert_int_equal(found->action, XV_LOAD_INITIALISED);
            continue;
        }
        bool is_table = xv_resample_kind(item->string) != XV_RESAMPLE_NONE;
        assert_int_equal(found->action, is_table ? XV_LOAD_RESAMPLED : XV_LOAD_COPIED);
        // Tied tensors are one, under whichever name.
        const char *from = plan->checkpoint->tensors[found->tensor].name;
        if (parameter_index(source, from) != parameter_index(source, item->valuestring)) {
            fail_msg("%s comes from %s, expected %s", item->string, from, item->valuestring);
        }
    }
}

static void check_unused(const XvLoadPlan *plan, const cJSON *expected)
{
    int n_ignored = 0;
    for (const cJSON *item = expected->child; item; item = item->next) {
        const XvCheckpointTensor *tensor = xv_checkpoint_find(plan->checkpoint, item->valuestring);
        assert_non_null(tensor);
        assert_int_equal(plan->uses[tensor - plan->checkpoint->tensors], XV_TENSOR_IGNORED);
        n_ignored++;
    }
    assert_int_equal(plan->n_ignored, n_ignored);
}

static const char *const TASKS[][2] = {
    {"retrieval", "retrieval"},
    {"bbox", "grounding_bbox"},
    {"nlvr", "nlvr"},
    {"nlvr_pretrain", "nlvr_pretrain"},
    {"vqa", "vqa"},
    {"captioning", "captioning"},
    {"captioning_pretrain", "captioning_pretrain"},
};

static void check_task(const cJSON *remap, const Built *source, const XvCheckpoint *checkpoint,
                       const char *variant, const char *const *names)
{
    char key[64], text[64];
    snprintf(key, sizeof key, "%s|%s", names[0], variant);
    snprintf(text, sizeof text, "text_%s", variant);
    const cJSON *expected = cJSON_GetObjectItem(cJSON_GetObjectItem(remap, "models"), key);
    assert_non_null(expected);
    Built built;
    build(&built, names[1], cJSON_GetObjectItem(remap, "destination_vision"),
          cJSON_GetObjectItem(cJSON_GetObjectItem(remap, "source"), text));
    XvLoadPlan plan;
    XvError error = {{0}};
    XvLoadOptions options = {.is_complete = false};
    assert_true(xv_load_plan_make(&plan, &built.program, checkpoint, &options, &error));
    assert_non_null(plan.source);
    assert_true(xv_load_plan_check(&plan, &options, &error));
    check_mapping(&plan, &source->program, cJSON_GetObjectItem(expected, "destination_to_source"));
    check_unused(&plan, cJSON_GetObjectItem(expected, "unexpected"));
    xv_load_plan_free(&plan);
    arena_free(built.arena);
}

static void check_variant(const char *variant)
{
    FILE *file = fopen("tests/data/checkpoint/remap.json", "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20), path[64], key[64];
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    cJSON *remap = cJSON_Parse(text);
    const cJSON *sizes = cJSON_GetObjectItem(remap, "source");
    snprintf(key, sizeof key, "text_%s", variant);
    snprintf(path, sizeof path, "/tmp/xv_rules_%d.safetensors", (int)getpid());
    Built source;
    build(&source, "pretrain", cJSON_GetObjectItem(sizes, "vision"), cJSON_GetObjectItem(sizes, key));
    write_checkpoint(&source, path);
    XvCheckpoint checkpoint;
    XvError error = {{0}};
    assert_true(xv_checkpoint_open(&checkpoint, path, &error));
    for (size_t i = 0; i < sizeof TASKS / sizeof *TASKS; i++) {
        check_task(remap, &source, &checkpoint, variant, TASKS[i]);
    }
    xv_checkpoint_close(&checkpoint);
    unlink(path);
    arena_free(source.arena);
    cJSON_Delete(remap);
    free(text);
}

static void test_width_differs(void **state)
{
    (void)state;
    check_variant("width_differs");
}

static void test_width_equals_hidden(void **state)
{
    (void)state;
    check_variant("width_equals_hidden");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_width_differs),
        cmocka_unit_test(test_width_equals_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
