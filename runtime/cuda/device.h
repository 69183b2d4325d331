// Where the kernels of a program compiled for the target cuda run: one interface, one table of functions per kind.
//
// Calls are made in order and take effect in order, as on one stream. A launch that fails is remembered: later ones do
// nothing, and xv_device_wait reports the first failure.
#pragma once

#include "runtime/base/error.h"
#include "runtime/cuda/nvtx.h"
#include "runtime/device/gemm.h"
#include "runtime/program.h"

#include <stddef.h>

// The library's kernels (runtime/cuda/*.cuh); a program's own follow, from XV_N_LIBRARY_KERNELS. ORDER LIBRARY
typedef enum XvLibraryKernel {
    XV_KERNEL_MATMUL,
    XV_KERNEL_MATMUL_TF32,
    XV_KERNEL_MATMUL_BF16,
    XV_KERNEL_MATMUL_F16,
    XV_KERNEL_ATTENTION_BIAS,
    XV_KERNEL_SCATTER_ADD,
    XV_KERNEL_SAMPLE,
    XV_KERNEL_TOP_K,
    XV_KERNEL_ADD_COLUMNS,
    XV_KERNEL_UPDATE_SQUARES,
    XV_KERNEL_UPDATE_NORM,
    XV_KERNEL_UPDATE_ADAMW,
    XV_KERNEL_CLAMP,
    XV_N_LIBRARY_KERNELS,
} XvLibraryKernel;

typedef struct XvKernelLaunch {
    int kernel;
    uint32_t grid[3];
    uint32_t threads;  // of a block, in one dimension
    void **arguments;  // addresses of the arguments, as cuLaunchKernel takes them
} XvKernelLaunch;

typedef struct XvDevice XvDevice;

// Queues of work: one for kernels, one for what is sent to the device meanwhile, one for what ranks exchange.
typedef enum XvLane { XV_LANE_COMPUTE, XV_LANE_COPY, XV_LANE_RANKS, XV_N_LANES } XvLane;

// `rows` pieces of `bytes` each, so many bytes apart on either side.
typedef struct XvCopy {
    void *to;
    const void *from;
    size_t to_pitch, from_pitch, bytes, rows;
} XvCopy;

// Work that the host does not wait for. Functions return false (or NULL) after a message. Marks are places in a lane;
// recordings are lists of launches and copies of the compute lane that are started as one.
typedef struct XvAsync {
    void *(*allocate_pinned)(XvDevice *device, size_t bytes,
                             XvError *error);  // host memory for send and fetch
    void (*release_pinned)(XvDevice *device, void *memory);
    bool (*send)(XvDevice *device, void *to, const void *pinned, size_t bytes, XvError *error);  // copy lane
    bool (*fetch)(XvDevice *device, void *pinned, const void *from, size_t bytes, XvError *error);  // compute
    bool (*copy)(XvDevice *device, void *to, const void *from, size_t bytes, XvError *error);  // compute lane
    bool (*copy_rows)(XvDevice *device, const XvCopy *copy, XvError *error);                   // compute lane
    bool (*clear)(XvDevice *device, void *memory, size_t bytes, XvError *error);               // compute lane
    // Pins memory that the host has, for transfers at full speed. False where that cannot be: it stays as it is.
    bool (*pin)(XvDevice *device, void *memory, size_t bytes);
    void (*unpin)(XvDevice *device, void *memory);
    void *(*mark_create)(XvDevice *device, XvError *error);
    void (*mark_free)(XvDevice *device, void *mark);
    bool (*mark)(XvDevice *device, void *mark, XvLane lane, XvError *error);    // here is the lane's end now
    bool (*follow)(XvDevice *device, XvLane lane, void *mark, XvError *error);  // the lane waits for the mark
    bool (*wait_for)(XvDevice *device, void *mark, XvError *error);             // the host waits for it
    bool (*record)(XvDevice *device, XvError *error);  // from here on the compute lane is recorded, not run
    void *(*recorded)(XvDevice *device, XvError *error);
    bool (*replay)(XvDevice *device, void *recording, XvError *error);
    void (*recording_free)(XvDevice *device, void *recording);
} XvAsync;

