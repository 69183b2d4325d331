// The train command: iterations, log, evaluation, checkpoints, and an orderly end whatever ends it.
#include "runtime/base/format.h"
#include "runtime/checkpoint/weights.h"
#include "runtime/loop/evaluate.h"
#include "runtime/loop/ranks.h"
#include "runtime/loop/train_run.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool is_first(const XvTrainRun *run)
{
    return xv_comm_rank(run->command->comm) == 0;
}

static void print_headline(const XvTrainRun *run)
{
    const XvProgram *program = run->command->program;
    const XvOptimizer *optimizer = &run->trainer.optimizer;
    char parameters[XV_FORMAT_SIZE], arena[XV_FORMAT_SIZE];
    printf("%s of %s: %s parameters, arena %s\n", program->task, program->model,
           xv_format_count(parameters, xv_parameter_elements(program)),
           xv_format_bytes(arena, (double)run->trainer.host.arena.bytes));
    if (run->command->comm) {
        printf("  %d ranks, each with its part of the data\n", xv_comm_world(run->command->comm));
    }
    for (int e = 0; e < program->n_entries; e++) {
        const XvSource *source = &run->trainer.sources[e];
        if (source->state) {
            printf("  %s: %" PRId64 " records, batches of %d\n", program->entries[e].name,
                   source->kind->records(source->state), source->kind->batch_size(source->state));
        }
    }
    printf("  %" PRId64 " steps (%.2f epochs), rate %g after %" PRId64 " steps of warm-up, seed %" PRIu64
           "\n",
           optimizer->schedule.total, (double)optimizer->schedule.total / (double)run->epoch_steps,
           optimizer->lr, optimizer->schedule.warmup, run->trainer.seed);
    if (optimizer->schedule.warmup >= optimizer->schedule.total && optimizer->schedule.total > 0) {
        printf(
            "note: the warm-up is as long as the run, so the full rate is never reached; --warmup sets another\n");
    }
    fflush(stdout);
}

static cJSON *log_line(const XvTrainRun *run)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "step", (double)run->trainer.step);
    cJSON_AddNumberToObject(json, "epoch", (double)run->trainer.step / (double)run->epoch_steps);
    return json;
}

// The rate that the last update used; the official log has it for both groups.
static void add_rates(const XvTrainer *trainer, cJSON *json)
{
    const XvOptimizer *optimizer = &trainer->optimizer;
    int64_t last = optimizer->position > 0 ? optimizer->position - 1 : 0;
    double rate = optimizer->lr * xv_schedule_factor(&optimizer->schedule, last);
    cJSON_AddNumberToObject(json, "train_lr", rate);
    cJSON_AddNumberToObject(json, "train_lr_large", rate * optimizer->lr_mult);
    if (optimizer->scaler.loss_scale > 0) {
        cJSON_AddNumberToObject(json, "train_loss_scale", (double)optimizer->scaler.loss_scale);
    }
}

// Appends to the log, which is rank 0's, and deletes the object.
static bool write_line(XvTrainRun *run, cJSON *json, XvError *error)
{
    if (is_first(run)) {
        return xv_log_write(&run->log, json, error);
    }
    cJSON_Delete(json);
    return true;
}

static bool end_interval(XvTrainRun *run, XvProgress *progress, XvError *error)
{
    XvTrainer *trainer = &run->trainer;
    cJSON *json = log_line(run);
    xv_meters_to_json(&trainer->meters, "train_", json);
    if (trainer->norm_count > 0) {
        cJSON_AddNumberToObject(json, "gradient_norm", trainer->norm_sum / (double)trainer->norm_count);
    }
    add_rates(trainer, json);
    cJSON_AddNumberToObject(json, "pairs_per_second", xv_progress_rate(progress, trainer));
    cJSON_AddNumberToObject(json, "input_bound_percent", xv_progress_input_bound(progress, trainer));
    xv_progress_interval(progress, trainer);
    xv_trainer_reset_meters(trainer);
    return write_line(run, json, error);
}

