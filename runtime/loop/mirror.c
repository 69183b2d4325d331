// Copies between a host's regions and a device; see mirror.h.
#include "runtime/loop/mirror.h"

#include <stdlib.h>

enum { ALIGNMENT = 256 };

typedef struct Part {
    XvPart part;
    const XvRegion *region;
    float *on_device;
} Part;

enum { N_PARTS = 4 };

static Part part_of(const XvHost *host, int i)
{
    const XvMirror *mirror = host->mirror->parts;
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

// Of a mirror that shares its parts the allocation has draws and arena alone.
static size_t bytes_of(const XvHost *host, size_t draw_bytes, bool is_sharing)
{
    const XvRegion *regions[] = {&host->parameters, &host->gradients, &host->moment1, &host->moment2};
    size_t bytes = xv_mirror_aligned(draw_bytes) + xv_mirror_aligned(host->arena.bytes);
    for (int i = 0; i < N_PARTS && !is_sharing; i++) {
        bytes += xv_mirror_aligned(regions[i]->bytes);
    }
    return bytes + (is_sharing ? 0 : xv_mirror_aligned(copy_bytes(host)));
}

static void place_all(const XvHost *host, XvMirror *mirror, size_t draw_bytes)
{
    const XvMirror *parts = mirror->parts;
    size_t at = 0;
    if (parts == mirror) {
        mirror->parameters = placed(mirror->memory, &at, host->parameters.bytes);
        mirror->gradients = placed(mirror->memory, &at, host->gradients.bytes);
        mirror->moment1 = placed(mirror->memory, &at, host->moment1.bytes);
        mirror->moment2 = placed(mirror->memory, &at, host->moment2.bytes);
        mirror->copies = placed(mirror->memory, &at, copy_bytes(host));
    } else {
        mirror->parameters = parts->parameters;
        mirror->gradients = parts->gradients;
        mirror->moment1 = parts->moment1;
        mirror->moment2 = parts->moment2;
        mirror->copies = parts->copies;
    }
    mirror->draws = placed(mirror->memory, &at, draw_bytes);
    mirror->arena = placed(mirror->memory, &at, host->arena.bytes);
}

XvMirror *xv_mirror_create(XvHost *host, size_t n_draws, XvMirror *sharing, XvError *error)
{
    XvMirror *mirror = calloc(1, sizeof *mirror);
    size_t draw_bytes = n_draws * sizeof(XvDraw);
    if (!mirror) {
        xv_fail(error, "no memory");
        return NULL;
    }
    mirror->parts = sharing ? sharing : mirror;
    mirror->memory =
        host->device.kind->allocate(&host->device, bytes_of(host, draw_bytes, sharing != NULL), error);
    if (!mirror->memory) {
        free(mirror);
        return NULL;
    }
    place_all(host, mirror, draw_bytes);
    return mirror;
}

void xv_mirror_free(XvHost *host)
{
    XvMirror *mirror = host->mirror;
    if (!mirror) {
        return;
    }
    xv_mirror_graphs_free(host);
    for (int i = 0; i < N_PARTS && mirror->parts == mirror; i++) {
        Part part = part_of(host, i);
        if (mirror->pinned & part.part) {
            host->device.kind->async->unpin(&host->device, part.region->data);
        }
    }
    host->device.kind->release(&host->device, mirror->memory);
    free(mirror);
    host->mirror = NULL;
}

// Parts -----------------------------------------------------------------------------------------------------------

// A region is pinned when it is first fetched: what never comes back costs no pinned memory.
static bool fetch_part(const XvHost *host, const Part *part, XvError *error)
{
    XvMirror *mirror = host->mirror->parts;
    XvDevice *device = device_of(host);
    const XvAsync *async = device->kind->async;
    if (!(mirror->pinned & part->part) && async->pin(device, part->region->data, part->region->bytes)) {
        mirror->pinned |= part->part;
    }
    return async->fetch(device, part->region->data, part->on_device, part->region->bytes, error);
}

void xv_mirror_to_host(const XvHost *host, unsigned parts)
{
    XvMirror *mirror = host->mirror ? host->mirror->parts : NULL;
    unsigned wanted = mirror ? mirror->newer_on_device & parts : 0;
    XvError error = {{0}};
    for (int i = 0; i < N_PARTS && wanted; i++) {
        Part part = part_of(host, i);
        xv_device_must(&host->device, !(wanted & part.part) || fetch_part(host, &part, &error), &error);
    }
    if (wanted) {
        xv_device_finish(device_of(host));
        mirror->newer_on_device &= ~wanted;
    }
}

void xv_mirror_changed_on_host(const XvHost *host, XvPart part)
{
    if (host->mirror) {
        host->mirror->parts->newer_on_host |= part;
    }
}

// The copies of parameters that the device has just been given.
static void send_copies(const XvHost *host)
{
    XvError error = {{0}};
    if (host->copies) {
        xv_copies_refresh(host->copies, host->program, host->parameters.data);
        xv_device_must(&host->device,
                       host->device.kind->write(device_of(host), host->mirror->copies,
                                                host->copies->region.data, host->copies->region.bytes,
                                                &error),
                       &error);
    }
}

void xv_mirror_to_device(const XvHost *host, unsigned parts, unsigned written)
{
    XvMirror *mirror = host->mirror->parts;
    XvError error = {{0}};
    for (int i = 0; i < N_PARTS; i++) {
        Part part = part_of(host, i);
        if (parts & mirror->newer_on_host & part.part) {
            xv_device_must(&host->device,
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

void xv_mirror_rehearse(XvHost *host, const XvGraph *graph)
{
    XvRun run = xv_mirror_run(host);
    host->device.is_rehearsed = true;
    graph->run(&run);
    host->device.is_rehearsed = false;
}
