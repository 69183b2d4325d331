// The command `checkpoint`: which parameters a file would fill, which stay as they are, which of its tensors nothing
// here asks for. The official non-strict loading says none of this.
#include "runtime/base/format.h"
#include "runtime/checkpoint/load_plan.h"
#include "runtime/checkpoint/safetensors.h"
#include "runtime/loop/command.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct CompareOptions {
    const char *source;
    bool lists_tensors, is_json, is_complete;
} CompareOptions;

// Modules ------------------------------------------------------------------------------------------------------------

typedef struct Module {
    const char *name;
    int length;  // of the name
    int of_action[XV_LOAD_ACTIONS];
    int ignored;
    int64_t loaded_bytes, bytes, ignored_bytes;  // as float here, as stored there
} Module;

typedef struct Modules {
    Module *rows;
    int n_rows;
} Modules;

static int module_length(const char *name)
{
    return (int)strcspn(name, ".");
}

static Module *module_of(Modules *modules, const char *name)
{
    int length = module_length(name);
    for (int i = 0; i < modules->n_rows; i++) {
        if (modules->rows[i].length == length && strncmp(modules->rows[i].name, name, (size_t)length) == 0) {
            return &modules->rows[i];
        }
    }
    modules->rows[modules->n_rows] = (Module){.name = name, .length = length};
    return &modules->rows[modules->n_rows++];
}

static bool group(const XvLoadPlan *plan, Modules *modules)
{
    size_t most = (size_t)plan->program->n_parameters + (size_t)plan->checkpoint->n_tensors + 1;
    *modules = (Modules){.rows = calloc(most, sizeof *modules->rows)};
    if (!modules->rows) {
        return false;
    }
    for (int i = 0; i < plan->program->n_parameters; i++) {
        const XvParameter *parameter = &plan->program->parameters[i];
        XvLoadAction action = plan->items[i].action;
        Module *module = module_of(modules, parameter->name);
        int64_t bytes = parameter->count * (int64_t)sizeof(float);
        module->of_action[action]++;
        module->bytes += bytes;
        module->loaded_bytes += action == XV_LOAD_COPIED || action == XV_LOAD_RESAMPLED ? bytes : 0;
    }
    for (int i = 0; i < plan->checkpoint->n_tensors; i++) {
        if (plan->uses[i] == XV_TENSOR_IGNORED) {
            const XvCheckpointTensor *tensor = &plan->checkpoint->tensors[i];
            Module *module = module_of(modules, tensor->name);
            module->ignored++;
            module->ignored_bytes += tensor->count * (int64_t)xv_dtype_size(tensor->dtype);
        }
    }
    return true;
}

// Text ---------------------------------------------------------------------------------------------------------------

static void print_parameter(const XvLoadPlan *plan, int i)
{
    const XvParameter *parameter = &plan->program->parameters[i];
    const XvLoadItem *item = &plan->items[i];
    char here[XV_SHAPE_TEXT], there[XV_SHAPE_TEXT];
    const XvCheckpointTensor *from = item->tensor >= 0 ? &plan->checkpoint->tensors[item->tensor] : NULL;
    printf("  %-11s %s %s", xv_load_action_name(item->action), parameter->name,
           xv_shape_text(here, parameter->rank, parameter->shape));
    if (from) {
        printf(" <- %s %s %s", strcmp(from->name, parameter->name) == 0 ? "same name," : from->name,
               xv_dtype_name(from->dtype), xv_shape_text(there, from->rank, from->shape));
    }
    printf("\n");
}

static void print_ignored(const XvLoadPlan *plan, int i)
{
    const XvCheckpointTensor *tensor = &plan->checkpoint->tensors[i];
    char there[XV_SHAPE_TEXT], bytes[XV_FORMAT_SIZE];
    printf("  %-11s %s %s %s, %s\n", "ignored", tensor->name, xv_dtype_name(tensor->dtype),
           xv_shape_text(there, tensor->rank, tensor->shape),
           xv_format_bytes(bytes, (double)tensor->count * (double)xv_dtype_size(tensor->dtype)));
}

// All of them, or those that are not simply loaded.
static void print_tensors(const XvLoadPlan *plan, bool is_all)
{
    for (int i = 0; i < plan->program->n_parameters; i++) {
        if (is_all || plan->items[i].action != XV_LOAD_COPIED) {
            print_parameter(plan, i);
        }
    }
    for (int i = 0; i < plan->checkpoint->n_tensors; i++) {
        if (plan->uses[i] == XV_TENSOR_IGNORED) {
            print_ignored(plan, i);
        }
    }
}

static void print_modules(const Modules *modules)
{
    printf("%-16s %8s %10s %12s %8s %10s %8s  %s\n", "module", "loaded", "resampled", "initialised",
           "missing", "misshapen", "ignored", "bytes loaded of wanted, ignored");
    for (int i = 0; i < modules->n_rows; i++) {
        const Module *module = &modules->rows[i];
        const int *of = module->of_action;
        char loaded[XV_FORMAT_SIZE], wanted[XV_FORMAT_SIZE], ignored[XV_FORMAT_SIZE];
        printf("%-16.*s %8d %10d %12d %8d %10d %8d  %s of %s, %s\n", module->length, module->name,
               of[XV_LOAD_COPIED], of[XV_LOAD_RESAMPLED], of[XV_LOAD_INITIALISED], of[XV_LOAD_MISSING],
               of[XV_LOAD_MISSHAPEN], module->ignored, xv_format_bytes(loaded, (double)module->loaded_bytes),
               xv_format_bytes(wanted, (double)module->bytes),
               xv_format_bytes(ignored, (double)module->ignored_bytes));
    }
}

