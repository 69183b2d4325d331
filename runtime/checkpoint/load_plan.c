// Plans of loading: which tensor fills which parameter; see load_plan.h. Carrying them out is in load_apply.c.
#include "runtime/checkpoint/load_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NAME = 512 };

const char *xv_load_action_name(XvLoadAction action)
{
    static const char *const NAMES[] = {"loaded", "resampled", "initialised", "missing", "misshapen"};
    return NAMES[action];
}

// Rules ------------------------------------------------------------------------------------------------------------

// A name that `pattern` fits; *middle is what its star stands for.
typedef struct Middle {
    const char *text;
    size_t length;
} Middle;

static bool fits(const char *pattern, const char *name, Middle *middle)
{
    const char *star = strchr(pattern, '*');
    if (!star) {
        *middle = (Middle){"", 0};
        return strcmp(pattern, name) == 0;
    }
    size_t before = (size_t)(star - pattern), after = strlen(star + 1), length = strlen(name);
    if (length < before + after || strncmp(pattern, name, before) != 0 ||
        strcmp(star + 1, name + length - after) != 0) {
        return false;
    }
    *middle = (Middle){name + before, length - before - after};
    return true;
}

// The tensor that `pattern` names with the given middle; -1 if there is none.
static int find_filled(const XvCheckpoint *checkpoint, const char *pattern, const Middle *middle)
{
    char name[MOST_NAME];
    const char *star = strchr(pattern, '*');
    int wanted = star ? snprintf(name, sizeof name, "%.*s%.*s%s", (int)(star - pattern), pattern,
                                 (int)middle->length, middle->text, star + 1)
                      : snprintf(name, sizeof name, "%s", pattern);
    const XvCheckpointTensor *found = wanted < MOST_NAME ? xv_checkpoint_find(checkpoint, name) : NULL;
    return found ? (int)(found - checkpoint->tensors) : -1;
}

// The tensor for a name of the program: of the rules of the plan's source that fit, the first whose tensor is there;
// else the one of the same name. *is_none: the source says that it is not there.
static int find_tensor(const XvLoadPlan *plan, const char *name, bool *is_none)
{
    const XvProgram *program = plan->program;
    for (int i = 0; plan->source && i < program->n_load_rules; i++) {
        const XvLoadRule *rule = &program->load_rules[i];
        Middle middle;
        if (strcmp(rule->source, plan->source) != 0 || !fits(rule->destination, name, &middle)) {
            continue;
        }
        if (!rule->from) {
            *is_none = true;
            return -1;
        }
        int tensor = find_filled(plan->checkpoint, rule->from, &middle);
        if (tensor >= 0) {
            return tensor;
        }
    }
    const XvCheckpointTensor *same = xv_checkpoint_find(plan->checkpoint, name);
    return same ? (int)(same - plan->checkpoint->tensors) : -1;
}

// Parameters -------------------------------------------------------------------------------------------------------

static bool same_shape(const XvCheckpointTensor *tensor, const XvParameter *parameter)
{
    return tensor->rank == parameter->rank &&
           memcmp(tensor->shape, parameter->shape, (size_t)tensor->rank * sizeof *tensor->shape) == 0;
}

// A scalar may be stored as one element, and a position table with or without a leading 1.
static bool same_values(const XvCheckpointTensor *tensor, const XvParameter *parameter)
{
    return tensor->count == 1 && parameter->count == 1;
}

static int64_t last_dimension(int rank, const int64_t *shape)
{
    return rank > 0 ? shape[rank - 1] : 0;
}

static bool can_resample(const XvCheckpointTensor *tensor, const XvParameter *parameter)
{
    XvResample kind = xv_resample_kind(parameter->name);
    int64_t columns = last_dimension(tensor->rank, tensor->shape);
    int64_t leading = tensor->rank == 3 ? tensor->shape[0] : 1;
    return kind != XV_RESAMPLE_NONE && tensor->rank == parameter->rank && tensor->rank >= 2 && leading == 1 &&
           tensor->count > 0 && columns == last_dimension(parameter->rank, parameter->shape);
}

static XvLoadItem plan_tensor(const XvLoadPlan *plan, const XvParameter *parameter, int tensor)
{
    const XvCheckpointTensor *from = &plan->checkpoint->tensors[tensor];
    if (same_shape(from, parameter) || same_values(from, parameter)) {
        return (XvLoadItem){XV_LOAD_COPIED, tensor};
    }
    return (XvLoadItem){can_resample(from, parameter) ? XV_LOAD_RESAMPLED : XV_LOAD_MISSHAPEN, tensor};
}

// A parameter may be found under any of its names.
static XvLoadItem plan_parameter(const XvLoadPlan *plan, int index, const XvLoadOptions *options)
{
    const XvProgram *program = plan->program;
    const XvParameter *parameter = &program->parameters[index];
    bool is_none = false;
    int tensor = find_tensor(plan, parameter->name, &is_none);
    for (int i = 0; tensor < 0 && !is_none && i < program->n_aliases; i++) {
        if (program->aliases[i].parameter == index) {
            tensor = find_tensor(plan, program->aliases[i].name, &is_none);
        }
    }
    if (tensor >= 0) {
        return plan_tensor(plan, parameter, tensor);
    }
    bool is_wanted = options->is_complete || (!is_none && !parameter->is_fresh);
    return (XvLoadItem){is_wanted ? XV_LOAD_MISSING : XV_LOAD_INITIALISED, -1};
}

