// Copies between a host's regions and a device; see mirror.h.
#include "runtime/loop/mirror.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 256 };

typedef struct Part {
    XvPart part;
    const XvRegion *region;
    float *on_device;
} Part;

enum { N_PARTS = 4 };

static Part part_of(const XvHost *host, int i)
{
    const XvMirror *mirror = host->mirror;
    const Part parts[N_PARTS] = {{XV_PART_PARAMETERS, &host->parameters, mirror->parameters},
                                 {XV_PART_GRADIENTS, &host->gradients, mirror->gradients},
                                 {XV_PART_MOMENT1, &host->moment1, mirror->moment1},
                                 {XV_PART_MOMENT2, &host->moment2, mirror->moment2}};
    return parts[i];
}

size_t xv_mirror_aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

// The kind's state is shared by copies of a host, so one of a constant host serves.
static XvDevice *device_of(const XvHost *host)
{
    return (XvDevice *)(uintptr_t)&host->device;
}

static void must(const XvHost *host, bool is_done, const XvError *error)
{
    if (!is_done) {
        xv_device_fail(&host->device, error);
    }
}

// Creating --------------------------------------------------------------------------------------------------------

static void *placed(char *memory, size_t *at, size_t bytes)
{
    void *place = bytes ? memory + *at : NULL;
    *at += xv_mirror_aligned(bytes);
    return place;
}

static size_t copy_bytes(const XvHost *host)
{
    return host->copies ? host->copies->region.bytes : 0;
}

XvMirror *xv_mirror_create(XvHost *host, size_t n_draws, XvError *error)
{
    XvMirror *mirror = calloc(1, sizeof *mirror);
    if (!mirror) {
        xv_fail(error, "no memory");
        return NULL;
    }
    size_t draw_bytes = n_draws * sizeof *mirror->draws;
    size_t bytes = xv_mirror_aligned(host->parameters.bytes) + xv_mirror_aligned(host->gradients.bytes) +
                   xv_mirror_aligned(host->moment1.bytes) + xv_mirror_aligned(host->moment2.bytes) +
                   xv_mirror_aligned(copy_bytes(host)) + xv_mirror_aligned(draw_bytes) +
                   xv_mirror_aligned(host->arena.bytes);
    mirror->memory = host->device.kind->allocate(&host->device, bytes, error);
    if (!mirror->memory) {
        free(mirror);
        return NULL;
    }
    size_t at = 0;
    mirror->parameters = placed(mirror->memory, &at, host->parameters.bytes);
    mirror->gradients = placed(mirror->memory, &at, host->gradients.bytes);
    mirror->moment1 = placed(mirror->memory, &at, host->moment1.bytes);
    mirror->moment2 = placed(mirror->memory, &at, host->moment2.bytes);
    mirror->copies = placed(mirror->memory, &at, copy_bytes(host));
    mirror->draws = placed(mirror->memory, &at, draw_bytes);
    mirror->arena = placed(mirror->memory, &at, host->arena.bytes);
    return mirror;
}

void xv_mirror_free(XvHost *host)
{
    if (host->mirror) {
        host->device.kind->release(&host->device, host->mirror->memory);
    }
    free(host->mirror);
    host->mirror = NULL;
}

// Parts -----------------------------------------------------------------------------------------------------------

void xv_mirror_to_host(const XvHost *host, XvPart which)
{
    XvMirror *mirror = host->mirror;
    XvError error = {{0}};
    for (int i = 0; i < N_PARTS && mirror; i++) {
        Part part = part_of(host, i);
        if (part.part == which && (mirror->newer_on_device & which)) {
            must(host,
                 host->device.kind->read(device_of(host), part.region->data, part.on_device,
                                         part.region->bytes, &error),
                 &error);
            mirror->newer_on_device &= ~(unsigned)which;
        }
    }
}

void xv_mirror_changed_on_host(const XvHost *host, XvPart part)
{
    if (host->mirror) {
        host->mirror->newer_on_host |= part;
    }
}

// The copies of parameters that the device has just been given.
static void send_copies(const XvHost *host)
{
    XvError error = {{0}};
    if (host->copies) {
        xv_copies_refresh(host->copies, host->program, host->parameters.data);
        must(host,
             host->device.kind->write(device_of(host), host->mirror->copies, host->copies->region.data,
                                      host->copies->region.bytes, &error),
             &error);
    }
}

