// Inventory of the state dict; see info_state.h.
#include "runtime/loop/info_state.h"

#include "runtime/base/tensor.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST_PATH = 512 };

static cJSON *entry_object(const char *name, XvDtype dtype, int rank, const int64_t *shape)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", name);
    cJSON_AddStringToObject(object, "dtype", xv_dtype_name(dtype));
    cJSON *dimensions = cJSON_AddArrayToObject(object, "shape");
    for (int i = 0; i < rank; i++) {
        cJSON_AddItemToArray(dimensions, cJSON_CreateNumber((double)shape[i]));
    }
    return object;
}

cJSON *xv_state_dict_object(const XvProgram *program)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < program->n_parameters; i++) {
        const XvParameter *parameter = &program->parameters[i];
        cJSON *entry = entry_object(parameter->name, XV_F32, parameter->rank, parameter->shape);
        cJSON_AddBoolToObject(entry, "decay", parameter->has_decay);
        cJSON_AddBoolToObject(entry, "fresh", parameter->is_fresh);
        cJSON_AddItemToArray(list, entry);
    }
    for (int i = 0; i < program->n_aliases; i++) {
        const XvParameter *parameter = &program->parameters[program->aliases[i].parameter];
        cJSON *entry = entry_object(program->aliases[i].name, XV_F32, parameter->rank, parameter->shape);
        cJSON_AddStringToObject(entry, "alias_of", parameter->name);
        cJSON_AddItemToArray(list, entry);
    }
    for (int i = 0; i < program->n_buffers; i++) {
        const XvBuffer *buffer = &program->buffers[i];
        cJSON *entry = entry_object(buffer->name, buffer->dtype, buffer->rank, buffer->shape);
        cJSON_AddTrueToObject(entry, "computed");
        cJSON_AddItemToArray(list, entry);
    }
    return list;
}

static void add_elements(cJSON *modules, const char *path, int64_t count)
{
    cJSON *known = cJSON_GetObjectItemCaseSensitive(modules, path);
    if (known) {
        cJSON_SetNumberValue(known, known->valuedouble + (double)count);
    } else {
        cJSON_AddNumberToObject(modules, path, (double)count);
    }
}

cJSON *xv_modules_object(const XvProgram *program)
{
    cJSON *modules = cJSON_CreateObject();
    for (int i = 0; i < program->n_parameters; i++) {
        const XvParameter *parameter = &program->parameters[i];
        if (!strchr(parameter->name, '.')) {
            add_elements(modules, parameter->name, parameter->count);
        }
        for (const char *dot = strchr(parameter->name, '.'); dot; dot = strchr(dot + 1, '.')) {
            char path[LONGEST_PATH];
            snprintf(path, sizeof path, "%.*s", (int)(dot - parameter->name), parameter->name);
            add_elements(modules, path, parameter->count);
        }
    }
    return modules;
}

cJSON *xv_groups_object(const XvProgram *program)
{
    int tensors[4] = {0};
    int64_t elements[4] = {0};
    for (int i = 0; i < program->n_parameters; i++) {
        const XvParameter *parameter = &program->parameters[i];
        int group = 2 * parameter->is_fresh + !parameter->has_decay;
        if (parameter->is_trainable) {
            tensors[group]++;
            elements[group] += parameter->count;
        }
    }
    cJSON *list = cJSON_CreateArray();
    for (int group = 0; group < 4; group++) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddBoolToObject(object, "decay", !(group & 1));
        cJSON_AddBoolToObject(object, "fresh", group >> 1);
        cJSON_AddNumberToObject(object, "tensors", tensors[group]);
        cJSON_AddNumberToObject(object, "elements", (double)elements[group]);
        cJSON_AddItemToArray(list, object);
    }
    return list;
}
