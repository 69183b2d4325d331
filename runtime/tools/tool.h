// The subcommands of `xvlm`, the toolbox over the runtime.
//
// Each is a main of its own: it reads its options (argv[0] is the subcommand's name), writes results to
// stdout and errors to stderr, and returns the exit status.
#pragma once

#include "runtime/base/options.h"

// Draws a data set of simple pictures with records for every task; see scenes.h.
int xv_tool_scenes(int argc, char **argv);
