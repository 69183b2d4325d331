// A CUDA block on the CPU: one fiber per thread, in turns, each run until it waits for others.
//
// Kernels are compiled as C++ with runtime/cuda/device.cuh in front, whose emulated half (simt.cuh) reaches this file
// through the pointers in XvSimt. Threads meet at barriers and at warp collectives; the last one to arrive does the
// work of all, which makes the lanes of a collective run in lock step.
//
// Reported, with the kernel's name and the source line, and ending the launch:
//   - a barrier that not all threads of the block reach, or that they reach at different lines;
//   - a warp collective whose mask names a lane that has ended, waits elsewhere or is not the caller;
//   - an index outside a buffer (checked by the accessors of simt.cuh);
//   - shared memory read before it was written, or before the thread that copies to it asynchronously has waited;
//   - matrices and asynchronous copies that do not lie on 16 bytes;
//   - two accesses to an element of shared memory, one of them a write, by threads that neither a barrier nor a warp
//     synchronisation orders. Order within a warp is kept as one clock a lane (happens-before, exact for masks that
//     cover the lanes concerned).
// Not watched: races on global memory, within or between blocks.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { XV_SIMT_WARP = 32, XV_SIMT_MAX_THREADS = 1024, XV_SIMT_MAX_SHARED = 32 };

// A line of kernel text. Texts are literals of the kernels' module.
typedef struct XvSimtPlace {
    const char *file;
    int line;
} XvSimtPlace;

// Who touched an element of shared memory last. Epochs count barriers and never repeat, so an epoch before
// block_epoch belongs to an earlier block: the element is uninitialised.
typedef struct XvSimtShadow {
    uint64_t write_epoch, read_epoch;
    uint32_t write_clock, read_clock;  // of the writing lane; the largest of the reading lanes
    uint32_t read_mask;                // lanes of read_warp that read in read_epoch
    uint16_t write_thread, read_warp;
    bool is_read_by_warps;  // of several warps in read_epoch
    bool is_pending;        // an asynchronous copy is under way
    XvSimtPlace write_place, read_place;
} XvSimtShadow;

// What brings lanes of a warp together. `combine` reads and writes the slots of all lanes of the mask.
typedef struct XvSimtMeeting {
    uint32_t mask;
    void *slot;
    void (*combine)(void **slots, uint32_t mask);
    const char *what;
    XvSimtPlace place;
    bool is_ordering;  // memory accesses before it happen before those after it
} XvSimtMeeting;

typedef struct XvSimt XvSimt;
struct XvSimt {
    // Of the running thread and its block.
    uint32_t thread, threads;
    uint32_t block[3], grid[3];
    uint64_t epoch, block_epoch;
    uint32_t (*clocks)[XV_SIMT_WARP][XV_SIMT_WARP];  // [warp][lane][what it knows of lane]
    // What kernels call.
    void (*sync_block)(XvSimt *simt, XvSimtPlace place);
    void (*meet)(XvSimt *simt, const XvSimtMeeting *meeting);
    // Memory of the shared array declared at `place`; the same for all threads of a block.
    void *(*shared)(XvSimt *simt, XvSimtPlace place, size_t count, size_t size, XvSimtShadow **shadow);
    // Reports a fault of the running thread; does not return.
    void (*fault)(XvSimt *simt, XvSimtPlace place, const char *format, ...);
};

// A compiled kernel: unpacks arguments as cuLaunchKernel takes them and runs one thread.
typedef void (*XvSimtKernel)(void **arguments);

typedef struct XvSimtLaunch {
    const char *name;  // for messages
    XvSimtKernel kernel;
    XvSimt **current;  // the variable of the kernels' module through which it reaches the emulator
    uint32_t grid[3];
    uint32_t threads;  // of a block, in one dimension
    void **arguments;
    uint32_t every;  // of the blocks along grid[0] every so many and the last are run; 0 or 1: all
} XvSimtLaunch;

typedef struct XvSimtMachine XvSimtMachine;

// Stacks and tables for blocks of up to 1024 threads. NULL without memory.
XvSimtMachine *xv_simt_open(void);
void xv_simt_close(XvSimtMachine *machine);

// Runs the blocks in order. False after a fault, with the message in `message`.
bool xv_simt_launch(XvSimtMachine *machine, const XvSimtLaunch *launch, char *message, size_t size);

#ifdef __cplusplus
}
#endif
