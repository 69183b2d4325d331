// Loading and saving of parameters by name; see weights.h. Fresh values are in weights_init.c.
#include "runtime/checkpoint/weights.h"

#include "runtime/base/format.h"

#include <stdlib.h>
#include <string.h>

XvTensor xv_parameter_tensor(const XvProgram *program, int i, float *region)
{
    const XvParameter *parameter = &program->parameters[i];
    XvTensor tensor = {.name = parameter->name, .dtype = XV_F32, .rank = parameter->rank,
                       .data = region + parameter->offset};
    memcpy(tensor.shape, parameter->shape, sizeof tensor.shape);
    return tensor;
}

static bool same_shape(const XvStored *stored, const XvParameter *parameter)
{
    return stored->rank == parameter->rank &&
           memcmp(stored->shape, parameter->shape, (size_t)stored->rank * sizeof stored->shape[0]) == 0;
}

// The tensor of a parameter under its own name or another one of it.
static const XvStored *find_stored(const XvProgram *program, const XvSafetensors *file, int parameter)
{
    const XvStored *stored = xv_safetensors_find(file, program->parameters[parameter].name);
    for (int i = 0; !stored && i < program->n_aliases; i++) {
        if (program->aliases[i].parameter == parameter) {
            stored = xv_safetensors_find(file, program->aliases[i].name);
        }
    }
    return stored;
}

// A sorted list of names to look things up in.
typedef struct NameSet {
    const char **names;
    int count;
} NameSet;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool known_names(const XvProgram *program, NameSet *set, XvError *error)
{
    size_t count = (size_t)program->n_parameters + (size_t)program->n_aliases + (size_t)program->n_buffers;
    set->names = calloc(count + 1, sizeof *set->names);
    if (!set->names) {
        return xv_fail(error, "no memory");
    }
    set->count = 0;
    for (int i = 0; i < program->n_parameters; i++) {
        set->names[set->count++] = program->parameters[i].name;
    }
    for (int i = 0; i < program->n_aliases; i++) {
        set->names[set->count++] = program->aliases[i].name;
    }
    for (int i = 0; i < program->n_buffers; i++) {
        set->names[set->count++] = program->buffers[i].name;
    }
    qsort(set->names, count, sizeof *set->names, by_text);
    return true;
}

static bool is_run_state(const char *name)
{
    return strncmp(name, "optimizer.", 10) == 0 || strncmp(name, "training.", 9) == 0;
}

static bool count_unexpected(const XvProgram *program, const XvSafetensors *file, XvLoadReport *report, XvError *error)
{
    NameSet known = {0};
    if (!known_names(program, &known, error)) {
        return false;
    }
    for (int i = 0; i < file->n_tensors; i++) {
        const char *name = file->tensors[i].name;
        if (is_run_state(name) || bsearch(&name, known.names, (size_t)known.count, sizeof name, by_text)) {
            continue;
        }
        if (report->unexpected++ == 0) {
            snprintf(report->first_unexpected, sizeof report->first_unexpected, "%s", name);
        }
    }
    free(known.names);
    return true;
}

// The text of a message that grows as misfits are found; the first few are named.
enum { NAMED_MISFITS = 4 };
typedef struct Misfits {
    int count;
    char text[760];
} Misfits;

static void add_misfit(Misfits *misfits, const XvParameter *parameter, const XvStored *stored)
{
    if (misfits->count++ >= NAMED_MISFITS) {
        return;
    }
    size_t used = strlen(misfits->text);
    char wanted[XV_SHAPE_TEXT], there[XV_SHAPE_TEXT];
    xv_shape_text(wanted, parameter->rank, parameter->shape);
    if (stored) {
        snprintf(misfits->text + used, sizeof misfits->text - used, "%s%s is %s there and %s here", used ? "; " : "",
                 parameter->name, xv_shape_text(there, stored->rank, stored->shape), wanted);
    } else {
        snprintf(misfits->text + used, sizeof misfits->text - used, "%s%s %s is missing", used ? "; " : "",
                 parameter->name, wanted);
    }
}

static void find_misfits(const XvProgram *program, const XvSafetensors *file, XvLoadReport *report, Misfits *misfits)
{
    for (int i = 0; i < program->n_parameters; i++) {
        const XvStored *stored = find_stored(program, file, i);
        if (!stored || !same_shape(stored, &program->parameters[i])) {
            report->missing += !stored;
            report->misshapen += stored != NULL;
            add_misfit(misfits, &program->parameters[i], stored);
        }
    }
}

