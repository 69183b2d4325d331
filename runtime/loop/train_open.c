// Setting up a training run: folder, data, parameters, checkpoint to continue; see train_run.h.
#include "runtime/loop/train_run.h"

#include "runtime/checkpoint/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool set_paths(XvTrainRun *run, XvError *error)
{
    if (!xv_run_folder_open(&run->folder, run->options.output, error)) {
        return false;
    }
    const struct {
        char *path;
        const char *name;
    } files[] = {{run->checkpoint_path, XV_CHECKPOINT_NAME},
                 {run->model_path, XV_MODEL_NAME},
                 {run->torch_path, XV_TORCH_NAME},
                 {run->log_path, XV_LOG_NAME},
                 {run->curve_path, XV_CURVE_NAME}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (snprintf(files[i].path, PATH_MAX, "%s/%s", run->folder.local, files[i].name) >= PATH_MAX) {
            return xv_fail(error, "%.200s...: the path is too long", run->folder.local);
        }
    }
    return true;
}

// ---- data

bool xv_train_choose_data(XvTrainRun *run, XvError *error)
{
    const XvProgram *program = run->command->program;
    const XvTrainOptions *options = &run->options;
    run->data =
        (XvDataPath){.key = xv_train_key(&program->entries[program->n_entries - 1]), .flag = "--data"};
    run->regions = (XvDataPath){.key = "train_file_regions", .flag = "--regions"};
    run->val = (XvDataPath){.key = "val_file", .flag = "--val"};
    run->val_regions = (XvDataPath){.flag = "--val-regions"};
    const XvSettings *settings = &run->settings;
    return xv_settings_read(&run->settings, program->config, error) &&
           xv_data_places_apply(&options->places, &run->settings, error) &&
           xv_data_path(&run->data, options->data, settings, error) &&
           xv_data_path(&run->regions, options->regions, settings, error) &&
           xv_data_path(&run->val, options->val, settings, error) &&
           xv_data_path(&run->val_regions, options->val_regions, settings, error);
}

static bool open_source(XvTrainRun *run, int e, bool is_evaluation, XvError *error)
{
    const XvProgram *program = run->command->program;
    const XvEntry *entry = &program->entries[e];
    const XvTrainOptions *options = &run->options;
    const XvDataPath *path = is_evaluation ? xv_entry_path(program, e, &run->val, &run->val_regions)
                                           : xv_entry_path(program, e, &run->data, &run->regions);
    bool has_critic = xv_critic_serves(program, entry);
    if (!path || !path->list || !xv_is_training(entry) || (has_critic && is_evaluation)) {
        return true;
    }
    XvSourceRequest request = {
        .entry = entry,
        .graph = is_evaluation ? &entry->observe : &entry->train,
        .path = path->list,
        .vocab = options->vocab,
        .settings = &run->settings,
        .is_evaluation = is_evaluation,
        .seed = run->trainer.seed,
        .threads = is_evaluation ? 0 : (int)options->threads,
        .rank = xv_comm_rank(run->command->comm),
        .world = xv_comm_world(run->command->comm),
    };
    XvSource *source = is_evaluation ? &run->val_sources[e] : &run->trainer.sources[e];
    run->has_val |= is_evaluation;
    char vocab[PATH_MAX];
    bool is_open = xv_source_open(source, run->command->sources, &request, error) &&
                   (!has_critic || (xv_vocabulary_path(&request, vocab, error) &&
                                    xv_critic_open(&run->trainer.critic, &run->trainer.host, entry, vocab,
                                                   &run->settings, error)));
    return is_open || xv_data_path_fail(path, error);
}

static bool check_batch(const XvTrainRun *run, XvError *error)
{
    const XvProgram *program = run->command->program;
    const XvSource *source = &run->trainer.sources[program->n_entries - 1];
    int64_t compiled = source->kind->batch_size(source->state);
    if (run->options.batch >= 0 && run->options.batch != compiled) {
        return xv_fail(error,
                       "this program was compiled for batches of %" PRId64
                       "; the batch size is part of its memory "
                       "plan, so compile another one: xvlmc models/%s.dsl --task %s --batch %" PRId64,
                       compiled, program->model, program->task, run->options.batch);
    }
    return true;
}

