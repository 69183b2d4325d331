// Regions, draws and runs; see host.h.
#include "runtime/loop/host.h"

#include "runtime/base/format.h"
#include "runtime/base/random.h"
#include "runtime/checkpoint/weights.h"
#include "runtime/cuda/update.h"
#include "runtime/loop/mirror.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PURPOSE_RANK = 0x4A4C };

bool xv_is_training(const XvEntry *entry)
{
    return entry->train.run != NULL && entry->probability > 0.0;
}

size_t xv_arena_bytes(const XvProgram *program, XvHostUse use, XvEntrySet entries)
{
    size_t bytes = 0;
    for (int i = 0; i < program->n_entries; i++) {
        const XvEntry *entry = &program->entries[i];
        if (!(entries >> i & 1)) {
            continue;
        }
        bytes = entry->observe.arena_bytes > bytes ? entry->observe.arena_bytes : bytes;
        if (use == XV_HOST_TRAIN) {
            bytes = entry->train.arena_bytes > bytes ? entry->train.arena_bytes : bytes;
        }
    }
    return bytes;
}

static void warn_of_size(const XvHost *host)
{
    double needed = (double)host->arena.bytes + (double)host->parameters.bytes +
                    (double)host->gradients.bytes + (double)host->moment1.bytes +
                    (double)host->moment2.bytes + (host->copies ? (double)host->copies->region.bytes : 0.0);
    double there = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (needed > there) {
        char a[XV_FORMAT_SIZE], b[XV_FORMAT_SIZE];
        fprintf(
            stderr,
            "warning: the program needs %s, this machine has %s: expect swapping or an early end; compile "
            "with a smaller batch\n",
            xv_format_bytes(a, needed), xv_format_bytes(b, there));
    }
}

static size_t most_draws(const XvProgram *program)
{
    int most = 0;
    for (int i = 0; i < program->n_entries; i++) {
        const XvEntry *entry = &program->entries[i];
        most = entry->train.n_draws > most ? entry->train.n_draws : most;
        most = entry->observe.n_draws > most ? entry->observe.n_draws : most;
    }
    return (size_t)most + 1;
}

static bool create_draws(XvHost *host, XvError *error)
{
    host->draws = calloc(most_draws(host->program), sizeof *host->draws);
    return host->draws || xv_fail(error, "no memory");
}

bool xv_host_create(XvHost *host, const XvProgram *program, XvHostUse use, XvEntrySet entries, XvError *error)
{
    *host = (XvHost){.program = program, .loss_scale = 1};
    size_t bytes = (size_t)program->parameter_count * sizeof(float);
    bool is_created =
        xv_region_create(&host->parameters, bytes, "the parameters", error) &&
        xv_region_create(&host->arena, xv_arena_bytes(program, use, entries), "the arena", error) &&
        xv_copies_create(&host->copies, program, error) && create_draws(host, error);
    if (is_created && use == XV_HOST_TRAIN) {
        is_created = xv_region_create(&host->gradients, bytes, "the gradients", error) &&
                     xv_region_create(&host->moment1, bytes, "the first moments", error) &&
                     xv_region_create(&host->moment2, bytes, "the second moments", error);
    }
    if (is_created && program->cuda) {
        is_created = xv_device_open(&host->device, getenv("XV_DEVICE"), program->cuda, error);
    }
    if (is_created && program->cuda && !host->device.kind->is_host_memory) {
        host->mirror = xv_mirror_create(host, most_draws(program), NULL, error);
        is_created = host->mirror != NULL;
    }
    if (!is_created) {
        xv_host_free(host);
        return false;
    }
    if (!host->mirror) {
        warn_of_size(host);  // else it is the device that needs it
    }
    return true;
}

bool xv_host_join(XvHost *host, XvComm *comm, XvError *error)
{
    host->comm = comm;
    return !host->device.kind || xv_device_join(&host->device, comm, error);
}

void xv_host_free(XvHost *host)
{
    xv_mirror_free(host);
    xv_device_close(&host->device);
    xv_region_free(&host->parameters);
    xv_region_free(&host->gradients);
    xv_region_free(&host->moment1);
    xv_region_free(&host->moment2);
    xv_region_free(&host->arena);
    xv_copies_free(host->copies);
    host->copies = NULL;
    free(host->draws);
    host->draws = NULL;
}

static float *part_to_read(const XvHost *host, XvPart part, const XvRegion *region)
{
    xv_mirror_to_host(host, part);
    return region->data;
}

static float *part_of(const XvHost *host, XvPart part, const XvRegion *region)
{
    float *data = part_to_read(host, part, region);
    xv_mirror_changed_on_host(host, part);
    return data;
}

float *xv_host_parameters(const XvHost *host)
{
    if (host->copies) {
        host->copies->are_old = true;
    }
    return part_of(host, XV_PART_PARAMETERS, &host->parameters);
}

const float *xv_host_read_parameters(const XvHost *host)
{
    return part_to_read(host, XV_PART_PARAMETERS, &host->parameters);
}

float *xv_host_gradients(const XvHost *host)
{
    return part_of(host, XV_PART_GRADIENTS, &host->gradients);
}

const float *xv_host_read_gradients(const XvHost *host)
{
    return part_to_read(host, XV_PART_GRADIENTS, &host->gradients);
}

float *xv_host_moment1(const XvHost *host)
{
    return part_of(host, XV_PART_MOMENT1, &host->moment1);
}

const float *xv_host_read_moment1(const XvHost *host)
{
    return part_to_read(host, XV_PART_MOMENT1, &host->moment1);
}

