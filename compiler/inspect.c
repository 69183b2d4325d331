// The command `inspect`: inspect.txt, which codegen left in the folder, or with --arch the kernels of kernels.cu as
// NVRTC compiles them.
#include "compiler/inspect.h"

#include "runtime/base/options.h"
#include "runtime/cuda/survey.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static bool path_in(char path[PATH_MAX], const char *folder, const char *name, XvError *error)
{
    int length = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return (length > 0 && length < PATH_MAX) ||
           xv_fail(error, "the name of the folder is too long: %s", folder);
}

static FILE *open_in(const char *folder, const char *name, XvError *error)
{
    char path[PATH_MAX];
    if (!path_in(path, folder, name, error)) {
        return NULL;
    }
    FILE *file = fopen(path, "r");
    if (!file) {
        xv_fail(error, "cannot read %s: %s; is %s the folder of a task compiled for this?", path,
                strerror(errno), folder);
    }
    return file;
}

static bool print_report(const char *folder, XvError *error)
{
    FILE *file = open_in(folder, "inspect.txt", error);
    if (!file) {
        return false;
    }
    char buffer[65536];
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0) {
        fwrite(buffer, 1, got, stdout);
    }
    fclose(file);
    return true;
}

// The whole of kernels.cu; the caller frees it.
static char *read_kernels(const char *folder, XvError *error)
{
    FILE *file = open_in(folder, "kernels.cu", error);
    char *text = NULL;
    size_t length = 0;
    FILE *copy = file ? open_memstream(&text, &length) : NULL;
    char buffer[65536];
    size_t got;
    while (copy && (got = fread(buffer, 1, sizeof buffer, file)) > 0) {
        fwrite(buffer, 1, got, copy);
    }
    if (file) {
        fclose(file);
    }
    if (file && (!copy || fclose(copy) != 0)) {
        xv_fail(error, "no memory");
    }
    return text;
}

static bool print_survey(const char *folder, const XvSurveyOptions *options, XvError *error)
{
    char *kernels = read_kernels(folder, error);
    bool is_good = kernels && xv_survey_run(kernels, options, stdout, error);
    free(kernels);
    return is_good;
}

int inspect_command(int argc, char **argv)
{
    XvSurveyOptions o = {0};
    const XvOption table[] = {
        {"--arch", "NAME", XV_OPTION_TEXT, &o.architecture, 0, 0,
         "registers, shared memory and spills of CUDA kernels on sm_80, sm_90a, sm_100 ..."},
        {"--sass", "KERNEL", XV_OPTION_TEXT, &o.sass, 0, 0, "that kernel's machine code; needs nvdisasm"},
        {"--json", NULL, XV_OPTION_FLAG, &o.is_json, 0, 0, "that table machine-readable"},
    };
    int n_options = (int)(sizeof table / sizeof *table);
    XvError error = {{0}};
    if (!xv_options_parse_some(table, n_options, &argc, argv, &error)) {
        fprintf(stderr, "xvlmc inspect: %s\n", error.text);
        return XV_EXIT_USAGE;
    }
    if (argc != 2) {
        fprintf(stderr, "xvlmc: inspect takes the folder of a compiled task\n");
        xv_options_print(stderr, table, n_options);
        return XV_EXIT_USAGE;
    }
    bool has_survey = o.sass || o.is_json || o.architecture;
    o.architecture = o.architecture ? o.architecture : "sm_90a";
    bool is_good = has_survey ? print_survey(argv[1], &o, &error) : print_report(argv[1], &error);
    if (!is_good) {
        fprintf(stderr, "xvlmc: %s\n", error.text);
    }
    return is_good ? XV_EXIT_OK : XV_EXIT_FAILED;
}
