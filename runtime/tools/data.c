// `xvlm data` and `xvlm bench`: the tables of their subcommands.
#include "runtime/tools/data.h"

#include "runtime/tools/tool.h"

static const XvCommand BENCHES[] = {
    {"data", "the loader's speed: xvlm data bench", xv_data_bench},
};

static const XvCommand COMMANDS[] = {
    {"bench", "the loader's speed, per core and for one H200", xv_data_bench},
    {"check", "what is wrong with a data set, record by record", xv_data_check},
    {"clean", "captions or questions as the official cleaners leave them", xv_data_clean},
    {"convert", "published annotations of COCO, Visual Genome, VQA, NLVR2, ... into records",
     xv_data_convert},
    {"decode", "pictures as the loader sees them, as tensors", xv_data_decode},
    {"pack", "pictures decoded and made smaller once, in shards for training", xv_data_pack},
    {"show", "a record drawn as a picture, with its boxes and texts", xv_data_show},
    {"stats", "what is in a data set, in numbers", xv_data_stats},
    {"tokenize", "texts as token ids and pieces", xv_data_tokenize},
};

int xv_tool_data(int argc, char **argv)
{
    XvCommandTable table = {"xvlm data", COMMANDS, sizeof COMMANDS / sizeof *COMMANDS};
    return xv_commands_run(&table, argc, argv);
}

int xv_tool_bench(int argc, char **argv)
{
    XvCommandTable table = {"xvlm bench", BENCHES, sizeof BENCHES / sizeof *BENCHES};
    return xv_commands_run(&table, argc, argv);
}
