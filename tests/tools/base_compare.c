// Compares a replay at the official sizes with the recorded samples of the official implementation.
//
//   base_compare --case DIR [--outputs F] [--grads F] [--before F --after F]
//
// The recorded cases hold parts of tensors: slices and statistics of outputs; norms, sampled and largest elements of
// gradients; sampled elements before and after one optimizer step. What is recorded in float64 is compared with
// that. The tolerances are those of tests/replay/README.md and are the same for every case.
#include "runtime/base/options.h"
#include "tests/tools/check.h"

#define LOSS_RELATIVE 1e-5       // against the float64 run
#define OUTPUT_ABSOLUTE 2e-5     // every element of a recorded part
#define STATISTIC_RELATIVE 1e-4  // norm, mean and magnitude of an output; norm of a gradient
#define SAMPLE_OF_LARGEST 1e-4   // gradient elements, times the largest magnitude of the tensor
#define ZERO_GRADIENT 1e-6       // magnitude of a gradient that is zero but for rounding
#define UPDATE_RELATIVE_L2 2e-3  // over the sampled elements of a tensor

enum { SAMPLES = 8, SLICE_COLUMNS = 64, SLICE_TOKENS = 4 };

typedef struct Case {
    const char *folder;
    cJSON *config;
    Check check;
    XvSafetensors reference, file;
} Case;

static void open_pair(Case *c, const char *name, const char *path)
{
    check_open(&c->reference, check_path(c->folder, name));
    check_open(&c->file, path);
}

// Outputs ---------------------------------------------------------------------------------------------------------

