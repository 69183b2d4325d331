// Tables of commands: help, the nearest name for a misspelt one, and the call; see tool.h.
#include "runtime/tools/tool.h"

#include <stdio.h>
#include <string.h>

static void print_help(const XvCommandTable *table, FILE *file)
{
    fprintf(file, "usage: %s COMMAND [options]\n\ncommands:\n", table->program);
    for (int i = 0; i < table->n_commands; i++) {
        fprintf(file, "  %-12s %s\n", table->commands[i].name, table->commands[i].summary);
    }
    fprintf(file, "  help         this list\n\n`%s COMMAND --help` lists the options of a command.\n",
            table->program);
}

static void print_unknown(const XvCommandTable *table, const char *name)
{
    fprintf(stderr, "%s: unknown command %s", table->program, name);
    for (int i = 0; i < table->n_commands; i++) {
        if (xv_edit_distance(name, table->commands[i].name) <= 2) {
            fprintf(stderr, "; did you mean %s?", table->commands[i].name);
            break;
        }
    }
    fprintf(stderr, "\n`%s help` lists the commands.\n", table->program);
}

int xv_commands_run(const XvCommandTable *table, int argc, char **argv)
{
    if (argc < 2) {
        print_help(table, stderr);
        return XV_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(table, stdout);
        return XV_EXIT_OK;
    }
    for (int i = 0; i < table->n_commands; i++) {
        if (strcmp(name, table->commands[i].name) == 0) {
            return table->commands[i].run(argc - 1, argv + 1);
        }
    }
    print_unknown(table, name);
    return XV_EXIT_USAGE;
}
