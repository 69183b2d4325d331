// The command `eval`: means of losses and metrics over held-out records, recall of pairs, a page of boxes.
#include "runtime/checkpoint/weights.h"
#include "runtime/loop/box_page.h"
#include "runtime/loop/command.h"
#include "runtime/loop/data_paths.h"
#include "runtime/loop/eval_ranking.h"
#include "runtime/loop/evaluate.h"
#include "runtime/loop/run_folder.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct EvalOptions {
    XvDataPlaces places;
    const char *data, *regions, *vocab, *checkpoint, *output, *grid;
    int64_t seed, retrieval;
    bool is_json;
} EvalOptions;

typedef struct Eval {
    const XvCommand *command;
    EvalOptions options;
    XvSettings settings;
    XvDataPath data, regions;
    XvHost host;
    XvBoxPage page;
    cJSON *result;
} Eval;

// A metric that the task names NAME_chance: what guessing reaches at the metric NAME, for the same records.
static bool is_chance_of(const char *chance, const char *metric)
{
    size_t length = strlen(metric);
    return strncmp(chance, metric, length) == 0 && strcmp(chance + length, "_chance") == 0;
}

static bool is_chance(const XvEvaluation *evaluation, const char *name)
{
    bool is_found = false;
    for (int i = 0; i < evaluation->n_metrics && !is_found; i++) {
        is_found = is_chance_of(name, evaluation->metrics[i].name);
    }
    return is_found;
}

// What guessing reaches, in percent; NaN where no honest figure exists.
static double chance_of(const XvEvaluation *evaluation, const XvEntry *entry, const char *metric)
{
    for (int i = 0; i < evaluation->n_metrics; i++) {
        if (is_chance_of(evaluation->metrics[i].name, metric)) {
            return 100 * xv_mean(&evaluation->metrics[i]);
        }
    }
    if (strcmp(metric, "itm_accuracy") == 0) {
        return 200.0 / 3;  // two of three pairs do not match: always saying so
    }
    const XvValue *words = xv_graph_output(&entry->observe, "mlm_logits");
    if (strcmp(metric, "mlm_accuracy") == 0 && words && words->rank > 0) {
        return 100.0 / (double)words->shape[words->rank - 1];
    }
    return NAN;
}

static void print_row(Eval *eval, const char *name, double value, double chance)
{
    cJSON_AddNumberToObject(eval->result, name, value);
    if (eval->options.is_json) {
        return;
    }
    if (isnan(chance)) {
        printf("  %-28s %8.1f %%\n", name, value);
    } else {
        printf("  %-28s %8.1f %%   %8.1f %%\n", name, value, chance);
    }
}

static void report(Eval *eval, const XvEntry *entry, const XvEvaluation *evaluation)
{
    bool is_text = !eval->options.is_json;
    if (is_text) {
        printf("%s, %lld records%s\n  %-28s %10s   %10s\n", entry->name, (long long)evaluation->records, "",
               "metric", "value", "chance");
    }
    if (evaluation->has_retrieval) {
        static const char *const names[2] = {"txt_r", "img_r"};
        static const char *const titles[2] = {"image to text", "text to image"};
        for (int way = 0; way < 2; way++) {
            for (int k = 0; k < XV_RECALLS; k++) {
                const XvRetrieval *retrieval = &evaluation->retrieval;
                double value = 100 * (way ? retrieval->text_to_image[k] : retrieval->image_to_text[k]);
                char key[32];
                snprintf(key, sizeof key, "%s%d", names[way], XV_RECALL_AT[k]);
                cJSON_AddNumberToObject(eval->result, key, value);
                if (is_text) {
                    printf("  R@%-2d %s%*s %8.1f %%   %8.1f %%\n", XV_RECALL_AT[k], titles[way], 10, "",
                           value, 100 * retrieval->chance[k]);
                }
            }
        }
    }
    for (int i = 0; i < evaluation->n_metrics; i++) {
        const XvMean *mean = &evaluation->metrics[i];
        if (!is_chance(evaluation, mean->name)) {
            print_row(eval, mean->name, 100 * xv_mean(mean), chance_of(evaluation, entry, mean->name));
        }
    }
    for (int i = 0; i < evaluation->n_losses; i++) {
        char key[128];
        bool is_main = entry == &eval->command->program->entries[eval->command->program->n_entries - 1];
        snprintf(key, sizeof key, "%s%s%s", is_main ? "" : entry->name, is_main ? "" : "_",
                 evaluation->losses[i].name);
        cJSON_AddNumberToObject(eval->result, key, xv_mean(&evaluation->losses[i]));
        if (is_text) {
            printf("  %-28s %8.4f\n", evaluation->losses[i].name, xv_mean(&evaluation->losses[i]));
        }
    }
    if (evaluation->skipped > 0 && is_text) {
        printf("  %lld records could not be used\n", (long long)evaluation->skipped);
    }
    if (evaluation->partial > 0 && is_text) {
        printf("  %lld pictures were cut off or damaged and used as far as they go\n",
               (long long)evaluation->partial);
    }
}

