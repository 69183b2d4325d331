// Finds the command and hands it its arguments; see main.h.
#include "runtime/loop/main.h"

#include "runtime/cuda/device.h"
#include "runtime/loop/command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Row {
    const char *name;
    const char *summary;
    int (*run)(const XvCommand *command);
    bool joins_ranks;  // several processes may run it together
} Row;

static const Row COMMANDS[] = {
    {"train", "train on records, with checkpoints that can be continued", xv_command_train, true},
    {"eval", "losses, accuracies and retrieval on held-out records", xv_command_eval, true},
    {"replay", "run on exactly the tensors of a file and write every output", xv_command_replay, true},
    {"bench", "time training steps beside what the machine could do", xv_command_bench, true},
    {"checkpoint", "say what of a file would be loaded, resampled, initialised, ignored",
     xv_command_checkpoint, false},
    {"kernels", "compile the kernels for a GPU and print what they use (target cuda)", xv_command_kernels,
     false},
    {"info", "parameters, memory, kernels, draws, configuration", xv_command_info, false},
};
enum { N_COMMANDS = sizeof COMMANDS / sizeof COMMANDS[0] };

static void print_help(FILE *file, const XvProgram *program)
{
    fprintf(file, "%s of %s, compiled by xvlmc for target %s\n\nusage: %s COMMAND [options]\n\ncommands:\n",
            program->task, program->model, program->target, program->task);
    for (int i = 0; i < N_COMMANDS; i++) {
        fprintf(file, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    }
    fprintf(file, "  %-10s this list\n\n`%s COMMAND --help` lists the options of a command.\n", "help",
            program->task);
    if (program->cuda) {
        fprintf(
            file,
            "Commands that run kernels take --device NAME (or the setting XV_DEVICE): cuda, a GPU; cuda:1, the "
            "second; simt, the emulator.\n");
    }
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

// Whether the program can run in this world; what to do otherwise.
static bool check_world(const XvProgram *program, const XvComm *comm, XvError *error)
{
    int world = xv_comm_world(comm);
    if (program->ranks == 0 || program->ranks == world) {
        return true;
    }
    return xv_fail(
        error,
        "this program was compiled for %d process%s and runs in a world of %d: its batches are gathered "
        "over all of them; start it with mpirun -n %d, or compile it again: xvlmc models/%s.dsl --task %s "
        "--ranks %d",
        program->ranks, program->ranks == 1 ? "" : "es", world, program->ranks, program->model, program->task,
        world);
}

static bool join_world(XvCommand *command, XvError *error)
{
    bool has_devices = command->program->cuda && xv_device_has_ranks(getenv("XV_DEVICE"));
    if (!xv_comm_open(&command->comm, has_devices, error)) {
        return false;
    }
    bool is_told = xv_comm_rank(command->comm) == 0 || freopen("/dev/null", "w", stdout) != NULL;
    if (!is_told) {
        xv_fail(error, "cannot silence this rank: %s", strerror(errno));
    }
    return xv_comm_agree(command->comm, is_told && check_world(command->program, command->comm, error),
                         error);
}

// Ranks other than 0 print nothing but errors.
static int run_command(const Row *row, XvCommand *command)
{
    XvError error = {{0}};
    bool is_joined = !row->joins_ranks || join_world(command, &error);
    int status = is_joined ? row->run(command) : xv_command_fail(command, XV_EXIT_FAILED, &error);
    if (status == XV_EXIT_FAILED) {
        xv_comm_fail(command->comm, status);
    }
    xv_comm_close(command->comm);
    return status;
}

// Takes "--device NAME" out of the arguments, wherever it stands, into the setting XV_DEVICE. False after a message.
static bool take_device(int *argc, char **argv, const XvProgram *program)
{
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        bool is_device = strncmp(argv[i], "--device", 8) == 0 && (argv[i][8] == '=' || argv[i][8] == 0);
        if (!is_device) {
            argv[kept++] = argv[i];
            continue;
        }
        const char *name = argv[i][8] == '=' ? argv[i] + 9 : i + 1 < *argc ? argv[++i] : NULL;
        if (!program->cuda || !name) {
            fprintf(stderr, "%s: %s\n", program->task,
                    name
                        ? "--device: compiled for the target c, which has no devices; see xvlmc --target cuda"
                        : "--device needs a name");
            return false;
        }
        setenv("XV_DEVICE", name, 1);
    }
    *argc = kept;
    return true;
}

int xv_main_with(int argc, char **argv, const XvProgram *program, const XvSourceKind *sources)
{
    signal(SIGXFSZ, SIG_IGN);  // a file size limit shall be an error of write, not the end
    if (argc < 2) {
        print_help(stderr, program);
        return XV_EXIT_USAGE;
    }
    if (!take_device(&argc, argv, program)) {
        return XV_EXIT_USAGE;
    }
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout, program);
        return XV_EXIT_OK;
    }
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(name, COMMANDS[i].name) == 0) {
            XvCommand command = {.program = program, .sources = sources, .argc = argc - 1, .argv = argv + 1};
            return run_command(&COMMANDS[i], &command);
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
        execv("/proc/self/exe", argv);  // if this fails, the program simply goes on
    }
}

int xv_main(int argc, char **argv, const XvProgram *program)
{
    restart_with_short_waits(argv);
    return xv_main_with(argc, argv, program, &XV_LOADER_SOURCE);
}
