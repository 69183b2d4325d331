// Compares what `replay` of a generated program wrote with a recorded case of the official implementation.
//
//   compare --case DIR [--outputs F] [--grads F] [--record NAME] [--after F] [--curve F] [--train20 F]
//
// The case is a folder of tests/replay. Every recorded tensor has to be there, in its shape; a gradient that is not
// recorded must not be there. The tolerances are those of tests/replay/README.md and are the same for every case.
// Curves are JSON: a list with one object per step, {"losses": {name: value}, "grad_norm": value}.
#include "runtime/base/options.h"
#include "tests/tools/check.h"

#define LOSS_RELATIVE 1e-5  // against the float64 run
#define OUTPUT_ABSOLUTE 2e-5
#define GRADIENT_RELATIVE_L2 1e-4
#define ZERO_GRADIENT 1e-6  // magnitude of a gradient that is zero but for rounding
#define UPDATE_RELATIVE_L2 2e-3
#define NOISE_FACTOR 5.0    // times the recorded rounding noise of an update ...
#define NOISE_FLOOR 2e-6    // ... which is recorded from here on
#define NORM_RELATIVE 1e-4  // gradient norm of a step, as a gradient
#define LATE_RELATIVE 1e-3  // losses from step EARLY_STEPS of a long curve on
#define EARLY_STEPS 6

typedef struct Case {
    const char *folder;
    const char *record;  // of optimizer steps: "after_steps" or another
    cJSON *config;
    Check check;
} Case;

static void compare_loss(Case *c, const char *place, const char *name, double got, double want,
                         double tolerance)
{
    double relative = fabs(got - want) / fabs(want);
    check_that(&c->check, relative <= tolerance, "%s %s: got %.9g, want %.9g, relative error %.3g > %g",
               place, name, got, want, relative, tolerance);
}

// Finds a tensor of the reference in a file of the program; NULL after counting a failure.
static const XvStored *expect_tensor(Case *c, const XvSafetensors *file, const char *place,
                                     const XvStored *wanted)
{
    const XvStored *stored = xv_safetensors_find(file, wanted->name);
    char got[XV_SHAPE_TEXT], want[XV_SHAPE_TEXT];
    if (!stored) {
        check_that(&c->check, false, "%s %s: missing, want %s", place, wanted->name,
                   xv_shape_text(want, wanted->rank, wanted->shape));
        return NULL;
    }
    if (stored->rank != wanted->rank ||
        memcmp(stored->shape, wanted->shape, (size_t)wanted->rank * sizeof *wanted->shape) != 0) {
        check_that(&c->check, false, "%s %s: got shape %s, want %s", place, wanted->name,
                   xv_shape_text(got, stored->rank, stored->shape),
                   xv_shape_text(want, wanted->rank, wanted->shape));
        return NULL;
    }
    return stored;
}

static void compare_relative(Case *c, const char *place, const char *name, const double *got,
                             const double *want, int64_t count, double tolerance)
{
    double *difference = check_memory((size_t)count * sizeof *difference);
    for (int64_t i = 0; i < count; i++) {
        difference[i] = got[i] - want[i];
    }
    double norm = check_l2(want, count), error = check_l2(difference, count);
    Worst worst = check_worst(got, want, count);
    check_that(&c->check, error <= tolerance * norm,
               "%s %s: relative L2 %.3g > %g (norm %.6g, want %.6g); at %lld got %.9g, want %.9g", place,
               name, error / norm, tolerance, check_l2(got, count), norm, (long long)worst.at, got[worst.at],
               want[worst.at]);
    free(difference);
}

// Outputs ---------------------------------------------------------------------------------------------------------

static void compare_output(Case *c, const char *name, const Values *got, const Values *want)
{
    Worst worst = check_worst(got->at, want->at, want->count);
    double tolerance = want->is_integer ? 0 : OUTPUT_ABSOLUTE;
    check_that(&c->check, worst.difference <= tolerance,
               "output %s: at %lld got %.9g, want %.9g, difference %.3g > %g", name, (long long)worst.at,
               got->at[worst.at], want->at[worst.at], worst.difference, tolerance);
}

