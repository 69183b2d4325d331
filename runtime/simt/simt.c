// The block scheduler; see simt.h. Threads run in order of their number; a pass over all of them that moves none
// means that they wait for each other: at one barrier, which then opens, or in a deadlock, which is reported.
#include "runtime/simt/simt.h"

#include "runtime/simt/fiber.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_BYTES = 1 << 18, MAX_WARPS = XV_SIMT_MAX_THREADS / XV_SIMT_WARP };

typedef enum ThreadState { THREAD_READY, THREAD_AT_BARRIER, THREAD_AT_MEETING, THREAD_ENDED } ThreadState;

typedef struct Thread {
    XvFiber fiber;
    ThreadState state;
    const XvSimtMeeting *meeting;  // AT_MEETING
    XvSimtPlace place;             // where it waits
} Thread;

typedef struct SharedArray {
    XvSimtPlace place;
    size_t count, size;
    void *data;
    XvSimtShadow *shadow;
} SharedArray;

struct XvSimtMachine {
    XvSimt simt;  // first: kernels hand it back
    XvFiber scheduler;
    Thread threads[XV_SIMT_MAX_THREADS];
    const XvSimtLaunch *launch;
    uint32_t n_ended;
    SharedArray shared[XV_SIMT_MAX_SHARED];
    int n_shared;
    char *message;
    size_t message_size;
    bool is_faulty;
};

static XvSimtMachine *machine_of(XvSimt *simt)
{
    return (XvSimtMachine *)simt;
}

// Faults ----------------------------------------------------------------------------------------------------------

static const char *file_name(XvSimtPlace place)
{
    const char *slash = place.file ? strrchr(place.file, '/') : NULL;
    return slash ? slash + 1 : place.file ? place.file : "?";
}

static bool is_same_place(XvSimtPlace a, XvSimtPlace b)
{
    return a.line == b.line && (a.file == b.file || strcmp(a.file, b.file) == 0);
}

static void write_fault(XvSimtMachine *machine, XvSimtPlace place, const char *format, va_list args)
{
    if (machine->is_faulty) {
        return;
    }
    machine->is_faulty = true;
    const XvSimt *simt = &machine->simt;
    int used =
        snprintf(machine->message, machine->message_size,
                 "kernel %s, %s:%d: block (%u, %u, %u), thread %u: ", machine->launch->name, file_name(place),
                 place.line, simt->block[0], simt->block[1], simt->block[2], simt->thread);
    if (used > 0 && (size_t)used < machine->message_size) {
        vsnprintf(machine->message + used, machine->message_size - (size_t)used, format, args);
    }
}