static void print_text(const XvLoadPlan *plan, const Modules *modules, const CompareOptions *options)
{
    char line[1024];
    xv_load_plan_line(plan, line, sizeof line);
    printf("%s\n\n", line);
    print_modules(modules);
    printf("\n");
    print_tensors(plan, options->lists_tensors);
}

// JSON ---------------------------------------------------------------------------------------------------------------

static cJSON *shape_array(int rank, const int64_t *shape)
{
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < rank; i++) {
        cJSON_AddItemToArray(array, cJSON_CreateNumber((double)shape[i]));
    }
    return array;
}

static cJSON *parameter_object(const XvLoadPlan *plan, int i)
{
    const XvLoadItem *item = &plan->items[i];
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "action", xv_load_action_name(item->action));
    cJSON_AddItemToObject(row, "shape",
                          shape_array(plan->program->parameters[i].rank, plan->program->parameters[i].shape));
    if (item->tensor >= 0) {
        const XvCheckpointTensor *from = &plan->checkpoint->tensors[item->tensor];
        cJSON_AddStringToObject(row, "from", from->name);
        cJSON_AddStringToObject(row, "dtype", xv_dtype_name(from->dtype));
        cJSON_AddItemToObject(row, "shape_there", shape_array(from->rank, from->shape));
    }
    return row;
}

static cJSON *plan_object(const XvLoadPlan *plan)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "file", plan->checkpoint->path);
    cJSON_AddStringToObject(object, "format", xv_checkpoint_format_name(plan->checkpoint->format));
    cJSON_AddStringToObject(object, "task", plan->program->task);
    cJSON_AddStringToObject(object, "source", plan->source ? plan->source : "own");
    for (int i = 0; i < XV_LOAD_ACTIONS; i++) {
        cJSON_AddNumberToObject(object, xv_load_action_name((XvLoadAction)i), plan->of_action[i]);
    }
    cJSON *parameters = cJSON_AddObjectToObject(object, "parameters");
    for (int i = 0; i < plan->program->n_parameters; i++) {
        cJSON_AddItemToObject(parameters, plan->program->parameters[i].name, parameter_object(plan, i));
    }
    cJSON *ignored = cJSON_AddArrayToObject(object, "ignored");
    for (int i = 0; i < plan->checkpoint->n_tensors; i++) {
        if (plan->uses[i] == XV_TENSOR_IGNORED) {
            cJSON_AddItemToArray(ignored, cJSON_CreateString(plan->checkpoint->tensors[i].name));
        }
    }
    return object;
}

static bool print_json(const XvLoadPlan *plan)
{
    cJSON *object = plan_object(plan);
    char *text = cJSON_Print(object);
    bool is_printed = text && puts(text) >= 0;
    free(text);
    cJSON_Delete(object);
    return is_printed;
}

// The command --------------------------------------------------------------------------------------------------------

static bool compare(const XvCommand *command, const char *path, const CompareOptions *options, XvError *error)
{
    XvCheckpoint checkpoint;
    XvLoadPlan plan = {0};
    Modules modules = {0};
    XvLoadOptions load = {.source = options->source, .is_complete = options->is_complete};
    if (!xv_checkpoint_open(&checkpoint, path, error)) {
        return false;
    }
    bool is_done = xv_load_plan_make(&plan, command->program, &checkpoint, &load, error);
    if (is_done && options->is_json) {
        is_done = print_json(&plan) || xv_fail(error, "no memory");
    } else if (is_done) {
        is_done = group(&plan, &modules) || xv_fail(error, "no memory");
        if (is_done) {
            print_text(&plan, &modules, options);
        }
    }
    free(modules.rows);
    xv_load_plan_free(&plan);
    xv_checkpoint_close(&checkpoint);
    return is_done;
}

int xv_command_checkpoint(const XvCommand *command)
{
    CompareOptions options = {0};
    const XvOption rows[] = {
        {"--source", "NAME", XV_OPTION_TEXT, &options.source, 0, 0,
         "take the file for this kind of checkpoint; \"own\" is one of this task"},
        {"--complete", NULL, XV_OPTION_FLAG, &options.is_complete, 0, 0,
         "as for evaluation: nothing may stay fresh"},
        {"--tensors", NULL, XV_OPTION_FLAG, &options.lists_tensors, 0, 0, "list what is simply loaded, too"},
        {"--json", NULL, XV_OPTION_FLAG, &options.is_json, 0, 0, "machine-readable"},
    };
    XvOptionTable table = {
        "FILE [options]", "Compares a checkpoint with this program: loaded, resampled, initialised, ignored.",
        rows, sizeof rows / sizeof *rows};
    // The file comes first; what follows are options.
    bool has_file = command->argc > 1 && command->argv[1][0] != '-';
    XvCommand rest = *command;
    rest.argc -= has_file;
    rest.argv += has_file;
    const char *path = has_file ? command->argv[1] : NULL;
    int status;
    rest.argv[0] = command->argv[0];
    if (!xv_command_options(&rest, &table, &status)) {
        return status;
    }
    XvError error = {{0}};
    if (!path) {
        xv_fail(&error, "a file is needed");
        return xv_command_fail(command, XV_EXIT_USAGE, &error);
    }
    return compare(command, path, &options, &error) ? XV_EXIT_OK
                                                    : xv_command_fail(command, XV_EXIT_FAILED, &error);
}
