// Opens and closes a loader: checks its options, opens the files that they name, plans its batches; see loader.h.
#include "runtime/data/loader_internal.h"

#include "runtime/storage/storage.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

XvLoaderOptions xv_loader_defaults(void)
{
    return (XvLoaderOptions){
        .mode = XV_LOADER_TRAIN,
        .caption_key = "caption",
        .max_words = 40,
        .mask = {.prob = 0.25, .skipgram_prb = 0.2, .skipgram_size = 3, .whole_word = true},
        .patch_size = 32,
        .scale_high = 1.0,
        .augment = {.n_ops = 2, .level = 7},
        .max_regions = 5,
        .min_perc_in_image = 0.5,
        .world = 1,
        .max_warnings = 20,
    };
}

static bool check_options(const XvLoaderOptions *options, XvError *error)
{
    if (options->world < 1 || options->rank < 0 || options->rank >= options->world) {
        return xv_fail(error, "rank %d is not in 0..%d", options->rank, options->world - 1);
    }
    if (options->by_batch && options->mode != XV_LOADER_EVAL) {
        return xv_fail(error, "only evaluation is shared out by batches");
    }
    if (options->patch_size < 1 || options->max_regions < 1 || options->max_words < 1 ||
        options->threads < 0) {
        return xv_fail(error, "patch_size, max_regions and max_words must be at least 1, threads at least 0");
    }
    if (!(options->scale_low >= 0 && options->scale_low <= options->scale_high && options->scale_high <= 1)) {
        return xv_fail(error, "the crop scale %g..%g is not a range within 0..1", options->scale_low,
                       options->scale_high);
    }
    if (!(options->min_margin >= 0 && options->min_margin <= 1)) {
        return xv_fail(error, "min_margin %g is not a share from 0 to 1", options->min_margin);
    }
    return true;
}

static void make_plan(XvLoader *loader)
{
    XvBatchPlan *plan = &loader->plan;
    const XvLoaderOptions *options = &plan->options;
    int B = plan->binding.batch_size;
    plan->n_slots = B;
    plan->samples_per_slot = 1;
    if (plan->binding.kind->is_regions) {
        plan->samples_per_slot = options->max_regions;
        plan->n_slots = options->max_images;
        int fitting = B / options->max_regions > 1 ? B / options->max_regions : 1;
        if (options->mode == XV_LOADER_EVAL && fitting < plan->n_slots) {
            plan->n_slots = fitting;
        }
    }
    plan->n_items = loader->stream ? 0 : xv_survey_items(loader->survey, loader->files);
    // dataset_size is divided by samples, also where they come several to a picture: the official rule.
    int64_t per_batch = (int64_t)(loader->stream ? B : plan->n_slots) * options->world;
    int64_t epoch = loader->stream ? options->dataset_size : plan->n_items;
    plan->n_batches = (epoch + per_batch - 1) / per_batch;
    plan->prompt = loader->prompt;
    plan->sampler = (XvSampler){
        .files = loader->files,
        .stream = loader->stream,
        .kind = plan->binding.kind,
        .vocabulary = loader->vocabulary,
        .survey = loader->survey,
        .references = loader->references,
        .options = options,
        .wants = plan->binding.wants,
    };
}

// Captions are samples of their own where only texts of evaluation records are wanted.
static bool open_survey(XvLoader *loader, XvError *error)
{
    const XvBinding *binding = &loader->plan.binding;
    bool is_text_only = (binding->wants & XV_FILLS_TEXT) && !(binding->wants & XV_FILLS_IMAGE);
    XvSurveyOptions options = {.need = binding->kind->survey};
    bool is_eval = loader->plan.options.mode == XV_LOADER_EVAL;
    options.is_split = options.need == XV_SURVEY_IMAGE_ID && is_eval && is_text_only;
    bool is_needed = options.is_split || options.need == XV_SURVEY_GROUP || (binding->wants & XV_FILLS_IDX);
    loader->survey = is_needed ? xv_survey_open(loader->files, &options, error) : NULL;
    return loader->survey || !is_needed;
}

static bool open_prompt(XvLoader *loader, XvError *error)
{
    XvLoaderOptions *options = &loader->plan.options;
    if (!(loader->plan.binding.wants & XV_FILLS_PROMPT)) {
        return true;
    }
    loader->prompt = calloc((size_t)options->prompt_tokens, sizeof *loader->prompt);
    XvSampler sampler = {.vocabulary = loader->vocabulary, .options = options};
    return loader->prompt ? xv_sample_prompt(&sampler, &loader->workspace, loader->prompt, error)
                          : xv_fail(error, "no memory for the prompt");
}

// A vocab.txt, a vocab.json with merges.txt beside it, or a folder with either.
static XvVocabulary *open_vocabulary(const char *path, XvError *error)
{
    char words[PATH_MAX], merges[PATH_MAX];
    struct stat status;
    bool is_folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    snprintf(words, sizeof words, "%s%s", path, is_folder ? "/vocab.json" : "");
    size_t length = strlen(words);
    bool is_bpe = length > 5 && strcmp(words + length - 5, ".json") == 0 && access(words, F_OK) == 0;
    if (!is_bpe) {
        snprintf(words, sizeof words, "%s%s", path, is_folder ? "/vocab.txt" : "");
        return xv_vocabulary_open(words, error);
    }
    const char *slash = strrchr(words, '/');
    snprintf(merges, sizeof merges, "%.*smerges.txt", slash ? (int)(slash - words) + 1 : 0, words);
    return xv_vocabulary_open_bpe(words, merges, error);
}

