// The small official functions of tests/data/data_utils.json: patches of a box, cleaned texts, and the box losses of
// models/losses.dsl, elaborated and evaluated in float64. (The overlaps are in test_boxes.c.)
#include "compiler/elaborate.h"
#include "compiler/expand.h"
#include "compiler/grad.h"
#include "compiler/simplify.h"
#include "compiler/variant.h"
#include "data_golden.h"
#include "dsl_session.h"
#include "graph_eval.h"

#include "runtime/data/caption.h"
#include "runtime/data/regions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CASE "tests/data/data_utils.json"

// Regions and texts --------------------------------------------------------------------------------------------------

enum { MOST_PATCHES = 1 + 64 * 64 };

static void check_patches(const cJSON *item)
{
    const cJSON *box = golden_get(item, "box_xywh");
    XvRegion region = {.x = cJSON_GetArrayItem(box, 0)->valuedouble,
                       .y = cJSON_GetArrayItem(box, 1)->valuedouble,
                       .w = cJSON_GetArrayItem(box, 2)->valuedouble,
                       .h = cJSON_GetArrayItem(box, 3)->valuedouble};
    int length = golden_int(item, "length");
    assert_true(length < MOST_PATCHES);
    int32_t found[MOST_PATCHES], expected[MOST_PATCHES] = {0};
    found[length] = -1;
    xv_region_atts(&region, golden_int(item, "image_res"), golden_int(item, "patch_size"), found);
    assert_int_equal(found[length], -1);
    for (const cJSON *one = golden_get(item, "ones")->child; one; one = one->next) {
        expected[one->valueint] = 1;
    }
    assert_memory_equal(found, expected, (size_t)length * sizeof *found);
}

static void test_patches(void **state)
{
    (void)state;
    cJSON *json = golden_json(CASE);
    const cJSON *items = golden_get(json, "region_image_atts");
    assert_int_equal(cJSON_GetArraySize(items), 64);
    for (const cJSON *item = items->child; item; item = item->next) {
        check_patches(item);
    }
    cJSON_Delete(json);
}

typedef char *Cleaner(const char *text, int max_words, XvError *error);

// A null result stands for a text that is refused because nothing of it is left.
static void check_cleaner(const char *name, Cleaner *clean)
{
    cJSON *json = golden_json(CASE);
    const cJSON *items = golden_get(json, name);
    assert_int_equal(cJSON_GetArraySize(items), 64);
    for (const cJSON *item = items->child; item; item = item->next) {
        XvError error = {{0}};
        char *found = clean(golden_string(item, "text"), golden_int(item, "max_words"), &error);
        if (cJSON_IsNull(golden_get(item, "out"))) {
            assert_null(found);
            assert_true(error.text[0] != '\0');
        } else {
            assert_non_null(found);
            assert_string_equal(found, golden_string(item, "out"));
        }
        free(found);
    }
    cJSON_Delete(json);
}

static void test_captions(void **state)
{
    (void)state;
    check_cleaner("pre_caption", xv_pre_caption);
}

static void test_questions(void **state)
{
    (void)state;
    check_cleaner("pre_question", xv_pre_question);
}

// Losses -------------------------------------------------------------------------------------------------------------

enum { ROWS = 8 };

typedef struct Rows {
    double boxes[ROWS * 4], target[ROWS * 4], counts[ROWS];
} Rows;

typedef struct Losses {
    double bbox, giou, total, own_giou[ROWS];
    bool is_gradient_finite;
} Losses;

static void read_boxes(const cJSON *list, double *boxes)
{
    assert_int_equal(cJSON_GetArraySize(list), ROWS);
    for (int i = 0; i < ROWS * 4; i++) {
        boxes[i] = cJSON_GetArrayItem(cJSON_GetArrayItem(list, i / 4), i % 4)->valuedouble;
    }
}

static Rows rows_of(const cJSON *item)
{
    Rows rows;
    read_boxes(golden_get(item, "pred_cxcywh"), rows.boxes);
    read_boxes(golden_get(item, "target_cxcywh"), rows.target);
    const cJSON *is_image = cJSON_GetObjectItem(item, "is_image");
    for (int i = 0; i < ROWS; i++) {
        rows.counts[i] = cJSON_IsArray(is_image) ? 1 - cJSON_GetArrayItem(is_image, i)->valueint : 1;
    }
    return rows;
}

