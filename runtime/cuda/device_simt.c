// The emulator as a device; see device_simt.h.
#include "runtime/cuda/device_simt.h"

#include "runtime/simt/simt.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Simt {
    void *module;
    XvSimt **current;
    XvSimtKernel *kernels;  // by number; NULL until first used
    XvSimtMachine *machine;
} Simt;

// The folder of the running program with the module's name behind it.
static bool module_path(char *path, size_t size)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0) {
        return false;
    }
    self[length] = 0;
    char *slash = strrchr(self, '/');
    int written = snprintf(path, size, "%.*s/kernels_simt.so", slash ? (int)(slash - self) : 0, self);
    return slash && written > 0 && (size_t)written < size;
}

static void simt_close(XvDevice *device)
{
    Simt *simt = device->state;
    if (!simt) {
        return;
    }
    xv_simt_close(simt->machine);
    if (simt->module) {
        dlclose(simt->module);
    }
    free(simt->kernels);
    free(simt);
    device->state = NULL;
}

static bool load(Simt *simt, XvError *error)
{
    char path[PATH_MAX + 32];
    if (!module_path(path, sizeof path)) {
        return xv_fail(error, "the folder of this program cannot be found in /proc");
    }
    if (access(path, R_OK) != 0) {
        return xv_fail(error, "the emulator needs %s; make it with: make -C %.*s simt", path,
                       (int)(strrchr(path, '/') - path), path);
    }
    simt->module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!simt->module) {
        return xv_fail(error, "%s", dlerror());
    }
    void *address = dlsym(simt->module, "xv_simt_current");
    XvSimt **(*current)(void);
    memcpy(&current, &address, sizeof current);
    if (!address) {
        return xv_fail(error, "%s is not a module of kernels", path);
    }
    simt->current = current();
    return true;
}

static bool simt_open(XvDevice *device, XvError *error)
{
    Simt *simt = calloc(1, sizeof *simt);
    device->state = simt;
    if (!simt) {
        return xv_fail(error, "no memory");
    }
    size_t n_kernels = (size_t)(XV_N_LIBRARY_KERNELS + device->program->n_kernels);
    simt->kernels = calloc(n_kernels, sizeof(*simt->kernels));
    simt->machine = xv_simt_open();
    bool is_good =
        simt->kernels && simt->machine ? load(simt, error) : xv_fail(error, "no memory for the emulator");
    if (!is_good) {
        simt_close(device);
    }
    return is_good;
}

static void *simt_allocate(XvDevice *device, size_t bytes, XvError *error)
{
    (void)device;
    void *memory = calloc(bytes ? bytes : 1, 1);
    if (!memory) {
        xv_fail(error, "no memory");
    }
    return memory;
}

static void simt_release(XvDevice *device, void *memory)
{
    (void)device;
    free(memory);
}

static bool simt_copy(XvDevice *device, void *to, const void *from, size_t bytes, XvError *error)
{
    (void)device;
    (void)error;
    memcpy(to, from, bytes);
    return true;
}

static bool simt_launch(XvDevice *device, const XvKernelLaunch *launch, XvError *error)
{
    Simt *simt = device->state;
    const char *name = xv_kernel_name(device->program, launch->kernel);
    XvSimtKernel *kernel = &simt->kernels[launch->kernel];
    if (!*kernel) {
        char symbol[512];
        snprintf(symbol, sizeof symbol, "simt_%s", name);
        void *address = dlsym(simt->module, symbol);
        if (!address) {
            return xv_fail(
                error, "kernels_simt.so has no kernel %s; is it older than the program? run make simt", name);
        }
        memcpy(kernel, &address, sizeof *kernel);
    }
    XvSimtLaunch request = {.name = name,
                            .kernel = *kernel,
                            .current = simt->current,
                            .threads = launch->threads,
                            .arguments = launch->arguments};
    memcpy(request.grid, launch->grid, sizeof request.grid);
    return xv_simt_launch(simt->machine, &request, error->text, sizeof error->text);
}

static bool simt_wait(XvDevice *device, XvError *error)
{
    (void)device;
    (void)error;
    return true;
}

const XvDeviceKind xv_device_simt = {
    .name = "simt",
    .summary = "the emulator: every lane on the CPU, with checks",
    .open = simt_open,
    .close = simt_close,
    .allocate = simt_allocate,
    .release = simt_release,
    .write = simt_copy,
    .read = simt_copy,
    .launch = simt_launch,
    .wait = simt_wait,
    .is_host_memory = true,
};