static bool open_data(XvTrainRun *run, XvError *error)
{
    const XvProgram *program = run->command->program;
    run->val_sources = calloc((size_t)program->n_entries + 1, sizeof *run->val_sources);
    if (!run->val_sources) {
        return xv_fail(error, "no memory");
    }
    for (int e = 0; e < program->n_entries; e++) {
        if (!open_source(run, e, false, error) || !open_source(run, e, true, error)) {
            return false;
        }
        if (!run->trainer.sources[e].state && xv_is_training(&program->entries[e])) {
            printf("note: no data for entry %s (--%s): it is left out\n", program->entries[e].name,
                   program->entries[e].data);
        }
    }
    return check_batch(run, error);
}

// ---- settings, fresh or those of the run that continues

static bool is_given(double option)
{
    return option >= 0.0;
}

static void choose_settings(XvTrainRun *run)
{
    const XvTrainOptions *options = &run->options;
    const XvSettings *settings = &run->settings;
    XvOptimizer *optimizer = &run->trainer.optimizer;
    const XvSource *source = &run->trainer.sources[run->command->program->n_entries - 1];
    double epochs = is_given(options->epochs) ? options->epochs : settings->epochs;
    run->epoch_steps = source->kind->batches(source->state);
    bool counts_steps = settings->steps > 0.0 && !is_given(options->epochs);
    int64_t configured =
        counts_steps ? (int64_t)settings->steps : (int64_t)ceil(epochs * (double)run->epoch_steps);
    int64_t total = options->steps >= 0 ? options->steps : configured;
    double warmup = is_given(options->warmup) ? options->warmup : settings->warmup;
    optimizer->lr = is_given(options->lr) ? options->lr : settings->lr;
    optimizer->lr_mult = settings->lr_mult;
    optimizer->weight_decay = settings->weight_decay;
    optimizer->clip = settings->clip;
    optimizer->schedule = (XvSchedule){xv_warmup_steps(warmup, total), total};
}

static bool refuse(const char *option, double given, double there, XvError *error)
{
    return xv_fail(
        error,
        "%s %g contradicts %g of the run that is resumed; leave it out, or start a new run from its "
        "weights with --checkpoint",
        option, given, there);
}

// Options may repeat what the run has, not change it: a changed schedule would not be a continuation.
static bool check_resumed(const XvTrainRun *run, const XvRunSettings *there, XvError *error)
{
    const XvTrainOptions *options = &run->options;
    const XvOptimizer *optimizer = &run->trainer.optimizer;
    if (options->seed >= 0 && (uint64_t)options->seed != there->seed) {
        return refuse("--seed", (double)options->seed, (double)there->seed, error);
    }
    if (is_given(options->lr) && fabs(options->lr - there->lr) > 0.0) {
        return refuse("--lr", options->lr, there->lr, error);
    }
    if ((options->steps >= 0 || is_given(options->epochs)) && optimizer->schedule.total != there->total) {
        return refuse("a length of", (double)optimizer->schedule.total, (double)there->total, error);
    }
    if (is_given(options->warmup) && optimizer->schedule.warmup != there->warmup) {
        return refuse("--warmup", options->warmup, (double)there->warmup, error);
    }
    return true;
}

static bool load_file(XvTrainRun *run, const char *path, XvError *error)
{
    bool is_main = path == run->options.checkpoint;
    XvLoadOptions options = {.is_partial = run->options.partial,
                             .source = is_main ? run->options.source : NULL};
    return !path || xv_weights_load(run->command->program, path, &options,
                                    xv_host_parameters(&run->trainer.host), stdout, error);
}

// Pre-training starts from two encoders, everything else from one file.
static bool load_weights(XvTrainRun *run, XvError *error)
{
    return load_file(run, run->options.vision, error) && load_file(run, run->options.text, error) &&
           load_file(run, run->options.checkpoint, error);
}

