// The commands of a generated program; one file each. Errors go to stderr, results to stdout.
#pragma once

#include "runtime/base/options.h"
#include "runtime/comm/comm.h"
#include "runtime/loop/source.h"
#include "runtime/program.h"

typedef struct XvCommand {
    const XvProgram *program;
    const XvSourceKind *sources;  // how data is read
    XvComm *comm;                 // the ranks that run the command together; NULL: one process
    int argc;
    char **argv;  // argv[0] is the name of the command
} XvCommand;

// Each returns the exit status (XV_EXIT_*).
int xv_command_train(const XvCommand *command);
int xv_command_eval(const XvCommand *command);
int xv_command_replay(const XvCommand *command);
int xv_command_bench(const XvCommand *command);
int xv_command_checkpoint(const XvCommand *command);
int xv_command_info(const XvCommand *command);
int xv_command_kernels(const XvCommand *command);

// Like xv_main, with other data sources.
int xv_main_with(int argc, char **argv, const XvProgram *program, const XvSourceKind *sources);

// Reads the options of a command. True when it shall go on; else *status is what to return: after --help, which
// prints `summary` and the options, or after a mistake, which is printed.
typedef struct XvOptionTable {
    const char *usage;  // "--data F --output DIR [options]"
    const char *summary;
    const XvOption *options;
    int n_options;
} XvOptionTable;
bool xv_command_options(const XvCommand *command, const XvOptionTable *table, int *status);

// Prints "pretrain train: message", or "rank 1: pretrain train: message" where there are several, and returns `status`.
// Wrong usage is the same on all ranks, so rank 0 tells it; an empty message is told by another rank.
int xv_command_fail(const XvCommand *command, int status, const XvError *error);

// The entry of that name, the main entry for NULL; NULL with a message that lists the names.
const XvEntry *xv_entry_by_name(const XvProgram *program, const char *name, XvError *error);

// Parameters of all kinds, padding excluded.
int64_t xv_parameter_elements(const XvProgram *program);