// The float64 loss of that name, or NULL; those of several ranks are grouped by rank.
static const cJSON *recorded_loss(const cJSON *losses, const char *name)
{
    const char *dot = check_starts(name, "rank") ? strchr(name, '.') : NULL;
    char rank[32];
    if (dot && dot - name < (long)sizeof rank) {
        snprintf(rank, sizeof rank, "%.*s", (int)(dot - name), name);
        losses = cJSON_GetObjectItemCaseSensitive(losses, rank);
        name = dot + 1;
    }
    return cJSON_GetObjectItemCaseSensitive(losses, name);
}

static void compare_outputs(Case *c, const char *path)
{
    XvSafetensors reference, file;
    check_open(&reference, check_path(c->folder, "outputs.safetensors"));
    check_open(&file, path);
    const cJSON *losses = check_member(c->config, "losses_fp64");
    for (int i = 0; i < reference.n_tensors; i++) {
        const XvStored *wanted = &reference.tensors[i];
        const XvStored *stored = expect_tensor(c, &file, "output", wanted);
        if (!stored) {
            continue;
        }
        Values got = check_values(&file, stored), want = check_values(&reference, wanted);
        const cJSON *loss = recorded_loss(losses, wanted->name);
        if (loss) {
            compare_loss(c, "loss", wanted->name, got.at[0], loss->valuedouble, LOSS_RELATIVE);
        } else if (strstr(wanted->name,
                          ".local_grad.")) {  // what a rank has before the mean is a gradient as well
            compare_relative(c, "output", wanted->name, got.at, want.at, got.count, GRADIENT_RELATIVE_L2);
        } else {
            compare_output(c, wanted->name, &got, &want);
        }
        free(got.at);
        free(want.at);
    }
}

// Gradients -------------------------------------------------------------------------------------------------------

static bool is_packed_bias(const char *name)
{
    return check_ends(name, ".qkv.bias");
}

// The gradient of a key bias is zero but for rounding: softmax does not see a constant. Recorded ones are listed;
// where q, k and v share a bias it is the middle third.
static bool is_noise(const cJSON *near_zero, const char *name)
{
    return check_lists(near_zero, name);
}

static void compare_absolute(Case *c, const char *place, const char *name, const double *got,
                             const double *want, int64_t count, double tolerance)
{
    Worst worst = check_worst(got, want, count);
    check_that(&c->check, worst.difference <= tolerance,
               "%s %s: at %lld got %.9g, want %.9g, difference %.3g > %g", place, name, (long long)worst.at,
               got[worst.at], want[worst.at], worst.difference, tolerance);
}

// Takes the middle third out of a packed bias: q and v move together, k goes behind them.
static void key_to_end(double *at, int64_t count)
{
    int64_t third = count / 3;
    for (int64_t i = 0; i < third; i++) {
        double key = at[third + i];
        at[third + i] = at[2 * third + i];
        at[2 * third + i] = key;
    }
}

typedef struct Bounds {
    const char *place;
    double relative;  // relative L2
    double noise;     // absolute, where the value is rounding noise
} Bounds;

// Compares a tensor whose key bias, if it is one or has one, is noise.
static void compare_noisy(Case *c, const char *name, double *got, double *want, int64_t count,
                          bool is_all_noise, const Bounds *bounds)
{
    int64_t steady = is_all_noise ? 0 : is_packed_bias(name) ? count - count / 3 : count;
    if (steady != 0 && steady != count) {
        key_to_end(got, count);
        key_to_end(want, count);
    }
    if (steady > 0) {
        compare_relative(c, bounds->place, name, got, want, steady, bounds->relative);
    }
    if (steady < count) {
        compare_absolute(c, bounds->place, name, got + steady, want + steady, count - steady, bounds->noise);
    }
}

