// A host's memory once more on a device that has memory of its own: one allocation that holds parameters, gradients,
// moments, draws and the arena. Of each part the mirror knows which side changed it last, and copies when the other
// side wants it; so what only kernels use never leaves the device.
#pragma once

#include "runtime/loop/host.h"

typedef enum XvPart {
    XV_PART_PARAMETERS = 1,
    XV_PART_GRADIENTS = 2,
    XV_PART_MOMENT1 = 4,
    XV_PART_MOMENT2 = 8,
} XvPart;

typedef struct XvMirrorGraphs XvMirrorGraphs;  // of mirror_run.c

struct XvMirror {
    XvMirror *parts;  // that has the parameters: this mirror, or that of the host whose parameters are shared
    char *memory;
    float *parameters, *gradients, *moment1, *moment2;  // the last three NULL without training
    uint16_t *copies;                                   // of parameters; NULL: the program has none
    XvDraw *draws;
    char *arena;
    unsigned newer_on_host, newer_on_device;  // sets of XvPart; newer on neither side: equal
    unsigned pinned;                          // parts whose region on the host is pinned
    XvMirrorGraphs *graphs;                   // that were run
};

// Bytes up to the next place on a device where something may begin.
size_t xv_mirror_aligned(size_t bytes);

// For a host whose regions and device exist. With `sharing` the parts are that mirror's, which must live longer, and
// only draws and arena are new. NULL after a message. Errors of the functions below end the process, as those of
// kernels do.
XvMirror *xv_mirror_create(XvHost *host, size_t n_draws, XvMirror *sharing, XvError *error);
void xv_mirror_free(XvHost *host);

// The host is about to read parts (a set of XvPart); it waits once for all of them.
void xv_mirror_to_host(const XvHost *host, unsigned parts);
void xv_mirror_changed_on_host(const XvHost *host, XvPart part);

// Kernels are about to use parts; `written` are those that they change.
void xv_mirror_to_device(const XvHost *host, unsigned parts, unsigned written);

// The regions as kernels see them.
XvRun xv_mirror_run(const XvHost *host);

// Before a graph is recorded: its products are chosen.
void xv_mirror_rehearse(XvHost *host, const XvGraph *graph);

// Runs a graph as one recording: draws and inputs go to the device, outputs come back into the host's arena, and the
// host waits once, at the end. Inputs and outputs that the transfers leave out stay on the device. NULL: none.
void xv_mirror_run_graph(XvHost *host, const XvGraph *graph, const XvTransfers *transfers);
void xv_mirror_graphs_free(XvHost *host);
