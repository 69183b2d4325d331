// Opening a GPU, its memory and its kernels; see device_cuda.h. Everything is queued on the compute stream; what the
// host must see is waited for.
#include "runtime/cuda/device_cuda.h"

#include "runtime/comm/launch.h"
#include "runtime/cuda/cubins.h"

#include <stdio.h>
#include <stdlib.h>

bool xv_cuda_good(const XvDevice *device, int status, const char *call, XvError *error)
{
    const XvCuda *cuda = device->state;
    return xv_driver_good(&cuda->driver, status, call, error);
}

// Opening ---------------------------------------------------------------------------------------------------------

static XvCuMemory address(const void *memory)
{
    return (XvCuMemory)(uintptr_t)memory;
}

static void cuda_release(XvDevice *device, void *memory)
{
    XvCuda *cuda = device->state;
    if (memory) {
        cuda->driver.release(address(memory));
    }
}

static void cuda_close(XvDevice *device)
{
    XvCuda *cuda = device->state;
    if (!cuda) {
        return;
    }
    const XvDriver *driver = &cuda->driver;
    xv_cuda_ranks_leave(device);
    xv_blaslt_close(cuda->blas);
    cuda_release(device, cuda->workspace);
    for (int i = 0; i < cuda->n_modules; i++) {
        if (cuda->modules[i]) {
            driver->module_unload(cuda->modules[i]);
        }
    }
    for (int i = 0; i < XV_N_LANES; i++) {
        if (cuda->lanes[i]) {
            driver->stream_destroy(cuda->lanes[i]);
        }
    }
    if (cuda->context) {
        driver->context_release(cuda->device);
    }
    xv_driver_close(&cuda->driver);
    free(cuda->modules);
    free(cuda->functions);
    free(cuda);
    device->state = NULL;
}

// One GPU a rank, by its place among the ranks of this machine, or the only one that the rank is shown.
static bool choose_ordinal(XvDevice *device, int count, XvError *error)
{
    XvLaunch launch;
    if (device->ordinal >= 0) {
        return device->ordinal < count ||
               xv_fail(error, "there is no GPU %d; the driver sees %d", device->ordinal, count);
    }
    if (!xv_launch_read(&launch, error)) {
        return false;
    }
    device->ordinal = count == 1 ? 0 : launch.local_rank;
    return device->ordinal < count ||
           xv_fail(error, "%s is %d, but the driver sees %d GPUs; every rank needs one of its own",
                   launch.local_name, launch.local_rank, count);
}

static bool find_device(XvDevice *device, XvError *error)
{
    XvCuda *cuda = device->state;
    const XvDriver *d = &cuda->driver;
    int count = 0, major = 0, minor = 0;
    if (!xv_cuda_good(device, d->device_count(&count), "cuDeviceGetCount", error)) {
        return false;
    }
    bool is_good = choose_ordinal(device, count, error) &&
                   xv_cuda_good(device, d->device(&cuda->device, device->ordinal), "cuDeviceGet", error) &&
                   xv_cuda_good(device, d->device_name(cuda->name, (int)sizeof cuda->name, cuda->device),
                                "cuDeviceGetName", error) &&
                   xv_cuda_good(device, d->device_attribute(&major, XV_CU_ATTRIBUTE_MAJOR, cuda->device),
                                "cuDeviceGetAttribute", error) &&
                   xv_cuda_good(device, d->device_attribute(&minor, XV_CU_ATTRIBUTE_MINOR, cuda->device),
                                "cuDeviceGetAttribute", error);
    if (is_good && major < 8) {
        return xv_fail(error, "%s has compute capability %d.%d; 8.0 or later is needed", cuda->name, major,
                       minor);
    }
    snprintf(cuda->architecture, sizeof cuda->architecture, "sm_%d%d%s", major, minor,
             major == 9 && minor == 0 ? "a" : "");
    return is_good;
}

