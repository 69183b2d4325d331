// Recordings of steps, and slots for what goes to the device and comes back; see queue.h.
#include "runtime/loop/queue.h"

#include "runtime/cuda/tasks.h"
#include "runtime/cuda/update.h"
#include "runtime/loop/meters.h"
#include "runtime/loop/mirror.h"

#include <stdlib.h>
#include <string.h>

// What ranks tell each other; means over them say for all.
typedef struct Numbers {
    float losses[XV_QUEUE_LOSSES];
    float wants_stop;
} Numbers;

enum { N_NUMBERS = sizeof(Numbers) / sizeof(float) };

// What comes back from a step.
typedef struct Report {
    XvUpdateState state;
    Numbers own, means;  // the latter of several ranks
} Report;

// One step on its way. `block` holds rates, scaler, draws and inputs of the step, in the order of send_block.
typedef struct Slot {
    char *pinned, *block;  // on the host, on the device
    Report *report;        // pinned
    void *sent, *done;     // marks
    int entry;
    int64_t step;
} Slot;

typedef struct Recording {
    void *steps;  // NULL: not recorded yet
    double clip;  // that is recorded
} Recording;

struct XvQueue {
    XvHost *host;
    Slot slots[XV_QUEUE_STEPS];
    int first, count;
    Numbers *numbers;       // on the device, of the step that runs: own, means
    Recording *recordings;  // per entry
};

static const XvAsync *async_of(const XvQueue *queue)
{
    return queue->host->device.kind->async;
}

static size_t draw_bytes(const XvGraph *graph)
{
    return (size_t)graph->n_draws * sizeof(XvDraw);
}

// Opening ---------------------------------------------------------------------------------------------------------

static size_t block_bytes(const XvProgram *program)
{
    size_t most = 0;
    for (int e = 0; e < program->n_entries; e++) {
        const XvGraph *graph = &program->entries[e].train;
        size_t bytes = xv_mirror_aligned(sizeof(XvRates)) + xv_mirror_aligned(sizeof(XvScaler)) +
                       xv_mirror_aligned(sizeof(float)) + xv_mirror_aligned(draw_bytes(graph));
        for (int i = 0; i < graph->n_inputs; i++) {
            bytes += xv_mirror_aligned(xv_value_bytes(&graph->inputs[i]));
        }
        most = bytes > most ? bytes : most;
    }
    return most;
}

static bool open_slot(XvQueue *queue, Slot *slot, size_t bytes, XvError *error)
{
    XvDevice *device = &queue->host->device;
    const XvAsync *async = async_of(queue);
    return (slot->pinned = async->allocate_pinned(device, bytes, error)) != NULL &&
           (slot->report = async->allocate_pinned(device, sizeof *slot->report, error)) != NULL &&
           (slot->block = device->kind->allocate(device, bytes, error)) != NULL &&
           (slot->sent = async->mark_create(device, error)) != NULL &&
           (slot->done = async->mark_create(device, error)) != NULL;
}

static bool can_queue(const XvHost *host)
{
    const XvProgram *program = host->program;
    bool is_able = host->device.kind && host->device.kind->async && host->mirror;
    for (int e = 0; e < program->n_entries; e++) {
        is_able = is_able && xv_entry_losses(&program->entries[e]) <= XV_QUEUE_LOSSES;
    }
    return is_able;
}

// By which all ranks judge a step alike.
static const Numbers *judged(const XvQueue *queue)
{
    return queue->numbers + (queue->host->comm != NULL);
}

static XvDeviceUpdate update_of(const XvQueue *queue, const XvEntry *entry, double clip)
{
    const XvMirror *mirror = queue->host->mirror;
    return (XvDeviceUpdate){.program = queue->host->program,
                            .parameters = mirror->parameters,
                            .copies = mirror->copies,
                            .gradients = mirror->gradients,
                            .moment1 = mirror->moment1,
                            .moment2 = mirror->moment2,
                            .has_gradient = entry->has_gradient,
                            .clip = clip,
                            .losses = judged(queue)->losses,
                            .n_losses = xv_entry_losses(entry)};
}