static bool is_first(const Eval *eval)
{
    return xv_comm_rank(eval->command->comm) == 0;
}

static bool write_text(const char *path, const char *text, XvError *error)
{
    XvOutputFile target;
    if (!xv_output_file_open(&target, path, error)) {
        return false;
    }
    FILE *file = fopen(target.local, "w");
    bool is_written = file && fprintf(file, "%s\n", text) >= 0;
    is_written = (!file || fclose(file) == 0) && is_written;
    is_written = is_written || xv_fail(error, "cannot write '%s': %s", target.local, strerror(errno));
    return xv_output_file_close(&target, is_written, error);
}

static bool write_page(const Eval *eval, XvError *error)
{
    XvOutputFile target;
    return xv_output_file_open(&target, eval->options.grid, error) &&
           xv_output_file_close(&target, xv_box_page_write(&eval->page, target.local, error), error);
}

static bool evaluate_entry(Eval *eval, const XvEntry *entry, const XvDataPath *path, XvError *error)
{
    bool is_main = entry == &eval->command->program->entries[eval->command->program->n_entries - 1];
    XvSourceRequest request = {.entry = entry,
                               .graph = &entry->observe,
                               .path = path->list,
                               .vocab = eval->options.vocab,
                               .settings = &eval->settings,
                               .is_evaluation = true,
                               .seed = (uint64_t)eval->options.seed,
                               .rank = xv_comm_rank(eval->command->comm),
                               .world = xv_comm_world(eval->command->comm)};
    XvSource source = {0};
    if (!xv_comm_agree(eval->command->comm, xv_source_open(&source, eval->command->sources, &request, error),
                       error)) {
        xv_source_close(&source);
        return xv_data_path_fail(path, error);
    }
    char vocabulary[PATH_MAX];
    bool wants_page =
        eval->options.grid && is_first(eval) && xv_graph_output(&entry->observe, "output_coord");
    XvObserver observer = {&eval->page, xv_box_page_observe};
    bool is_ready = !wants_page || (xv_vocabulary_path(&request, vocabulary, error) &&
                                    xv_box_page_open(&eval->page, vocabulary, error));
    XvEvaluateOptions options = {.seed = (uint64_t)eval->options.seed,
                                 .retrieval = is_main ? eval->options.retrieval : 0,
                                 .observer = wants_page ? &observer : NULL};
    XvEvaluation evaluation = {0};
    bool is_done = is_ready && xv_evaluate(&eval->host, entry, &source, &options, &evaluation, error);
    if (is_done) {
        report(eval, entry, &evaluation);
        is_done = !wants_page || write_page(eval, error);
    }
    xv_evaluation_free(&evaluation);
    xv_source_close(&source);
    return is_done;
}

static bool load_checkpoint(Eval *eval, XvError *error)
{
    XvLoadOptions options = {.is_complete = true};
    return xv_weights_load(eval->command->program, eval->options.checkpoint, &options,
                           xv_host_parameters(&eval->host), is_first(eval) ? stderr : NULL, error);
}

static bool save_result(const Eval *eval, XvError *error)
{
    char *text = cJSON_Print(eval->result);
    if (text && eval->options.is_json) {
        puts(text);
    }
    bool is_saved = text != NULL;
    if (text && eval->options.output && is_first(eval)) {
        is_saved = write_text(eval->options.output, text, error);
    }
    free(text);
    return is_saved || error->text[0] ? is_saved : xv_fail(error, "no memory for the result");
}

// Where the records of an entry are; NULL when it is not to be evaluated.
static const XvDataPath *records_path(const Eval *eval, int entry)
{
    const XvDataPath *path = xv_entry_path(eval->command->program, entry, &eval->data, &eval->regions);
    return path && path->list ? path : NULL;
}

// Flags, or the configured test records, or where there are none, the validation records.
static bool choose_data(Eval *eval, XvError *error)
{
    const EvalOptions *options = &eval->options;
    bool ok = xv_settings_read(&eval->settings, eval->command->program->config, error) &&
              xv_data_places_apply(&options->places, &eval->settings, error);
    const cJSON *test = ok ? xv_settings_find(&eval->settings, "test_file") : NULL;
    bool has_test = test && !cJSON_IsNull(test);
    eval->data = (XvDataPath){.key = has_test ? "test_file" : "val_file", .flag = "--data"};
    eval->regions = (XvDataPath){.flag = "--regions"};
    return ok && xv_data_path(&eval->data, options->data, &eval->settings, error) &&
           xv_data_path(&eval->regions, options->regions, &eval->settings, error);
}

