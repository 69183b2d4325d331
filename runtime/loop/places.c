// Places of arenas on either side; see places.h.
#include "runtime/loop/places.h"

#include "runtime/loop/mirror.h"

#include <string.h>

bool xv_host_share(XvHost *shared, const XvHost *host, size_t arena_bytes, const char *what, XvError *error)
{
    *shared = *host;
    shared->arena = (XvRegion){0};
    shared->mirror = NULL;
    if (!xv_region_create(&shared->arena, arena_bytes, what, error)) {
        return false;
    }
    size_t n_draws = 1;
    for (int e = 0; e < host->program->n_entries; e++) {
        size_t n = (size_t)host->program->entries[e].observe.n_draws;
        n_draws = n > n_draws ? n : n_draws;
    }
    shared->mirror = host->mirror ? xv_mirror_create(shared, n_draws, host->mirror->parts, error) : NULL;
    if (host->mirror && !shared->mirror) {
        xv_host_unshare(shared);
        return false;
    }
    return true;
}

void xv_host_unshare(XvHost *shared)
{
    if (shared->program) {
        xv_mirror_free(shared);
        xv_region_free(&shared->arena);
    }
    *shared = (XvHost){0};
}

// The kind's state is shared by copies of a host, so one of a constant host serves.
static XvDevice *device_of(const XvHost *host)
{
    return (XvDevice *)(uintptr_t)&host->device;
}

void xv_host_move(const XvMove *move)
{
    XvDevice *device = device_of(move->to_host);
    XvError error = {{0}};
    if (move->to_host->mirror) {
        XvCopy copy = {.to = move->to_host->mirror->arena + move->to,
                       .from = move->from_host->mirror->arena + move->from,
                       .to_pitch = move->to_pitch,
                       .from_pitch = move->from_pitch,
                       .bytes = move->bytes,
                       .rows = move->rows};
        xv_device_must(device, device->kind->async->copy_rows(device, &copy, &error), &error);
        return;
    }
    char *to = (char *)move->to_host->arena.data + move->to;
    const char *from = (const char *)move->from_host->arena.data + move->from;
    for (size_t row = 0; row < move->rows; row++) {
        memcpy(to + row * move->to_pitch, from + row * move->from_pitch, move->bytes);
    }
}

void xv_host_clear(const XvHost *host, size_t at, size_t bytes)
{
    XvDevice *device = device_of(host);
    XvError error = {{0}};
    if (host->mirror) {
        xv_device_must(device, device->kind->async->clear(device, host->mirror->arena + at, bytes, &error),
                       &error);
        return;
    }
    memset((char *)host->arena.data + at, 0, bytes);
}