static void report(XvSimtMachine *machine, XvSimtPlace place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void report(XvSimtMachine *machine, XvSimtPlace place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_fault(machine, place, format, args);
    va_end(args);
}

// The faulty thread's stack is abandoned.
static void leave(XvSimtMachine *machine)
{
    xv_fiber_switch(&machine->threads[machine->simt.thread].fiber, &machine->scheduler);
}

static void fault(XvSimt *simt, XvSimtPlace place, const char *format, ...)
{
    XvSimtMachine *machine = machine_of(simt);
    va_list args;
    va_start(args, format);
    write_fault(machine, place, format, args);
    va_end(args);
    leave(machine);
}

// What kernels call -----------------------------------------------------------------------------------------------

static void sync_block(XvSimt *simt, XvSimtPlace place)
{
    XvSimtMachine *machine = machine_of(simt);
    Thread *thread = &machine->threads[simt->thread];
    thread->state = THREAD_AT_BARRIER;
    thread->place = place;
    leave(machine);
}

static bool is_same_meeting(const XvSimtMeeting *a, const XvSimtMeeting *b)
{
    return a->mask == b->mask && a->combine == b->combine && is_same_place(a->place, b->place);
}

// Whether all lanes of the mask are here; reports a lane that can never come. From the last lane down, because lanes
// arrive in order: all but the last see at once that it is not there.
static bool is_complete(XvSimtMachine *machine, const XvSimtMeeting *meeting, void **slots)
{
    uint32_t first = machine->simt.thread / XV_SIMT_WARP * XV_SIMT_WARP;
    for (uint32_t lane = XV_SIMT_WARP; lane-- > 0;) {
        if (!(meeting->mask >> lane & 1)) {
            continue;
        }
        const Thread *other = &machine->threads[first + lane];
        if (first + lane >= machine->simt.threads || other->state == THREAD_ENDED) {
            report(machine, meeting->place, "divergent %s: lane %u of the mask 0x%08x has ended",
                   meeting->what, lane, meeting->mask);
            leave(machine);
        }
        if (other->state != THREAD_AT_MEETING || !is_same_meeting(other->meeting, meeting)) {
            return false;
        }
        slots[lane] = other->meeting->slot;
    }
    return true;
}

// Every lane of the mask learns what the others know, and a new tick of its own begins.
static void join_clocks(XvSimtMachine *machine, uint32_t mask)
{
    uint32_t(*clocks)[XV_SIMT_WARP] = machine->simt.clocks[machine->simt.thread / XV_SIMT_WARP];
    uint32_t joined[XV_SIMT_WARP] = {0};
    for (int lane = 0; lane < XV_SIMT_WARP; lane++) {
        for (int i = 0; (mask >> lane & 1) && i < XV_SIMT_WARP; i++) {
            joined[i] = clocks[lane][i] > joined[i] ? clocks[lane][i] : joined[i];
        }
    }
    for (int lane = 0; lane < XV_SIMT_WARP; lane++) {
        if (mask >> lane & 1) {
            memcpy(clocks[lane], joined, sizeof joined);
            clocks[lane][lane]++;
        }
    }
}

static void meet(XvSimt *simt, const XvSimtMeeting *meeting)
{
    XvSimtMachine *machine = machine_of(simt);
    Thread *thread = &machine->threads[simt->thread];
    if (!(meeting->mask >> (simt->thread % XV_SIMT_WARP) & 1)) {
        report(machine, meeting->place, "%s: the mask 0x%08x does not hold the calling lane", meeting->what,
               meeting->mask);
        leave(machine);
    }
    thread->state = THREAD_AT_MEETING;
    thread->meeting = meeting;
    thread->place = meeting->place;
    void *slots[XV_SIMT_WARP] = {0};
    if (!is_complete(machine, meeting, slots)) {
        leave(machine);
        return;
    }
    if (meeting->combine) {
        meeting->combine(slots, meeting->mask);
    }
    if (meeting->is_ordering) {
        join_clocks(machine, meeting->mask);
    }
    uint32_t first = simt->thread / XV_SIMT_WARP * XV_SIMT_WARP;
    for (uint32_t lane = 0; lane < XV_SIMT_WARP; lane++) {
        if (meeting->mask >> lane & 1) {
            machine->threads[first + lane].state = THREAD_READY;
        }
    }
}

static void *shared(XvSimt *simt, XvSimtPlace place, size_t count, size_t size, XvSimtShadow **shadow)
{
    XvSimtMachine *machine = machine_of(simt);
    for (int i = 0; i < machine->n_shared; i++) {
        SharedArray *array = &machine->shared[i];
        if (array->count == count && array->size == size && is_same_place(array->place, place)) {
            *shadow = array->shadow;
            return array->data;
        }
    }
    SharedArray array = {.place = place,
                         .count = count,
                         .size = size,
                         .data = calloc(count, size),
                         .shadow = calloc(count, sizeof *array.shadow)};
    if (machine->n_shared == XV_SIMT_MAX_SHARED || !array.data || !array.shadow) {
        free(array.data);
        free(array.shadow);
        fault(simt, place, "the emulator has no room for a shared array of %zu elements", count);
    }
    machine->shared[machine->n_shared++] = array;
    *shadow = array.shadow;
    return array.data;
}

// Blocks ----------------------------------------------------------------------------------------------------------

static void run_thread(void *argument)
{
    XvSimtMachine *machine = argument;
    for (;;) {
        machine->launch->kernel(machine->launch->arguments);
        machine->threads[machine->simt.thread].state = THREAD_ENDED;
        machine->n_ended++;
        leave(machine);
    }
}

static uint32_t count_at_barrier(const XvSimtMachine *machine, XvSimtPlace place)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < machine->simt.threads; t++) {
        count +=
            machine->threads[t].state == THREAD_AT_BARRIER && is_same_place(machine->threads[t].place, place);
    }
    return count;
}

