// NVIDIA's driver API, loaded when a device is opened: the build needs neither driver nor toolkit. Names are those of
// the API without the prefix; signatures are those of CUDA 12 and 13 on 64-bit machines.
#pragma once

#include "runtime/base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef uint64_t XvCuMemory;  // CUdeviceptr

enum {
    XV_CU_NOT_FOUND = 500,
    XV_CU_NOT_READY = 600,          // status of an event or stream with work before it
    XV_CU_STREAM_NON_BLOCKING = 1,  // flag of a stream
    XV_CU_EVENT_NO_TIMING = 2,      // flag of an event
    XV_CU_CAPTURE_RELAXED = 2,      // mode of a capture
    XV_CU_MEMORY_DEVICE = 2,        // type of memory
    XV_CU_ATTRIBUTE_MULTIPROCESSORS = 16,
    XV_CU_ATTRIBUTE_MAJOR = 75,
    XV_CU_ATTRIBUTE_MINOR = 76,
};

// CUDA_MEMCPY2D between two places of the device.
typedef struct XvCuCopy {
    size_t from_x, from_y;
    int from_type;  // XV_CU_MEMORY_DEVICE
    const void *from_host;
    XvCuMemory from;
    void *from_array;
    size_t from_pitch;
    size_t to_x, to_y;
    int to_type;
    void *to_host;
    XvCuMemory to;
    void *to_array;
    size_t to_pitch;
    size_t width, height;  // bytes, rows
} XvCuCopy;

// X(field, name of the symbol, parameters)
#define XV_DRIVER_CALLS(X)                                                                         \
    X(init, "cuInit", (unsigned flags))                                                            \
    X(driver_version, "cuDriverGetVersion", (int *version))                                        \
    X(error_name, "cuGetErrorName", (int status, const char **name))                               \
    X(error_string, "cuGetErrorString", (int status, const char **text))                           \
    X(device_count, "cuDeviceGetCount", (int *count))                                              \
    X(device, "cuDeviceGet", (int *device, int ordinal))                                           \
    X(device_name, "cuDeviceGetName", (char *name, int size, int device))                          \
    X(device_attribute, "cuDeviceGetAttribute", (int *value, int attribute, int device))           \
    X(context_retain, "cuDevicePrimaryCtxRetain", (void **context, int device))                    \
    X(context_release, "cuDevicePrimaryCtxRelease_v2", (int device))                               \
    X(context_set, "cuCtxSetCurrent", (void *context))                                             \
    X(memory_info, "cuMemGetInfo_v2", (size_t * free, size_t * total))                             \
    X(allocate, "cuMemAlloc_v2", (XvCuMemory * memory, size_t bytes))                              \
    X(release, "cuMemFree_v2", (XvCuMemory memory))                                                \
    X(allocate_pinned, "cuMemHostAlloc", (void **memory, size_t bytes, unsigned flags))            \
    X(release_pinned, "cuMemFreeHost", (void *memory))                                             \
    X(clear, "cuMemsetD8Async", (XvCuMemory to, unsigned char value, size_t bytes, void *stream))  \
    X(send, "cuMemcpyHtoDAsync_v2", (XvCuMemory to, const void *from, size_t bytes, void *stream)) \
    X(fetch, "cuMemcpyDtoHAsync_v2", (void *to, XvCuMemory from, size_t bytes, void *stream))      \
    X(copy, "cuMemcpyDtoDAsync_v2", (XvCuMemory to, XvCuMemory from, size_t bytes, void *stream))  \
    X(copy_rows, "cuMemcpy2DAsync_v2", (const XvCuCopy *copy, void *stream))                       \
    X(pin, "cuMemHostRegister_v2", (void *memory, size_t bytes, unsigned flags))                   \
    X(unpin, "cuMemHostUnregister", (void *memory))                                                \
    X(stream_create, "cuStreamCreate", (void **stream, unsigned flags))                            \
    X(stream_destroy, "cuStreamDestroy_v2", (void *stream))                                        \
    X(stream_finish, "cuStreamSynchronize", (void *stream))                                        \
    X(stream_wait, "cuStreamWaitEvent", (void *stream, void *event, unsigned flags))               \
    X(event_create, "cuEventCreate", (void **event, unsigned flags))                               \
    X(event_destroy, "cuEventDestroy_v2", (void *event))                                           \
    X(event_record, "cuEventRecord", (void *event, void *stream))                                  \
    X(event_query, "cuEventQuery", (void *event))                                                  \
    X(event_finish, "cuEventSynchronize", (void *event))                                           \
    X(module_load, "cuModuleLoadData", (void **module, const void *image))                         \
    X(module_unload, "cuModuleUnload", (void *module))                                             \
    X(module_function, "cuModuleGetFunction", (void **function, void *module, const char *name))   \
    X(launch, "cuLaunchKernel",                                                                    \
      (void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,        \
       unsigned block_y, unsigned block_z, unsigned shared_bytes, void *stream, void **arguments,  \
       void **extra))                                                                              \
    X(capture_begin, "cuStreamBeginCapture_v2", (void *stream, int mode))                          \
    X(capture_end, "cuStreamEndCapture", (void *stream, void **graph))                             \
    X(graph_instantiate, "cuGraphInstantiateWithFlags",                                            \
      (void **executable, void *graph, unsigned long long flags))                                  \
    X(graph_launch, "cuGraphLaunch", (void *executable, void *stream))                             \
    X(graph_destroy, "cuGraphDestroy", (void *graph))                                              \
    X(executable_destroy, "cuGraphExecDestroy", (void *executable))

#define XV_DRIVER_FIELD(field, symbol, parameters) int(*field) parameters;

typedef struct XvDriver {
    void *library;
    XV_DRIVER_CALLS(XV_DRIVER_FIELD)
} XvDriver;

// Loads libcuda.so.1, from XV_CUDA_LIBRARIES if it is there, else the system's, and initialises it. False after a
// message; without a driver it says so.
bool xv_driver_open(XvDriver *driver, XvError *error);
void xv_driver_close(XvDriver *driver);

// True for status 0. Else a message with the call, the name of the status, its number and its meaning.
bool xv_driver_good(const XvDriver *driver, int status, const char *call, XvError *error);
