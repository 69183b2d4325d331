// What all commands share; see command.h.
#include "runtime/loop/command.h"

#include <stdio.h>
#include <string.h>

static bool asks_for_help(const XvCommand *command)
{
    for (int i = 1; i < command->argc; i++) {
        if (strcmp(command->argv[i], "--help") == 0 || strcmp(command->argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

bool xv_command_options(const XvCommand *command, const XvOptionTable *table, int *status)
{
    if (asks_for_help(command)) {
        printf("usage: %s %s %s\n\n%s\n\n", command->program->task, command->argv[0], table->usage,
               table->summary);
        xv_options_print(stdout, table->options, table->n_options);
        *status = XV_EXIT_OK;
        return false;
    }
    XvError error = {0};
    if (!xv_options_parse(table->options, table->n_options, command->argc, command->argv, &error)) {
        *status = xv_command_fail(command, XV_EXIT_USAGE, &error);
        return false;
    }
    return true;
}

int xv_command_fail(const XvCommand *command, int status, const XvError *error)
{
    int rank = xv_comm_rank(command->comm);
    fflush(stdout);
    if (!error->text[0] || (status == XV_EXIT_USAGE && rank > 0)) {
        return status;
    }
    if (xv_comm_world(command->comm) > 1) {
        fprintf(stderr, "rank %d: ", rank);
    }
    fprintf(stderr, "%s %s: %s\n", command->program->task, command->argv[0], error->text);
    if (status == XV_EXIT_USAGE) {
        fprintf(stderr, "`%s %s --help` lists the options.\n", command->program->task, command->argv[0]);
    }
    return status;
}

const XvEntry *xv_entry_by_name(const XvProgram *program, const char *name, XvError *error)
{
    if (!name) {
        return &program->entries[program->n_entries - 1];
    }
    char names[256] = "";
    for (int i = 0; i < program->n_entries; i++) {
        if (strcmp(program->entries[i].name, name) == 0) {
            return &program->entries[i];
        }
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", program->entries[i].name);
    }
    xv_fail(error, "no entry is called \"%s\"; there are: %s", name, names);
    return NULL;
}

int64_t xv_parameter_elements(const XvProgram *program)
{
    int64_t count = 0;
    for (int i = 0; i < program->n_parameters; i++) {
        count += program->parameters[i].count;
    }
    return count;
}
