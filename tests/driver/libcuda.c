// A stand-in for NVIDIA's driver, for tests: the entry points that the runtime uses, over the emulator of kernels.
// It is as unhelpful as the interface allows:
//
//   - nothing runs before somebody waits for it (or for something behind it on its stream, or behind an event), so
//     results that are read too early are old, and pinned memory that is changed too early is sent changed;
//   - the memory of the device can be touched only while its work runs: a host that follows such a pointer crashes;
//   - arguments of kernels are copied when they are launched;
//   - between capture_begin and capture_end nothing runs, and waiting is an error, as it is on a GPU;
//   - streams that join a capture run as far before or behind the others as their waits allow (STANDIN_ORDER).
//
// Kernels come from the module that STANDIN_KERNELS names (kernels_simt.so of a program). STANDIN_REPORT names a
// file for counts at the end of the process (of GPU 1, "file.1"). STANDIN_DEVICES is the number of GPUs, 1 by
// default. With STANDIN_PACE=fast what somebody asks for is done by then. STANDIN_FAIL plants errors
// (standin.h), STANDIN_MEMORY limits the memory in bytes.
#include "tests/driver/engine.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Devices ---------------------------------------------------------------------------------------------------------

int cuInit(unsigned flags)
{
    ENTER("cuInit");
    driver.machine = driver.machine ? driver.machine : xv_simt_open();
    return flags ? INVALID_VALUE : driver.machine ? 0 : OUT_OF_MEMORY;
}

int cuDriverGetVersion(int *version)
{
    *version = 13000;
    return 0;
}

