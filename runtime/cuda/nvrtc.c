// Loading and calling NVRTC; see nvrtc.h. The few functions are declared here, as nvrtc.h of CUDA 12 and 13 has them.
#include "runtime/cuda/nvrtc.h"

#include "runtime/cuda/libraries.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Program *ProgramHandle;

struct XvNvrtc {
    void *library, *builtins;
    char version[32];
    const char *(*error_string)(int status);
    int (*version_of)(int *major, int *minor);
    int (*create)(ProgramHandle *program, const char *source, const char *name, int n_headers,
                  const char *const *headers, const char *const *names);
    int (*destroy)(ProgramHandle *program);
    int (*compile)(ProgramHandle program, int n_options, const char *const *options);
    int (*log_size)(ProgramHandle program, size_t *bytes);
    int (*log)(ProgramHandle program, char *log);
    int (*cubin_size)(ProgramHandle program, size_t *bytes);
    int (*cubin)(ProgramHandle program, char *image);
};

static bool find(XvNvrtc *nvrtc, XvError *error)
{
    // The builtins are looked for by name alone: whoever loads the compiler loads them first.
    static const XvLibraryFile file = {"libnvrtc.so", "libnvrtc-builtins.so",
                                       "nvidia-cuda-nvrtc; make deps-cuda fetches it"};
    nvrtc->library = xv_cuda_library(&file, &nvrtc->builtins, error);
    return nvrtc->library != NULL;
}

static bool load(const XvNvrtc *nvrtc, const char *name, void *function, XvError *error)
{
    return xv_cuda_function(nvrtc->library, "libnvrtc", name, function, error);
}

static bool load_all(XvNvrtc *n, XvError *error)
{
    int major = 0, minor = 0;
    bool is_good =
        load(n, "nvrtcGetErrorString", &n->error_string, error) &&
        load(n, "nvrtcVersion", &n->version_of, error) && load(n, "nvrtcCreateProgram", &n->create, error) &&
        load(n, "nvrtcDestroyProgram", &n->destroy, error) &&
        load(n, "nvrtcCompileProgram", &n->compile, error) &&
        load(n, "nvrtcGetProgramLogSize", &n->log_size, error) &&
        load(n, "nvrtcGetProgramLog", &n->log, error) &&
        load(n, "nvrtcGetCUBINSize", &n->cubin_size, error) && load(n, "nvrtcGetCUBIN", &n->cubin, error);
    if (is_good && n->version_of(&major, &minor) == 0) {
        snprintf(n->version, sizeof n->version, "%d.%d", major, minor);
    }
    return is_good;
}

bool xv_nvrtc_open(XvNvrtc **nvrtc, XvError *error)
{
    *nvrtc = calloc(1, sizeof **nvrtc);
    if (!*nvrtc) {
        return xv_fail(error, "no memory");
    }
    if (!find(*nvrtc, error) || !load_all(*nvrtc, error)) {
        xv_nvrtc_close(*nvrtc);
        *nvrtc = NULL;
        return false;
    }
    return true;
}

void xv_nvrtc_close(XvNvrtc *nvrtc)
{
    if (nvrtc) {
        if (nvrtc->library) {
            dlclose(nvrtc->library);
        }
        if (nvrtc->builtins) {
            dlclose(nvrtc->builtins);
        }
    }
    free(nvrtc);
}

const char *xv_nvrtc_version(const XvNvrtc *nvrtc)
{
    return nvrtc->version;
}

// Compiling -------------------------------------------------------------------------------------------------------

static char *log_of(const XvNvrtc *nvrtc, ProgramHandle program)
{
    size_t bytes = 0;
    char *log = nvrtc->log_size(program, &bytes) == 0 ? calloc(bytes + 1, 1) : NULL;
    if (log && bytes > 0) {
        nvrtc->log(program, log);
    }
    return log;
}

static bool take_image(const XvNvrtc *nvrtc, ProgramHandle program, XvCubin *cubin, XvError *error)
{
    int status = nvrtc->cubin_size(program, &cubin->bytes);
    cubin->image = status == 0 && cubin->bytes > 0 ? malloc(cubin->bytes) : NULL;
    if (!cubin->image || nvrtc->cubin(program, cubin->image) != 0) {
        free(cubin->image);
        cubin->image = NULL;
        return xv_fail(error, "NVRTC %s gives no machine code: %s", nvrtc->version,
                       nvrtc->error_string(status));
    }
    return true;
}

bool xv_nvrtc_compile(const XvNvrtc *nvrtc, const char *source, const char *architecture, XvCubin *cubin,
                      XvError *error)
{
    *cubin = (XvCubin){0};
    char target[64];
    snprintf(target, sizeof target, "--gpu-architecture=%s", architecture);
    const char *options[] = {target, "--std=c++17", "--ptxas-options=-v"};
    ProgramHandle program = NULL;
    int status = nvrtc->create(&program, source, "kernels.cu", 0, NULL, NULL);
    if (status != 0) {
        return xv_fail(error, "NVRTC %s: %s", nvrtc->version, nvrtc->error_string(status));
    }
    status = nvrtc->compile(program, (int)(sizeof options / sizeof *options), options);
    cubin->log = log_of(nvrtc, program);
    bool is_good = status == 0 ? take_image(nvrtc, program, cubin, error)
                               : xv_fail(error, "NVRTC %s for %s: %s: %.700s", nvrtc->version, architecture,
                                         nvrtc->error_string(status), cubin->log ? cubin->log : "");
    nvrtc->destroy(&program);
    if (!is_good) {
        free(cubin->log);
        cubin->log = NULL;
    }
    return is_good;
}

// Reading logs ----------------------------------------------------------------------------------------------------

// The number in front of `unit` between two places of the log; 0 where it is not.
static int number_before(const char *from, const char *end, const char *unit)
{
    const char *at = strstr(from, unit);
    if (!at || at >= end) {
        return 0;
    }
    while (at > from && (at[-1] == ' ' || (at[-1] >= '0' && at[-1] <= '9'))) {
        at--;
    }
    return atoi(at);
}

bool xv_kernel_use(const char *log, const char *kernel, XvKernelUse *use)
{
    char entry[600];
    snprintf(entry, sizeof entry, "Compiling entry function '%s'", kernel);
    const char *from = strstr(log, entry);
    if (!from) {
        return false;
    }
    from += strlen(entry);
    const char *next = strstr(from, "Compiling entry function");
    const char *end = next ? next : log + strlen(log);
    *use = (XvKernelUse){.registers = number_before(from, end, " registers"),
                         .shared_bytes = number_before(from, end, " bytes smem"),
                         .stack_bytes = number_before(from, end, " bytes stack frame"),
                         .spill_bytes = number_before(from, end, " bytes spill stores")};
    return true;
}

const char *xv_first_warning(const char *log, size_t *length)
{
    const char *at = strstr(log, "warning");
    if (!at) {
        return NULL;
    }
    while (at > log && at[-1] != '\n') {
        at--;
    }
    *length = strcspn(at, "\n");
    return at;
}
