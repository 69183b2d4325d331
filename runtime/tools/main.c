// xvlm, the toolbox over the runtime.
//
// Exit status: 0 done, 1 failed, 2 a command line that makes no sense.
#include "runtime/tools/tool.h"

static const XvCommand COMMANDS[] = {
    {"scenes", "draw a data set of simple scenes with records for every task", xv_tool_scenes},
    {"data", "look at what samples become: tokens, clean texts, pixels", xv_tool_data},
    {"bench", "how fast the loader is", xv_tool_bench},
    {"files", "list and copy files wherever they are: local, HDFS, HTTP", xv_tool_files},
    {"checkpoint", "say what a checkpoint is, compare it with a program, convert it", xv_tool_checkpoint},
};

int main(int argc, char **argv)
{
    XvCommandTable table = {"xvlm", COMMANDS, sizeof COMMANDS / sizeof *COMMANDS};
    return xv_commands_run(&table, argc, argv);
}