static bool load_parameters(const XvProgram *program, const XvSafetensors *file, float *parameters,
                            XvLoadReport *report, XvError *error)
{
    for (int i = 0; i < program->n_parameters; i++) {
        const XvParameter *parameter = &program->parameters[i];
        const XvStored *stored = find_stored(program, file, i);
        if (!stored || !same_shape(stored, parameter)) {
            continue;
        }
        if (!xv_safetensors_read_f32(file, stored, parameters + parameter->offset, error)) {
            return false;
        }
        report->loaded++;
        report->elements += parameter->count;
    }
    return true;
}

// Tied weights are one parameter here: a file in which they differ is of another model.
static bool check_alias(const XvProgram *program, const XvSafetensors *file, const XvAlias *alias,
                        const float *parameters, XvError *error)
{
    const XvParameter *parameter = &program->parameters[alias->parameter];
    const XvStored *stored = xv_safetensors_find(file, alias->name);
    if (!stored || !same_shape(stored, parameter)) {
        return true;
    }
    float *values = malloc((size_t)parameter->count * sizeof *values + 1);
    if (!values) {
        return xv_fail(error, "no memory to compare %s", alias->name);
    }
    bool is_same = xv_safetensors_read_f32(file, stored, values, error);
    if (is_same && memcmp(values, parameters + parameter->offset, (size_t)parameter->count * sizeof *values) != 0) {
        is_same = xv_fail(error, "%s and %s are tied in this model but differ in the file", parameter->name,
                          alias->name);
    }
    free(values);
    return is_same;
}

bool xv_weights_load(const XvProgram *program, const XvSafetensors *file, bool is_partial, float *parameters,
                     XvLoadReport *report, XvError *error)
{
    *report = (XvLoadReport){0};
    Misfits misfits = {0};
    find_misfits(program, file, report, &misfits);
    if (misfits.count > 0 && !is_partial) {
        xv_fail(error, "does not fit this program: %s%s; --partial loads what fits", misfits.text,
                misfits.count > NAMED_MISFITS ? "; and more" : "");
        return xv_fail_in(error, "%s", file->path);
    }
    if (!load_parameters(program, file, parameters, report, error)) {
        return false;
    }
    for (int i = 0; i < program->n_aliases; i++) {
        if (!check_alias(program, file, &program->aliases[i], parameters, error)) {
            return xv_fail_in(error, "%s", file->path);
        }
    }
    return count_unexpected(program, file, report, error);
}

void xv_load_report_print(FILE *out, const char *path, const XvLoadReport *report)
{
    char elements[XV_FORMAT_SIZE];
    fprintf(out, "%s: %d tensors loaded (%s values)", path, report->loaded,
            xv_format_count(elements, report->elements));
    if (report->missing > 0) {
        fprintf(out, "; %d missing, left as they were", report->missing);
    }
    if (report->misshapen > 0) {
        fprintf(out, "; %d of another shape, left as they were", report->misshapen);
    }
    if (report->unexpected > 0) {
        fprintf(out, "; %d unexpected (%s%s)", report->unexpected, report->first_unexpected,
                report->unexpected > 1 ? ", ..." : "");
    }
    fputc('\n', out);
}

void xv_program_metadata(const XvProgram *program, XvMetadata out[XV_PROGRAM_METADATA])
{
    out[0] = (XvMetadata){"format", "xvlmc"};
    out[1] = (XvMetadata){"model", program->model};
    out[2] = (XvMetadata){"task", program->task};
    out[3] = (XvMetadata){"config", program->config};
}

bool xv_weights_save(const XvProgram *program, float *parameters, const char *path, XvError *error)
{
    XvTensor *tensors = calloc((size_t)program->n_parameters + 1, sizeof *tensors);
    if (!tensors) {
        return xv_fail(error, "no memory");
    }
    for (int i = 0; i < program->n_parameters; i++) {
        tensors[i] = xv_parameter_tensor(program, i, parameters);
    }
    XvMetadata metadata[XV_PROGRAM_METADATA];
    xv_program_metadata(program, metadata);
    XvFileContent content = {tensors, program->n_parameters, metadata, XV_PROGRAM_METADATA};
    bool is_written = xv_safetensors_write(path, &content, error);
    free(tensors);
    return is_written;
}