// Nobody can move: opens the barrier if all are at one, else says what is wrong.
static void resolve(XvSimtMachine *machine)
{
    XvSimt *simt = &machine->simt;
    for (uint32_t t = 0; t < simt->threads; t++) {
        const Thread *thread = &machine->threads[t];
        if (thread->state != THREAD_AT_MEETING) {
            continue;
        }
        simt->thread = t;
        report(machine, thread->place, "divergent %s: lanes of the mask 0x%08x wait elsewhere or never come",
               thread->meeting->what, thread->meeting->mask);
        return;
    }
    uint32_t first = 0;
    while (machine->threads[first].state != THREAD_AT_BARRIER) {
        first++;
    }
    XvSimtPlace place = machine->threads[first].place;
    uint32_t here = count_at_barrier(machine, place);
    if (here < simt->threads) {
        simt->thread = first;
        report(machine, place,
               "divergent barrier: %u of %u threads wait here, %u have ended, %u wait elsewhere", here,
               simt->threads, machine->n_ended, simt->threads - here - machine->n_ended);
        return;
    }
    simt->epoch++;
    for (uint32_t t = 0; t < simt->threads; t++) {
        machine->threads[t].state = THREAD_READY;
    }
}

static bool run_block(XvSimtMachine *machine)
{
    XvSimt *simt = &machine->simt;
    simt->block_epoch = ++simt->epoch;
    machine->n_ended = 0;
    memset(simt->clocks, 0, (simt->threads + XV_SIMT_WARP - 1) / XV_SIMT_WARP * sizeof *simt->clocks);
    for (uint32_t t = 0; t < simt->threads; t++) {
        machine->threads[t].state = THREAD_READY;
        simt->clocks[t / XV_SIMT_WARP][t % XV_SIMT_WARP][t % XV_SIMT_WARP] = 1;
        xv_fiber_prepare(&machine->threads[t].fiber, run_thread, machine);
    }
    while (machine->n_ended < simt->threads && !machine->is_faulty) {
        bool has_moved = false;
        for (uint32_t t = 0; t < simt->threads && !machine->is_faulty; t++) {
            if (machine->threads[t].state == THREAD_READY) {
                simt->thread = t;
                xv_fiber_switch(&machine->scheduler, &machine->threads[t].fiber);
                has_moved = true;
            }
        }
        if (!has_moved && !machine->is_faulty) {
            resolve(machine);
        }
    }
    return !machine->is_faulty;
}

static void free_shared(XvSimtMachine *machine)
{
    for (int i = 0; i < machine->n_shared; i++) {
        free(machine->shared[i].data);
        free(machine->shared[i].shadow);
    }
    machine->n_shared = 0;
}

bool xv_simt_launch(XvSimtMachine *machine, const XvSimtLaunch *launch, char *message, size_t size)
{
    XvSimt *simt = &machine->simt;
    machine->launch = launch;
    machine->message = message;
    machine->message_size = size;
    machine->is_faulty = false;
    if (launch->threads == 0 || launch->threads > XV_SIMT_MAX_THREADS) {
        report(machine, (XvSimtPlace){0}, "a block of %u threads", launch->threads);
        return false;
    }
    simt->threads = launch->threads;
    memcpy(simt->grid, launch->grid, sizeof simt->grid);
    *launch->current = simt;
    bool is_good = true;
    uint32_t every = launch->every > 1 ? launch->every : 1;
    for (uint32_t z = 0; z < launch->grid[2] && is_good; z++) {
        for (uint32_t y = 0; y < launch->grid[1] && is_good; y++) {
            for (uint32_t x = 0; x < launch->grid[0] && is_good; x++) {
                if (x % every != 0 && x + 1 < launch->grid[0]) {
                    continue;
                }
                simt->block[0] = x;
                simt->block[1] = y;
                simt->block[2] = z;
                is_good = run_block(machine);
            }
        }
    }
    free_shared(machine);
    return is_good;
}

XvSimtMachine *xv_simt_open(void)
{
    XvSimtMachine *machine = calloc(1, sizeof *machine);
    if (!machine) {
        return NULL;
    }
    machine->simt.sync_block = sync_block;
    machine->simt.meet = meet;
    machine->simt.shared = shared;
    machine->simt.fault = fault;
    machine->simt.clocks = calloc(MAX_WARPS, sizeof *machine->simt.clocks);
    bool is_good = machine->simt.clocks != NULL;
    for (int t = 0; t < XV_SIMT_MAX_THREADS && is_good; t++) {
        is_good = xv_fiber_create(&machine->threads[t].fiber, STACK_BYTES);
    }
    if (!is_good) {
        xv_simt_close(machine);
        return NULL;
    }
    return machine;
}

void xv_simt_close(XvSimtMachine *machine)
{
    if (!machine) {
        return;
    }
    for (int t = 0; t < XV_SIMT_MAX_THREADS; t++) {
        xv_fiber_free(&machine->threads[t].fiber);
    }
    free(machine->simt.clocks);
    free(machine);
}
