// Graphs on a device with memory of its own, each recorded when it is first run; see mirror.h. What goes there and
// comes back passes through pinned memory, so that the host waits for nothing but the end.
#include "runtime/loop/mirror.h"

#include <stdlib.h>
#include <string.h>

typedef struct Recorded {
    const XvGraph *graph;
    bool is_local;  // with the gradients of this rank alone
    void *steps;
} Recorded;

struct XvMirrorGraphs {
    Recorded *recorded;
    int n_recorded;
    char *pinned;
    size_t pinned_bytes;
    void *computed, *sent;  // marks: the arena is free, the inputs are there
};

typedef struct Running {
    XvHost *host;
    const XvGraph *graph;
    const XvTransfers *transfers;
    XvMirrorGraphs *graphs;
    void **given;  // per draw: values that are given for it, on the device
} Running;

static bool is_sent(const Running *running, const XvValue *input)
{
    return !running->transfers || running->transfers->sends(input);
}

static bool is_fetched(const Running *running, const XvValue *output)
{
    return !running->transfers || running->transfers->fetches(output);
}

static XvMirrorGraphs *create_graphs(XvHost *host)
{
    XvDevice *device = &host->device;
    const XvAsync *async = device->kind->async;
    XvMirrorGraphs *graphs = calloc(1, sizeof *graphs);
    XvError error = {{0}};
    xv_device_must(device, graphs || xv_fail(&error, "no memory"), &error);
    xv_device_must(device,
                   (graphs->computed = async->mark_create(device, &error)) != NULL &&
                       (graphs->sent = async->mark_create(device, &error)) != NULL,
                   &error);
    return graphs;
}

void xv_mirror_graphs_free(XvHost *host)
{
    XvMirrorGraphs *graphs = host->mirror->graphs;
    XvDevice *device = &host->device;
    const XvAsync *async = device->kind->async;
    if (!graphs) {
        return;
    }
    for (int i = 0; i < graphs->n_recorded; i++) {
        async->recording_free(device, graphs->recorded[i].steps);
    }
    async->release_pinned(device, graphs->pinned);
    async->mark_free(device, graphs->computed);
    async->mark_free(device, graphs->sent);
    free(graphs->recorded);
    free(graphs);
    host->mirror->graphs = NULL;
}

// Draws -----------------------------------------------------------------------------------------------------------

static size_t draw_bytes(const XvGraph *graph)
{
    return (size_t)graph->n_draws * sizeof(XvDraw);
}

static int64_t draw_count(const XvDrawInfo *info)
{
    int64_t count = 1;
    for (int i = 0; i < info->rank; i++) {
        count *= info->shape[i];
    }
    return count;
}

// Given values of a draw in the device's memory; NULL where nothing is given.
static void *given_on_device(XvHost *host, const XvDrawInfo *info, const XvDraw *draw)
{
    const void *given = draw->given_mask ? (const void *)draw->given_mask : draw->given_index;
    XvDevice *device = &host->device;
    XvError error = {{0}};
    if (!given) {
        return NULL;
    }
    size_t bytes = (size_t)draw_count(info) * 4;
    void *memory = device->kind->allocate(device, bytes, &error);
    xv_device_must(device, memory && device->kind->write(device, memory, given, bytes, &error), &error);
    return memory;
}

static void place_draws(const Running *running, XvDraw *to)
{
    XvHost *host = running->host;
    for (int i = 0; i < running->graph->n_draws; i++) {
        void *given = given_on_device(host, &running->graph->draws[i], &host->draws[i]);
        running->given[i] = given;
        to[i] = host->draws[i];
        to[i].given_mask = to[i].given_mask ? given : NULL;
        to[i].given_index = to[i].given_index ? given : NULL;
    }
}

// To the device and back ------------------------------------------------------------------------------------------

// Room for what a run sends, and after that for what comes back.
static void ensure_room(const Running *running)
{
    const XvGraph *graph = running->graph;
    XvMirrorGraphs *graphs = running->graphs;
    XvDevice *device = &running->host->device;
    size_t sent = xv_mirror_aligned(draw_bytes(graph)), fetched = 0;
    for (int i = 0; i < graph->n_inputs; i++) {
        sent +=
            is_sent(running, &graph->inputs[i]) ? xv_mirror_aligned(xv_value_bytes(&graph->inputs[i])) : 0;
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        const XvValue *output = &graph->outputs[i];
        fetched += is_fetched(running, output) ? xv_mirror_aligned(xv_value_bytes(output)) : 0;
    }
    size_t bytes = sent + fetched;
    XvError error = {{0}};
    if (bytes > graphs->pinned_bytes) {
        device->kind->async->release_pinned(device, graphs->pinned);
        graphs->pinned = device->kind->async->allocate_pinned(device, bytes, &error);
        graphs->pinned_bytes = bytes;
        xv_device_must(device, graphs->pinned, &error);
    }
}

