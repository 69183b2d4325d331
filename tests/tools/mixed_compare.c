// Judges what `replay` of a program of bf16, fp16 or tf32 wrote by the rule of mixed_precision.json.
//
//   mixed_compare --case DIR --type bf16 --runs FOLDER
//   mixed_compare --case DIR --type bf16 --perturb K --inputs F
//
// The case records how far the official model under automatic mixed precision is from its float64 run: over
// tensors, the median and the 90th percentile of relative L2 errors of outputs and of gradients, [min, median, max] of
// six runs, on the recorded pictures and on five that differ from them by 1e-6. A program runs on several as well
// (FOLDER/outputs.K.safetensors and grads.K.safetensors from K = 0 on; the second form writes the inputs of run K), and
// passes when the median of its runs is at most 1.5 times the recorded maximum. A loss is one number, whose error
// cancels by luck: each is held to 1.5 times the worst of the case, and again the median of the runs counts. A
// figure that is not recorded (null) is not judged, nor are integers, such as tokens found by a search. Outputs are
// compared with the float32 record, which is 1e-5 from the float64 run.
#include "runtime/base/options.h"
#include "runtime/base/random.h"
#include "tests/tools/mixed_rule.h"

#define PERTURBATION 1e-6

enum { MAX_RUNS = 16 };

typedef struct Case {
    const char *folder, *type, *runs;
    int n_runs;
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

static double middle(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    Errors errors = {values, count};
    return percentile(&errors, 0.5);
}

static void judge(Case *c, const char *what, const char *statistic, double *runs)
{
    char name[64];
    snprintf(name, sizeof name, "%s_rel_l2_%s", what, statistic);
    const cJSON *summary = check_member(check_member(c->mixed, "summary"), c->type);
    double bound = mixed_bound(cJSON_GetObjectItemCaseSensitive(summary, name));
    double got = middle(runs, c->n_runs);
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
        bool is_float = wanted->dtype == XV_F32 || wanted->dtype == XV_F64;
        if (!is_float || is_left_out(c, wanted->name)) {
            continue;
        }
        const XvStored *stored = xv_safetensors_find(&file, wanted->name);
        Values want = check_values(&reference, wanted);
        Values got = stored ? check_values(&file, stored) : (Values){0};
        bool is_there = stored && got.count == want.count;
        check_that(&c->check, is_there, "%s: missing, or of another shape", wanted->name);
        if (is_there) {
            errors.at[errors.count++] = relative_error(&got, &want);
        }
        free(got.at);
        free(want.at);
    }
    qsort(errors.at, (size_t)errors.count, sizeof *errors.at, ascending);
    return errors;
}

// FOLDER/outputs.3.safetensors
static const char *run_path(const Case *c, const char *what, int run)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%d.safetensors", what, run);
    return check_path(c->runs, name);
}

static void compare_tensors(Case *c, const char *what, const char *record)
{
    double median[MAX_RUNS], p90[MAX_RUNS];
    for (int run = 0; run < c->n_runs; run++) {
        Errors errors = errors_of(c, record, run_path(c, what, run));
        if (errors.count == 0) {
            check_stop("%s: no tensors to compare", run_path(c, what, run));
        }
        median[run] = percentile(&errors, 0.5);
        p90[run] = percentile(&errors, 0.9);
        free(errors.at);
    }
    judge(c, what, "median", median);
    judge(c, what, "p90", p90);
}

static double loss_error(const Case *c, const char *name, int run)
{
    XvSafetensors file;
    check_open(&file, run_path(c, "outputs", run));
    const cJSON *want = check_member(check_member(c->config, "losses_fp64"), name);
    const XvStored *stored = xv_safetensors_find(&file, name);
    return stored ? fabs(check_values(&file, stored).at[0] / want->valuedouble - 1) : INFINITY;
}

static void compare_losses(Case *c)
{
    double bound = 0, errors[MAX_RUNS];
    const cJSON *losses = check_member(c->mixed, "losses"), *loss;
    cJSON_ArrayForEach(loss, losses)
    {
        bound = fmax(bound, mixed_bound(cJSON_GetObjectItemCaseSensitive(loss, c->type)));
    }
    cJSON_ArrayForEach(loss, losses)
    {
        for (int run = 0; run < c->n_runs; run++) {
            errors[run] = loss_error(c, loss->string, run);
        }
        double error = middle(errors, c->n_runs);
        check_that(&c->check, error <= bound, "%s %s: relative error %.3g > %.3g", c->type, loss->string,
                   error, bound);
    }
}

static void perturb(float *values, int64_t count, uint64_t run)
{
    XvStream stream = xv_stream(run);
    for (int64_t i = 0; i < count; i++) {
        values[i] *= (float)(1 + PERTURBATION * xv_stream_normal(&stream));
    }
}

// The inputs with pictures of run `run`; run 0 has the recorded ones.
static void write_inputs(const Case *c, uint64_t run, const char *path)
{
    XvSafetensors inputs;
    check_open(&inputs, check_path(c->folder, "inputs.safetensors"));
    XvTensor *tensors = check_tensors(&inputs);
    for (int i = 0; i < inputs.n_tensors; i++) {
        const XvStored *stored = &inputs.tensors[i];
        if (run > 0 && stored->dtype == XV_F32 && stored->rank == 4) {
            perturb(tensors[i].data, stored->count, run);
        }
    }
    check_write(path, tensors, inputs.n_tensors);
}

static void count_runs(Case *c)
{
    while (c->n_runs < MAX_RUNS && check_exists(run_path(c, "outputs", c->n_runs))) {
        c->n_runs++;
    }
    if (c->n_runs == 0) {
        check_stop("%s has no outputs.0.safetensors", c->runs);
    }
}

int main(int argc, char **argv)
{
    Case c = {0};
    int64_t run = -1;
    const char *inputs = NULL;
    const XvOption options[] = {
        {"--case", "DIR", XV_OPTION_TEXT, &c.folder, 0, 0, "folder of the recorded case"},
        {"--type", "NAME", XV_OPTION_TEXT, &c.type, 0, 0, "bf16, fp16 or tf32"},
        {"--runs", "DIR", XV_OPTION_TEXT, &c.runs, 0, 0, "outputs and gradients of the program's runs"},
        {"--perturb", "K", XV_OPTION_INTEGER, &run, 0, MAX_RUNS, "write the inputs of run K"},
        {"--inputs", "F", XV_OPTION_TEXT, &inputs, 0, 0, "where they go"},
    };
    const int n_options = (int)(sizeof options / sizeof *options);
    XvError error = {0};
    bool is_good = xv_options_parse(options, n_options, argc, argv, &error);
    bool is_writing = run >= 0 && inputs;
    if (!is_good || !c.folder || (!is_writing && (!c.type || !c.runs))) {
        fprintf(stderr, "mixed_compare: %s\n",
                error.text[0] ? error.text : "--case, and --type and --runs or --perturb and --inputs");
        xv_options_print(stderr, options, n_options);
        return XV_EXIT_USAGE;
    }
    if (is_writing) {
        write_inputs(&c, (uint64_t)run, inputs);
        return 0;
    }
    c.config = check_json(check_path(c.folder, "config.json"));
    c.mixed = check_json(check_path(c.folder, "mixed_precision.json"));
    count_runs(&c);
    compare_tensors(&c, "outputs", "outputs.safetensors");
    compare_losses(&c);
    if (check_exists(run_path(&c, "grads", 0))) {
        compare_tensors(&c, "grads", "grads.safetensors");
    }
    return check_finish(&c.check, check_member(c.config, "case")->valuestring);
}