enum { STREAM_BYTES = 1 << 30 };  // more than that is streamed rather than indexed

static bool has_remote_path(const XvLoaderOptions *options)
{
    for (int i = 0; i < options->n_paths; i++) {
        if (xv_is_remote(options->paths[i])) {
            return true;
        }
    }
    return false;
}

static XvLineStream *open_stream(const XvLoaderOptions *options, XvError *error)
{
    XvLineStreamOptions lines = {options->paths, options->n_paths, options->seed, options->rank,
                                 options->world};
    return xv_line_stream_open(&lines, error);
}

// Records by number, or a stream of lines where the kind allows it and the options or the size of the files ask for it.
static bool open_records(XvLoader *loader, XvError *error)
{
    const XvLoaderOptions *options = &loader->plan.options;
    bool is_training = options->mode == XV_LOADER_TRAIN && options->n_paths > 0;
    bool may_stream = loader->plan.binding.kind->is_streamed && is_training;
    if (may_stream && options->stream != XV_NO) {
        loader->stream = open_stream(options, error);
        if (!loader->stream) {
            return false;
        }
        int64_t bytes = xv_line_stream_bytes(loader->stream);
        bool is_large = bytes < 0 || bytes > STREAM_BYTES || has_remote_path(options);
        if (options->stream == XV_YES || is_large) {
            return options->dataset_size > 0 ||
                   xv_fail(error, "data that are streamed cannot be counted: say how many records there are "
                                  "(train_dataset_size)");
        }
        xv_line_stream_close(loader->stream);
        loader->stream = NULL;
    }
    loader->files = xv_records_open(options->paths, options->n_paths, error);
    return loader->files != NULL;
}

// The files that the options name.
static bool open_files(XvLoader *loader, XvError *error)
{
    const XvLoaderOptions *options = &loader->plan.options;
    loader->vocabulary = open_vocabulary(options->vocab_path, error);
    if (!loader->vocabulary || !open_records(loader, error)) {
        return false;
    }
    bool needs_end =
        loader->plan.binding.kind->has_end_token || (loader->plan.binding.wants & XV_FILLS_ANSWERS);
    if (needs_end && xv_vocabulary_specials(loader->vocabulary).sep < 0) {
        return xv_fail(error, "%s has no [SEP], which data of kind \"%s\" need", options->vocab_path,
                       options->kind);
    }
    bool has_boxes = options->references && strcmp(options->kind, "grounding_bbox") == 0;
    loader->references = has_boxes ? xv_references_open(options->references, error) : NULL;
    return (loader->references || !has_boxes) && open_survey(loader, error) && open_prompt(loader, error);
}

static bool open_reports(XvLoader *loader, XvError *error)
{
    int64_t records = loader->files ? xv_records_count(loader->files) : 0;
    loader->reported = calloc((size_t)records / 8 + 1, 1);
    loader->named = calloc((size_t)loader->plan.options.max_warnings + 1, sizeof *loader->named);
    return (loader->reported && loader->named) ||
           xv_fail(error, "no memory for %lld records", (long long)records);
}

static bool open_parts(XvLoader *loader, XvError *error)
{
    XvLoaderOptions *options = &loader->plan.options;
    options->prompt = options->prompt ? options->prompt : "";
    if (!check_options(options, error) || !xv_loader_bind(options, &loader->plan.binding, error) ||
        !open_files(loader, error)) {
        return false;
    }
    make_plan(loader);
    if (!open_reports(loader, error)) {
        return false;
    }
    loader->n_ring = options->threads > 0 ? RING : 1;
    for (int i = 0; i < loader->n_ring; i++) {
        if (!xv_batch_buffer_init(&loader->plan, &loader->ring[i].batch, error)) {
            return false;
        }
    }
    return xv_loader_start(loader, options->threads, error);
}

XvLoader *xv_loader_open(const XvLoaderOptions *options, XvError *error)
{
    XvLoader *loader = calloc(1, sizeof *loader);
    if (!loader) {
        xv_fail(error, "no memory for the data loader");
        return NULL;
    }
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->has_work, NULL);
    pthread_cond_init(&loader->has_batch, NULL);
    pthread_cond_init(&loader->is_idle, NULL);
    loader->plan.options = *options;
    if (!open_parts(loader, error)) {
        xv_loader_close(loader);
        return NULL;
    }
    return loader;
}

void xv_loader_close(XvLoader *loader)
{
    if (!loader) {
        return;
    }
    pthread_mutex_lock(&loader->lock);
    loader->is_stopping = true;
    pthread_cond_broadcast(&loader->has_work);
    pthread_mutex_unlock(&loader->lock);
    for (int i = 0; i < loader->n_threads; i++) {
        pthread_join(loader->threads[i], NULL);
    }
    for (int i = 0; i < RING; i++) {
        xv_batch_buffer_free(&loader->plan, &loader->ring[i].batch);
    }
    xv_workspace_free(&loader->workspace);
    xv_survey_close(loader->survey);
    xv_references_close(loader->references);
    xv_records_close(loader->files);
    xv_line_stream_close(loader->stream);
    xv_vocabulary_close(loader->vocabulary);
    pthread_cond_destroy(&loader->has_work);
    pthread_cond_destroy(&loader->has_batch);
    pthread_cond_destroy(&loader->is_idle);
    pthread_mutex_destroy(&loader->lock);
    free(loader->prompt);
    free(loader->reported);
    free(loader->named);
    free(loader->threads);
    free(loader);
}
