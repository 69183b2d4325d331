// Checking, carrying out and telling of load plans; see load_plan.h.
#include "runtime/checkpoint/load_plan.h"

#include "runtime/base/format.h"
#include "runtime/checkpoint/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Misfits ----------------------------------------------------------------------------------------------------------

// The text of a message that grows as misfits are found; the first few are named.
enum { NAMED_MISFITS = 4 };

static void add_misfit(const XvLoadPlan *plan, int index, char *text, size_t size)
{
    const XvParameter *parameter = &plan->program->parameters[index];
    size_t used = strlen(text);
    char wanted[XV_SHAPE_TEXT], there[XV_SHAPE_TEXT];
    xv_shape_text(wanted, parameter->rank, parameter->shape);
    if (plan->items[index].action == XV_LOAD_MISSHAPEN) {
        const XvCheckpointTensor *tensor = &plan->checkpoint->tensors[plan->items[index].tensor];
        snprintf(text + used, size - used, "%s%s is %s there and %s here", used ? "; " : "", parameter->name,
                 xv_shape_text(there, tensor->rank, tensor->shape), wanted);
    } else {
        snprintf(text + used, size - used, "%s%s %s is missing", used ? "; " : "", parameter->name, wanted);
    }
}

bool xv_load_plan_check(const XvLoadPlan *plan, const XvLoadOptions *options, XvError *error)
{
    int n_misfits = plan->of_action[XV_LOAD_MISSING] + plan->of_action[XV_LOAD_MISSHAPEN];
    int n_loaded = plan->of_action[XV_LOAD_COPIED] + plan->of_action[XV_LOAD_RESAMPLED];
    char text[700] = "";
    int named = 0;
    for (int i = 0; i < plan->program->n_parameters && named < NAMED_MISFITS; i++) {
        XvLoadAction action = plan->items[i].action;
        if (action == XV_LOAD_MISSING || action == XV_LOAD_MISSHAPEN) {
            add_misfit(plan, i, text, sizeof text);
            named++;
        }
    }
    if (n_loaded == 0 && plan->program->n_parameters > 0) {
        return xv_fail(error, "%s: does not fit this program: not one parameter is in it%s%s",
                       plan->checkpoint->path, *text ? "; " : "", text);
    }
    if (n_misfits == 0 || options->is_partial) {
        return true;
    }
    return xv_fail(error, "%s: does not fit this program: %s%s; --partial loads what fits",
                   plan->checkpoint->path, text, n_misfits > named ? "; and more" : "");
}

// Reading ----------------------------------------------------------------------------------------------------------

static XvTable table_of(int rank, const int64_t *shape)
{
    return (XvTable){.rows = shape[rank - 2], .columns = shape[rank - 1]};
}

static bool resample(const XvLoadPlan *plan, const XvParameter *parameter, const XvCheckpointTensor *tensor,
                     float *out, XvError *error)
{
    XvTable from = table_of(tensor->rank, tensor->shape), to = table_of(parameter->rank, parameter->shape);
    float *values = malloc((size_t)tensor->count * sizeof *values);
    if (!values) {
        return xv_fail(error, "no memory for tensor \"%s\"", tensor->name);
    }
    bool is_done = xv_checkpoint_read_f32(plan->checkpoint, tensor, values, error) &&
                   xv_resample(xv_resample_kind(parameter->name), values, &from, out, &to, error);
    free(values);
    return is_done || xv_fail_in(error, "%s", parameter->name);
}

static bool read_parameters(const XvLoadPlan *plan, float *parameters, XvError *error)
{
    for (int i = 0; i < plan->program->n_parameters; i++) {
        const XvParameter *parameter = &plan->program->parameters[i];
        const XvLoadItem *item = &plan->items[i];
        if (item->action != XV_LOAD_COPIED && item->action != XV_LOAD_RESAMPLED) {
            continue;
        }
        const XvCheckpointTensor *tensor = &plan->checkpoint->tensors[item->tensor];
        float *out = parameters + parameter->offset;
        bool is_read = item->action == XV_LOAD_COPIED
                           ? xv_checkpoint_read_f32(plan->checkpoint, tensor, out, error)
                           : resample(plan, parameter, tensor, out, error);
        if (!is_read) {
            return false;
        }
    }
    return true;
}