// Whether a recorded name is PART of the tensor BASE (".slice"); cuts the ending off in `base`.
static bool cut_ending(char *base, const char *ending)
{
    if (!check_ends(base, ending)) {
        return false;
    }
    base[strlen(base) - strlen(ending)] = 0;
    return true;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// The first values of every element of the batch.
static Values starts_of(const Values *full)
{
    int64_t width = full->count / full->shape[0], columns = smaller(width, SLICE_COLUMNS);
    Values slice = {.rank = 2, .shape = {full->shape[0], columns}, .count = full->shape[0] * columns};
    slice.at = check_memory((size_t)slice.count * sizeof *slice.at);
    for (int64_t row = 0; row < full->shape[0]; row++) {
        memcpy(slice.at + row * columns, full->at + row * width, (size_t)columns * sizeof *slice.at);
    }
    return slice;
}

// Tokens 0, 1, N/2 and N-1 and the first columns of [B, N, C]; the starts of other shapes.
static Values slice_of(const Values *full)
{
    if (full->rank != 3) {
        return starts_of(full);
    }
    int64_t tokens = full->shape[1], width = full->shape[2], columns = smaller(width, SLICE_COLUMNS);
    const int64_t chosen[SLICE_TOKENS] = {0, 1, tokens / 2, tokens - 1};
    Values slice = {.rank = 3, .shape = {full->shape[0], SLICE_TOKENS, columns}};
    slice.count = slice.shape[0] * SLICE_TOKENS * columns;
    slice.at = check_memory((size_t)slice.count * sizeof *slice.at);
    for (int64_t row = 0; row < slice.shape[0] * SLICE_TOKENS; row++) {
        int64_t token = row / SLICE_TOKENS * tokens + chosen[row % SLICE_TOKENS];
        memcpy(slice.at + row * columns, full->at + token * width, (size_t)columns * sizeof *slice.at);
    }
    return slice;
}

static Values first_columns_of(const Values *full)
{
    Values first = *full;
    int64_t width = full->shape[full->rank - 1], columns = smaller(width, SLICE_COLUMNS),
            rows = full->count / width;
    first.shape[full->rank - 1] = columns;
    first.count = rows * columns;
    first.at = check_memory((size_t)first.count * sizeof *first.at);
    for (int64_t row = 0; row < rows; row++) {
        memcpy(first.at + row * columns, full->at + row * width, (size_t)columns * sizeof *first.at);
    }
    return first;
}

static double log_sum_exp(const double *row, int64_t width)
{
    double largest = row[0], sum = 0;
    for (int64_t i = 1; i < width; i++) {
        largest = fmax(largest, row[i]);
    }
    for (int64_t i = 0; i < width; i++) {
        sum += exp(row[i] - largest);
    }
    return largest + log(sum);
}

// One value per row of logits: its logsumexp, or (with labels; ignored ones count as class 0) the labelled logit.
static Values row_values_of(const Values *full, const Values *labels)
{
    Values rows = *full;
    int64_t width = full->shape[full->rank - 1];
    rows.rank--;
    rows.count = full->count / width;
    rows.at = check_memory((size_t)rows.count * sizeof *rows.at);
    for (int64_t row = 0; row < rows.count; row++) {
        const double *logits = full->at + row * width;
        int64_t label = labels ? (int64_t)fmax(labels->at[row], 0) : 0;
        rows.at[row] = labels ? logits[label] : log_sum_exp(logits, width);
    }
    return rows;
}

// What logits are compared at: the masked words of a text, or where none are masked the word after each; there is none
// after the last.
static Values labels_of(const XvSafetensors *inputs)
{
    if (xv_safetensors_find(inputs, "masked_ids")) {
        return check_reference(inputs, "masked_ids");
    }
    Values labels =
        check_reference(inputs, xv_safetensors_find(inputs, "answer_ids") ? "answer_ids" : "text_ids");
    int64_t width = labels.shape[labels.rank - 1];
    for (int64_t i = 0; i < labels.count; i++) {
        labels.at[i] = i % width < width - 1 ? labels.at[i + 1] : 0;
    }
    return labels;
}

// The part of a tensor that a recorded ending stands for.
static Values part_of(const Case *c, const Values *full, const char *ending)
{
    if (strcmp(ending, ".slice") == 0) {
        return slice_of(full);
    }
    if (strcmp(ending, ".first64") == 0) {
        return first_columns_of(full);
    }
    if (strcmp(ending, ".logsumexp") == 0) {
        return row_values_of(full, NULL);
    }
    XvSafetensors inputs;
    check_open(&inputs, check_path(c->folder, "inputs.safetensors"));
    Values labels = labels_of(&inputs);
    xv_safetensors_close(&inputs);
    return row_values_of(full, &labels);
}

static void compare_values(Case *c, const char *name, const Values *got, const Values *want)
{
    if (!check_same_shape(got, want)) {
        check_that(&c->check, false, "output %s: another shape", name);
        return;
    }
    const cJSON *loss = cJSON_GetObjectItemCaseSensitive(check_member(c->config, "losses_fp64"), name);
    if (loss) {
        double relative = fabs(got->at[0] - loss->valuedouble) / fabs(loss->valuedouble);
        check_that(&c->check, relative <= LOSS_RELATIVE,
                   "loss %s: got %.9g, want %.9g, relative error %.3g > %g", name, got->at[0],
                   loss->valuedouble, relative, LOSS_RELATIVE);
        return;
    }
    Worst worst = check_worst(got->at, want->at, want->count);
    double tolerance = want->is_integer ? 0 : OUTPUT_ABSOLUTE;
    check_that(&c->check, worst.difference <= tolerance,
               "output %s: at %lld got %.9g, want %.9g, difference %.3g > %g", name, (long long)worst.at,
               got->at[worst.at], want->at[worst.at], worst.difference, tolerance);
}

static void compare_output(Case *c, const XvStored *wanted)
{
    static const char *const endings[] = {".slice", ".first64", ".logsumexp", ".at_label"};
    char base[256], exact[256];
    snprintf(base, sizeof base, "%s", wanted->name);
    snprintf(exact, sizeof exact, "f64.%s", wanted->name);
    const char *ending = NULL;
    for (int i = 0; i < 4 && !ending; i++) {
        ending = cut_ending(base, endings[i]) ? endings[i] : NULL;
    }
    const XvStored *stored = xv_safetensors_find(&c->file, base);
    if (!stored) {
        check_that(&c->check, false, "output %s: missing", base);
        return;
    }
    bool has_exact = xv_safetensors_find(&c->reference, exact) != NULL;
    Values want = check_reference(&c->reference, has_exact ? exact : wanted->name);
    Values full = check_values(&c->file, stored);
    if (ending && full.rank < (strcmp(ending, ".slice") == 0 ? 3 : 1)) {
        check_that(&c->check, false, "output %s: rank %d is too small", base, full.rank);
    } else {
        Values got = ending ? part_of(c, &full, ending) : full;
        compare_values(c, wanted->name, &got, &want);
        if (ending) {
            free(got.at);
        }
    }
    free(full.at);
    free(want.at);
}

// A statistic may be small against what it is made of (a mean): the error is measured against `scale`.
static void compare_statistic(Case *c, const char *name, const char *which, double got, double want,
                              double scale)
{
    double error = fabs(got - want) / scale;
    check_that(&c->check, error <= STATISTIC_RELATIVE,
               "%s of %s: got %.9g, want %.9g, relative error %.3g > %g", which, name, got, want, error,
               STATISTIC_RELATIVE);
}

static void compare_statistics(Case *c, const cJSON *recorded)
{
    const XvStored *stored = xv_safetensors_find(&c->file, recorded->string);
    if (!stored) {
        check_that(&c->check, false, "output %s: missing", recorded->string);
        return;
    }
    Values values = check_values(&c->file, stored);
    double sum = 0, largest = 0;
    for (int64_t i = 0; i < values.count; i++) {
        sum += values.at[i];
        largest = fmax(largest, fabs(values.at[i]));
    }
    double l2 = check_member(recorded, "l2_f64")->valuedouble;
    double magnitude = check_member(recorded, "max_abs_f64")->valuedouble;
    compare_statistic(c, recorded->string, "norm", check_l2(values.at, values.count), l2, l2);
    compare_statistic(c, recorded->string, "magnitude", largest, magnitude, magnitude);
    compare_statistic(c, recorded->string, "mean", sum / (double)values.count,
                      check_member(recorded, "mean_f64")->valuedouble, l2 / sqrt((double)values.count));
    free(values.at);
}

static void compare_outputs(Case *c, const char *path)
{
    open_pair(c, "outputs.safetensors", path);
    for (int i = 0; i < c->reference.n_tensors; i++) {
        if (!check_starts(c->reference.tensors[i].name, "f64.")) {
            compare_output(c, &c->reference.tensors[i]);
        }
    }
    const cJSON *recorded;
    cJSON_ArrayForEach(recorded, check_member(c->config, "stats"))
    {
        compare_statistics(c, recorded);
    }
}

// Gradients -------------------------------------------------------------------------------------------------------

typedef struct GradientRecord {
    Values index, sample, top_index, top_value, stats;  // one row per parameter
} GradientRecord;

// Whether element i of a parameter is a key bias, whose gradient is rounding noise.
static bool is_noise(const Case *c, const char *name, int64_t i, int64_t count)
{
    if (check_ends(name, ".qkv.bias")) {
        return i >= count / 3 && i < 2 * (count / 3);
    }
    return check_lists(check_member(c->config, "near_zero_grads"), name);
}

typedef struct Elements {
    const char *name;
    const Values *full;   // the gradient of the program
    const double *index;  // [SAMPLES] flat positions
    const double *want;   // [SAMPLES]
    double tolerance;
} Elements;

static void compare_elements(Case *c, const char *which, const Elements *elements)
{
    int64_t count = elements->full->count;
    int n = (int)smaller(SAMPLES, count), worst_at = 0;
    double worst = -1, limit = 0;
    for (int k = 0; k < n; k++) {
        int64_t i = (int64_t)elements->index[k];
        if (i < 0 || i >= count) {
            check_that(&c->check, false, "grad %s: another shape", elements->name);
            return;
        }
        double tolerance = is_noise(c, elements->name, i, count) ? ZERO_GRADIENT : elements->tolerance;
        double difference = fabs(elements->full->at[i] - elements->want[k]);
        double share = isfinite(difference) ? difference / tolerance : INFINITY;
        if (share > worst) {
            worst = share;
            worst_at = k;
            limit = tolerance;
        }
    }
    int64_t i = (int64_t)elements->index[worst_at];
    check_that(&c->check, worst <= 1, "grad %s, %s: at %lld got %.9g, want %.9g, more than %.3g apart",
               elements->name, which, (long long)i, elements->full->at[i], elements->want[worst_at], limit);
}

static void compare_gradient(Case *c, const char *name, const GradientRecord *record, int row)
{
    const XvStored *stored = xv_safetensors_find(&c->file, name);
    if (!stored) {
        check_that(&c->check, false, "grad %s: missing", name);
        return;
    }
    Values full = check_values(&c->file, stored);
    double norm = record->stats.at[3 * row], largest = record->stats.at[3 * row + 2];
    double got = check_l2(full.at, full.count);
    if (check_lists(check_member(c->config, "near_zero_grads"), name)) {
        check_that(&c->check, got <= ZERO_GRADIENT * sqrt((double)full.count),
                   "grad %s: norm %.6g, want zero", name, got);
    } else {
        compare_statistic(c, name, "norm of gradient", got, norm, norm);
    }
    Elements sampled = {name, &full, record->index.at + SAMPLES * row, record->sample.at + SAMPLES * row,
                        SAMPLE_OF_LARGEST * largest};
    Elements top = {name, &full, record->top_index.at + SAMPLES * row, record->top_value.at + SAMPLES * row,
                    SAMPLE_OF_LARGEST * largest};
    compare_elements(c, "sampled", &sampled);
    compare_elements(c, "largest", &top);
    free(full.at);
}

static void compare_gradients(Case *c, const char *path)
{
    open_pair(c, "grads.safetensors", path);
    GradientRecord record = {
        check_reference(&c->reference, "index"),     check_reference(&c->reference, "f64.sample"),
        check_reference(&c->reference, "top_index"), check_reference(&c->reference, "f64.top_value"),
        check_reference(&c->reference, "f64.stats"),
    };
    const cJSON *rows = check_member(c->config, "grad_rows"), *name;
    int row = 0;
    cJSON_ArrayForEach(name, rows)
    {
        compare_gradient(c, name->valuestring, &record, row++);
    }
    for (int i = 0; i < c->file.n_tensors; i++) {
        bool is_wanted = check_lists(rows, c->file.tensors[i].name);
        check_that(&c->check, is_wanted, "grad %s: present, but the parameter receives none",
                   c->file.tensors[i].name);
    }
}

// One optimizer step ----------------------------------------------------------------------------------------------

// Relative L2 over the sampled elements that are not noise.
static void compare_update(Case *c, const char *name, const Values *update, const double *index,
                           const double *want)
{
    double error = 0, norm = 0;
    int n = 0;
    for (int k = 0; k < smaller(SAMPLES, update->count); k++) {
        int64_t i = (int64_t)index[k];
        if (!is_noise(c, name, i, update->count)) {
            double difference = update->at[i] - want[k];
            error += difference * difference;
            norm += want[k] * want[k];
            n++;
        }
    }
    check_that(&c->check, n == 0 || sqrt(error) <= UPDATE_RELATIVE_L2 * sqrt(norm),
               "update %s: relative L2 %.3g > %g over the samples; first got %.9g, want %.9g", name,
               sqrt(error / norm), UPDATE_RELATIVE_L2, update->at[(int64_t)index[0]], want[0]);
}

static void compare_step(Case *c, const char *before_path, const char *path)
{
    XvSafetensors before;
    check_open(&before, before_path);
    open_pair(c, "after_one_step.safetensors", path);
    Values index = check_reference(&c->reference, "index"),
           delta = check_reference(&c->reference, "f64.delta");
    const cJSON *name;
    int row = 0;
    cJSON_ArrayForEach(name, check_member(check_member(c->config, "after_one_step"), "rows"))
    {
        const XvStored *stored = xv_safetensors_find(&c->file, name->valuestring);
        if (stored) {
            Values update = check_values(&c->file, stored),
                   start = check_reference(&before, name->valuestring);
            for (int64_t i = 0; i < update.count && update.count == start.count; i++) {
                update.at[i] -= start.at[i];
            }
            compare_update(c, name->valuestring, &update, index.at + SAMPLES * row, delta.at + SAMPLES * row);
            free(update.at);
            free(start.at);
        } else {
            check_that(&c->check, false, "update %s: missing", name->valuestring);
        }
        row++;
    }
}

int main(int argc, char **argv)
{
    Case c = {0};
    const char *outputs = NULL, *grads = NULL, *before = NULL, *after = NULL;
    const XvOption options[] = {
        {"--case", "DIR", XV_OPTION_TEXT, &c.folder, 0, 0, "folder of the recorded case"},
        {"--outputs", "F", XV_OPTION_TEXT, &outputs, 0, 0, "outputs of the program"},
        {"--grads", "F", XV_OPTION_TEXT, &grads, 0, 0, "gradients of the program"},
        {"--before", "F", XV_OPTION_TEXT, &before, 0, 0, "parameters before the step"},
        {"--after", "F", XV_OPTION_TEXT, &after, 0, 0, "parameters after the step"},
    };
    const int n_options = (int)(sizeof options / sizeof *options);
    XvError error = {0};
    if (!xv_options_parse(options, n_options, argc, argv, &error) || !c.folder || !before != !after) {
        fprintf(stderr, "base_compare: %s\n",
                error.text[0] ? error.text : "--case, and --before with --after, are needed");
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
        compare_step(&c, before, after);
    }
    return check_finish(&c.check, check_member(c.config, "case")->valuestring);
}