// Gradients that the file has and the reference has not.
static void refuse_extra_gradients(Case *c, const XvSafetensors *file, const XvSafetensors *reference)
{
    const cJSON *without = check_member(c->config, "no_grad_params");
    for (int i = 0; i < file->n_tensors; i++) {
        const char *name = file->tensors[i].name;
        if (!xv_safetensors_find(reference, name)) {
            check_that(&c->check, false, "grad %s: present, %s", name,
                       check_lists(without, name) ? "but the parameter receives none" : "but not recorded");
        }
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, without)
    {
        if (!xv_safetensors_find(file, item->valuestring)) {
            check_that(&c->check, true, "%s", item->valuestring);
        }
    }
}

static void compare_gradients(Case *c, const char *path)
{
    XvSafetensors reference, file;
    check_open(&reference, check_path(c->folder, "grads.safetensors"));
    check_open(&file, path);
    const cJSON *near_zero = check_member(check_member(c->config, "grad_fp32_vs_fp64"), "near_zero_grads");
    Bounds bounds = {"grad", GRADIENT_RELATIVE_L2, ZERO_GRADIENT};
    for (int i = 0; i < reference.n_tensors; i++) {
        const XvStored *wanted = &reference.tensors[i];
        const XvStored *stored = expect_tensor(c, &file, "grad", wanted);
        if (stored) {
            Values got = check_values(&file, stored), want = check_values(&reference, wanted);
            compare_noisy(c, wanted->name, got.at, want.at, want.count, is_noise(near_zero, wanted->name),
                          &bounds);
            free(got.at);
            free(want.at);
        }
    }
    refuse_extra_gradients(c, &file, &reference);
}

// Optimizer steps -------------------------------------------------------------------------------------------------

static void subtract(Values *from, const Values *values)
{
    for (int64_t i = 0; i < from->count; i++) {
        from->at[i] -= values->at[i];
    }
}

static double recorded_noise(const cJSON *slack, const char *name)
{
    const cJSON *recorded = cJSON_GetObjectItemCaseSensitive(slack, name);
    return NOISE_FACTOR * (recorded ? recorded->valuedouble : NOISE_FLOOR);
}

static void compare_after(Case *c, const char *path)
{
    XvSafetensors before, reference, file;
    check_open(&before, check_path(c->folder, "weights.safetensors"));
    char name[256];
    snprintf(name, sizeof name, "%s.safetensors", c->record);
    check_open(&reference, check_path(c->folder, name));
    check_open(&file, path);
    const cJSON *near_zero = check_member(check_member(c->config, "grad_fp32_vs_fp64"), "near_zero_grads");
    const cJSON *slack = check_member(check_member(c->config, c->record), "fp32_vs_fp64_max_abs");
    for (int i = 0; i < reference.n_tensors; i++) {
        const XvStored *wanted = &reference.tensors[i];
        const XvStored *stored = expect_tensor(c, &file, "update", wanted);
        if (!stored) {
            continue;
        }
        Values got = check_values(&file, stored), want = check_values(&reference, wanted);
        Values start = check_reference(&before, wanted->name);
        subtract(&got, &start);
        subtract(&want, &start);
        Bounds bounds = {"update", UPDATE_RELATIVE_L2, recorded_noise(slack, wanted->name)};
        compare_noisy(c, wanted->name, got.at, want.at, want.count, is_noise(near_zero, wanted->name),
                      &bounds);
        free(got.at);
        free(want.at);
        free(start.at);
    }
}