// What the devices of several ranks do together. Every rank makes the same calls in the same order, none of which waits
// for the device; with a device that lacks them several ranks cannot run.
typedef struct XvDeviceRanks {
    bool (*join)(XvDevice *device, struct XvComm *comm, XvError *error);  // first, on all ranks at once
    // `all` becomes the 4-byte words of every rank in rank order; compute lane.
    bool (*gather)(XvDevice *device, const void *own, void *all, int64_t words, XvError *error);
    // Replaces ranges of the values by their means over the ranks: behind what the compute lane has now, beside what
    // it gets later, up to finish_averages.
    bool (*average)(XvDevice *device, float *values, const XvRange *ranges, int n_ranges, XvError *error);
    bool (*finish_averages)(XvDevice *device, XvError *error);  // the compute lane waits for them
} XvDeviceRanks;

typedef struct XvDeviceKind {
    const char *name;  // "simt"
    const char *summary;
    bool (*open)(XvDevice *device, XvError *error);
    void (*close)(XvDevice *device);
    // Zeroed memory that kernels may use; NULL after a message.
    void *(*allocate)(XvDevice *device, size_t bytes, XvError *error);
    void (*release)(XvDevice *device, void *memory);
    bool (*write)(XvDevice *device, void *to, const void *from, size_t bytes, XvError *error);
    bool (*read)(XvDevice *device, void *to, const void *from, size_t bytes, XvError *error);
    bool (*launch)(XvDevice *device, const XvKernelLaunch *launch, XvError *error);
    bool (*wait)(XvDevice *device, XvError *error);
    // A product by a library of the device's own; *is_done stays false where it has none for it. NULL: none at all.
    bool (*gemm)(XvDevice *device, const XvGemm *gemm, bool *is_done, XvError *error);
    // What the library chooses for such a product, kept for `gemm`; whether it has something. NULL: nothing to choose.
    bool (*choose)(XvDevice *device, const XvGemm *gemm, bool *is_possible, XvError *error);
    bool is_host_memory;   // kernels and host use the same memory: nothing needs to be copied
    const XvAsync *async;  // NULL: everything is done when a call returns, in the host's memory
    const XvDeviceRanks
        *ranks;  // NULL on a device with memory of its own: one process; else the host's (comm.h)
} XvDeviceKind;

typedef struct XvUpdateTables XvUpdateTables;

struct XvDevice {
    const XvDeviceKind *kind;
    const XvCudaProgram *program;
    int ordinal;             // of several devices of the kind; -1: chosen when it is opened
    void *state;             // of the kind
    XvUpdateTables *tables;  // of the optimizer; see update.h
    XvError failure;         // of the first launch that failed
    bool has_failed;
    int64_t n_launches;  // those inside recordings count once, when they are recorded
    int64_t *counts;     // launches of each kernel
    const char
        *place;  // in the language, of what is launched next: "models/bert.dsl:93  text_encoder.layer.0"
    bool has_products;  // the library of products of the kind is there
    bool
        is_rehearsed;  // nothing is launched; products are chosen, which a library may refuse within a recording
    XvNvtx nvtx;       // of a profiler; push NULL: none
    bool
        is_direct;  // XV_CUDA_GRAPHS=off: nothing is recorded, so that a profiler sees what is launched where
};

// Opens the device of that name for the kernels of a program: "simt", "cuda", "cuda:1"; NULL is "cuda". Without a
// number it is the first, or that of this rank among the ranks of the machine. False after a message that says what is
// missing.
bool xv_device_open(XvDevice *device, const char *name, const XvCudaProgram *program, XvError *error);
void xv_device_close(XvDevice *device);

// Whether devices of that name have collectives of their own.
bool xv_device_has_ranks(const char *name);

// Makes the device one of a world of several ranks. Every rank comes here at once; false on all when one cannot.
bool xv_device_join(XvDevice *device, struct XvComm *comm, XvError *error);

void xv_device_launch(XvDevice *device, const XvKernelLaunch *launch);

// Whether the device's own library took the product; a failure is remembered like that of a launch.
bool xv_device_gemm(XvDevice *device, const XvGemm *gemm);

// Waits for everything launched so far. False after a message when any launch failed.
bool xv_device_wait(XvDevice *device, XvError *error);

// The same; ends the process with the message when any launch failed. A device that failed once gives no second chance.
void xv_device_finish(XvDevice *device);
void xv_device_fail(const XvDevice *device, const XvError *error) __attribute__((noreturn));

// Ends the process with the message unless something was done.
void xv_device_must(const XvDevice *device, bool is_done, const XvError *error);

// Writes a line "kernel launches" for every kernel that ran. False after a message.
bool xv_device_save_counts(const XvDevice *device, const char *path, XvError *error);

// Name of a kernel by number.
const char *xv_kernel_name(const XvCudaProgram *program, int kernel);