int cuGetErrorName(int status, const char **name)
{
    static const struct {
        int status;
        const char *name;
    } names[] = {{INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
                 {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
                 {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"},
                 {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
                 {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
                 {NOT_READY, "CUDA_ERROR_NOT_READY"},
                 {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
                 {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
                 {100, "CUDA_ERROR_NO_DEVICE"},
                 {999, "CUDA_ERROR_UNKNOWN"},
                 {CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED"},
                 {CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION"},
                 {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].status == status) {
            *name = names[i].name;
            return 0;
        }
    }
    return INVALID_VALUE;
}

int cuGetErrorString(int status, const char **text)
{
    *text = status == OUT_OF_MEMORY ? "out of memory" : "an error of the stand-in driver";
    return 0;
}

static int n_devices(void)
{
    const char *count = getenv("STANDIN_DEVICES");
    return count ? atoi(count) : 1;
}

int cuDeviceGetCount(int *count)
{
    ENTER("cuDeviceGetCount");
    *count = n_devices();
    return 0;
}

int cuDeviceGet(int *device, int ordinal)
{
    ENTER("cuDeviceGet");
    *device = ordinal;
    return ordinal >= 0 && ordinal < n_devices() ? 0 : INVALID_VALUE;
}

int cuDeviceGetName(char *name, int size, int device)
{
    ENTER("cuDeviceGetName");
    snprintf(name, (size_t)size, "stand-in %d", device);
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    ENTER("cuDeviceGetAttribute");
    *value = attribute == MAJOR ? 9 : attribute == MINOR ? 0 : 1;
    return device < n_devices() ? 0 : INVALID_VALUE;
}

int cuDevicePrimaryCtxRetain(void **context, int device)
{
    ENTER("cuDevicePrimaryCtxRetain");
    *context = &driver;
    driver.device = device;
    return device < n_devices() ? 0 : INVALID_VALUE;
}

int cuDevicePrimaryCtxRelease_v2(int device)
{
    return device == driver.device ? 0 : INVALID_VALUE;
}

int cuCtxSetCurrent(void *context)
{
    ENTER("cuCtxSetCurrent");
    return context == &driver ? 0 : INVALID_VALUE;
}

// Memory of the interface -----------------------------------------------------------------------------------------

int cuMemGetInfo_v2(size_t *unused, size_t *total)
{
    const char *limit = getenv("STANDIN_MEMORY");
    *total = limit ? strtoull(limit, NULL, 10) : (size_t)1 << 34;
    *unused = *total - driver.used;
    return 0;
}

int cuMemAlloc_v2(uint64_t *memory, size_t bytes)
{
    ENTER("cuMemAlloc_v2");
    void *at = NULL;
    int status = standin_allocate(&at, bytes, false);
    *memory = (uint64_t)(uintptr_t)at;
    return status;
}

// A driver waits here for what may still use the memory.
int cuMemFree_v2(uint64_t memory)
{
    int status = 0;
    for (Stream *stream = driver.streams; stream && !status; stream = stream->next) {
        status = standin_wait_for(stream, NULL, 0);
    }
    return status ? status : standin_release((const void *)(uintptr_t)memory, false);
}

int cuMemHostAlloc(void **memory, size_t bytes, unsigned flags)
{
    ENTER("cuMemHostAlloc");
    return flags ? INVALID_VALUE : standin_allocate(memory, bytes, true);
}

int cuMemFreeHost(void *memory)
{
    return standin_release(memory, true);
}

int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void *stream)
{
    ENTER("cuMemsetD8Async");
    void *at = (void *)(uintptr_t)to;
    return standin_is_device(at, bytes)
               ? standin_enqueue(stream,
                                 &(Work){.kind = WORK_CLEAR, .to = at, .value = value, .bytes = bytes})
               : INVALID_VALUE;
}

// From pageable memory a driver copies what is there now; from pinned memory, what is there when its turn comes.
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream)
{
    ENTER("cuMemcpyHtoDAsync_v2");
    void *at = (void *)(uintptr_t)to, *kept = NULL;
    const Memory *source = standin_memory_of(from, 1);
    if (!standin_is_device(at, bytes) || (source && !source->is_pinned) ||
        (source && !standin_memory_of(from, bytes))) {
        return INVALID_VALUE;
    }
    driver.counts.sends++;
    driver.counts.sent_bytes += (long)bytes;
    if (!source) {
        if (((Stream *)stream)->capture) {
            return CAPTURE_UNSUPPORTED;
        }
        kept = malloc(bytes);
        memcpy(kept, from, bytes);
    }
    return standin_enqueue(
        stream,
        &(Work){.kind = WORK_COPY, .to = at, .from = kept ? kept : from, .bytes = bytes, .data = kept});
}

// Into pageable memory a driver returns when the copy is done.
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream)
{
    ENTER("cuMemcpyDtoHAsync_v2");
    const void *at = (const void *)(uintptr_t)from;
    const Memory *target = standin_memory_of(to, 1);
    if (!standin_is_device(at, bytes) || (target && !target->is_pinned) ||
        (target && !standin_memory_of(to, bytes))) {
        return INVALID_VALUE;
    }
    driver.counts.fetches++;
    driver.counts.fetched_bytes += (long)bytes;
    int status = standin_enqueue(stream, &(Work){.kind = WORK_COPY, .to = to, .from = at, .bytes = bytes});
    return status || target ? status : standin_wait_for(stream, NULL, 0);
}

int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *stream)
{
    ENTER("cuMemcpyDtoDAsync_v2");
    void *at = (void *)(uintptr_t)to;
    const void *source = (const void *)(uintptr_t)from;
    driver.counts.copies++;
    return standin_is_device(at, bytes) && standin_is_device(source, bytes)
               ? standin_enqueue(stream, &(Work){.kind = WORK_COPY, .to = at, .from = source, .bytes = bytes})
               : INVALID_VALUE;
}

typedef struct Copy2D {
    size_t from_x, from_y;
    int from_type;
    const void *from_host;
    uint64_t from;
    void *from_array;
    size_t from_pitch, to_x, to_y;
    int to_type;
    void *to_host;
    uint64_t to;
    void *to_array;
    size_t to_pitch, width, height;
} Copy2D;

int cuMemcpy2DAsync_v2(const Copy2D *copy, void *stream)
{
    ENTER("cuMemcpy2DAsync_v2");
    enum { DEVICE = 2 };
    void *to = (void *)(uintptr_t)copy->to;
    const void *from = (const void *)(uintptr_t)copy->from;
    size_t last = copy->height - 1;
    bool is_valid = copy->from_type == DEVICE && copy->to_type == DEVICE && copy->height && copy->width &&
                    copy->from_pitch >= copy->width && copy->to_pitch >= copy->width && !copy->from_x &&
                    !copy->from_y && !copy->to_x && !copy->to_y &&
                    standin_is_device(to, last * copy->to_pitch + copy->width) &&
                    standin_is_device(from, last * copy->from_pitch + copy->width);
    driver.counts.copies++;
    return is_valid ? standin_enqueue(stream, &(Work){.kind = WORK_COPY,
                                                      .to = to,
                                                      .from = from,
                                                      .bytes = copy->width,
                                                      .rows = copy->height,
                                                      .to_pitch = copy->to_pitch,
                                                      .from_pitch = copy->from_pitch})
                    : INVALID_VALUE;
}

int cuMemHostRegister_v2(void *memory, size_t bytes, unsigned flags)
{
    ENTER("cuMemHostRegister_v2");
    return flags || !bytes ? INVALID_VALUE : standin_register(memory, bytes);
}

int cuMemHostUnregister(void *memory)
{
    return standin_unregister(memory);
}

// Streams and events ----------------------------------------------------------------------------------------------

int cuStreamCreate(void **stream, unsigned flags)
{
    ENTER("cuStreamCreate");
    Stream *created = calloc(1, sizeof *created);
    if (!created || flags != 1) {
        free(created);
        return INVALID_VALUE;
    }
    created->next = driver.streams;
    driver.streams = created;
    *stream = created;
    return 0;
}

int cuStreamDestroy_v2(void *stream)
{
    for (Stream **link = &driver.streams; *link; link = &(*link)->next) {
        if (*link == stream) {
            *link = (*link)->next;
            for (Work *work = ((Stream *)stream)->first, *next; work; work = next) {
                next = work->next;
                standin_free_work(work);
            }
            free(stream);
            return 0;
        }
    }
    return INVALID_HANDLE;
}

int cuStreamSynchronize(void *stream)
{
    ENTER("cuStreamSynchronize");
    return standin_wait_for(stream, NULL, 0);
}

// Within a capture: an event of the same capture; a stream that is not captured joins it.
static int wait_in_capture(Stream *stream, const Event *event)
{
    Graph *graph = event->capture ? event->capture : stream->capture;
    if (event->capture != graph || (stream->capture && stream->capture != graph)) {
        return CAPTURE_ISOLATION;
    }
    if (!stream->capture) {
        if (stream->first || graph->n_lanes == MOST_LANES) {
            return CAPTURE_ISOLATION;
        }
        stream->capture = graph;
        stream->lane = graph->n_lanes++;
    }
    Lane *lane = &graph->lanes[event->lane];
    if (stream->lane == 0 && event->position > lane->n_joined) {
        lane->n_joined = event->position;
    }
    return standin_enqueue(stream,
                           &(Work){.kind = WORK_WAIT, .lane = event->lane, .position = event->position});
}

int cuStreamWaitEvent(void *stream, void *event, unsigned flags)
{
    ENTER("cuStreamWaitEvent");
    const Event *e = event;
    if (flags || e->recorded == 0) {
        return flags ? INVALID_VALUE : 0;
    }
    if (((Stream *)stream)->capture || e->capture) {
        return wait_in_capture(stream, e);
    }
    return standin_enqueue(stream, &(Work){.kind = WORK_WAIT, .event = event, .recording = e->recorded});
}

int cuEventCreate(void **event, unsigned flags)
{
    ENTER("cuEventCreate");
    *event = calloc(1, sizeof(Event));
    return *event && flags == 2 ? 0 : INVALID_VALUE;
}

int cuEventDestroy_v2(void *event)
{
    free(event);
    return 0;
}

int cuEventRecord(void *event, void *stream)
{
    ENTER("cuEventRecord");
    Event *e = event;
    Stream *s = stream;
    e->stream = stream;
    e->recorded = ++driver.recordings;
    e->capture = s->capture;
    e->lane = s->lane;
    e->position = s->capture ? s->capture->lanes[s->lane].n_nodes : 0;
    return e->capture ? 0
                      : standin_enqueue(
                            stream, &(Work){.kind = WORK_RECORD, .event = event, .recording = e->recorded});
}

int cuEventQuery(void *event)
{
    ENTER("cuEventQuery");
    const Event *e = event;
    const char *pace = getenv("STANDIN_PACE");
    if (pace && strcmp(pace, "fast") == 0 && e->completed < e->recorded) {
        standin_keep_up(e->stream, e, e->recorded);
    }
    return e->completed < e->recorded ? NOT_READY : 0;
}

int cuEventSynchronize(void *event)
{
    ENTER("cuEventSynchronize");
    const Event *e = event;
    return e->completed < e->recorded ? standin_wait_for(e->stream, e, e->recorded) : 0;
}

// Modules and launches --------------------------------------------------------------------------------------------

static int open_kernels(void)
{
    const char *path = getenv("STANDIN_KERNELS");
    if (driver.kernels) {
        return 0;
    }
    driver.kernels = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    void *address = driver.kernels ? dlsym(driver.kernels, "xv_simt_current") : NULL;
    if (!address) {
        fprintf(stderr, "stand-in driver: STANDIN_KERNELS: %s\n", path ? dlerror() : "is not set");
        return NOT_FOUND;
    }
    XvSimt **(*current)(void);
    memcpy(&current, &address, sizeof current);
    driver.current = current();
    return 0;
}

// An image of the stand-in for NVRTC: "STANDIN1", and the names of the kernels, one a line.
int cuModuleLoadData(void **module, const void *image)
{
    ENTER("cuModuleLoadData");
    if (strncmp(image, "STANDIN1\n", 9) != 0) {
        return INVALID_IMAGE;
    }
    *module = strdup(image);
    return open_kernels();
}

int cuModuleUnload(void *module)
{
    free(module);
    return 0;
}

int cuModuleGetFunction(void **function, void *module, const char *name)
{
    ENTER("cuModuleGetFunction");
    char symbol[320];
    snprintf(symbol, sizeof symbol, "\n%s\n", name);
    if (!strstr(module, symbol)) {
        return NOT_FOUND;
    }
    Kernel *kernel = calloc(1, sizeof *kernel);  // lives as long as the process, as its module's code does
    snprintf(kernel->name, sizeof kernel->name, "%s", name);
    snprintf(symbol, sizeof symbol, "simt_%s", name);
    void *address = dlsym(driver.kernels, symbol);
    snprintf(symbol, sizeof symbol, "simt_sizes_%s", name);
    void *sizes_address = dlsym(driver.kernels, symbol);
    size_t (*sizes)(size_t *);
    if (!address || !sizes_address) {
        free(kernel);
        return NOT_FOUND;
    }
    memcpy(&kernel->run, &address, sizeof address);
    memcpy(&sizes, &sizes_address, sizeof sizes);
    kernel->n_arguments = sizes(kernel->sizes);
    *function = kernel;
    return 0;
}

int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned shared_bytes, void *stream, void **arguments,
                   void **extra)
{
    ENTER("cuLaunchKernel");
    const Kernel *kernel = function;
    bool is_valid = grid_x && grid_y && grid_z && block_x && block_x <= 1024 && block_y == 1 &&
                    block_z == 1 && grid_y < 65536 && grid_z < 65536 && !shared_bytes && !extra;
    if (!is_valid) {
        return INVALID_VALUE;
    }
    Work work = {.kind = WORK_LAUNCH, .kernel = kernel, .grid = {grid_x, grid_y, grid_z}, .threads = block_x};
    work.arguments = calloc(kernel->n_arguments + 1, sizeof *work.arguments);
    for (size_t i = 0; i < kernel->n_arguments; i++) {
        work.arguments[i] = malloc(kernel->sizes[i]);
        memcpy(work.arguments[i], arguments[i], kernel->sizes[i]);
    }
    return standin_enqueue(stream, &work);
}

// Graphs ----------------------------------------------------------------------------------------------------------

int cuStreamBeginCapture_v2(void *stream, int mode)
{
    ENTER("cuStreamBeginCapture_v2");
    Stream *s = stream;
    if (s->capture || mode != 2) {
        return INVALID_VALUE;
    }
    s->capture = calloc(1, sizeof *s->capture);
    s->capture->n_lanes = 1;
    s->lane = 0;
    return 0;
}

int cuStreamEndCapture(void *stream, void **graph)
{
    ENTER("cuStreamEndCapture");
    Graph *captured = ((Stream *)stream)->capture;
    bool is_joined = true;
    for (int i = 1; captured && i < captured->n_lanes; i++) {
        is_joined = is_joined && captured->lanes[i].n_joined == captured->lanes[i].n_nodes;
    }
    for (Stream *other = driver.streams; other; other = other->next) {
        other->capture = other->capture == captured ? NULL : other->capture;
    }
    *graph = is_joined ? captured : NULL;
    return *graph ? 0 : captured ? CAPTURE_UNJOINED : INVALID_VALUE;
}

int cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags)
{
    ENTER("cuGraphInstantiateWithFlags");
    const Graph *g = graph;
    Graph *copy = malloc(sizeof *copy);
    *copy = *g;  // takes over the nodes: a destroyed graph leaves them
    driver.counts.graph_kernels += g->n_kernels;
    *executable = copy;
    return flags || g->n_nodes == 0 ? INVALID_VALUE : 0;
}

int cuGraphDestroy(void *graph)
{
    free(graph);
    return 0;
}

int cuGraphLaunch(void *executable, void *stream)
{
    ENTER("cuGraphLaunch");
    driver.counts.graph_launches++;
    return standin_enqueue(stream, &(Work){.kind = WORK_GRAPH, .graph = executable});
}

// What is queued of it still runs.
int cuGraphExecDestroy(void *executable)
{
    Graph *graph = executable;
    for (Stream *stream = driver.streams; stream; stream = stream->next) {
        standin_wait_for(stream, NULL, 0);
    }
    standin_free_nodes(graph);
    free(graph);
    return 0;
}
