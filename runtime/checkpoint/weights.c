// Loading and saving of parameters by name; see weights.h. Fresh values are in weights_init.c.
#include "runtime/checkpoint/weights.h"

#include "runtime/checkpoint/buffers.h"
#include "runtime/checkpoint/torch_write.h"

#include <stdlib.h>
#include <string.h>

XvTensor xv_parameter_tensor(const XvProgram *program, int i, const float *region)
{
    const XvParameter *parameter = &program->parameters[i];
    XvTensor tensor = {.name = parameter->name,
                       .dtype = XV_F32,
                       .rank = parameter->rank,
                       .data = (void *)(uintptr_t)(region + parameter->offset)};
    memcpy(tensor.shape, parameter->shape, sizeof tensor.shape);
    return tensor;
}

bool xv_weights_load(const XvProgram *program, const char *path, const XvLoadOptions *options,
                     float *parameters, FILE *out, XvError *error)
{
    XvCheckpoint checkpoint;
    XvLoadPlan plan = {0};
    if (!xv_checkpoint_open(&checkpoint, path, error)) {
        return false;
    }
    bool is_loaded = xv_load_plan_make(&plan, program, &checkpoint, options, error) &&
                     xv_load_plan_check(&plan, options, error) &&
                     xv_load_plan_apply(&plan, parameters, error);
    if (is_loaded && out) {
        char line[1024];
        xv_load_plan_line(&plan, line, sizeof line);
        fprintf(out, "%s\n", line);
    }
    xv_load_plan_free(&plan);
    xv_checkpoint_close(&checkpoint);
    return is_loaded;
}

void xv_program_metadata(const XvProgram *program, XvMetadata out[XV_PROGRAM_METADATA])
{
    out[0] = (XvMetadata){"format", "xvlmc"};
    out[1] = (XvMetadata){"model", program->model};
    out[2] = (XvMetadata){"task", program->task};
    out[3] = (XvMetadata){"config", program->config};
}

static bool is_torch_name(const char *path)
{
    static const char *const ENDS[] = {".th", ".pth", ".pt", ".bin"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof ENDS / sizeof *ENDS; i++) {
        if (strcmp(dot, ENDS[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool save_safetensors(const XvProgram *program, const XvTensor *tensors, const char *path,
                             XvError *error)
{
    XvMetadata metadata[XV_PROGRAM_METADATA];
    xv_program_metadata(program, metadata);
    XvFileContent content = {tensors, program->n_parameters, metadata, XV_PROGRAM_METADATA};
    return xv_safetensors_write(path, &content, error);
}

static bool write_torch(const XvProgram *program, const XvTensor *tensors, int n_tensors, const char *path,
                        XvError *error)
{
    char *metadata = NULL;
    bool is_ready = asprintf(&metadata, "{\"config\": %s}", program->config) > 0;
    XvTorchContent content = {tensors, n_tensors, metadata};
    bool is_written = is_ready ? xv_torch_write(path, &content, error) : xv_fail(error, "no memory");
    free(is_ready ? metadata : NULL);
    return is_written;
}

// Bytes of a tensor, so that another may follow it in memory.
static size_t room_of(const XvTensor *tensor)
{
    return (xv_tensor_bytes(tensor) + 7) / 8 * 8;
}

// Describes the buffers that are written behind the others, without data; returns how many bytes they have.
static size_t add_buffers(const XvProgram *program, XvTensor *tensors, int *n_tensors)
{
    size_t bytes = 0;
    for (int i = 0; i < program->n_buffers; i++) {
        const XvBuffer *buffer = &program->buffers[i];
        if (buffer->fill != XV_FILL_NONE) {
            XvTensor *tensor = &tensors[(*n_tensors)++];
            *tensor = (XvTensor){.name = buffer->name, .dtype = buffer->dtype, .rank = buffer->rank};
            memcpy(tensor->shape, buffer->shape, sizeof tensor->shape);
            bytes += room_of(tensor);
        }
    }
    return bytes;
}

static bool save_torch(const XvProgram *program, XvTensor *tensors, const char *path, XvError *error)
{
    int n_tensors = program->n_parameters + program->n_aliases, at = n_tensors;
    char *values = malloc(add_buffers(program, tensors, &n_tensors) + 1), *to = values;
    if (!values) {
        return xv_fail(error, "no memory for buffers");
    }
    for (int i = 0; i < program->n_buffers; i++) {
        if (program->buffers[i].fill != XV_FILL_NONE) {
            tensors[at].data = to;
            xv_buffer_values(&program->buffers[i], to);
            to += room_of(&tensors[at++]);
        }
    }
    bool is_written = write_torch(program, tensors, n_tensors, path, error);
    free(values);
    return is_written;
}

bool xv_weights_save(const XvProgram *program, const float *parameters, const char *path, XvError *error)
{
    size_t n_most = (size_t)program->n_parameters + (size_t)program->n_aliases + (size_t)program->n_buffers;
    XvTensor *tensors = calloc(n_most + 1, sizeof *tensors);
    if (!tensors) {
        return xv_fail(error, "no memory");
    }
    for (int i = 0; i < program->n_parameters; i++) {
        tensors[i] = xv_parameter_tensor(program, i, parameters);
    }
    for (int i = 0; i < program->n_aliases; i++) {
        XvTensor *alias = &tensors[program->n_parameters + i];
        *alias = tensors[program->aliases[i].parameter];
        alias->name = program->aliases[i].name;
    }
    bool is_written = is_torch_name(path) ? save_torch(program, tensors, path, error)
                                          : save_safetensors(program, tensors, path, error);
    free(tensors);
    return is_written;
}
