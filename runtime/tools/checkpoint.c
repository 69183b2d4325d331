// `xvlm checkpoint`: the command line. What is printed is in checkpoint_print.c, conversion in checkpoint_convert.c.
#include "runtime/tools/checkpoint.h"

#include "runtime/tools/tool.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Arguments {
    const char *program;
    XvInspectOptions inspect;
    bool wants_help;
} Arguments;

static int fail_with(int status, const XvError *error)
{
    fprintf(stderr, "xvlm checkpoint: %s\n", error->text);
    if (status == XV_EXIT_USAGE) {
        fputs("`xvlm checkpoint --help` lists the options.\n", stderr);
    }
    return status;
}

// The one program in a generated folder: the only file there that can be run and has no dot in its name.
static bool program_in(const char *folder, char out[PATH_MAX])
{
    DIR *entries = opendir(folder);
    bool is_found = false;
    for (struct dirent *entry; !is_found && entries && (entry = readdir(entries));) {
        struct stat status;
        int wanted = snprintf(out, PATH_MAX, "%s/%s", folder, entry->d_name);
        is_found = wanted < PATH_MAX && !strchr(entry->d_name, '.') && stat(out, &status) == 0 &&
                   S_ISREG(status.st_mode) && access(out, X_OK) == 0;
    }
    if (entries) {
        closedir(entries);
    }
    return is_found;
}

// A program, or the generated folder that it is in.
static bool find_program(const char *given, char out[PATH_MAX], XvError *error)
{
    struct stat status;
    if (stat(given, &status) < 0) {
        return xv_fail(error, "no program %s: %s", given, strerror(errno));
    }
    if (S_ISDIR(status.st_mode)) {
        return program_in(given, out) || xv_fail(error, "%s holds no program; xvlmc builds one there", given);
    }
    // execv takes a name without a slash for one in this folder, too.
    return (snprintf(out, PATH_MAX, "%s", given) < PATH_MAX && access(out, X_OK) == 0) ||
           xv_fail(error, "%s is not a program that can be run", given);
}

// A program knows its parameters and the rules of its task, so it makes the comparison itself.
static int compare(const char *file, const Arguments *arguments)
{
    char program[PATH_MAX];
    XvError error = {""};
    if (!find_program(arguments->program, program, &error)) {
        return fail_with(XV_EXIT_FAILED, &error);
    }
    const char *argv[6] = {program, "checkpoint", file};
    int argc = 3;
    if (arguments->inspect.lists_tensors) {
        argv[argc++] = "--tensors";
    }
    if (arguments->inspect.is_json) {
        argv[argc++] = "--json";
    }
    execv(program, (char *const *)argv);
    xv_fail(&error, "%s cannot be run: %s", program, strerror(errno));
    return fail_with(XV_EXIT_FAILED, &error);
}

static int inspect(const char *path, const XvInspectOptions *options)
{
    XvCheckpoint checkpoint;
    XvError error = {""};
    if (!xv_checkpoint_open(&checkpoint, path, &error)) {
        return fail_with(XV_EXIT_FAILED, &error);
    }
    xv_checkpoint_print(&checkpoint, options);
    xv_checkpoint_close(&checkpoint);
    return XV_EXIT_OK;
}

int xv_tool_checkpoint(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "convert") == 0) {
        return xv_checkpoint_convert(argc - 1, argv + 1);
    }
    Arguments arguments = {0};
    const XvOption options[] = {
        {"--program", "P", XV_OPTION_TEXT, &arguments.program, 0, 0,
         "compare with this generated program: loaded, resampled, initialised, ignored"},
        {"--tensors", NULL, XV_OPTION_FLAG, &arguments.inspect.lists_tensors, 0, 0, "list every tensor"},
        {"--json", NULL, XV_OPTION_FLAG, &arguments.inspect.is_json, 0, 0, "machine-readable"},
        {"--help", NULL, XV_OPTION_FLAG, &arguments.wants_help, 0, 0, "this list"},
    };
    enum { N_OPTIONS = sizeof options / sizeof *options };
    XvError error = {""};
    bool is_parsed = xv_options_parse_some(options, N_OPTIONS, &argc, argv, &error);
    if (is_parsed && arguments.wants_help) {
        printf(
            "usage: xvlm checkpoint FILE [--tensors] [--json]\n"
            "       xvlm checkpoint FILE --program generated/MODEL/TASK\n"
            "       xvlm checkpoint convert IN OUT\n\n"
            "Reads safetensors and PyTorch files (.th, .pth, .pt, .bin) without running anything in them.\n\n");
        xv_options_print(stdout, options, N_OPTIONS);
        return XV_EXIT_OK;
    }
    if (is_parsed && argc != 2) {
        is_parsed = xv_fail(&error, argc < 2 ? "a file is needed" : "one file, please");
    }
    if (!is_parsed) {
        return fail_with(XV_EXIT_USAGE, &error);
    }
    return arguments.program ? compare(argv[1], &arguments) : inspect(argv[1], &arguments.inspect);
}