static bool prepare_updates(XvQueue *queue, XvError *error)
{
    const XvProgram *program = queue->host->program;
    bool is_done = true;
    for (int e = 0; e < program->n_entries && is_done; e++) {
        XvDeviceUpdate update = update_of(queue, &program->entries[e], 0);
        is_done =
            !program->entries[e].train.run || xv_device_update_prepare(&queue->host->device, &update, error);
    }
    return is_done;
}

bool xv_queue_open(XvQueue **opened, XvHost *host, XvError *error)
{
    *opened = NULL;
    if (!can_queue(host)) {
        return true;
    }
    XvQueue *queue = calloc(1, sizeof *queue);
    if (!queue) {
        return xv_fail(error, "no memory");
    }
    queue->host = host;
    queue->recordings = calloc((size_t)host->program->n_entries + 1, sizeof *queue->recordings);
    queue->numbers = host->device.kind->allocate(&host->device, 2 * sizeof *queue->numbers, error);
    bool is_open = queue->recordings && queue->numbers && prepare_updates(queue, error);
    for (int i = 0; i < XV_QUEUE_STEPS && is_open; i++) {
        is_open = open_slot(queue, &queue->slots[i], block_bytes(host->program), error);
    }
    // The zeros of the blocks are written on another lane than what is sent there first.
    is_open = is_open && host->device.kind->wait(&host->device, error);
    if (!is_open) {
        xv_queue_close(queue);
        return false;
    }
    *opened = queue;
    return true;
}

void xv_queue_close(XvQueue *queue)
{
    if (!queue) {
        return;
    }
    XvDevice *device = &queue->host->device;
    const XvAsync *async = async_of(queue);
    XvError unused;
    device->kind->wait(device, &unused);  // nothing is taken from under a step
    for (int e = 0; queue->recordings && e < queue->host->program->n_entries; e++) {
        async->recording_free(device, queue->recordings[e].steps);
    }
    for (int i = 0; i < XV_QUEUE_STEPS; i++) {
        Slot *slot = &queue->slots[i];
        async->release_pinned(device, slot->pinned);
        async->release_pinned(device, slot->report);
        device->kind->release(device, slot->block);
        async->mark_free(device, slot->sent);
        async->mark_free(device, slot->done);
    }
    device->kind->release(device, queue->numbers);
    free(queue->recordings);
    free(queue);
}

int xv_queue_count(const XvQueue *queue)
{
    return queue->count;
}

// Recording -------------------------------------------------------------------------------------------------------

// The losses of the graph side by side, and the means of all numbers.
static bool gather_numbers(XvQueue *queue, const XvEntry *entry, XvError *error)
{
    XvDevice *device = &queue->host->device;
    const XvAsync *async = async_of(queue);
    const XvDeviceRanks *ranks = device->kind->ranks;
    const char *arena = queue->host->mirror->arena;
    Numbers *own = queue->numbers, *means = queue->numbers + 1;
    bool is_done = true;
    for (int i = 0; i < xv_entry_losses(entry) && is_done; i++) {
        const XvValue *loss = xv_graph_output(&entry->train, xv_entry_loss(entry, i));
        is_done =
            loss ? async->copy(device, &own->losses[i], arena + loss->offset, sizeof own->losses[i], error)
                 : xv_fail(error, "the graph has no %s", xv_entry_loss(entry, i));
    }
    return is_done && (!queue->host->comm ||
                       (async->copy(device, means, own, sizeof *own, error) &&
                        ranks->average(device, means->losses, &(XvRange){0, N_NUMBERS}, 1, error) &&
                        ranks->finish_averages(device, error)));
}

// What a step does, launched or recorded.
static bool run_step(XvQueue *queue, const XvQueueStep *step, const XvDeviceUpdate *update, XvError *error)
{
    XvHost *host = queue->host;
    const XvEntry *entry = &host->program->entries[step->entry];
    XvRun run = xv_mirror_run(host);
    xv_device_clamp(&host->device, host->program, run.parameters);
    entry->train.run(&run);
    bool is_good = gather_numbers(queue, entry, error);
    xv_device_update_launch(&host->device, update);
    return is_good;
}