static void plan_parameters(XvLoadPlan *plan, const XvLoadOptions *options)
{
    memset(plan->of_action, 0, sizeof plan->of_action);
    for (int i = 0; i < plan->program->n_parameters; i++) {
        plan->items[i] = plan_parameter(plan, i, options);
        plan->of_action[plan->items[i].action]++;
    }
}

// Tensors ----------------------------------------------------------------------------------------------------------

static bool is_run_state(const char *name)
{
    return strncmp(name, "optimizer.", 10) == 0 || strncmp(name, "training.", 9) == 0;
}

// What the program computes itself is not missed when it is passed over: its buffers and second names, and what they
// are called in the source.
static void mark_known(XvLoadPlan *plan, const char *name)
{
    bool is_none = false;
    int tensor = find_tensor(plan, name, &is_none);
    if (tensor >= 0 && plan->uses[tensor] == XV_TENSOR_IGNORED) {
        plan->uses[tensor] = XV_TENSOR_KNOWN;
    }
}

static void plan_tensors(XvLoadPlan *plan)
{
    const XvProgram *program = plan->program;
    for (int i = 0; i < plan->checkpoint->n_tensors; i++) {
        plan->uses[i] = is_run_state(plan->checkpoint->tensors[i].name) ? XV_TENSOR_STATE : XV_TENSOR_IGNORED;
    }
    for (int i = 0; i < program->n_parameters; i++) {
        if (plan->items[i].action == XV_LOAD_COPIED || plan->items[i].action == XV_LOAD_RESAMPLED) {
            plan->uses[plan->items[i].tensor] = XV_TENSOR_LOADED;
        }
    }
    for (int i = 0; i < program->n_aliases; i++) {
        mark_known(plan, program->aliases[i].name);
    }
    for (int i = 0; i < program->n_buffers; i++) {
        mark_known(plan, program->buffers[i].name);
    }
    plan->n_ignored = 0;
    for (int i = 0; i < plan->checkpoint->n_tensors; i++) {
        plan->n_ignored += plan->uses[i] == XV_TENSOR_IGNORED;
    }
}

// Sources ----------------------------------------------------------------------------------------------------------

// The next source behind `last` in the table; the first for NULL, NULL at the end.
static const char *next_source(const XvProgram *program, const char *last)
{
    bool is_past = !last;
    for (int i = 0; i < program->n_load_rules; i++) {
        const char *source = program->load_rules[i].source;
        bool is_last = last && strcmp(source, last) == 0;
        if (is_past && !is_last) {
            return source;
        }
        is_past = is_past || is_last;
    }
    return NULL;
}

// How well names fit: those that are found, whatever their shapes, and those that are not and should be.
typedef struct Fit {
    int found, missing;
} Fit;

static Fit fit_of(const XvLoadPlan *plan)
{
    const int *of = plan->of_action;
    return (Fit){.found = of[XV_LOAD_COPIED] + of[XV_LOAD_RESAMPLED] + of[XV_LOAD_MISSHAPEN],
                 .missing = of[XV_LOAD_MISSING] + of[XV_LOAD_MISSHAPEN]};
}

// Tries the program's own names and every source.
static void choose_source(XvLoadPlan *plan, const XvLoadOptions *options)
{
    plan->source = NULL;
    plan_parameters(plan, options);
    const char *best = NULL;
    Fit best_fit = fit_of(plan);
    for (const char *source = next_source(plan->program, NULL); source;
         source = next_source(plan->program, source)) {
        plan->source = source;
        plan_parameters(plan, options);
        Fit fit = fit_of(plan);
        bool is_equal = fit.found == best_fit.found && fit.found > 0;
        if (fit.found > best_fit.found || (is_equal && fit.missing < best_fit.missing)) {
            best = source;
            best_fit = fit;
        }
    }
    plan->source = best;
}

static bool take_source(XvLoadPlan *plan, const char *wanted, XvError *error)
{
    const char *source = NULL;
    if (strcmp(wanted, "own") == 0) {
        return true;
    }
    char known[600] = "own";
    while ((source = next_source(plan->program, source))) {
        if (strcmp(source, wanted) == 0) {
            plan->source = source;
            return true;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, ", %s", source);
    }
    return xv_fail(error, "the task knows no source \"%s\"; there are: %s", wanted, known);
}

bool xv_load_plan_make(XvLoadPlan *plan, const XvProgram *program, const XvCheckpoint *checkpoint,
                       const XvLoadOptions *options, XvError *error)
{
    *plan = (XvLoadPlan){.program = program, .checkpoint = checkpoint};
    plan->items = calloc((size_t)program->n_parameters + 1, sizeof *plan->items);
    plan->uses = calloc((size_t)checkpoint->n_tensors + 1, sizeof *plan->uses);
    if (!plan->items || !plan->uses) {
        xv_load_plan_free(plan);
        return xv_fail(error, "no memory");
    }
    if (options->source && !take_source(plan, options->source, error)) {
        xv_load_plan_free(plan);
        return false;
    }
    if (!options->source) {
        choose_source(plan, options);
    }
    plan_parameters(plan, options);
    plan_tensors(plan);
    return true;
}

void xv_load_plan_free(XvLoadPlan *plan)
{
    free(plan->items);
    free(plan->uses);
    *plan = (XvLoadPlan){0};
}
