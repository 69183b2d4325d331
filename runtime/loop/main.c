// Finds the command and hands it its arguments; see main.h.
#include "runtime/loop/main.h"

#include "runtime/loop/command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Row {
    const char *name;
    const char *summary;
    int (*run)(const XvCommand *command);
} Row;

static const Row COMMANDS[] = {
    {"train", "train on records, with checkpoints that can be continued", xv_command_train},
    {"eval", "losses, accuracies and retrieval on held-out records", xv_command_eval},
    {"replay", "run on exactly the tensors of a file and write every output", xv_command_replay},
    {"bench", "time training steps beside what the machine could do", xv_command_bench},
    {"checkpoint", "say what of a file would be loaded, resampled, initialised, ignored", xv_command_checkpoint},
    {"info", "parameters, memory, kernels, draws, configuration", xv_command_info},
};
enum { N_COMMANDS = sizeof COMMANDS / sizeof COMMANDS[0] };

static void print_help(FILE *file, const XvProgram *program)
{
    fprintf(file, "%s of %s, compiled by xvlmc for target %s\n\nusage: %s COMMAND [options]\n\ncommands:\n", program->task,
            program->model, program->target, program->task);
    for (int i = 0; i < N_COMMANDS; i++) {
        fprintf(file, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    }
    fprintf(file, "  %-10s this list\n\n`%s COMMAND --help` lists the options of a command.\n", "help", program->task);
}

static void print_unknown(const char *name, const XvProgram *program)
{
    fprintf(stderr, "%s: unknown command %s", program->task, name);
    for (int i = 0; i < N_COMMANDS; i++) {
        if (xv_edit_distance(name, COMMANDS[i].name) <= 2) {
            fprintf(stderr, "; did you mean %s?", COMMANDS[i].name);
            break;
        }
    }
    fprintf(stderr, "\n`%s help` lists the commands.\n", program->task);
}

int xv_main_with(int argc, char **argv, const XvProgram *program, const XvSourceKind *sources)
{
    signal(SIGXFSZ, SIG_IGN);  // a file size limit shall be an error of write, not the end
    if (argc < 2) {
        print_help(stderr, program);
        return XV_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout, program);
        return XV_EXIT_OK;
    }
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(name, COMMANDS[i].name) == 0) {
            XvCommand command = {.program = program, .sources = sources, .argc = argc - 1, .argv = argv + 1};
            return COMMANDS[i].run(&command);
        }
    }
    print_unknown(name, program);
    return XV_EXIT_USAGE;
}

// Threads that wait for work spin for 300,000 rounds by default, which is fast on an idle machine and ruinous on a
// shared one (measured: a step of 0.7 s took 4.3 s beside three other jobs). A few microseconds are enough here. The
// setting is read when the OpenMP library is loaded, so the program starts itself again with it, once.
static void restart_with_short_waits(char **argv)
{
    bool is_set = getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT");
    if (!is_set && setenv("GOMP_SPINCOUNT", "3000", 1) == 0) {
        execv("/proc/self/exe", argv);   // if this fails, the program simply goes on
    }
}

int xv_main(int argc, char **argv, const XvProgram *program)
{
    restart_with_short_waits(argv);
    return xv_main_with(argc, argv, program, &XV_LOADER_SOURCE);
}