static bool create_context(XvDevice *device, XvError *error)
{
    XvCuda *cuda = device->state;
    const XvDriver *d = &cuda->driver;
    bool is_good = xv_cuda_good(device, d->context_retain(&cuda->context, cuda->device),
                                "cuDevicePrimaryCtxRetain", error) &&
                   xv_cuda_good(device, d->context_set(cuda->context), "cuCtxSetCurrent", error);
    for (int i = 0; i < XV_N_LANES && is_good; i++) {
        is_good = xv_cuda_good(device, d->stream_create(&cuda->lanes[i], XV_CU_STREAM_NON_BLOCKING),
                               "cuStreamCreate", error);
    }
    static const char *const names[XV_N_LANES] = {"kernels", "inputs", "ranks"};
    for (int i = 0; i < XV_N_LANES && is_good && device->nvtx.name_stream; i++) {
        device->nvtx.name_stream(cuda->lanes[i], names[i]);
    }
    return is_good;
}

static bool find_function(XvDevice *device, int kernel, XvError *error)
{
    XvCuda *cuda = device->state;
    const char *name = xv_kernel_name(device->program, kernel);
    int status = XV_CU_NOT_FOUND;
    for (int i = 0; i < cuda->n_modules && status == XV_CU_NOT_FOUND; i++) {
        status = cuda->driver.module_function(&cuda->functions[kernel], cuda->modules[i], name);
    }
    return status == 0 ||
           (xv_cuda_good(device, status, "cuModuleGetFunction", error), xv_fail_in(error, "kernel %s", name));
}

static bool load_kernels(XvDevice *device, XvError *error)
{
    XvCuda *cuda = device->state;
    XvCubins cubins;
    if (!xv_cubins_get(&cubins, device->program->kernel_text, cuda->architecture, error)) {
        return false;
    }
    int n_kernels = XV_N_LIBRARY_KERNELS + device->program->n_kernels;
    cuda->modules = calloc((size_t)cubins.n_pieces, sizeof *cuda->modules);
    cuda->functions = calloc((size_t)n_kernels, sizeof *cuda->functions);
    bool is_good = (cuda->modules && cuda->functions) || xv_fail(error, "no memory");
    for (int i = 0; i < cubins.n_pieces && is_good; i++) {
        is_good = xv_cuda_good(device, cuda->driver.module_load(&cuda->modules[i], cubins.pieces[i].image),
                               "cuModuleLoadData", error);
        cuda->n_modules += is_good;
    }
    for (int i = 0; i < n_kernels && is_good; i++) {
        is_good = find_function(device, i, error);
    }
    xv_cubins_free(&cubins);
    return is_good;
}

static bool fail_of_memory(const XvCuda *cuda, size_t bytes, XvError *error)
{
    size_t unused = 0, total = 0;
    cuda->driver.memory_info(&unused, &total);
    return xv_fail_in(error, "%.2f GB of memory on %s, which has %.2f GB, %.2f GB of them free",
                      (double)bytes * 1e-9, cuda->name, (double)total * 1e-9, (double)unused * 1e-9);
}

// Without the library products are the generated kernels, correct and slow.
static bool open_blas(XvDevice *device, XvError *error)
{
    XvCuda *cuda = device->state;
    XvCuMemory memory = 0;
    XvError reason = {{0}};
    if (!xv_cuda_good(device, cuda->driver.allocate(&memory, XV_BLASLT_WORKSPACE), "cuMemAlloc", error)) {
        return fail_of_memory(cuda, XV_BLASLT_WORKSPACE, error);
    }
    cuda->workspace = (void *)(uintptr_t)memory;
    if (!xv_blaslt_open(&cuda->blas, cuda->workspace, &reason)) {
        fprintf(stderr, "note: matrix products run as generated kernels, which is slow: %s\n", reason.text);
    }
    device->has_products = cuda->blas != NULL;
    return true;
}

