// The program around a generated model: commands, their options, exit status.
#pragma once

#include "runtime/program.h"

// The main function of every generated program. Commands: train, eval, replay, bench, info, help. Returns 0 when the
// work is done, 1 when it could not be done, 2 for a command line that makes no sense; failures print one message.
int xv_main(int argc, char **argv, const XvProgram *program);
