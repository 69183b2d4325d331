// The device "cuda": an NVIDIA GPU through its driver (driver.h), with kernels compiled for it at the first start
// (cubins.h). One stream computes, a second one carries what is sent meanwhile, a third one gradients between ranks.
#pragma once

#include "runtime/cuda/blaslt.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/driver.h"
#include "runtime/cuda/nccl.h"

typedef struct XvCuda {
    XvDriver driver;
    int device;
    void *context;
    char name[128];           // "NVIDIA H200"
    char architecture[16];    // "sm_90a"
    void *lanes[XV_N_LANES];  // streams
    void **modules;
    int n_modules;
    void **functions;           // by number of the kernel
    XvBlasLt *blas;             // NULL: not found
    void *workspace;            // of blas
    XvNccl *nccl;               // of several ranks; NULL: one
    void *computed, *averaged;  // marks: where gradients are ready to be averaged, where they are averaged
    struct XvComm *comm;        // of several ranks
    void *exchange;             // memory for what hosts exchange through NCCL
    size_t exchange_bytes;
} XvCuda;

extern const XvDeviceKind xv_device_cuda;
extern const XvAsync xv_cuda_async;        // device_cuda_async.c
extern const XvDeviceRanks xv_cuda_ranks;  // device_cuda_ranks.c
void xv_cuda_ranks_leave(XvDevice *device);

// Shared by the files: a status of the driver as a message.
bool xv_cuda_good(const XvDevice *device, int status, const char *call, XvError *error);