static void record(XvQueue *queue, const XvQueueStep *step)
{
    XvDevice *device = &queue->host->device;
    Recording *recording = &queue->recordings[step->entry];
    XvDeviceUpdate update = update_of(queue, &queue->host->program->entries[step->entry], step->clip);
    XvError error = {{0}};
    async_of(queue)->recording_free(device, recording->steps);
    xv_mirror_rehearse(queue->host, &queue->host->program->entries[step->entry].train);
    xv_device_must(device, async_of(queue)->record(device, &error), &error);
    bool is_good = run_step(queue, step, &update, &error);
    *recording = (Recording){async_of(queue)->recorded(device, &error), step->clip};
    xv_device_must(device, is_good && recording->steps, &error);
}

// Without recordings: kernel by kernel.
static bool launch_step(XvQueue *queue, const XvQueueStep *step, XvError *error)
{
    XvDevice *device = &queue->host->device;
    XvDeviceUpdate update = update_of(queue, &queue->host->program->entries[step->entry], step->clip);
    return run_step(queue, step, &update, error) &&
           (!device->has_failed || xv_fail(error, "%s", device->failure.text));
}

// Steps -----------------------------------------------------------------------------------------------------------

static const XvTensor *find_tensor(const XvQueueStep *step, const XvValue *input, XvError *error)
{
    for (int i = 0; i < step->n_tensors; i++) {
        const XvTensor *tensor = &step->tensors[i];
        if (strcmp(tensor->name, input->name) == 0) {
            bool fits =
                tensor->dtype == input->dtype && tensor->rank == input->rank &&
                memcmp(tensor->shape, input->shape, (size_t)input->rank * sizeof input->shape[0]) == 0;
            xv_fail(error, "\"%s\" of the batch is not what the program was compiled for", input->name);
            return fits ? tensor : NULL;
        }
    }
    xv_fail(error, "the batch has no \"%s\"", input->name);
    return NULL;
}

static void *put(char **to, const void *from, size_t bytes)
{
    void *at = *to;
    memcpy(at, from, bytes);
    *to += xv_mirror_aligned(bytes);
    return at;
}

// The scale of the loss is what the device has when the step runs, whatever the host knows: it is given by address.
static void put_draws(const XvQueue *queue, char **to, const XvGraph *graph)
{
    const XvHost *host = queue->host;
    XvDraw *draws = put(to, host->draws, draw_bytes(graph));
    for (int i = 0; i < graph->n_draws; i++) {
        if (graph->draws[i].kind == XV_DRAW_SCALE) {
            draws[i].scale = 1;
            draws[i].given_mask = &xv_device_scaler(&host->device)->loss_scale;
        }
    }
}

// Writes rates, scaler, draws and inputs into the slot and sends them. False when an input is not there.
static bool send_block(XvQueue *queue, Slot *slot, const XvQueueStep *step, XvError *error)
{
    XvHost *host = queue->host;
    const XvGraph *graph = &host->program->entries[step->entry].train;
    char *at = slot->pinned;
    float wants_stop = step->wants_stop;
    put(&at, &step->rates, sizeof step->rates);
    put(&at, &step->scaler, sizeof step->scaler);
    put(&at, &wants_stop, sizeof wants_stop);
    put_draws(queue, &at, graph);
    for (int i = 0; i < graph->n_inputs; i++) {
        const XvTensor *tensor = find_tensor(step, &graph->inputs[i], error);
        if (!tensor) {
            return false;
        }
        put(&at, tensor->data, xv_value_bytes(&graph->inputs[i]));
    }
    error->text[0] = 0;
    const XvAsync *async = async_of(queue);
    xv_device_must(
        &host->device,
        async->send(&host->device, slot->block, slot->pinned, (size_t)(at - slot->pinned), error) &&
            async->mark(&host->device, slot->sent, XV_LANE_COPY, error),
        error);
    return true;
}