// One step of a curve: the losses, and the gradient norm where both sides have it.
static void compare_step(Case *c, const char *place, const cJSON *row, const cJSON *losses, const cJSON *norm,
                         double tolerance)
{
    const cJSON *got = cJSON_GetObjectItemCaseSensitive(row, "losses");
    const cJSON *want;
    cJSON_ArrayForEach(want, losses)
    {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(got, want->string);
        if (value) {
            compare_loss(c, place, want->string, value->valuedouble, want->valuedouble, tolerance);
        } else {
            check_that(&c->check, false, "%s %s: missing, want %.9g", place, want->string, want->valuedouble);
        }
    }
    const cJSON *got_norm = cJSON_GetObjectItemCaseSensitive(row, "grad_norm");
    if (got_norm && norm) {
        compare_loss(c, place, "grad_norm", got_norm->valuedouble, norm->valuedouble,
                     fmax(tolerance, NORM_RELATIVE));
    }
}

// The float64 losses and gradient norms of after_steps are two lists; those of train20 are one list of objects.
static void compare_curve(Case *c, const char *path, const char *which)
{
    const cJSON *recorded = check_member(c->config, which);
    const cJSON *log = cJSON_GetObjectItemCaseSensitive(recorded, "log_fp64");
    const cJSON *losses = cJSON_GetObjectItemCaseSensitive(recorded, "losses_fp64");
    const cJSON *norms = cJSON_GetObjectItemCaseSensitive(recorded, "grad_norm_fp64");
    cJSON *rows = check_json(path);
    int steps = cJSON_GetArraySize(log ? log : losses);
    check_that(&c->check, cJSON_GetArraySize(rows) == steps, "%s: got %d steps, want %d", which,
               cJSON_GetArraySize(rows), steps);
    for (int i = 0; i < steps && i < cJSON_GetArraySize(rows); i++) {
        char place[64];
        snprintf(place, sizeof place, "%s step %d", which, i);
        const cJSON *step = cJSON_GetArrayItem(log, i);
        compare_step(c, place, cJSON_GetArrayItem(rows, i),
                     step ? check_member(step, "losses") : cJSON_GetArrayItem(losses, i),
                     step ? cJSON_GetObjectItemCaseSensitive(step, "grad_norm")
                          : cJSON_GetArrayItem(norms, i),
                     i < EARLY_STEPS ? LOSS_RELATIVE : LATE_RELATIVE);
    }
    cJSON_Delete(rows);
}

int main(int argc, char **argv)
{
    Case c = {.record = "after_steps"};
    const char *outputs = NULL, *grads = NULL, *after = NULL, *curve = NULL, *train20 = NULL;
    const XvOption options[] = {
        {"--case", "DIR", XV_OPTION_TEXT, &c.folder, 0, 0, "folder of the recorded case"},
        {"--outputs", "F", XV_OPTION_TEXT, &outputs, 0, 0, "outputs of the program"},
        {"--grads", "F", XV_OPTION_TEXT, &grads, 0, 0, "gradients of the program"},
        {"--record", "NAME", XV_OPTION_TEXT, &c.record, 0, 0, "recorded optimizer steps (after_steps)"},
        {"--after", "F", XV_OPTION_TEXT, &after, 0, 0, "parameters after those steps"},
        {"--curve", "F", XV_OPTION_TEXT, &curve, 0, 0, "losses of those steps"},
        {"--train20", "F", XV_OPTION_TEXT, &train20, 0, 0, "losses of the steps of train20"},
    };
    const int n_options = (int)(sizeof options / sizeof *options);
    XvError error = {0};
    if (!xv_options_parse(options, n_options, argc, argv, &error) || !c.folder) {
        fprintf(stderr, "compare: %s\n", error.text[0] ? error.text : "--case is missing");
        xv_options_print(stderr, options, n_options);
        return XV_EXIT_USAGE;
    }
    c.config = check_json(check_path(c.folder, "config.json"));
    if (outputs) {
        compare_outputs(&c, outputs);
    }
    if (grads) {
        compare_gradients(&c, grads);
    }
    if (after) {
        compare_after(&c, after);
    }
    if (curve) {
        compare_curve(&c, curve, c.record);
    }
    if (train20) {
        compare_curve(&c, train20, "train20");
    }
    return check_finish(&c.check, check_member(c.config, "case")->valuestring);
}
