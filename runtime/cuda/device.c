// Kinds of devices and what is common to them; see device.h.
#include "runtime/cuda/device.h"

#include "runtime/base/options.h"
#include "runtime/cuda/device_cuda.h"
#include "runtime/cuda/device_simt.h"
#include "runtime/cuda/update.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const XvDeviceKind *const KINDS[] = {&xv_device_cuda, &xv_device_simt};
enum { N_KINDS = sizeof KINDS / sizeof *KINDS };

// ORDER LIBRARY
static const char *const LIBRARY[XV_N_LIBRARY_KERNELS] = {
    [XV_KERNEL_MATMUL] = "xv_matmul",
    [XV_KERNEL_MATMUL_TF32] = "xv_matmul_tf32",
    [XV_KERNEL_MATMUL_BF16] = "xv_matmul_bf16",
    [XV_KERNEL_MATMUL_F16] = "xv_matmul_f16",
    [XV_KERNEL_ATTENTION_BIAS] = "xv_attention_bias",
    [XV_KERNEL_SCATTER_ADD] = "xv_scatter_add",
    [XV_KERNEL_SAMPLE] = "xv_sample",
    [XV_KERNEL_TOP_K] = "xv_top_k",
    [XV_KERNEL_ADD_COLUMNS] = "xv_add_columns",
    [XV_KERNEL_UPDATE_SQUARES] = "xv_update_squares",
    [XV_KERNEL_UPDATE_NORM] = "xv_update_norm",
    [XV_KERNEL_UPDATE_ADAMW] = "xv_update_adamw",
    [XV_KERNEL_CLAMP] = "xv_clamp",
};

const char *xv_kernel_name(const XvCudaProgram *program, int kernel)
{
    return kernel < XV_N_LIBRARY_KERNELS ? LIBRARY[kernel]
                                         : program->kernel_names[kernel - XV_N_LIBRARY_KERNELS];
}

static bool open_kind(XvDevice *device, const XvDeviceKind *kind, XvError *error)
{
    device->counts =
        calloc((size_t)(XV_N_LIBRARY_KERNELS + device->program->n_kernels), sizeof *device->counts);
    if (!device->counts) {
        return xv_fail(error, "no memory");
    }
    const char *graphs = getenv("XV_CUDA_GRAPHS");
    device->is_direct = graphs && strcmp(graphs, "off") == 0;
    xv_nvtx_open(&device->nvtx);
    if (!kind->open(device, error)) {
        free(device->counts);
        device->counts = NULL;
        return false;
    }
    device->kind = kind;
    return true;
}

// Whether `name` is the kind's, alone or with the number of a device behind it: "cuda:1".
static bool is_named(const XvDeviceKind *kind, const char *name, int *ordinal)
{
    size_t length = strlen(kind->name);
    if (strncmp(name, kind->name, length) != 0 || (name[length] && name[length] != ':')) {
        return false;
    }
    char *end = NULL;
    long number = name[length] ? strtol(name + length + 1, &end, 10) : -1;
    *ordinal = (int)number;
    return !end || (*end == 0 && end > name + length + 1 && number >= 0 && number < 1024);
}

bool xv_device_open(XvDevice *device, const char *name, const XvCudaProgram *program, XvError *error)
{
    *device = (XvDevice){.program = program};
    char names[256] = "";
    for (int i = 0; i < N_KINDS; i++) {
        if (is_named(KINDS[i], name ? name : KINDS[0]->name, &device->ordinal)) {
            return open_kind(device, KINDS[i], error) ||
                   (!name && xv_fail_in(error, "no --device is given, so cuda (--device simt emulates one)"));
        }
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", KINDS[i]->name);
    }
    return xv_fail(error, "there is no device \"%s\"; there are: %s", name, names);
}

bool xv_device_has_ranks(const char *name)
{
    int ordinal;
    for (int i = 0; i < N_KINDS; i++) {
        if (is_named(KINDS[i], name ? name : KINDS[0]->name, &ordinal)) {
            return KINDS[i]->ranks != NULL;
        }
    }
    return false;
}

void xv_device_close(XvDevice *device)
{
    if (device->kind) {
        xv_update_tables_free(device);
        device->kind->close(device);
        free(device->counts);
    }
    *device = (XvDevice){0};
}

bool xv_device_join(XvDevice *device, struct XvComm *comm, XvError *error)
{
    if (!comm || device->kind->is_host_memory) {
        return true;
    }
    return device->kind->ranks->join(device, comm, error);
}

// For a profiler: what is launched, and the line it comes from.
static void begin_range(const XvDevice *device, const char *what)
{
    if (device->nvtx.push) {
        char text[512];
        snprintf(text, sizeof text, "%s  %s", device->place ? device->place : "", what);
        device->nvtx.push(text);
    }
}

static void end_range(const XvDevice *device)
{
    if (device->nvtx.push) {
        device->nvtx.pop();
    }
}

static void note_failure(XvDevice *device, bool is_done)
{
    if (!is_done && device->place) {
        xv_fail_in(&device->failure, "%s", device->place);
    }
    device->has_failed = !is_done;
}

void xv_device_launch(XvDevice *device, const XvKernelLaunch *launch)
{
    if (device->has_failed || device->is_rehearsed || launch->grid[0] == 0 || launch->grid[1] == 0 ||
        launch->grid[2] == 0) {
        return;
    }
    device->n_launches++;
    device->counts[launch->kernel]++;
    begin_range(device, xv_kernel_name(device->program, launch->kernel));
    note_failure(device, device->kind->launch(device, launch, &device->failure));
    end_range(device);
}

static bool choose(XvDevice *device, const XvGemm *gemm)
{
    bool is_possible = false;
    note_failure(device,
                 !device->kind->choose || device->kind->choose(device, gemm, &is_possible, &device->failure));
    return is_possible || device->has_failed;
}

bool xv_device_gemm(XvDevice *device, const XvGemm *gemm)
{
    bool is_done = false;
    if (device->has_failed || !device->has_products) {
        return device->has_failed;
    }
    if (device->is_rehearsed) {
        return choose(device, gemm);
    }
    begin_range(device, "product");
    note_failure(device, device->kind->gemm(device, gemm, &is_done, &device->failure));
    end_range(device);
    device->n_launches += is_done;
    return is_done || device->has_failed;
}

bool xv_device_save_counts(const XvDevice *device, const char *path, XvError *error)
{
    FILE *file = fopen(path, "w");
    for (int i = 0; file && i < XV_N_LIBRARY_KERNELS + device->program->n_kernels; i++) {
        if (device->counts[i] > 0) {
            fprintf(file, "%s %" PRId64 "\n", xv_kernel_name(device->program, i), device->counts[i]);
        }
    }
    bool is_saved = file && !ferror(file);
    is_saved = (!file || fclose(file) == 0) && is_saved;
    return is_saved || xv_fail(error, "cannot write '%s'", path);
}

bool xv_device_wait(XvDevice *device, XvError *error)
{
    if (device->has_failed) {
        return xv_fail(error, "%s", device->failure.text);
    }
    return device->kind->wait(device, error);
}

void xv_device_fail(const XvDevice *device, const XvError *error)
{
    fflush(stdout);
    fprintf(stderr, "device %s: %s\n", device->kind->name, error->text);
    exit(XV_EXIT_FAILED);
}

void xv_device_must(const XvDevice *device, bool is_done, const XvError *error)
{
    if (!is_done) {
        xv_device_fail(device, error);
    }
}

void xv_device_finish(XvDevice *device)
{
    XvError error = {{0}};
    if (!xv_device_wait(device, &error)) {
        xv_device_fail(device, &error);
    }
}