void xv_mirror_to_device(const XvHost *host, unsigned parts, unsigned written)
{
    XvMirror *mirror = host->mirror;
    XvError error = {{0}};
    for (int i = 0; i < N_PARTS; i++) {
        Part part = part_of(host, i);
        if (parts & mirror->newer_on_host & part.part) {
            must(host,
                 host->device.kind->write(device_of(host), part.on_device, part.region->data,
                                          part.region->bytes, &error),
                 &error);
            mirror->newer_on_host &= ~(unsigned)part.part;
            if (part.part == XV_PART_PARAMETERS) {
                send_copies(host);
            }
        }
    }
    mirror->newer_on_device |= written;
}

XvRun xv_mirror_run(const XvHost *host)
{
    const XvMirror *mirror = host->mirror;
    return (XvRun){.parameters = mirror->parameters,
                   .copies = mirror->copies,
                   .gradients = mirror->gradients,
                   .arena = mirror->arena,
                   .draws = mirror->draws,
                   .comm = host->comm,
                   .is_local = host->is_local,
                   .device = device_of(host)};
}

// Graphs ----------------------------------------------------------------------------------------------------------

static int64_t draw_count(const XvDrawInfo *info)
{
    int64_t count = 1;
    for (int i = 0; i < info->rank; i++) {
        count *= info->shape[i];
    }
    return count;
}

// Given values of a draw in the device's memory; NULL where nothing is given.
static void *given_on_device(const XvHost *host, const XvDrawInfo *info, const XvDraw *draw)
{
    const void *given = draw->given_mask ? (const void *)draw->given_mask : draw->given_index;
    XvDevice *device = device_of(host);
    XvError error = {{0}};
    if (!given) {
        return NULL;
    }
    size_t bytes = (size_t)draw_count(info) * 4;
    void *memory = device->kind->allocate(device, bytes, &error);
    must(host, memory && device->kind->write(device, memory, given, bytes, &error), &error);
    return memory;
}

// Sends the draws of a run; given values are in device memory that is listed in `given`, one place per draw.
static void send_draws(const XvHost *host, const XvGraph *graph, void **given)
{
    XvDraw *draws = calloc((size_t)graph->n_draws + 1, sizeof *draws);
    XvError error = {{0}};
    must(host, draws || xv_fail(&error, "no memory"), &error);
    for (int i = 0; i < graph->n_draws; i++) {
        draws[i] = host->draws[i];
        given[i] = given_on_device(host, &graph->draws[i], &draws[i]);
        draws[i].given_mask = draws[i].given_mask ? given[i] : NULL;
        draws[i].given_index = draws[i].given_index ? given[i] : NULL;
    }
    size_t bytes = (size_t)graph->n_draws * sizeof *draws;
    must(host,
         bytes == 0 || host->device.kind->write(device_of(host), host->mirror->draws, draws, bytes, &error),
         &error);
    free(draws);
}

void xv_mirror_run_graph(XvHost *host, const XvGraph *graph)
{
    XvDevice *device = &host->device;
    XvError error = {{0}};
    void **given = calloc((size_t)graph->n_draws + 1, sizeof *given);
    must(host, given || xv_fail(&error, "no memory"), &error);
    send_draws(host, graph, given);
    xv_mirror_to_device(host, XV_PART_PARAMETERS, host->mirror->gradients ? XV_PART_GRADIENTS : 0);
    host->mirror->newer_on_host &= ~(unsigned)XV_PART_GRADIENTS;
    const char *arena = host->arena.data;
    for (int i = 0; i < graph->n_inputs; i++) {
        const XvValue *input = &graph->inputs[i];
        must(host,
             device->kind->write(device, host->mirror->arena + input->offset, arena + input->offset,
                                 xv_value_bytes(input), &error),
             &error);
    }
    XvRun run = xv_mirror_run(host);
    graph->run(&run);
    xv_device_finish(device);
    for (int i = 0; i < graph->n_outputs; i++) {
        const XvValue *output = &graph->outputs[i];
        must(host,
             device->kind->read(device, (char *)host->arena.data + output->offset,
                                host->mirror->arena + output->offset, xv_value_bytes(output), &error),
             &error);
    }
    for (int i = 0; i < graph->n_draws; i++) {
        device->kind->release(device, given[i]);
    }
    free(given);
}
