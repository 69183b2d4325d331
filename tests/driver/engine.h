// What the stand-in for NVIDIA's driver is made of: streams of work that is queued and not run before somebody waits,
// memory that only running work may touch. libcuda.c puts the driver's interface in front of it.
#pragma once

#include "runtime/simt/simt.h"
#include "tests/driver/standin.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_IMAGE = 200,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    LAUNCH_FAILED = 719,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_UNJOINED = 904,
    CAPTURE_ISOLATION = 905,
    MOST_LANES = 4,
    MOST_ARGUMENTS = 128,
    PAGE = 4096,
    MAJOR = 75,
    MINOR = 76,
};

typedef struct Kernel {
    char name[256];
    XvSimtKernel run;
    size_t sizes[MOST_ARGUMENTS];
    size_t n_arguments;
} Kernel;

typedef struct Event Event;
typedef struct Graph Graph;

typedef enum WorkKind {
    WORK_LAUNCH,
    WORK_COPY,
    WORK_CLEAR,
    WORK_RECORD,
    WORK_WAIT,
    WORK_GRAPH,
    WORK_CALL
} WorkKind;

typedef struct Work Work;
struct Work {
    WorkKind kind;
    const Kernel *kernel;
    uint32_t grid[3], threads;
    void **arguments;  // each in its own memory
    void *to;
    const void *from;
    size_t bytes;
    size_t rows, to_pitch, from_pitch;  // COPY: of pieces of so many bytes; no rows: one piece
    int value;
    Event *event;
    uint64_t recording;  // WAIT: of the event when it was asked for; RECORD: the one it completes
    Graph *graph;
    int lane, position;  // WAIT within a graph: for so many nodes of the lane
    void (*call)(const void *data);
    void *data;
    Work *next;
};

typedef struct Stream {
    Work *first, *last;
    Graph *capture;  // NULL: not capturing
    int lane;        // of the capture
    struct Stream *next;
} Stream;

struct Event {
    Stream *stream;                // of the last record
    uint64_t recorded, completed;  // numbers of recordings
    Graph *capture;                // that it was recorded in, and after which node; NULL: in none
    int lane, position;
};

// What one stream did while it was captured.
typedef struct Lane {
    Work *first, *last, *next;  // next: of a run
    int n_nodes, n_done;
    int n_joined;  // nodes that the stream of the capture has waited for
} Lane;

// Lane 0 is the stream of the capture; others joined it by waiting for its events.
struct Graph {
    Lane lanes[MOST_LANES];
    int n_lanes, n_kernels, n_nodes;
};

typedef struct Memory {
    char *at;
    size_t bytes, mapped;
    bool is_pinned, is_registered;  // registered: the host's, and stays it
    struct Memory *next;
} Memory;

typedef struct Counts {
    long launches, graph_launches, graph_kernels, waits, drains, allocations, sends, fetches, copies;
    long sent_bytes, fetched_bytes;
} Counts;

typedef struct Driver {
    Stream *streams;
    Memory *memories;
    size_t used;
    XvSimtMachine *machine;
    void *kernels;
    XvSimt **current;
    int device;
    int failed;  // status that every later call reports
    Counts counts;
    uint64_t recordings;
} Driver;

extern Driver driver;

// Every call of the interface begins with this: a planted error, or the one that ended everything.
#define ENTER(name)                                   \
    do {                                              \
        int planted = standin_planted(name);          \
        if (planted || driver.failed) {               \
            return planted ? planted : driver.failed; \
        }                                             \
    } while (0)

// Memory of the device and pinned memory; a status of the driver.
Memory *standin_memory_of(const void *at, size_t bytes);
bool standin_is_device(const void *at, size_t bytes);
int standin_allocate(void **at, size_t bytes, bool is_pinned);
int standin_release(const void *at, bool is_pinned);
int standin_register(void *at, size_t bytes);
int standin_unregister(const void *at);

// Queues a copy of the work, or captures it.
int standin_enqueue(Stream *stream, const Work *work);

// Lets the device work until a recording of an event, as one that is faster than the host would have.
void standin_keep_up(Stream *stream, const Event *event, uint64_t recording);

// The host waits: for a stream, or for a recording of an event.
int standin_wait_for(Stream *stream, const Event *event, uint64_t recording);

// The nodes of a graph.
void standin_free_nodes(Graph *graph);

// Runs the stream to its end, or until the event's recording is complete.
void standin_run_stream(Stream *stream, const Event *until, uint64_t recording);
void standin_free_work(Work *work);