// Returns where the next may lie.
static char *send_inputs(const Running *running)
{
    XvHost *host = running->host;
    XvDevice *device = &host->device;
    const XvAsync *async = device->kind->async;
    const XvMirrorGraphs *graphs = running->graphs;
    size_t bytes = draw_bytes(running->graph);
    char *at = graphs->pinned;
    XvError error = {{0}};
    place_draws(running, (XvDraw *)(void *)at);
    bool is_done = async->mark(device, graphs->computed, XV_LANE_COMPUTE, &error) &&
                   async->follow(device, XV_LANE_COPY, graphs->computed, &error) &&
                   (bytes == 0 || async->send(device, host->mirror->draws, at, bytes, &error));
    at += xv_mirror_aligned(bytes);
    for (int i = 0; i < running->graph->n_inputs && is_done; i++) {
        const XvValue *input = &running->graph->inputs[i];
        if (is_sent(running, input)) {
            bytes = xv_value_bytes(input);
            memcpy(at, (const char *)host->arena.data + input->offset, bytes);
            is_done = async->send(device, host->mirror->arena + input->offset, at, bytes, &error);
            at += xv_mirror_aligned(bytes);
        }
    }
    xv_device_must(device,
                   is_done && async->mark(device, graphs->sent, XV_LANE_COPY, &error) &&
                       async->follow(device, XV_LANE_COMPUTE, graphs->sent, &error),
                   &error);
    return at;
}

static void fetch_outputs(const Running *running, char *pinned)
{
    XvHost *host = running->host;
    XvDevice *device = &host->device;
    const XvGraph *graph = running->graph;
    XvError error = {{0}};
    char *at = pinned;
    for (int i = 0; i < graph->n_outputs; i++) {
        const XvValue *output = &graph->outputs[i];
        if (is_fetched(running, output)) {
            size_t bytes = xv_value_bytes(output);
            const char *from = host->mirror->arena + output->offset;
            xv_device_must(device, device->kind->async->fetch(device, at, from, bytes, &error), &error);
            at += xv_mirror_aligned(bytes);
        }
    }
    xv_device_finish(device);
    at = pinned;
    for (int i = 0; i < graph->n_outputs; i++) {
        const XvValue *output = &graph->outputs[i];
        if (is_fetched(running, output)) {
            memcpy((char *)host->arena.data + output->offset, at, xv_value_bytes(output));
            at += xv_mirror_aligned(xv_value_bytes(output));
        }
    }
}

// Runs ------------------------------------------------------------------------------------------------------------

static void run_steps(const Running *running)
{
    XvRun run = xv_mirror_run(running->host);
    running->graph->run(&run);
}

static void *recorded(const Running *running)
{
    XvHost *host = running->host;
    XvDevice *device = &host->device;
    XvMirrorGraphs *graphs = running->graphs;
    XvError error = {{0}};
    for (int i = 0; i < graphs->n_recorded; i++) {
        const Recorded *known = &graphs->recorded[i];
        if (known->graph == running->graph && known->is_local == host->is_local) {
            return known->steps;
        }
    }
    Recorded *grown = realloc(graphs->recorded, ((size_t)graphs->n_recorded + 1) * sizeof *grown);
    xv_device_must(device, grown || xv_fail(&error, "no memory"), &error);
    xv_mirror_rehearse(host, running->graph);
    xv_device_must(device, device->kind->async->record(device, &error), &error);
    run_steps(running);
    void *steps = device->kind->async->recorded(device, &error);
    xv_device_must(device, steps, &error);
    graphs->recorded = grown;
    graphs->recorded[graphs->n_recorded++] = (Recorded){running->graph, host->is_local, steps};
    return steps;
}

void xv_mirror_run_graph(XvHost *host, const XvGraph *graph, const XvTransfers *transfers)
{
    XvDevice *device = &host->device;
    XvMirror *mirror = host->mirror;
    XvError error = {{0}};
    mirror->graphs = mirror->graphs ? mirror->graphs : create_graphs(host);
    void **given = calloc((size_t)graph->n_draws + 1, sizeof *given);
    xv_device_must(device, given || xv_fail(&error, "no memory"), &error);
    Running running = {host, graph, transfers, mirror->graphs, given};
    ensure_room(&running);
    xv_mirror_to_device(host, XV_PART_PARAMETERS, mirror->gradients ? XV_PART_GRADIENTS : 0);
    mirror->parts->newer_on_host &= ~(unsigned)XV_PART_GRADIENTS;
    char *rest = send_inputs(&running);
    if (device->is_direct) {
        run_steps(&running);
    } else {
        xv_device_must(device, device->kind->async->replay(device, recorded(&running), &error), &error);
    }
    fetch_outputs(&running, rest);
    for (int i = 0; i < graph->n_draws; i++) {
        device->kind->release(device, given[i]);
    }
    free(given);
}
