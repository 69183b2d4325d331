// `xvlm data`: the table of its subcommands.
#include "runtime/tools/data.h"

#include "runtime/tools/tool.h"

static const XvCommand COMMANDS[] = {
    {"clean", "captions or questions as the official cleaners leave them", xv_data_clean},
    {"decode", "pictures as the loader sees them, as tensors", xv_data_decode},
    {"tokenize", "texts as token ids and pieces", xv_data_tokenize},
};

int xv_tool_data(int argc, char **argv)
{
    XvCommandTable table = {"xvlm data", COMMANDS, sizeof COMMANDS / sizeof *COMMANDS};
    return xv_commands_run(&table, argc, argv);
}
