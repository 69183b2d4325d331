// The graphs of the shipped model against the official implementation's numbers: forward, gradients,
// attention recognised, products shared and compounds expanded, all evaluated in float64 without any
// generated code. A difference here is in the model text or in a graph pass; a difference only in a generated
// program is not.
#include "compiler/config.h"
#include "compiler/elaborate.h"
#include "compiler/expand.h"
#include "compiler/grad.h"
#include "compiler/graph_verify.h"
#include "compiler/recognise.h"
#include "compiler/shapes.h"
#include "compiler/share.h"
#include "compiler/simplify.h"
#include "compiler/variant.h"
#include "dsl/parse.h"
#include "runtime/checkpoint/safetensors.h"
#include "tests/unit/graph_eval.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

typedef struct Case {
    Arena *arena;
    Interner *names;
    Diag diag;
    const char *folder;
    const Entry *entry;
    const Task *task;
    EvalData data;
} Case;

// Elaboration -----------------------------------------------------------------------------------------------

static Value value_of(Arena *arena, const ConfigValue *from)
{
    Span none = {0};
    switch (from->kind) {
    case CONFIG_INT: return value_int(from->integer, none);
    case CONFIG_FLOAT: return value_float(from->number, none);
    case CONFIG_BOOL: return value_bool(from->truth, none);
    case CONFIG_STRING: return value_string(from->text, none);
    case CONFIG_LIST: {
        Value list = value_list(arena, none);
        for (int i = 0; i < from->n_items; i++) {
            value_append(arena, &list, value_of(arena, &from->items[i]));
        }
        return list;
    }
    default: return value_none(none);
    }
}

static void read_overrides(Case *test, const ParseContext *context, ElaborateOptions *options)
{
    Config *config = config_new(context);
    assert_true(config_read(config, arena_format(test->arena, "%s/config.json", test->folder)));
    int n = config->entries->n_entries;
    options->overrides = arena_alloc(test->arena, ((size_t)n + 2) * sizeof *options->overrides);
    // The recorded models have no absolute positions and all losses count the same; in the tiny one both differ.
    options->overrides[options->n_overrides++] =
        (Override){.path = "vision_config.ape", .value = value_bool(false, (Span){0}), .origin = "test"};
    options->overrides[options->n_overrides++] =
        (Override){.path = "bbox_weight", .value = value_int(1, (Span){0}), .origin = "test"};
    for (int i = 0; i < n; i++) {
        const ConfigEntry *entry = config->entries->entries[i].value;
        options->overrides[options->n_overrides++] = (Override){
            .path = entry->path, .value = value_of(test->arena, &entry->value), .origin = entry->origin};
    }
}

static void load_case(Case *test, const char *folder, const char *entry)
{
    *test = (Case){.arena = arena_new(), .folder = folder, .diag = {.stream = stderr}};
    test->names = interner_new(test->arena);
    ParseContext context = {test->arena, test->names, &test->diag};
    AstFile *files = load_files(&context, "models/xvlm_tiny.dsl");
    assert_non_null(files);
    ElaborateOptions options = {.model = "xvlm_tiny", .task = "pretrain"};
    read_overrides(test, &context, &options);
    const char *inputs = arena_format(test->arena, "%s/inputs.safetensors", folder);
    options.shapes = shapes_read(test->arena, &test->diag, inputs, &options.n_shapes);
    test->task = elaborate(test->arena, test->names, &test->diag, files, &options);
    assert_non_null(test->task);
    for (int i = 0; i < test->task->n_entries; i++) {
        if (strcmp(test->task->entries[i].name, entry) == 0) {
            test->entry = &test->task->entries[i];
        }
    }
    assert_non_null(test->entry);
}

// Data ------------------------------------------------------------------------------------------------------

static void open_file(const Case *test, const char *name, XvSafetensors *file)
{
    XvError error = {0};
    const char *path = arena_format(test->arena, "%s/%s.safetensors", test->folder, name);
    if (!xv_safetensors_open(file, path, &error)) {
        fail_msg("%s", error.text);
    }
}

// A tensor as doubles, or NULL.
static double *read_tensor(const Case *test, const XvSafetensors *file, const char *name, Dtype dtype)
{
    const XvStored *stored = xv_safetensors_find(file, name);
    if (stored == NULL) {
        return NULL;
    }
    XvError error = {0};
    size_t n = (size_t)stored->count;
    double *values = arena_alloc(test->arena, n * sizeof *values);
    float *floats = arena_alloc(test->arena, n * sizeof *floats);
    int32_t *integers = (int32_t *)floats;
    bool is_read = dtype == DTYPE_F32 ? xv_safetensors_read_f32(file, stored, floats, &error)
                                      : xv_safetensors_read_i32(file, stored, integers, &error);
    assert_true(is_read);
    for (size_t i = 0; i < n; i++) {
        values[i] = dtype == DTYPE_F32 ? (double)floats[i] : (double)integers[i];
    }
    return values;
}

