// A second arena on a host's parameters, and copies between places of arenas, where they are: on a device with memory
// of its own nothing passes through the host.
#pragma once

#include "runtime/loop/host.h"

// A host with the parameters and the device of another, which must live longer, and an arena of its own. Free it with
// xv_host_unshare. False after a message; `what` names the arena in it.
bool xv_host_share(XvHost *shared, const XvHost *host, size_t arena_bytes, const char *what, XvError *error);
void xv_host_unshare(XvHost *shared);

// `rows` pieces of `bytes` each; places in arenas in bytes from their start. The pieces must not overlap.
typedef struct XvMove {
    const XvHost *to_host, *from_host;  // of one device
    size_t to, from;
    size_t to_pitch, from_pitch;  // bytes between the starts of pieces
    size_t bytes, rows;
} XvMove;

// Takes effect after what ran before and before what runs next. Errors of a device end the process.
void xv_host_move(const XvMove *move);

// Zeros.
void xv_host_clear(const XvHost *host, size_t at, size_t bytes);
