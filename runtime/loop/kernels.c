// The command `kernels` of a program for the target cuda: compiles its kernels for an architecture with NVRTC, which
// needs no GPU, and prints what each one uses.
#include "runtime/base/format.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/nvrtc.h"
#include "runtime/cuda/texts.h"
#include "runtime/loop/command.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct KernelsOptions {
    const char *architecture, *cubin;
    bool is_json;
} KernelsOptions;

// One row a kernel; false after a message when the compiler said nothing of one.
static bool print_uses(const XvCudaProgram *program, const XvCubin *cubin, XvError *error)
{
    int spilling = 0;
    printf("%-90s %9s %8s %7s %7s\n", "kernel", "registers", "shared", "stack", "spills");
    for (int i = 0; i < XV_N_LIBRARY_KERNELS + program->n_kernels; i++) {
        XvKernelUse use;
        const char *name = xv_kernel_name(program, i);
        if (!xv_kernel_use(cubin->log, name, &use)) {
            return xv_fail(error, "the compiler's report has no kernel %s", name);
        }
        printf("%-90s %9d %8d %7d %7d\n", name, use.registers, use.shared_bytes, use.stack_bytes,
               use.spill_bytes);
        spilling += use.spill_bytes > 0;
    }
    printf("%d kernels, %d with spills\n", XV_N_LIBRARY_KERNELS + program->n_kernels, spilling);
    return true;
}

static bool print_json(const XvCudaProgram *program, const XvCubin *cubin, XvError *error)
{
    cJSON *rows = cJSON_CreateArray();
    bool is_good = true;
    for (int i = 0; i < XV_N_LIBRARY_KERNELS + program->n_kernels && is_good; i++) {
        XvKernelUse use = {0};
        const char *name = xv_kernel_name(program, i);
        is_good = xv_kernel_use(cubin->log, name, &use) ||
                  xv_fail(error, "the compiler's report has no kernel %s", name);
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "kernel", name);
        cJSON_AddNumberToObject(row, "registers", use.registers);
        cJSON_AddNumberToObject(row, "shared_bytes", use.shared_bytes);
        cJSON_AddNumberToObject(row, "stack_bytes", use.stack_bytes);
        cJSON_AddNumberToObject(row, "spill_bytes", use.spill_bytes);
        cJSON_AddItemToArray(rows, row);
    }
    char *text = is_good ? cJSON_Print(rows) : NULL;
    if (text) {
        puts(text);
    }
    free(text);
    cJSON_Delete(rows);
    return is_good;
}

static bool save_image(const XvCubin *cubin, const char *path, XvError *error)
{
    FILE *file = fopen(path, "wb");
    bool is_saved = file && fwrite(cubin->image, 1, cubin->bytes, file) == cubin->bytes;
    is_saved = (!file || fclose(file) == 0) && is_saved;
    return is_saved || xv_fail(error, "cannot write '%s'", path);
}

static bool compile_kernels(const XvCudaProgram *program, const KernelsOptions *options, XvError *error)
{
    XvNvrtc *nvrtc;
    if (!xv_nvrtc_open(&nvrtc, error)) {
        return false;
    }
    char *source = xv_cuda_source(program->kernel_text);
    XvCubin cubin = {0};
    double start = xv_seconds();
    bool is_good = source ? xv_nvrtc_compile(nvrtc, source, options->architecture, &cubin, error)
                          : xv_fail(error, "no memory");
    size_t length = 0;
    const char *warning = is_good ? xv_first_warning(cubin.log, &length) : NULL;
    if (warning) {
        is_good = xv_fail(error, "a warning of NVRTC: %.*s", (int)length, warning);
    }
    is_good = is_good && (!options->cubin || save_image(&cubin, options->cubin, error));
    is_good = is_good &&
              (options->is_json ? print_json(program, &cubin, error) : print_uses(program, &cubin, error));
    if (is_good && !options->is_json) {
        printf("NVRTC %s for %s: no warning, %zu bytes of machine code, %.1f s\n", xv_nvrtc_version(nvrtc),
               options->architecture, cubin.bytes, xv_seconds() - start);
    }
    free(cubin.image);
    free(cubin.log);
    free(source);
    xv_nvrtc_close(nvrtc);
    return is_good;
}

int xv_command_kernels(const XvCommand *command)
{
    KernelsOptions o = {.architecture = "sm_90a"};
    const XvOption table[] = {
        {"--arch", "NAME", XV_OPTION_TEXT, &o.architecture, 0, 0,
         "architecture: sm_80, sm_90a, sm_100 ... (sm_90a)"},
        {"--cubin", "F", XV_OPTION_TEXT, &o.cubin, 0, 0, "where the machine code goes"},
        {"--json", NULL, XV_OPTION_FLAG, &o.is_json, 0, 0, "machine-readable"},
    };
    XvOptionTable options = {
        "[--arch NAME] [--cubin F] [--json]",
        "Compiles the kernels with NVRTC, which needs no GPU, and prints registers and memory.", table,
        (int)(sizeof table / sizeof *table)};
    int status;
    if (!xv_command_options(command, &options, &status)) {
        return status;
    }
    XvError error = {{0}};
    if (!command->program->cuda) {
        xv_fail(&error,
                "this program is compiled for the target c: no kernels for a GPU; see xvlmc --target cuda");
        return xv_command_fail(command, XV_EXIT_USAGE, &error);
    }
    return compile_kernels(command->program->cuda, &o, &error)
               ? XV_EXIT_OK
               : xv_command_fail(command, XV_EXIT_FAILED, &error);
}