static const Entry *entry_of(Session *session)
{
    const AstFile *files = load_files(&session->context, "tests/data/boxes/boxes.dsl");
    assert_non_null(files);
    ElaborateOptions options = {.model = "boxes", .task = "boxes", .batch = ROWS};
    const Task *task = elaborate(session->arena, session->context.names, &session->diag, files, &options);
    if (!task) {
        fail_msg("%s", session_messages(session));
    }
    assert_int_equal(task->n_entries, 1);
    return &task->entries[0];
}

// What the graph reads: the rows, and parameters that leave the boxes as they are.
static EvalData data_of(Session *session, const Graph *graph, const Rows *rows)
{
    static const double IDENTITY[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, ZERO[4] = {0};
    const double **inputs = arena_alloc(session->arena, (size_t)graph->n_inputs * sizeof *inputs);
    const double **parameters = arena_alloc(session->arena, (size_t)graph->n_parameters * sizeof *parameters);
    for (int i = 0; i < graph->n_inputs; i++) {
        const char *name = graph->inputs[i].name;
        inputs[i] = strcmp(name, "boxes") == 0    ? rows->boxes
                    : strcmp(name, "target") == 0 ? rows->target
                                                  : rows->counts;
    }
    for (int i = 0; i < graph->n_parameters; i++) {
        parameters[i] = strcmp(graph->parameters[i].name, "move.weight") == 0 ? IDENTITY : ZERO;
    }
    return (EvalData){.inputs = inputs, .parameters = parameters};
}

static bool gradients_are_finite(Session *session, const Entry *entry, const Rows *rows)
{
    Graph *train = simplify(session->arena, variant_train(session->arena, entry->forward, "train"));
    NodeId total = NO_NODE;
    for (int i = 0; i < train->n_outputs; i++) {
        total = train->outputs[i].name == entry->total ? train->outputs[i].node : total;
    }
    assert_true(total != NO_NODE);
    Graph *backward = expand(session->arena, grad(session->arena, train, total), EXPAND_SIMPLE);
    EvalData data = data_of(session, backward, rows);
    double **values = graph_eval(session->arena, backward, &data);
    int n = 0;
    for (int i = 0; i < backward->n_outputs; i++) {
        const Output *output = &backward->outputs[i];
        if (output->kind == OUTPUT_GRADIENT) {
            n++;
            for (int64_t k = 0; k < shape_count(&backward->nodes[output->node].shape); k++) {
                if (!isfinite(values[output->node][k])) {
                    return false;
                }
            }
        }
    }
    assert_int_equal(n, 2);
    return true;
}

static Losses losses_of(Session *session, const Rows *rows)
{
    const Entry *entry = entry_of(session);
    Graph *graph = simplify(session->arena, variant_observe(session->arena, entry->forward, "observe"));
    EvalData data = data_of(session, graph, rows);
    double **values = graph_eval(session->arena, graph, &data);
    Losses losses = {.bbox = NAN, .giou = NAN, .total = NAN};
    for (int i = 0; i < graph->n_outputs; i++) {
        const double *value = values[graph->outputs[i].node];
        const char *name = graph->outputs[i].name;
        if (strcmp(name, "own_giou") == 0) {
            memcpy(losses.own_giou, value, sizeof losses.own_giou);
        } else if (strcmp(name, "loss_bbox") == 0) {
            losses.bbox = *value;
        } else if (strcmp(name, "loss_giou") == 0) {
            losses.giou = *value;
        } else if (name == entry->total) {
            losses.total = *value;
        }
    }
    losses.is_gradient_finite = gradients_are_finite(session, entry, rows);
    return losses;
}

// Relative to 1, the size of these numbers.
static void assert_near(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance)) {
        fail_msg("%.12g, expected %.12g", found, expected);
    }
}

static void test_giou(void **state)
{
    cJSON *json = golden_json(CASE);
    const cJSON *item = golden_get(json, "giou");
    Rows rows = rows_of(item);
    Losses losses = losses_of(*state, &rows);
    for (int i = 0; i < ROWS; i++) {
        assert_near(losses.own_giou[i], cJSON_GetArrayItem(golden_get(item, "giou"), i)->valuedouble, 1e-12);
    }
    cJSON_Delete(json);
}

