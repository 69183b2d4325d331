// The loader: a ring of batch buffers, and the threads that fill them; see loader.h. It is opened in loader_open.c.
//
// Work is handed out slot by slot, in order, so that a batch is finished as early as possible and few batches
// are under way at once.
#include "runtime/data/loader_internal.h"

#include "runtime/base/format.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
bool xv_loader_start(XvLoader *loader, int count, XvError *error)
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
