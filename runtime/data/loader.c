// The loader: options, a ring of batch buffers, and the threads that fill them; see loader.h.
//
// Work is handed out slot by slot, in order, so that a batch is finished as early as possible and few batches
// are under way at once. All of `Loader` below `lock` is guarded by it, except `workspace`, `reported` and
// the buffer that the caller holds, which only the caller's thread touches.
#include "runtime/data/loader.h"

#include "runtime/base/format.h"
#include "runtime/data/loader_batch.h"
#include "runtime/storage/storage.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RING = 3 };  // one batch with the caller, one complete, one in the making

typedef enum BufferState { BUFFER_FREE, BUFFER_FILLING, BUFFER_READY, BUFFER_HELD } BufferState;

typedef struct RingEntry {
    XvBatchBuffer batch;
    BufferState state;
    int next_slot;   // slots handed out
    int slots_left;  // slots not filled yet
    bool has_failed;
    XvError error;
} RingEntry;

struct XvLoader {
    XvBatchPlan plan;
    XvRecordFiles *files;  // or
    XvLineStream *stream;
    XvVocabulary *vocabulary;
    XvSurvey *survey;
    XvReferences *references;
    int32_t *prompt;
    XvWorkspace workspace;  // of the caller's thread
    uint8_t *reported;      // one bit per record that was named; NULL in a stream
    int64_t *named;         // [max_warnings + 1] positions of a stream that were named
    double waited;          // seconds
    bool is_misplaced;      // sought to where another rank was
    int n_warnings;
    int64_t skipped, partial;
    int64_t position;  // next batch to deliver

    pthread_mutex_t lock;
    pthread_cond_t has_work, has_batch, is_idle;
    RingEntry ring[RING];
    int n_ring;          // entries in use: 1 without threads
    int64_t next_batch;  // next batch to begin
    int n_active;        // slots being filled
    bool is_paused, is_stopping;
    pthread_t *threads;
    int n_threads;
};

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

// ---- filling

static bool is_beyond_end(const XvLoader *loader, int64_t batch)
{
    return loader->plan.options.mode == XV_LOADER_EVAL && batch >= loader->plan.n_batches;
}

static RingEntry *entry_of(XvLoader *loader, int64_t batch)
{
    return &loader->ring[batch % loader->n_ring];
}

// The batch whose slots are being handed out, begun if there is room; NULL if there is nothing to do.
static RingEntry *open_entry(XvLoader *loader)
{
    if (loader->is_paused) {
        return NULL;
    }
    RingEntry *latest = loader->next_batch > 0 ? entry_of(loader, loader->next_batch - 1) : NULL;
    if (latest && latest->state == BUFFER_FILLING && latest->next_slot < loader->plan.n_slots) {
        return latest;
    }
    RingEntry *entry = entry_of(loader, loader->next_batch);
    if (entry->state != BUFFER_FREE || is_beyond_end(loader, loader->next_batch)) {
        return NULL;
    }
    xv_batch_begin(&loader->plan, &entry->batch, loader->next_batch++);
    entry->state = BUFFER_FILLING;
    entry->next_slot = 0;
    entry->slots_left = loader->plan.n_slots;
    entry->has_failed = false;
    return entry;
}

// Fills the next slot of the entry; called and left with the lock held, which is released meanwhile.
static void work_on(XvLoader *loader, RingEntry *entry, XvWorkspace *workspace)
{
    int slot = entry->next_slot++;
    bool is_lost = entry->has_failed;  // by another slot: this one need not be filled
    loader->n_active++;
    pthread_mutex_unlock(&loader->lock);
    XvError error = {""};
    bool ok = is_lost || xv_batch_fill_slot(&loader->plan, &entry->batch, slot, workspace, &error);
    pthread_mutex_lock(&loader->lock);

    if (!ok && !entry->has_failed) {
        entry->has_failed = true;
        entry->error = error;
    }
    if (--entry->slots_left == 0) {
        if (!entry->has_failed) {
            pthread_mutex_unlock(&loader->lock);
            xv_batch_finish(&loader->plan, &entry->batch);
            pthread_mutex_lock(&loader->lock);
        }
        entry->state = BUFFER_READY;
        pthread_cond_broadcast(&loader->has_batch);
    }
    if (--loader->n_active == 0) {
        pthread_cond_broadcast(&loader->is_idle);
    }
}