static void add_means(cJSON *json, const XvEvaluation *evaluation, bool is_main)
{
    for (int i = 0; i < evaluation->n_losses + evaluation->n_metrics; i++) {
        const XvMean *mean = i < evaluation->n_losses ? &evaluation->losses[i]
                                                      : &evaluation->metrics[i - evaluation->n_losses];
        char key[128];
        snprintf(key, sizeof key, "val_%s%s%s", is_main ? "" : evaluation->entry->name, is_main ? "" : "_",
                 mean->name);
        cJSON_AddNumberToObject(json, key, xv_mean(mean));
    }
    if (evaluation->has_retrieval) {
        cJSON_AddNumberToObject(json, "val_txt_r1", evaluation->retrieval.image_to_text[0]);
        cJSON_AddNumberToObject(json, "val_img_r1", evaluation->retrieval.text_to_image[0]);
    }
}

static void print_line(const cJSON *json)
{
    for (const cJSON *item = json->child; item; item = item->next) {
        if (strncmp(item->string, "val_", 4) == 0) {
            printf("  %s %.4f", item->string, item->valuedouble);
        }
    }
    fputc('\n', stdout);
    fflush(stdout);
}

static bool evaluate(XvTrainRun *run, XvProgress *progress, XvError *error)
{
    const XvProgram *program = run->command->program;
    cJSON *json = log_line(run);
    for (int e = 0; e < program->n_entries; e++) {
        XvSource *source = &run->val_sources[e];
        if (!source->state) {
            continue;
        }
        XvEvaluateOptions options = {.seed = run->trainer.seed,
                                     .retrieval = e == program->n_entries - 1 ? 100 : 0};
        XvEvaluation evaluation = {0};
        source->kind->seek(source->state, 0);
        bool is_done =
            xv_evaluate(&run->trainer.host, &program->entries[e], source, &options, &evaluation, error);
        if (is_done) {
            add_means(json, &evaluation, e == program->n_entries - 1);
        }
        xv_evaluation_free(&evaluation);
        if (!is_done) {
            cJSON_Delete(json);
            return xv_fail_in(error, "evaluation of entry %s", program->entries[e].name);
        }
    }
    xv_progress_break(progress);
    printf("after step %" PRId64 ":", run->trainer.step);
    print_line(json);
    return write_line(run, json, error);
}

static bool save(XvTrainRun *run, XvError *error)
{
    if (run->saved_step == run->trainer.step) {
        return true;
    }
    // The log goes first: what it says beyond the checkpoint is dropped when the run is continued.
    XvRunFolder *folder = &run->folder;
    if (!xv_ranks_check(&run->trainer.host, run->trainer.step, error) ||
        !xv_trainer_meet(&run->trainer, error) ||
        (is_first(run) && (!xv_run_folder_store(folder, XV_LOG_NAME, error) ||
                           !xv_trainer_save(&run->trainer, run->checkpoint_path, error) ||
                           !xv_run_folder_store(folder, XV_CHECKPOINT_NAME, error)))) {
        return false;
    }
    run->saved_step = run->trainer.step;
    return true;
}

static bool is_due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

// What follows an iteration. `is_stopping` saves whatever the intervals say.
static bool after_step(XvTrainRun *run, XvProgress *progress, bool is_stopping, XvError *error)
{
    const XvTrainOptions *options = &run->options;
    int64_t step = run->trainer.step;
    bool is_last = step >= progress->total;
    bool is_read = is_due(step, options->log_every) || is_due(step, options->eval_every) ||
                   is_due(step, options->save_every) || is_last || is_stopping;
    if (is_read && !xv_trainer_settle(&run->trainer, error)) {
        return false;
    }
    xv_progress_step(progress, &run->trainer);
    if ((is_due(step, options->log_every) || is_last) && !end_interval(run, progress, error)) {
        return false;
    }
    if (run->has_val && (is_due(step, options->eval_every) || is_last) && !evaluate(run, progress, error)) {
        return false;
    }
    return (!is_due(step, options->save_every) && !is_last && !is_stopping) || save(run, error);
}

static bool is_time_over(const XvTrainRun *run, const XvProgress *progress)
{
    return run->options.minutes >= 0.0 && xv_seconds() - progress->started >= 60.0 * run->options.minutes;
}

static bool iterate(XvTrainRun *run, XvProgress *progress, XvError *error)
{
    while (run->trainer.step < progress->total) {
        if (!xv_trainer_iterate(&run->trainer, error)) {
            return false;
        }
        bool wants_stop = xv_is_interrupted(&run->interrupt) || is_time_over(run, progress);
        bool is_stopping = xv_trainer_stops(&run->trainer, wants_stop);
        if (!after_step(run, progress, is_stopping, error)) {
            return false;
        }
        if (is_stopping) {
            break;
        }
    }
    return true;
}

