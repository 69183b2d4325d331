// Work that the host does not wait for, on a GPU: pinned memory, events, graphs; see XvAsync in device.h.
#include "runtime/cuda/device_cuda.h"

static XvCuMemory address(const void *memory)
{
    return (XvCuMemory)(uintptr_t)memory;
}

static void *allocate_pinned(XvDevice *device, size_t bytes, XvError *error)
{
    XvCuda *cuda = device->state;
    void *memory = NULL;
    int status = cuda->driver.allocate_pinned(&memory, bytes ? bytes : 1, 0);
    return xv_cuda_good(device, status, "cuMemHostAlloc", error) ? memory : NULL;
}

static void release_pinned(XvDevice *device, void *memory)
{
    XvCuda *cuda = device->state;
    if (memory) {
        cuda->driver.release_pinned(memory);
    }
}

static bool send(XvDevice *device, void *to, const void *pinned, size_t bytes, XvError *error)
{
    XvCuda *cuda = device->state;
    int status = cuda->driver.send(address(to), pinned, bytes, cuda->lanes[XV_LANE_COPY]);
    return xv_cuda_good(device, status, "cuMemcpyHtoDAsync", error);
}

static bool fetch(XvDevice *device, void *pinned, const void *from, size_t bytes, XvError *error)
{
    XvCuda *cuda = device->state;
    int status = cuda->driver.fetch(pinned, address(from), bytes, cuda->lanes[XV_LANE_COMPUTE]);
    return xv_cuda_good(device, status, "cuMemcpyDtoHAsync", error);
}

static bool copy(XvDevice *device, void *to, const void *from, size_t bytes, XvError *error)
{
    XvCuda *cuda = device->state;
    int status = cuda->driver.copy(address(to), address(from), bytes, cuda->lanes[XV_LANE_COMPUTE]);
    return xv_cuda_good(device, status, "cuMemcpyDtoDAsync", error);
}

static bool copy_rows(XvDevice *device, const XvCopy *rows, XvError *error)
{
    XvCuda *cuda = device->state;
    XvCuCopy copy = {.from_type = XV_CU_MEMORY_DEVICE,
                     .from = address(rows->from),
                     .from_pitch = rows->from_pitch,
                     .to_type = XV_CU_MEMORY_DEVICE,
                     .to = address(rows->to),
                     .to_pitch = rows->to_pitch,
                     .width = rows->bytes,
                     .height = rows->rows};
    int status = cuda->driver.copy_rows(&copy, cuda->lanes[XV_LANE_COMPUTE]);
    return xv_cuda_good(device, status, "cuMemcpy2DAsync", error);
}

static bool clear(XvDevice *device, void *memory, size_t bytes, XvError *error)
{
    XvCuda *cuda = device->state;
    int status = cuda->driver.clear(address(memory), 0, bytes, cuda->lanes[XV_LANE_COMPUTE]);
    return xv_cuda_good(device, status, "cuMemsetD8Async", error);
}

static bool pin(XvDevice *device, void *memory, size_t bytes)
{
    XvCuda *cuda = device->state;
    return bytes > 0 && cuda->driver.pin(memory, bytes, 0) == 0;
}

static void unpin(XvDevice *device, void *memory)
{
    XvCuda *cuda = device->state;
    cuda->driver.unpin(memory);
}

static void *mark_create(XvDevice *device, XvError *error)
{
    XvCuda *cuda = device->state;
    void *event = NULL;
    int status = cuda->driver.event_create(&event, XV_CU_EVENT_NO_TIMING);
    return xv_cuda_good(device, status, "cuEventCreate", error) ? event : NULL;
}

static void mark_free(XvDevice *device, void *mark)
{
    XvCuda *cuda = device->state;
    if (mark) {
        cuda->driver.event_destroy(mark);
    }
}

static bool mark(XvDevice *device, void *event, XvLane lane, XvError *error)
{
    XvCuda *cuda = device->state;
    return xv_cuda_good(device, cuda->driver.event_record(event, cuda->lanes[lane]), "cuEventRecord", error);
}

static bool follow(XvDevice *device, XvLane lane, void *event, XvError *error)
{
    XvCuda *cuda = device->state;
    return xv_cuda_good(device, cuda->driver.stream_wait(cuda->lanes[lane], event, 0), "cuStreamWaitEvent",
                        error);
}

static bool wait_for(XvDevice *device, void *event, XvError *error)
{
    XvCuda *cuda = device->state;
    int status = cuda->driver.event_query(event);
    bool is_reached = status != XV_CU_NOT_READY && xv_cuda_good(device, status, "cuEventQuery", error);
    return is_reached || (status == XV_CU_NOT_READY && xv_cuda_good(device, cuda->driver.event_finish(event),
                                                                    "cuEventSynchronize", error));
}

static bool record(XvDevice *device, XvError *error)
{
    XvCuda *cuda = device->state;
    int status = cuda->driver.capture_begin(cuda->lanes[XV_LANE_COMPUTE], XV_CU_CAPTURE_RELAXED);
    return xv_cuda_good(device, status, "cuStreamBeginCapture", error);
}

static void *recorded(XvDevice *device, XvError *error)
{
    XvCuda *cuda = device->state;
    void *graph = NULL, *executable = NULL;
    int status = cuda->driver.capture_end(cuda->lanes[XV_LANE_COMPUTE], &graph);
    if (device->has_failed) {
        xv_fail(error, "%s", device->failure.text);  // says more than the capture that it ended
    } else if (xv_cuda_good(device, status, "cuStreamEndCapture", error) &&
               !xv_cuda_good(device, cuda->driver.graph_instantiate(&executable, graph, 0),
                             "cuGraphInstantiateWithFlags", error)) {
        executable = NULL;
    }
    if (graph) {
        cuda->driver.graph_destroy(graph);
    }
    return executable;
}

static bool replay(XvDevice *device, void *recording, XvError *error)
{
    XvCuda *cuda = device->state;
    return xv_cuda_good(device, cuda->driver.graph_launch(recording, cuda->lanes[XV_LANE_COMPUTE]),
                        "cuGraphLaunch", error);
}

static void recording_free(XvDevice *device, void *recording)
{
    XvCuda *cuda = device->state;
    if (recording) {
        cuda->driver.executable_destroy(recording);
    }
}

const XvAsync xv_cuda_async = {
    .allocate_pinned = allocate_pinned,
    .release_pinned = release_pinned,
    .send = send,
    .fetch = fetch,
    .copy = copy,
    .copy_rows = copy_rows,
    .clear = clear,
    .pin = pin,
    .unpin = unpin,
    .mark_create = mark_create,
    .mark_free = mark_free,
    .mark = mark,
    .follow = follow,
    .wait_for = wait_for,
    .record = record,
    .recorded = recorded,
    .replay = replay,
    .recording_free = recording_free,
};