// A program with two-stage retrieval is evaluated by that instead of by its training entry.
static bool rank_records(Eval *eval, const XvTwoStage *stages, XvError *error)
{
    int64_t pairs = 0;
    XvEvalRanking request = {.host = &eval->host,
                             .stages = stages,
                             .sources = eval->command->sources,
                             .path = eval->data.list,
                             .vocab = eval->options.vocab,
                             .settings = &eval->settings};
    if (!xv_eval_ranking(&request, eval->result, &pairs, error)) {
        return xv_data_path_fail(&eval->data, error);
    }
    for (int i = 0; i < XV_RECALL_ROWS && !eval->options.is_json; i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(eval->result, xv_recall_name(i));
        printf("  %-12s %6.2f %%\n", xv_recall_name(i), value->valuedouble);
    }
    if (!eval->options.is_json) {
        printf("  %lld pairs scored\n", (long long)pairs);
    }
    return save_result(eval, error);
}

static bool run_ranking(Eval *eval, const XvTwoStage *stages, XvError *error)
{
    const XvProgram *program = eval->command->program;
    bool is_ready =
        xv_host_create(&eval->host, program, XV_HOST_OBSERVE, xv_two_stage_entries(program, stages), error) &&
        load_checkpoint(eval, error);
    return xv_comm_agree(eval->command->comm, is_ready, error) &&
           xv_host_join(&eval->host, eval->command->comm, error) && rank_records(eval, stages, error);
}

static bool run_eval(Eval *eval, XvError *error)
{
    XvTwoStage stages;
    if (eval->data.list && xv_two_stage_find(eval->command->program, &stages, error)) {
        return run_ranking(eval, &stages, error);
    }
    if (error->text[0]) {
        return false;
    }
    const XvProgram *program = eval->command->program;
    XvEntrySet entries = 0;
    for (int i = 0; i < program->n_entries; i++) {
        entries |= (XvEntrySet)(records_path(eval, i) != NULL) << i;
    }
    bool is_ready =
        xv_host_create(&eval->host, program, XV_HOST_OBSERVE, entries, error) && load_checkpoint(eval, error);
    if (!xv_comm_agree(eval->command->comm, is_ready, error) ||
        !xv_host_join(&eval->host, eval->command->comm, error)) {
        return false;
    }
    for (int i = program->n_entries - 1; i >= 0; i--) {
        const XvDataPath *path = records_path(eval, i);
        if (path && !evaluate_entry(eval, &program->entries[i], path, error)) {
            return false;
        }
    }
    return save_result(eval, error);
}

int xv_command_eval(const XvCommand *command)
{
    Eval eval = {.command = command,
                 .options = {.seed = 42, .retrieval = 100, .places = {.dataset_size = -1}}};
    EvalOptions *o = &eval.options;
    const XvOption table[] = {
        {"--data", "F", XV_OPTION_TEXT, &o->data, 0, 0,
         "records of the main entry: files or folders, with commas between several; test_file, else val_file, if not "
         "given"},
        {"--regions", "F", XV_OPTION_TEXT, &o->regions, 0, 0, "records with regions"},
        {"--vocab", "F", XV_OPTION_TEXT, &o->vocab, 0, 0,
         "vocab.txt of the tokenizer; beside the records, or text_encoder, if not given"},
        XV_DATA_PLACES(&o->places),
        {"--checkpoint", "F", XV_OPTION_TEXT, &o->checkpoint, 0, 0, "weights: safetensors, .th, .pth, .bin"},
        {"--retrieval", "N", XV_OPTION_INTEGER, &o->retrieval, 0, 1000000,
         "pairs to rank against each other (100)"},
        {"--seed", "N", XV_OPTION_INTEGER, &o->seed, 0, INT64_MAX, "of drawn negatives (42)"},
        {"--grid", "F", XV_OPTION_TEXT, &o->grid, 0, 0, "PNG page of pictures with true and predicted boxes"},
        {"--output", "F", XV_OPTION_TEXT, &o->output, 0, 0, "the figures as JSON"},
        {"--json", NULL, XV_OPTION_FLAG, &o->is_json, 0, 0, "print the figures as JSON"},
    };
    XvOptionTable options = {"--data F --checkpoint F [--regions F] [options]",
                             "Tests a model on held-out records.", table,
                             (int)(sizeof table / sizeof *table)};
    int status;
    if (!xv_command_options(command, &options, &status)) {
        return status;
    }
    XvError error = {{0}};
    if (!o->checkpoint) {
        xv_fail(&error, "--checkpoint F is needed");
        return xv_command_fail(command, XV_EXIT_USAGE, &error);
    }
    eval.result = cJSON_CreateObject();
    bool has_chosen = xv_comm_agree(command->comm, choose_data(&eval, &error), &error);
    bool has_data = eval.data.list || eval.regions.list;
    if (has_chosen && !has_data) {
        xv_fail(&error,
                "one of --data and --regions is needed: the configuration has no test_file or val_file");
    }
    bool is_done = has_chosen && has_data && run_eval(&eval, &error);
    xv_data_path_free(&eval.data);
    xv_data_path_free(&eval.regions);
    xv_box_page_close(&eval.page);
    xv_settings_free(&eval.settings);
    xv_host_free(&eval.host);
    cJSON_Delete(eval.result);
    int failed = has_chosen && !has_data ? XV_EXIT_USAGE : XV_EXIT_FAILED;
    return is_done ? XV_EXIT_OK : xv_command_fail(command, failed, &error);
}