// The log is rank 0's.
static bool open_log(XvTrainRun *run, int64_t last_step, XvError *error)
{
    return xv_comm_rank(run->command->comm) > 0 ||
           ((last_step < 0 || xv_run_folder_fetch(&run->folder, XV_LOG_NAME, error)) &&
            xv_log_open(&run->log, run->log_path, last_step, error));
}

static bool start_fresh(XvTrainRun *run, XvError *error)
{
    xv_weights_init(run->command->program, run->trainer.seed, xv_host_parameters(&run->trainer.host));
    run->saved_step = -1;
    return load_weights(run, error) && open_log(run, -1, error);
}

static bool start_resumed(XvTrainRun *run, const XvSafetensors *file, const XvRunSettings *there,
                          XvError *error)
{
    if (!check_resumed(run, there, error) || !xv_trainer_load(&run->trainer, file, error)) {
        return false;
    }
    run->is_resumed = true;
    run->saved_step = run->trainer.step;
    printf("resuming after step %" PRId64 " of %" PRId64 "\n", run->trainer.step,
           run->trainer.optimizer.schedule.total);
    return open_log(run, run->trainer.step, error);
}

// Everything but the choice between fresh and resumed.
static bool open_trainer(XvTrainRun *run, uint64_t seed, XvError *error)
{
    if (!xv_interrupt_start(&run->interrupt, error)) {
        return false;
    }
    run->is_listening = true;
    if (!xv_trainer_create(&run->trainer, run->command->program, error) ||
        !xv_host_join(&run->trainer.host, run->command->comm, error)) {
        return false;
    }
    run->trainer.seed = seed;
    if (!xv_queue_open(&run->trainer.queue, &run->trainer.host, error) || !open_data(run, error)) {
        return false;
    }
    choose_settings(run);
    return true;
}

static bool open_resumed(XvTrainRun *run, const char *checkpoint, XvError *error)
{
    XvSafetensors file;
    XvRunSettings there;
    if (!xv_safetensors_open(&file, checkpoint, error)) {
        return false;
    }
    bool is_open = xv_run_settings_read(&file, &there, error) && open_trainer(run, there.seed, error) &&
                   start_resumed(run, &file, &there, error);
    xv_safetensors_close(&file);
    return is_open;
}

bool xv_train_open(XvTrainRun *run, XvError *error)
{
    const XvProgram *program = run->command->program;
    if (!xv_is_training(&program->entries[program->n_entries - 1])) {
        return xv_fail(error, "task %s has no entry point that minimises anything", program->task);
    }
    char checkpoint[PATH_MAX];
    bool is_there = false;
    if (!set_paths(run, error) ||
        !xv_run_folder_find(&run->folder, XV_CHECKPOINT_NAME, checkpoint, &is_there, error)) {
        return false;
    }
    if (is_there && !run->options.resume) {
        return xv_fail(error, "%s holds a run already: add --resume to continue it, or give another --output",
                       run->options.output);
    }
    if (is_there) {
        return open_resumed(run, checkpoint, error);
    }
    if (run->options.resume) {
        printf("note: %s holds no checkpoint yet: starting from the beginning\n", run->options.output);
    }
    uint64_t seed = run->options.seed >= 0 ? (uint64_t)run->options.seed : run->settings.seed;
    return open_trainer(run, seed, error) && start_fresh(run, error);
}

void xv_train_close(XvTrainRun *run)
{
    for (int e = 0; run->val_sources && e < run->command->program->n_entries; e++) {
        xv_source_close(&run->val_sources[e]);
    }
    free(run->val_sources);
    xv_log_close(&run->log);
    xv_run_folder_close(&run->folder);
    xv_trainer_free(&run->trainer);
    if (run->is_listening) {
        xv_interrupt_stop(&run->interrupt);
    }
    XvDataPath *const paths[] = {&run->data, &run->regions, &run->val, &run->val_regions};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        xv_data_path_free(paths[i]);
    }
    xv_settings_free(&run->settings);
}