float *xv_host_moment2(const XvHost *host)
{
    return part_of(host, XV_PART_MOMENT2, &host->moment2);
}

const float *xv_host_read_moment2(const XvHost *host)
{
    return part_to_read(host, XV_PART_MOMENT2, &host->moment2);
}

void xv_host_fetch_state(const XvHost *host)
{
    xv_mirror_to_host(host, XV_PART_PARAMETERS | XV_PART_MOMENT1 | XV_PART_MOMENT2);
}

void xv_host_clamp(XvHost *host)
{
    if (!host->mirror) {
        xv_weights_clamp(host->program, host->parameters.data);
        return;  // no parameter has both a clamp and a copy: products do not read scalars
    }
    xv_mirror_to_device(host, XV_PART_PARAMETERS, XV_PART_PARAMETERS);
    xv_device_clamp(&host->device, host->program, host->mirror->parameters);
}

uint64_t xv_rank_seed(const XvComm *comm, uint64_t seed)
{
    int rank = xv_comm_rank(comm);
    return rank == 0 ? seed : xv_key(xv_key(seed, PURPOSE_RANK), (uint64_t)rank);
}

void xv_host_set_draws(XvHost *host, const XvEntry *entry, const XvGraph *graph, const XvDrawMoment *moment)
{
    uint64_t seed = xv_rank_seed(host->comm, moment->seed);
    uint64_t key = xv_key(xv_key(seed, (uint64_t)moment->step), xv_text_hash(entry->name));
    for (int i = 0; i < graph->n_draws; i++) {
        const XvDrawInfo *info = &graph->draws[i];
        bool is_on = info->kind == XV_DRAW_KEEP && moment->is_keep_on;
        double threshold = fmin(info->rate * 0x1p32, 4294967295.0);
        host->draws[i] = (XvDraw){
            .key = xv_key(key, xv_text_hash(info->name)),
            .threshold = is_on ? (uint32_t)threshold : 0,
            .scale = is_on ? (float)(1.0 / (1.0 - info->rate)) : 1.0f,
        };
        if (info->kind == XV_DRAW_SCALE) {
            host->draws[i].scale = host->loss_scale;
        }
    }
}

int64_t xv_value_count(const XvValue *value)
{
    int64_t count = 1;
    for (int i = 0; i < value->rank; i++) {
        count *= value->shape[i];
    }
    return count;
}

size_t xv_value_bytes(const XvValue *value)
{
    return (size_t)xv_value_count(value) * xv_dtype_size(value->dtype);
}

XvTensor xv_host_tensor(const XvHost *host, const XvValue *value)
{
    XvTensor tensor = {.name = value->name,
                       .dtype = value->dtype,
                       .rank = value->rank,
                       .data = (char *)host->arena.data + value->offset};
    memcpy(tensor.shape, value->shape, sizeof tensor.shape);
    return tensor;
}

static const XvTensor *find_tensor(const XvTensor *tensors, int n_tensors, const char *name)
{
    for (int i = 0; i < n_tensors; i++) {
        if (strcmp(tensors[i].name, name) == 0) {
            return &tensors[i];
        }
    }
    return NULL;
}

bool xv_host_fill(XvHost *host, const XvGraph *graph, const XvTensor *tensors, int n_tensors, XvError *error)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        const XvValue *input = &graph->inputs[i];
        const XvTensor *tensor = find_tensor(tensors, n_tensors, input->name);
        if (!tensor) {
            return xv_fail(error, "the batch has no \"%s\"", input->name);
        }
        if (tensor->dtype != input->dtype || tensor->rank != input->rank ||
            memcmp(tensor->shape, input->shape, (size_t)input->rank * sizeof input->shape[0]) != 0) {
            return xv_fail(error, "\"%s\" of the batch is not what the program was compiled for",
                           input->name);
        }
        memcpy((char *)host->arena.data + input->offset, tensor->data, xv_tensor_bytes(tensor));
    }
    return true;
}

void xv_host_run(XvHost *host, const XvGraph *graph)
{
    xv_host_run_partly(host, graph, NULL);
}

void xv_host_run_partly(XvHost *host, const XvGraph *graph, const XvTransfers *transfers)
{
    if (host->mirror) {
        xv_mirror_run_graph(host, graph, transfers);
        return;
    }
    xv_copies_refresh(host->copies, host->program, host->parameters.data);
    XvRun run = {.parameters = host->parameters.data,
                 .copies = host->copies ? host->copies->region.data : NULL,
                 .gradients = host->gradients.data,
                 .arena = host->arena.data,
                 .draws = host->draws,
                 .comm = host->comm,
                 .is_local = host->is_local,
                 .device = &host->device};
    graph->run(&run);
    if (host->device.kind) {
        xv_device_finish(&host->device);
    }
}

static const XvValue *find_value(const XvValue *values, int n_values, const char *name)
{
    for (int i = 0; i < n_values; i++) {
        if (strcmp(values[i].name, name) == 0) {
            return &values[i];
        }
    }
    return NULL;
}

const XvValue *xv_graph_input(const XvGraph *graph, const char *name)
{
    return find_value(graph->inputs, graph->n_inputs, name);
}

const XvValue *xv_graph_output(const XvGraph *graph, const char *name)
{
    return find_value(graph->outputs, graph->n_outputs, name);
}

double xv_host_scalar(const XvHost *host, const XvGraph *graph, const char *name)
{
    const XvValue *value = xv_graph_output(graph, name);
    if (!value || value->dtype != XV_F32) {
        return NAN;
    }
    float scalar;
    memcpy(&scalar, (const char *)host->arena.data + value->offset, sizeof scalar);
    return (double)scalar;
}