static void read_data(Case *test)
{
    const Graph *graph = test->entry->forward;
    XvSafetensors inputs, weights;
    open_file(test, "inputs", &inputs);
    open_file(test, "weights", &weights);
    const double **of_inputs = arena_alloc(test->arena, (size_t)graph->n_inputs * sizeof *of_inputs);
    for (int i = 0; i < graph->n_inputs; i++) {
        of_inputs[i] = read_tensor(test, &inputs, graph->inputs[i].name, graph->inputs[i].dtype);
        assert_non_null(of_inputs[i]);
    }
    size_t n_parameters = (size_t)graph->n_parameters;
    const double **of_parameters = arena_alloc(test->arena, n_parameters * sizeof *of_parameters);
    for (int i = 0; i < graph->n_parameters; i++) {
        of_parameters[i] = read_tensor(test, &weights, graph->parameters[i].name, DTYPE_F32);
        assert_non_null(of_parameters[i]);
    }
    const double **of_draws = arena_alloc(test->arena, (size_t)graph->n_draws * sizeof *of_draws);
    for (int i = 0; i < graph->n_draws; i++) {
        of_draws[i] = read_tensor(test, &inputs, graph->draws[i].name, DTYPE_I32);
    }
    test->data = (EvalData){.inputs = of_inputs, .parameters = of_parameters, .draws = of_draws};
    xv_safetensors_close(&inputs);
    xv_safetensors_close(&weights);
}

// Comparison ------------------------------------------------------------------------------------------------

// Relative L2 distance. Gradients of key biases are rounding noise around zero (softmax does not see a
// constant), so below a norm of 5e-3 the distance is absolute.
static double distance(const double *a, const double *b, int64_t n)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return sqrt(difference) / fmax(sqrt(norm), 5e-3);
}

typedef struct Tally {
    int n_gradients, n_values;
} Tally;

static void compare_output(Case *test, const Output *output, const Node *node, const double *found,
                           Tally *tally)
{
    bool is_gradient = output->kind == OUTPUT_GRADIENT;
    XvSafetensors file;
    open_file(test, is_gradient ? "grads" : "outputs", &file);
    const double *expected = read_tensor(test, &file, output->name, node->dtype);
    xv_safetensors_close(&file);
    if (expected == NULL) {
        assert_false(is_gradient);
        return;
    }
    *(is_gradient ? &tally->n_gradients : &tally->n_values) += 1;
    // The official numbers are float32.
    double worst = distance(found, expected, shape_count(&node->shape));
    if (!(worst < 2e-5)) {
        fail_msg("%s is off by %g", output->name, worst);
    }
}

static Tally compare_outputs(Case *test, const Graph *graph)
{
    const char *fault = graph_verify(test->arena, graph);
    if (fault != NULL) {
        fail_msg("%s", fault);
    }
    double **values = graph_eval(test->arena, graph, &test->data);
    Tally tally = {0, 0};
    for (int i = 0; i < graph->n_outputs; i++) {
        const Output *output = &graph->outputs[i];
        compare_output(test, output, &graph->nodes[output->node], values[output->node], &tally);
    }
    return tally;
}

static NodeId total_of(const Case *test, const Graph *graph)
{
    for (int i = 0; i < graph->n_outputs; i++) {
        if (graph->outputs[i].name == test->entry->total) {
            return graph->outputs[i].node;
        }
    }
    fail_msg("no total");
    return NO_NODE;
}

static void check_case(const char *folder, const char *entry, int n_gradients)
{
    Case test;
    load_case(&test, folder, entry);
    read_data(&test);
    Arena *arena = test.arena;
    Graph *observe = simplify(arena, variant_observe(arena, test.entry->forward, "observe"));
    assert_true(compare_outputs(&test, recognise_attention(arena, observe)).n_values >= 15);
    Graph *train = simplify(arena, variant_train(arena, test.entry->forward, "train"));
    train = recognise_attention(arena, train);
    for (int i = 0; i < 2; i++) {
        Graph *shared = i == 0 ? train : share(arena, train, SHARE_ALL);
        Graph *backward = grad(arena, shared, total_of(&test, shared));
        uint32_t what = i == 0 ? EXPAND_SIMPLE : EXPAND_SIMPLE | EXPAND_ATTENTION | EXPAND_GELU;
        Graph *lowered = simplify(arena, expand(arena, backward, what));
        assert_int_equal(compare_outputs(&test, lowered).n_gradients, n_gradients);
    }
    arena_free(arena);
}

// Number of tensors in the official gradient file.
static int official_gradients(const char *folder)
{
    XvSafetensors file;
    char path[256];
    XvError error = {0};
    snprintf(path, sizeof path, "%s/grads.safetensors", folder);
    assert_true(xv_safetensors_open(&file, path, &error));
    int n = file.n_tensors;
    xv_safetensors_close(&file);
    return n;
}

static void test_images(void **state)
{
    (void)state;
    const char *folder = "tests/replay/pretrain_swin_bert_images";
    check_case(folder, "images", official_gradients(folder));
}

static void test_regions(void **state)
{
    (void)state;
    const char *folder = "tests/replay/pretrain_swin_bert_regions";
    check_case(folder, "regions", official_gradients(folder));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_regions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