// Tied weights are one parameter here: a file in which they differ is of another model.
static bool check_alias(const XvLoadPlan *plan, const XvAlias *alias, const float *parameters, XvError *error)
{
    const XvParameter *parameter = &plan->program->parameters[alias->parameter];
    const XvLoadItem *item = &plan->items[alias->parameter];
    const XvCheckpointTensor *tensor = xv_checkpoint_find(plan->checkpoint, alias->name);
    if (!tensor || item->action != XV_LOAD_COPIED || tensor->count != parameter->count) {
        return true;
    }
    const XvCheckpointTensor *first = &plan->checkpoint->tensors[item->tensor];
    if (first->offset == tensor->offset && first->storage == tensor->storage) {
        return true;
    }
    float *values = malloc((size_t)parameter->count * sizeof *values + 1);
    if (!values) {
        return xv_fail(error, "no memory to compare %s", alias->name);
    }
    bool is_same = xv_checkpoint_read_f32(plan->checkpoint, tensor, values, error);
    if (is_same &&
        memcmp(values, parameters + parameter->offset, (size_t)parameter->count * sizeof *values) != 0) {
        is_same = xv_fail(error, "%s: %s and %s are tied in this model but differ in the file",
                          plan->checkpoint->path, first->name, alias->name);
    }
    free(values);
    return is_same;
}

bool xv_load_plan_apply(const XvLoadPlan *plan, float *parameters, XvError *error)
{
    if (!read_parameters(plan, parameters, error)) {
        return false;
    }
    for (int i = 0; i < plan->program->n_aliases; i++) {
        if (!check_alias(plan, &plan->program->aliases[i], parameters, error)) {
            return false;
        }
    }
    return true;
}

// Telling ----------------------------------------------------------------------------------------------------------

static void append(char *out, size_t size, int count, const char *format)
{
    size_t used = strlen(out);
    if (count > 0 && used < size) {
        snprintf(out + used, size - used, format, count);
    }
}

static int64_t loaded_values(const XvLoadPlan *plan)
{
    int64_t values = 0;
    for (int i = 0; i < plan->program->n_parameters; i++) {
        bool is_loaded =
            plan->items[i].action == XV_LOAD_COPIED || plan->items[i].action == XV_LOAD_RESAMPLED;
        values += is_loaded ? plan->program->parameters[i].count : 0;
    }
    return values;
}

static const char *first_ignored(const XvLoadPlan *plan)
{
    for (int i = 0; i < plan->checkpoint->n_tensors; i++) {
        if (plan->uses[i] == XV_TENSOR_IGNORED) {
            return plan->checkpoint->tensors[i].name;
        }
    }
    return "";
}

void xv_load_plan_line(const XvLoadPlan *plan, char *out, size_t size)
{
    char values[XV_FORMAT_SIZE];
    int resampled = plan->of_action[XV_LOAD_RESAMPLED];
    snprintf(out, size, "%s%s%s%s: %d of %d parameters loaded (%s values)", plan->checkpoint->path,
             plan->source ? " as " : "", plan->source ? plan->source : "", plan->source ? " checkpoint" : "",
             plan->of_action[XV_LOAD_COPIED] + resampled, plan->program->n_parameters,
             xv_format_count(values, loaded_values(plan)));
    append(out, size, resampled, ", %d of them resampled");
    append(out, size, plan->of_action[XV_LOAD_INITIALISED], ", %d initialised");
    append(out, size, plan->of_action[XV_LOAD_MISSING], ", %d missing and left as they were");
    append(out, size, plan->of_action[XV_LOAD_MISSHAPEN], ", %d of another shape and left as they were");
    append(out, size, plan->n_ignored, "; %d tensors ignored");
    size_t used = strlen(out);
    if (plan->n_ignored > 0 && used < size) {
        snprintf(out + used, size - used, " (%s%s)", first_ignored(plan), plan->n_ignored > 1 ? ", ..." : "");
    }
}
