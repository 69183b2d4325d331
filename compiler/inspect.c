// The command `inspect`: inspect.txt, which codegen left in the folder, or with --arch the kernels of kernels.cu as
// NVRTC compiles them.
#include "compiler/inspect.h"

#include "dsl/parse.h"
#include "runtime/base/options.h"
#include "runtime/cuda/survey.h"

#include <errno.h>
#include <string.h>

// A file of the folder; NULL after a message.
static const Source *read_in(Arena *arena, const char *folder, const char *name, XvError *error)
{
    const char *path = arena_format(arena, "%s/%s", folder, name);
    const Source *source = source_read(arena, path);
    if (!source) {
        xv_fail(error, "cannot read %s: %s; is %s the folder of a task compiled for this?", path,
                strerror(errno), folder);
    }
    return source;
}

static bool print_report(Arena *arena, const char *folder, XvError *error)
{
    const Source *report = read_in(arena, folder, "inspect.txt", error);
    return report && fwrite(report->text, 1, report->length, stdout) == report->length;
}

static bool print_survey(Arena *arena, const char *folder, const XvSurveyOptions *options, XvError *error)
{
    const Source *kernels = read_in(arena, folder, "kernels.cu", error);
    return kernels && xv_survey_run(kernels->text, options, stdout, error);
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
    Arena *arena = arena_new();
    bool is_good =
        has_survey ? print_survey(arena, argv[1], &o, &error) : print_report(arena, argv[1], &error);
    arena_free(arena);
    if (!is_good) {
        fprintf(stderr, "xvlmc: %s\n", error.text);
    }
    return is_good ? XV_EXIT_OK : XV_EXIT_FAILED;
}
