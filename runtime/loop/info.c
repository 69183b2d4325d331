// The command `info`: what the program holds, as text or JSON.
#include "runtime/base/format.h"
#include "runtime/loop/command.h"
#include "runtime/loop/host.h"
#include "runtime/loop/info_state.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

static cJSON *graph_object(const XvGraph *graph)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "kernels", graph->n_kernels);
    cJSON_AddNumberToObject(object, "arena_bytes", (double)graph->arena_bytes);
    cJSON_AddNumberToObject(object, "matmul_flops", graph->matmul_flops);
    cJSON_AddNumberToObject(object, "bytes", graph->bytes);
    cJSON_AddNumberToObject(object, "inputs", graph->n_inputs);
    cJSON_AddNumberToObject(object, "outputs", graph->n_outputs);
    cJSON_AddNumberToObject(object, "draws", graph->n_draws);
    return object;
}

// Of parameters in two bytes.
static double copy_bytes(const XvProgram *program)
{
    return program->copy_type == XV_F32 ? 0 : 2 * (double)program->parameter_count;
}

static cJSON *info_object(const XvProgram *program)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "model", program->model);
    cJSON_AddStringToObject(object, "task", program->task);
    cJSON_AddStringToObject(object, "target", program->target);
    cJSON_AddStringToObject(object, "precision", program->precision);
    cJSON_AddNumberToObject(object, "copy_bytes", copy_bytes(program));
    cJSON_AddNumberToObject(object, "ranks", program->ranks);
    cJSON_AddNumberToObject(object, "parameters", (double)xv_parameter_elements(program));
    cJSON_AddNumberToObject(object, "parameter_tensors", program->n_parameters);
    cJSON_AddNumberToObject(object, "aliases", program->n_aliases);
    cJSON_AddNumberToObject(object, "buffers", program->n_buffers);
    cJSON_AddNumberToObject(object, "state_dict_entries",
                            program->n_parameters + program->n_aliases + program->n_buffers);
    cJSON *entries = cJSON_AddObjectToObject(object, "entries");
    for (int i = 0; i < program->n_entries; i++) {
        const XvEntry *entry = &program->entries[i];
        cJSON *row = cJSON_AddObjectToObject(entries, entry->name);
        cJSON_AddStringToObject(row, "data", entry->data);
        cJSON_AddNumberToObject(row, "probability", entry->probability);
        if (entry->train.run) {
            cJSON_AddItemToObject(row, "train", graph_object(&entry->train));
        }
        cJSON_AddItemToObject(row, "observe", graph_object(&entry->observe));
    }
    cJSON *decoders = cJSON_AddObjectToObject(object, "decoders");
    for (int i = 0; i < program->n_decoders; i++) {
        const XvDecoder *decoder = &program->decoders[i];
        cJSON *row = cJSON_AddObjectToObject(decoders, decoder->name);
        cJSON_AddStringToObject(row, "prefill", program->entries[decoder->prefill].name);
        cJSON_AddStringToObject(row, "step", program->entries[decoder->step].name);
        cJSON_AddNumberToObject(row, "max_length", (double)decoder->max_length);
        cJSON_AddNumberToObject(row, "min_length", (double)decoder->min_length);
    }
    cJSON_AddItemToObject(object, "config", cJSON_Parse(program->config));
    cJSON_AddItemToObject(object, "modules", xv_modules_object(program));
    cJSON_AddItemToObject(object, "optimizer_groups", xv_groups_object(program));
    cJSON_AddItemToObject(object, "state_dict", xv_state_dict_object(program));
    return object;
}

static void print_graph(const char *name, const XvGraph *graph)
{
    char arena[XV_FORMAT_SIZE];
    printf("  %-8s %5d kernels, arena %s, %.1f GFLOP in products, %.2f GB read and written, %d draws\n", name,
           graph->n_kernels, xv_format_bytes(arena, (double)graph->arena_bytes), graph->matmul_flops * 1e-9,
           graph->bytes * 1e-9, graph->n_draws);
}

static void print_info(const XvProgram *program)
{
    char count[XV_FORMAT_SIZE];
    printf("%s/%s, target %s, %s", program->model, program->task, program->target, program->precision);
    if (program->ranks == 0) {
        printf(", for any number of processes\n");
    } else {
        printf(", for %d process%s\n", program->ranks, program->ranks == 1 ? "" : "es");
    }
    printf("%s parameters in %d tensors; %d aliases, %d buffers\n",
           xv_format_count(count, xv_parameter_elements(program)), program->n_parameters, program->n_aliases,
           program->n_buffers);
    for (int i = 0; i < program->n_entries; i++) {
        const XvEntry *entry = &program->entries[i];
        printf("entry %s: data '%s', probability %g\n", entry->name, entry->data, entry->probability);
        if (entry->train.run) {
            print_graph("train", &entry->train);
        }
        print_graph("observe", &entry->observe);
        for (int j = 0; j < entry->observe.n_inputs; j++) {
            const XvValue *input = &entry->observe.inputs[j];
            printf("  input %-16s %s [", input->name, xv_dtype_name(input->dtype));
            for (int k = 0; k < input->rank; k++) {
                printf("%s%lld", k ? ", " : "", (long long)input->shape[k]);
            }
            printf("]\n");
        }
    }
}

int xv_command_info(const XvCommand *command)
{
    bool is_json = false;
    const XvOption table[] = {
        {"--json", NULL, XV_OPTION_FLAG, &is_json, 0, 0, "machine-readable, with the configuration"}};
    XvOptionTable options = {
        "[--json]",
        "Prints sizes, entry points and memory; as JSON also the configuration and the state dict.", table,
        1};
    int status;
    if (!xv_command_options(command, &options, &status)) {
        return status;
    }
    if (!is_json) {
        print_info(command->program);
        return XV_EXIT_OK;
    }
    cJSON *object = info_object(command->program);
    char *text = cJSON_Print(object);
    puts(text ? text : "{}");
    free(text);
    cJSON_Delete(object);
    return XV_EXIT_OK;
}
