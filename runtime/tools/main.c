// xvlm, the toolbox over the runtime: finds the subcommand and hands it its arguments.
//
// Exit status: 0 done, 1 failed, 2 a command line that makes no sense.
#include "runtime/base/options.h"
#include "runtime/tools/tool.h"

#include <stdio.h>
#include <string.h>

typedef struct Tool {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} Tool;

static const Tool TOOLS[] = {
    {"scenes", "draw a data set of simple scenes with records for every task", xv_tool_scenes},
};
enum { N_TOOLS = sizeof TOOLS / sizeof TOOLS[0] };

static void print_help(FILE *file)
{
    fputs("usage: xvlm COMMAND [options]\n\ncommands:\n", file);
    for (int i = 0; i < N_TOOLS; i++) {
        fprintf(file, "  %-12s %s\n", TOOLS[i].name, TOOLS[i].summary);
    }
    fputs("  help         this list\n\n`xvlm COMMAND --help` lists the options of a command.\n", file);
}

static void print_unknown(const char *name)
{
    fprintf(stderr, "xvlm: unknown command %s", name);
    for (int i = 0; i < N_TOOLS; i++) {
        if (xv_edit_distance(name, TOOLS[i].name) <= 2) {
            fprintf(stderr, "; did you mean %s?", TOOLS[i].name);
            break;
        }
    }
    fputs("\n`xvlm help` lists the commands.\n", stderr);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return XV_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        return XV_EXIT_OK;
    }
    for (int i = 0; i < N_TOOLS; i++) {
        if (strcmp(name, TOOLS[i].name) == 0) {
            return TOOLS[i].run(argc - 1, argv + 1);
        }
    }
    print_unknown(name);
    return XV_EXIT_USAGE;
}