// The official losses are float32.
static void test_losses(void **state)
{
    cJSON *json = golden_json(CASE);
    const char *const names[] = {"plain", "is_image"};
    for (int i = 0; i < 2; i++) {
        const cJSON *item = golden_get(golden_get(json, "bbox_loss"), names[i]);
        Rows rows = rows_of(item);
        Losses losses = losses_of(*state, &rows);
        assert_near(losses.bbox, golden_number(item, "loss_bbox"), 1e-6);
        assert_near(losses.giou, golden_number(item, "loss_giou"), 1e-6);
        assert_near(losses.total, losses.bbox + 2 * losses.giou, 1e-9);  // giou_weight of boxes.dsl
        assert_true(losses.is_gradient_finite);
    }
    cJSON_Delete(json);
}

// The official code makes the GIoU loss of a whole batch 0 when one box is turned, which is what the recorded number
// shows. That is a defect (facts, quirk 24, fixed by guards): here such a row alone adds nothing, and the other seven
// add what they do in the batch without it. The loader refuses such boxes, so training does not meet them.
static void test_turned_target(void **state)
{
    cJSON *json = golden_json(CASE);
    const cJSON *cases = golden_get(json, "bbox_loss"), *item = golden_get(cases, "one_degenerate_target");
    Rows rows = rows_of(item), plain = rows_of(golden_get(cases, "plain"));
    Losses losses = losses_of(*state, &rows), whole = losses_of(*state, &plain);
    assert_near(losses.bbox, golden_number(item, "loss_bbox"), 1e-6);
    assert_near(golden_number(item, "loss_giou"), 0, 0);
    int n_turned = 0, turned = -1;
    for (int i = 0; i < ROWS; i++) {
        if (rows.target[i * 4 + 2] < 0 || rows.target[i * 4 + 3] < 0) {
            n_turned++;
            turned = i;
        }
    }
    assert_int_equal(n_turned, 1);
    assert_near(losses.giou, whole.giou - (1 - whole.own_giou[turned]) / ROWS, 1e-12);
    assert_true(losses.is_gradient_finite);
    // The same for a prediction.
    plain.boxes[turned * 4 + 3] = -0.2;
    assert_near(losses_of(*state, &plain).giou, losses.giou, 1e-12);
    cJSON_Delete(json);
}

// Divisions by zero of the official code: a batch of whole pictures only, and two empty boxes at one place.
static void test_guards(void **state)
{
    cJSON *json = golden_json(CASE);
    Rows rows = rows_of(golden_get(golden_get(json, "bbox_loss"), "plain"));
    memset(rows.counts, 0, sizeof rows.counts);
    Losses losses = losses_of(*state, &rows);
    assert_near(losses.bbox, 0, 0);
    assert_near(losses.giou, 0, 0);
    assert_true(losses.is_gradient_finite);
    rows = rows_of(golden_get(golden_get(json, "bbox_loss"), "plain"));
    double before = losses_of(*state, &rows).own_giou[0];
    double giou = losses_of(*state, &rows).giou;
    rows.boxes[2] = rows.boxes[3] = 0;
    memcpy(rows.target, rows.boxes, 4 * sizeof *rows.target);
    losses = losses_of(*state, &rows);
    assert_near(losses.own_giou[0], 0, 0);
    assert_near(losses.giou, giou + before / ROWS, 1e-12);
    assert_true(losses.is_gradient_finite);
    cJSON_Delete(json);
}

// A model that has diverged must not look healthy.
static void test_not_a_number(void **state)
{
    cJSON *json = golden_json(CASE);
    Rows rows = rows_of(golden_get(golden_get(json, "bbox_loss"), "plain"));
    rows.boxes[5] = NAN;
    Losses losses = losses_of(*state, &rows);
    assert_true(isnan(losses.bbox) && isnan(losses.giou));
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patches), cmocka_unit_test(test_captions), cmocka_unit_test(test_questions),
        SESSION_TEST(test_giou),        SESSION_TEST(test_losses),       SESSION_TEST(test_turned_target),
        SESSION_TEST(test_guards),      SESSION_TEST(test_not_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