static bool cuda_open(XvDevice *device, XvError *error)
{
    XvCuda *cuda = calloc(1, sizeof *cuda);
    if (!cuda) {
        return xv_fail(error, "no memory");
    }
    device->state = cuda;
    if (!xv_driver_open(&cuda->driver, error)) {
        free(cuda);
        device->state = NULL;
        return false;
    }
    if (!find_device(device, error) || !create_context(device, error) || !load_kernels(device, error) ||
        !open_blas(device, error)) {
        cuda_close(device);
        return false;
    }
    return true;
}

// Memory and launches ---------------------------------------------------------------------------------------------

static bool cuda_wait(XvDevice *device, XvError *error)
{
    XvCuda *cuda = device->state;
    return xv_cuda_good(device, cuda->driver.stream_finish(cuda->lanes[XV_LANE_COMPUTE]),
                        "cuStreamSynchronize", error);
}

static void *cuda_allocate(XvDevice *device, size_t bytes, XvError *error)
{
    XvCuda *cuda = device->state;
    XvCuMemory memory = 0;
    size_t rounded = bytes ? bytes : 1;
    if (!xv_cuda_good(device, cuda->driver.allocate(&memory, rounded), "cuMemAlloc", error)) {
        fail_of_memory(cuda, rounded, error);
        return NULL;
    }
    void *stream = cuda->lanes[XV_LANE_COMPUTE];
    if (!xv_cuda_good(device, cuda->driver.clear(memory, 0, rounded, stream), "cuMemsetD8Async", error)) {
        cuda->driver.release(memory);
        return NULL;
    }
    return (void *)(uintptr_t)memory;
}

static bool cuda_write(XvDevice *device, void *to, const void *from, size_t bytes, XvError *error)
{
    XvCuda *cuda = device->state;
    void *stream = cuda->lanes[XV_LANE_COMPUTE];
    return xv_cuda_good(device, cuda->driver.send(address(to), from, bytes, stream), "cuMemcpyHtoDAsync",
                        error) &&
           cuda_wait(device, error);
}

static bool cuda_read(XvDevice *device, void *to, const void *from, size_t bytes, XvError *error)
{
    XvCuda *cuda = device->state;
    void *stream = cuda->lanes[XV_LANE_COMPUTE];
    return xv_cuda_good(device, cuda->driver.fetch(to, address(from), bytes, stream), "cuMemcpyDtoHAsync",
                        error) &&
           cuda_wait(device, error);
}

static bool cuda_launch(XvDevice *device, const XvKernelLaunch *launch, XvError *error)
{
    XvCuda *cuda = device->state;
    const uint32_t *grid = launch->grid;
    int status =
        cuda->driver.launch(cuda->functions[launch->kernel], grid[0], grid[1], grid[2], launch->threads, 1, 1,
                            0, cuda->lanes[XV_LANE_COMPUTE], launch->arguments, NULL);
    return status == 0 || (xv_cuda_good(device, status, "cuLaunchKernel", error),
                           xv_fail_in(error, "kernel %s", xv_kernel_name(device->program, launch->kernel)));
}

static bool cuda_gemm(XvDevice *device, const XvGemm *gemm, bool *is_done, XvError *error)
{
    XvCuda *cuda = device->state;
    return !cuda->blas || xv_blaslt_gemm(cuda->blas, gemm, cuda->lanes[XV_LANE_COMPUTE], is_done, error);
}

static bool cuda_choose(XvDevice *device, const XvGemm *gemm, bool *is_possible, XvError *error)
{
    XvCuda *cuda = device->state;
    return !cuda->blas || xv_blaslt_choose(cuda->blas, gemm, is_possible, error);
}

const XvDeviceKind xv_device_cuda = {
    .name = "cuda",
    .summary = "an NVIDIA GPU",
    .open = cuda_open,
    .close = cuda_close,
    .allocate = cuda_allocate,
    .release = cuda_release,
    .write = cuda_write,
    .read = cuda_read,
    .launch = cuda_launch,
    .wait = cuda_wait,
    .gemm = cuda_gemm,
    .choose = cuda_choose,
    .async = &xv_cuda_async,
    .ranks = &xv_cuda_ranks,
};
