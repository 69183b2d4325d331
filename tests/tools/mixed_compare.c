// Judges what `replay` of a program of bf16, fp16 or tf32 wrote by the rule of mixed_precision.json.
//
//   mixed_compare --case DIR --type bf16 --outputs F [--grads F]
//
// The case records how far the official model under automatic mixed precision is from its float64 run: over
// tensors, the median and the 90th percentile of relative L2 errors of outputs and of gradients, each the maximum of
// several runs whose inputs differ by 1e-6. A program passes when its own are at most FACTOR times that. A loss is one
// number, whose error cancels by luck and of which six runs show little: each is held to LOSS_FACTOR times the worst of
// the case. A figure that is not recorded (null) is not judged. Outputs are compared with the float32 record, which is
// 1e-5 from the float64 run.
#include "runtime/base/options.h"
#include "tests/tools/check.h"

#define FACTOR 1.5
#define LOSS_FACTOR 2.0

typedef struct Case {
    const char *folder, *type;
    cJSON *config, *mixed;
    Check check;
} Case;

typedef struct Errors {
    double *at;
    int count;
} Errors;

static double relative_error(const Values *got, const Values *want)
{
    double *difference = check_memory((size_t)want->count * sizeof *difference);
    for (int64_t i = 0; i < want->count; i++) {
        difference[i] = got->at[i] - want->at[i];
    }
    double error = check_l2(difference, want->count) / check_l2(want->at, want->count);
    free(difference);
    return error;
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

// Between the neighbours, in proportion.
static double percentile(const Errors *errors, double part)
{
    double place = part * (errors->count - 1);
    int below = (int)place, above = below + 1 < errors->count ? below + 1 : below;
    return errors->at[below] + (place - below) * (errors->at[above] - errors->at[below]);
}

// The largest of [min, median, max]; NaN for a null or where nothing is recorded.
static double recorded_maximum(const cJSON *figure)
{
    const cJSON *maximum = cJSON_GetArrayItem(figure, 2);
    return cJSON_IsNumber(maximum) ? maximum->valuedouble : NAN;
}

static void judge(Case *c, const char *what, const char *statistic, double got)
{
    char name[64];
    snprintf(name, sizeof name, "%s_rel_l2_%s", what, statistic);
    const cJSON *summary = check_member(check_member(c->mixed, "summary"), c->type);
    double bound = FACTOR * recorded_maximum(cJSON_GetObjectItemCaseSensitive(summary, name));
    if (!isnan(bound)) {
        check_that(&c->check, got <= bound, "%s %s of %s: %.3g > %.3g", c->type, statistic, what, got, bound);
    }
}

// Names that are not judged: losses, rounding noise, what the record leaves out.
static bool is_left_out(const Case *c, const char *name)
{
    const cJSON *noise = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(c->config, "grad_fp32_vs_fp64"), "near_zero_grads");
    const cJSON *left_out = cJSON_GetObjectItemCaseSensitive(c->mixed, "left_out");
    return cJSON_GetObjectItemCaseSensitive(check_member(c->config, "losses_fp64"), name) ||
           (noise && check_lists(noise, name)) || (left_out && check_lists(left_out, name));
}

// The errors of all floating tensors of a recorded file.
static Errors errors_of(Case *c, const char *record, const char *path)
{
    XvSafetensors reference, file;
    check_open(&reference, check_path(c->folder, record));
    check_open(&file, path);
    Errors errors = {.at = check_memory((size_t)reference.n_tensors * sizeof(double))};
    for (int i = 0; i < reference.n_tensors; i++) {
        const XvStored *wanted = &reference.tensors[i];
        if (is_left_out(c, wanted->name)) {
            continue;
        }
        const XvStored *stored = xv_safetensors_find(&file, wanted->name);
        Values want = check_values(&reference, wanted);
        Values got = stored ? check_values(&file, stored) : (Values){0};
        bool is_there = stored && got.count == want.count;
        check_that(&c->check, is_there, "%s: missing, or of another shape", wanted->name);
        if (is_there && !want.is_integer) {
            errors.at[errors.count++] = relative_error(&got, &want);
        }
        free(got.at);
        free(want.at);
    }
    qsort(errors.at, (size_t)errors.count, sizeof *errors.at, ascending);
    return errors;
}

static void compare_tensors(Case *c, const char *what, const char *record, const char *path)
{
    Errors errors = errors_of(c, record, path);
    if (errors.count == 0) {
        check_stop("%s: no tensors to compare", path);
    }
    judge(c, what, "median", percentile(&errors, 0.5));
    judge(c, what, "p90", percentile(&errors, 0.9));
    free(errors.at);
}

static void compare_losses(Case *c, const char *path)
{
    XvSafetensors file;
    check_open(&file, path);
    double bound = 0;
    const cJSON *losses = check_member(c->mixed, "losses"), *loss;
    cJSON_ArrayForEach(loss, losses)
    {
        bound = fmax(bound, LOSS_FACTOR * recorded_maximum(cJSON_GetObjectItemCaseSensitive(loss, c->type)));
    }
    cJSON_ArrayForEach(loss, losses)
    {
        const cJSON *want = check_member(check_member(c->config, "losses_fp64"), loss->string);
        const XvStored *stored = xv_safetensors_find(&file, loss->string);
        Values got = stored ? check_values(&file, stored) : (Values){0};
        double error = stored ? fabs(got.at[0] / want->valuedouble - 1) : INFINITY;
        check_that(&c->check, error <= bound, "%s %s: relative error %.3g > %.3g", c->type, loss->string,
                   error, bound);
        free(got.at);
    }
}

int main(int argc, char **argv)
{
    Case c = {0};
    const char *outputs = NULL, *grads = NULL;
    const XvOption options[] = {
        {"--case", "DIR", XV_OPTION_TEXT, &c.folder, 0, 0, "folder of the recorded case"},
        {"--type", "NAME", XV_OPTION_TEXT, &c.type, 0, 0, "bf16, fp16 or tf32"},
        {"--outputs", "F", XV_OPTION_TEXT, &outputs, 0, 0, "outputs of the program"},
        {"--grads", "F", XV_OPTION_TEXT, &grads, 0, 0, "gradients of the program"},
    };
    const int n_options = (int)(sizeof options / sizeof *options);
    XvError error = {0};
    if (!xv_options_parse(options, n_options, argc, argv, &error) || !c.folder || !c.type || !outputs) {
        fprintf(stderr, "mixed_compare: %s\n",
                error.text[0] ? error.text : "--case, --type or --outputs is missing");
        xv_options_print(stderr, options, n_options);
        return XV_EXIT_USAGE;
    }
    c.config = check_json(check_path(c.folder, "config.json"));
    c.mixed = check_json(check_path(c.folder, "mixed_precision.json"));
    compare_tensors(&c, "outputs", "outputs.safetensors", outputs);
    compare_losses(&c, outputs);
    if (grads) {
        compare_tensors(&c, "grads", "grads.safetensors", grads);
    }
    return check_finish(&c.check, check_member(c.config, "case")->valuestring);
}