// From the slot's block to where the step reads them.
static bool place_block(XvQueue *queue, const Slot *slot, XvError *error)
{
    XvHost *host = queue->host;
    const XvAsync *async = async_of(queue);
    const XvGraph *graph = &host->program->entries[slot->entry].train;
    const char *at = slot->block;
    bool is_done = async->follow(&host->device, XV_LANE_COMPUTE, slot->sent, error) &&
                   async->copy(&host->device, xv_device_rates(&host->device), at, sizeof(XvRates), error);
    at += xv_mirror_aligned(sizeof(XvRates));
    is_done = is_done && (queue->count > 0 || async->copy(&host->device, xv_device_scaler(&host->device), at,
                                                          sizeof(XvScaler), error));
    at += xv_mirror_aligned(sizeof(XvScaler));
    is_done = is_done && (!host->comm ||
                          async->copy(&host->device, &queue->numbers->wants_stop, at, sizeof(float), error));
    at += xv_mirror_aligned(sizeof(float));
    size_t bytes = draw_bytes(graph);
    is_done = is_done && (bytes == 0 || async->copy(&host->device, host->mirror->draws, at, bytes, error));
    at += xv_mirror_aligned(bytes);
    for (int i = 0; i < graph->n_inputs && is_done; i++) {
        const XvValue *input = &graph->inputs[i];
        is_done =
            async->copy(&host->device, host->mirror->arena + input->offset, at, xv_value_bytes(input), error);
        at += xv_mirror_aligned(xv_value_bytes(input));
    }
    return is_done;
}

bool xv_queue_push(XvQueue *queue, const XvQueueStep *step, XvError *error)
{
    XvHost *host = queue->host;
    XvDevice *device = &host->device;
    const XvAsync *async = async_of(queue);
    Slot *slot = &queue->slots[(queue->first + queue->count) % XV_QUEUE_STEPS];
    slot->entry = step->entry;
    slot->step = step->step;
    if (!send_block(queue, slot, step, error)) {
        return false;
    }
    unsigned written = XV_PART_PARAMETERS | XV_PART_MOMENT1 | XV_PART_MOMENT2;
    xv_mirror_to_device(host, written, written | XV_PART_GRADIENTS);
    const Recording *recording = &queue->recordings[step->entry];
    if (!device->is_direct &&
        (!recording->steps || recording->clip < step->clip || recording->clip > step->clip)) {
        record(queue, step);
    }
    xv_device_must(&host->device,
                   place_block(queue, slot, error) &&
                       (device->is_direct ? launch_step(queue, step, error)
                                          : async->replay(device, recording->steps, error)) &&
                       async->fetch(device, &slot->report->state, xv_device_update_state(device),
                                    sizeof slot->report->state, error) &&
                       async->fetch(device, &slot->report->own, queue->numbers, 2 * sizeof(Numbers), error) &&
                       async->mark(device, slot->done, XV_LANE_COMPUTE, error),
                   error);
    queue->count++;
    return true;
}

XvQueueResult xv_queue_pop(XvQueue *queue)
{
    const Slot *slot = &queue->slots[queue->first];
    XvError error = {{0}};
    XvDevice *device = &queue->host->device;
    xv_device_must(device, async_of(queue)->wait_for(device, slot->done, &error), &error);
    const Numbers *own = &slot->report->own, *means = queue->host->comm ? &slot->report->means : own;
    XvQueueResult result = {.entry = slot->entry,
                            .step = slot->step,
                            .norm = slot->report->state.norm,
                            .scaler = slot->report->state.scaler,
                            .has_stopped = slot->report->state.has_stopped,
                            .wants_stop = queue->host->comm && means->wants_stop > 0};
    int n_losses = xv_entry_losses(&queue->host->program->entries[slot->entry]);
    for (int i = 0; i < n_losses; i++) {
        result.losses[i] = (double)own->losses[i];
        result.means[i] = (double)means->losses[i];
    }
    queue->first = (queue->first + 1) % XV_QUEUE_STEPS;
    queue->count--;
    return result;
}
