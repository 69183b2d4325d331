// The subcommands of `xvlm`, the toolbox over the runtime.
//
// Each is a main of its own: it reads its options (argv[0] is the subcommand's name), writes results to
// stdout and errors to stderr, and returns the exit status.
#pragma once

#include "runtime/base/options.h"

// One row of a table of commands.
typedef struct XvCommand {
    const char *name;
    const char *summary;  // one line of the help
    int (*run)(int argc, char **argv);
} XvCommand;

// A program, or a subcommand that has subcommands itself.
typedef struct XvCommandTable {
    const char *program;  // "xvlm data": what the user typed to get here
    const XvCommand *commands;
    int n_commands;
} XvCommandTable;

// Finds the command argv[1] and runs it with argv + 1. Without one, and for one that is not there, the commands are
// listed or the nearest name is proposed, and the status is that of a wrong command line.
int xv_commands_run(const XvCommandTable *table, int argc, char **argv);

// Draws a data set of simple pictures with records for every task; see scenes.h.
int xv_tool_scenes(int argc, char **argv);

// What a sample becomes, and what is wrong with a data set; see data.h.
int xv_tool_data(int argc, char **argv);

// Speeds of the runtime's parts; those of a training step are the generated program's own command.
int xv_tool_bench(int argc, char **argv);

// Lists and copies files of every storage; see storage.h.
int xv_tool_files(int argc, char **argv);

// What a checkpoint is, what of it a program would load, conversion; see checkpoint.h.
int xv_tool_checkpoint(int argc, char **argv);