static void *run_worker(void *argument)
{
    XvLoader *loader = argument;
    XvWorkspace workspace = {0};
    pthread_mutex_lock(&loader->lock);
    while (!loader->is_stopping) {
        RingEntry *entry = open_entry(loader);
        if (entry) {
            work_on(loader, entry, &workspace);
        } else {
            pthread_cond_wait(&loader->has_work, &loader->lock);
        }
    }
    pthread_mutex_unlock(&loader->lock);
    xv_workspace_free(&workspace);
    return NULL;
}

// Workers take no signals: those belong to the main program.
static bool start_threads(XvLoader *loader, int count, XvError *error)
{
    sigset_t all, before;
    sigfillset(&all);
    loader->threads = calloc((size_t)count + 1, sizeof *loader->threads);
    if (!loader->threads) {
        return xv_fail(error, "no memory for %d data threads", count);
    }
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    while (loader->n_threads < count && failed == 0) {
        failed = pthread_create(&loader->threads[loader->n_threads], NULL, run_worker, loader);
        loader->n_threads += failed == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0 ||
           xv_fail(error, "cannot start data thread %d: %s", loader->n_threads + 1, strerror(failed));
}

// ---- opening

static bool check_options(const XvLoaderOptions *options, XvError *error)
{
    if (options->world < 1 || options->rank < 0 || options->rank >= options->world) {
        return xv_fail(error, "rank %d is not in 0..%d", options->rank, options->world - 1);
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
    int64_t per_batch = (int64_t)plan->n_slots * options->world;
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
    return start_threads(loader, options->threads, error);
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

// ---- delivering

static void warn(XvLoader *loader, const char *message)
{
    if (loader->plan.options.warn) {
        loader->plan.options.warn(loader->plan.options.warn_context, message);
    }
}

// Whether the record was named before; remembers it.
static bool was_named(XvLoader *loader, int64_t record)
{
    if (loader->stream) {
        int count = loader->n_warnings < loader->plan.options.max_warnings
                        ? loader->n_warnings
                        : loader->plan.options.max_warnings;
        for (int i = 0; i < count; i++) {
            if (loader->named[i] == record) {
                return true;
            }
        }
        loader->named[count] = record;
        return false;
    }
    uint8_t *byte = &loader->reported[record / 8];
    uint8_t bit = (uint8_t)(1 << record % 8);
    bool is_known = (*byte & bit) != 0;
    *byte |= bit;
    return is_known;
}

// Names a record the first time it is skipped.
static void report_skip(XvLoader *loader, const XvSkip *skip)
{
    loader->skipped++;
    if (loader->n_warnings > loader->plan.options.max_warnings || was_named(loader, skip->record)) {
        return;
    }
    char message[2200], place[1100];
    if (loader->n_warnings++ < loader->plan.options.max_warnings) {
        xv_batch_place(&loader->plan, skip->record, place, sizeof place);
        snprintf(message, sizeof message, "%s: %s", place, skip->reason);
    } else {
        snprintf(message, sizeof message,
                 "more records cannot be used; they are counted, but not named any more");
    }
    warn(loader, message);
}

static void count_partial(XvLoader *loader, const XvSlot *slot)
{
    int count = slot->is_filled ? slot->yield.n_partial : 0;
    if (count > 0 && loader->partial == 0) {
        warn(loader, "some pictures are cut off or damaged; they are used as far as they go");
    }
    loader->partial += count;
}

static void report_batch(XvLoader *loader, const XvBatchBuffer *buffer)
{
    for (int i = 0; i < loader->plan.n_slots; i++) {
        count_partial(loader, &buffer->slots[i]);
        for (int k = 0; k < buffer->slots[i].n_skips; k++) {
            report_skip(loader, &buffer->slots[i].skips[k]);
        }
    }
}

// Takes back the batch that the caller held until now.
static void release_held(XvLoader *loader)
{
    for (int i = 0; i < loader->n_ring; i++) {
        if (loader->ring[i].state == BUFFER_HELD) {
            loader->ring[i].state = BUFFER_FREE;
            pthread_cond_broadcast(&loader->has_work);
        }
    }
}

// Waits for the next batch, or makes it when there are no threads.
static RingEntry *wait_for_batch(XvLoader *loader)
{
    double started = xv_seconds();
    if (loader->stream) {
        xv_line_stream_release(loader->stream, loader->position * loader->plan.n_slots);
    }
    pthread_mutex_lock(&loader->lock);
    release_held(loader);
    RingEntry *entry = entry_of(loader, loader->position);
    while (entry->state != BUFFER_READY) {
        RingEntry *open = loader->n_threads == 0 ? open_entry(loader) : NULL;
        if (open) {
            work_on(loader, open, &loader->workspace);
        } else {
            pthread_cond_wait(&loader->has_batch, &loader->lock);
        }
    }
    if (!entry->has_failed) {
        entry->state = BUFFER_HELD;
    }
    pthread_mutex_unlock(&loader->lock);
    loader->waited += xv_seconds() - started;
    return entry;
}

bool xv_loader_next(XvLoader *loader, XvBatch *batch, XvError *error)
{
    *batch = (XvBatch){.index = loader->position};
    if (loader->is_misplaced) {
        return xv_fail(error, "a stream of several ranks cannot be continued: a checkpoint keeps the position of rank 0, "
                              "and every rank has its own; start from the weights with --checkpoint, or index the "
                              "records (stream = false)");
    }
    if (is_beyond_end(loader, loader->position)) {
        batch->is_end = true;
        return true;
    }
    RingEntry *entry = wait_for_batch(loader);
    if (entry->has_failed) {
        *error = entry->error;
        return false;
    }
    report_batch(loader, &entry->batch);
    batch->n_tensors = loader->plan.binding.n_inputs;
    memcpy(batch->tensors, entry->batch.tensors, sizeof batch->tensors);
    batch->valid = entry->batch.valid;
    batch->records = entry->batch.records;
    batch->references = entry->batch.references;
    loader->position++;
    return true;
}

int64_t xv_loader_position(const XvLoader *loader)
{
    return loader->stream ? xv_line_stream_position(loader->stream, loader->position * loader->plan.n_slots)
                          : loader->position;
}

void xv_loader_seek(XvLoader *loader, int64_t position)
{
    pthread_mutex_lock(&loader->lock);
    loader->is_paused = true;
    while (loader->n_active > 0) {
        pthread_cond_wait(&loader->is_idle, &loader->lock);
    }
    for (int i = 0; i < loader->n_ring; i++) {
        loader->ring[i].state = BUFFER_FREE;
    }
    if (loader->stream) {
        loader->is_misplaced = loader->plan.options.world > 1 && position > 0;
        xv_line_stream_seek(loader->stream, position);
        position = 0;  // batches of a stream are counted from where it was sought to
    }
    loader->position = position;
    loader->next_batch = position;
    loader->is_paused = false;
    pthread_cond_broadcast(&loader->has_work);
    pthread_mutex_unlock(&loader->lock);
}

int64_t xv_loader_records(const XvLoader *loader)
{
    return loader->stream ? loader->plan.options.dataset_size : loader->plan.n_items;
}

double xv_loader_waited(const XvLoader *loader)
{
    return loader->waited;
}

int64_t xv_loader_batches(const XvLoader *loader)
{
    return loader->plan.n_batches;
}

bool xv_loader_record(const XvLoader *loader, int64_t record, XvBytes *text, XvError *error)
{
    return loader->files ? xv_records_read(loader->files, record, text, error)
                         : xv_fail(error, "records of a stream cannot be read again");
}

const XvReferences *xv_loader_references(const XvLoader *loader)
{
    return loader->references;
}

int xv_loader_batch_size(const XvLoader *loader)
{
    return loader->plan.binding.batch_size;
}

int64_t xv_loader_skipped(const XvLoader *loader)
{
    return loader->skipped;
}

int64_t xv_loader_partial(const XvLoader *loader)
{
    return loader->partial;
}