static void print_resume(const XvTrainRun *run, int64_t total)
{
    const XvCommand *command = run->command;
    printf("stopped after step %" PRId64 " of %" PRId64 "; %s/%s is complete. To continue:\n  ",
           run->trainer.step, total, run->folder.path, XV_CHECKPOINT_NAME);
    if (command->comm) {
        printf("mpirun -n %d ", xv_comm_world(command->comm));
    }
    printf("%s", command->program->task);
    for (int i = 0; i < command->argc; i++) {
        printf(" %s", command->argv[i]);
    }
    printf("%s\n", run->options.resume ? "" : " --resume");
}

static bool finish(XvTrainRun *run, const XvProgress *progress, XvError *error)
{
    const XvProgram *program = run->command->program;
    const float *parameters = xv_host_read_parameters(&run->trainer.host);
    if (!is_first(run)) {
        return true;
    }
    XvRunFolder *folder = &run->folder;
    if (!xv_weights_save(program, parameters, run->model_path, error) ||
        !xv_run_folder_store(folder, XV_MODEL_NAME, error) ||
        (run->options.torch && (!xv_weights_save(program, parameters, run->torch_path, error) ||
                                !xv_run_folder_store(folder, XV_TORCH_NAME, error)))) {
        return false;
    }
    XvError curve_error = {0};
    if (!xv_curve_write(run->log_path, run->curve_path, program->task, &curve_error) ||
        !xv_run_folder_store(folder, XV_CURVE_NAME, &curve_error)) {
        fprintf(stderr, "warning: %s\n", curve_error.text);
    }
    char duration[XV_FORMAT_SIZE];
    printf("done: %" PRId64 " steps in %s; %s/%s\n", run->trainer.step - progress->first_step,
           xv_format_duration(duration, xv_seconds() - progress->started), folder->path, XV_MODEL_NAME);
    return true;
}

static bool train(XvTrainRun *run, XvError *error)
{
    if (!xv_ranks_check(&run->trainer.host, run->trainer.step, error)) {
        return false;
    }
    print_headline(run);
    int64_t total = run->trainer.optimizer.schedule.total;
    XvProgress progress = xv_progress_start(stdout, &run->trainer, total);
    bool is_done = iterate(run, &progress, error);
    xv_progress_break(&progress);
    if (!is_done && !error->text[0]) {
        return false;  // another rank tells
    }
    if (!is_done) {
        char kept[64] = "no checkpoint was written yet";
        if (run->saved_step >= 0) {
            snprintf(kept, sizeof kept, "the checkpoint of step %" PRId64 " is intact", run->saved_step);
        }
        fprintf(stderr, "training stopped at step %" PRId64 "; %s\n", run->trainer.step, kept);
        return false;
    }
    if (run->trainer.step < total) {
        print_resume(run, total);
        return true;
    }
    return finish(run, &progress, error);
}

static bool check_data(const XvTrainRun *run, XvError *error)
{
    if (!run->data.list) {
        const XvEntry *entry = xv_entry_by_name(run->command->program, NULL, error);
        return xv_fail(error, "--data FILE is needed: the configuration has no %s", xv_train_key(entry));
    }
    return !run->val_regions.list || run->val.list || xv_fail(error, "--val-regions goes with --val");
}

int xv_command_train(const XvCommand *command)
{
    XvTrainRun run = {.command = command, .saved_step = -1};
    int status;
    if (!xv_train_options(command, &run.options, &status)) {
        return status;
    }
    XvError error = {0};
    bool has_chosen = xv_comm_agree(command->comm, xv_train_choose_data(&run, &error), &error);
    if (has_chosen && !check_data(&run, &error)) {
        xv_train_close(&run);
        return xv_command_fail(command, XV_EXIT_USAGE, &error);
    }
    bool is_done = has_chosen && xv_comm_agree(command->comm, xv_train_open(&run, &error), &error) &&
                   train(&run, &error);
    xv_train_close(&run);
    return is_done ? XV_EXIT_OK : xv_command_fail(command, XV_EXIT_FAILED, &error);
}
