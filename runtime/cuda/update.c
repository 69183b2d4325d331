// The optimizer step on a device; see update.h. Parameters are cut into pieces once for every set of parameters that
// have gradients; the tables stay on the device.
#include "runtime/cuda/update.h"

#include "runtime/cuda/tasks.h"

#include <math.h>
#include <stdlib.h>

// Device memory for the updates of one entry point.
typedef struct UpdateTable {
    const uint8_t *has_gradient;
    void *pieces, *squares;
    int64_t n_pieces;
} UpdateTable;

struct XvUpdateTables {
    UpdateTable *tables;
    int n_tables;
    XvRates *rates;
    XvUpdateState *state;
};

static XvPiece *cut(const XvProgram *program, const uint8_t *has_gradient, int64_t *n_pieces)
{
    int64_t count = 0;
    for (int i = 0; i < program->n_parameters; i++) {
        count += has_gradient[i] ? (program->parameters[i].count + XV_PIECE - 1) / XV_PIECE : 0;
    }
    XvPiece *pieces = calloc((size_t)count + 1, sizeof *pieces);
    *n_pieces = 0;
    for (int i = 0; pieces && i < program->n_parameters; i++) {
        const XvParameter *parameter = &program->parameters[i];
        for (int64_t at = 0; has_gradient[i] && at < parameter->count; at += XV_PIECE) {
            int64_t left = parameter->count - at;
            pieces[(*n_pieces)++] = (XvPiece){.first = parameter->offset + at,
                                              .count = (int32_t)(left < XV_PIECE ? left : XV_PIECE),
                                              .is_fresh = parameter->is_fresh,
                                              .has_decay = parameter->has_decay,
                                              .has_copy = parameter->has_copy};
        }
    }
    return pieces;
}

static bool fill_table(XvDevice *device, UpdateTable *table, const XvDeviceUpdate *update, XvError *error)
{
    XvPiece *pieces = cut(update->program, update->has_gradient, &table->n_pieces);
    if (!pieces) {
        return xv_fail(error, "no memory");
    }
    size_t bytes = (size_t)table->n_pieces * sizeof *pieces;
    table->has_gradient = update->has_gradient;
    table->pieces = device->kind->allocate(device, bytes, error);
    if (table->pieces) {
        table->squares = device->kind->allocate(device, (size_t)table->n_pieces * sizeof(double), error);
    }
    bool is_good = table->squares && device->kind->write(device, table->pieces, pieces, bytes, error);
    free(pieces);
    return is_good;
}

static XvUpdateTables *tables_of(XvDevice *device, XvError *error)
{
    if (!device->tables) {
        device->tables = calloc(1, sizeof *device->tables);
        if (!device->tables) {
            xv_fail(error, "no memory");
            return NULL;
        }
    }
    XvUpdateTables *tables = device->tables;
    if (!tables->rates) {
        tables->rates = device->kind->allocate(device, sizeof *tables->rates, error);
    }
    if (tables->rates && !tables->state) {
        tables->state = device->kind->allocate(device, sizeof *tables->state, error);
    }
    return tables->state ? tables : NULL;
}

static const UpdateTable *table_of(XvDevice *device, const XvDeviceUpdate *update, XvError *error)
{
    XvUpdateTables *tables = tables_of(device, error);
    for (int i = 0; tables && i < tables->n_tables; i++) {
        if (tables->tables[i].has_gradient == update->has_gradient) {
            return &tables->tables[i];
        }
    }
    UpdateTable *grown =
        tables ? realloc(tables->tables, ((size_t)tables->n_tables + 1) * sizeof *grown) : NULL;
    if (!grown) {
        return NULL;
    }
    tables->tables = grown;
    UpdateTable *table = &grown[tables->n_tables++];
    *table = (UpdateTable){0};
    return fill_table(device, table, update, error) ? table : NULL;
}

void xv_update_tables_free(XvDevice *device)
{
    XvUpdateTables *tables = device->tables;
    for (int i = 0; tables && i < tables->n_tables; i++) {
        device->kind->release(device, tables->tables[i].pieces);
        device->kind->release(device, tables->tables[i].squares);
    }
    if (tables) {
        device->kind->release(device, tables->rates);
        device->kind->release(device, tables->state);
        free(tables->tables);
    }
    free(tables);
    device->tables = NULL;
}

static void launch(XvDevice *device, XvLibraryKernel kernel, int64_t blocks, XvUpdateTask *task)
{
    void *arguments[] = {task};
    XvKernelLaunch request = {.kernel = (int)kernel,
                              .grid = {(uint32_t)blocks, 1, 1},
                              .threads = XV_UPDATE_THREADS,
                              .arguments = arguments};
    xv_device_launch(device, &request);
}

void xv_device_clamp(XvDevice *device, const XvProgram *program, float *parameters)
{
    device->place = "clamp";
    for (int i = 0; i < program->n_parameters; i++) {
        const XvParameter *parameter = &program->parameters[i];
        XvClampTask task = {.values = {parameters + parameter->offset, parameter->count},
                            .low = (float)parameter->clamp_low,
                            .high = (float)parameter->clamp_high};
        XvKernelLaunch request = {
            .kernel = XV_KERNEL_CLAMP,
            .grid = {(uint32_t)((parameter->count + XV_UPDATE_THREADS - 1) / XV_UPDATE_THREADS), 1, 1},
            .threads = XV_UPDATE_THREADS,
            .arguments = (void *[]){&task}};
        if (parameter->has_clamp) {
            xv_device_launch(device, &request);
        }
    }
}

bool xv_device_update_prepare(XvDevice *device, const XvDeviceUpdate *update, XvError *error)
{
    return table_of(device, update, error) || (error->text[0] == 0 && xv_fail(error, "no memory"));
}

XvRates *xv_device_rates(const XvDevice *device)
{
    return device->tables->rates;
}

XvScaler *xv_device_scaler(const XvDevice *device)
{
    return &device->tables->state->scaler;
}

void *xv_device_update_state(const XvDevice *device)
{
    return device->tables->state;
}

void xv_device_update_launch(XvDevice *device, const XvDeviceUpdate *update)
{
    device->place = "update";
    XvError error = {{0}};
    const UpdateTable *table = table_of(device, update, &error);
    XvUpdateTables *tables = device->tables;
    const XvCudaProgram *cuda = device->program;
    int64_t count = update->program->parameter_count;
    XvUpdateTask task = {
        .parameters = {update->parameters, count},
        .copies = {update->copies, update->copies ? count : 0},
        .gradients = {update->gradients, count},
        .moment1 = {update->moment1, count},
        .moment2 = {update->moment2, count},
        .pieces = {table->pieces, table->n_pieces},
        .squares = {table->squares, table->n_pieces},
        .rates = {tables->rates, 1},
        .state = {tables->state, 1},
        .losses = {update->losses, update->n_losses},
        .clip = update->clip,
        .beta1 = cuda->beta1,
        .beta2 = cuda->beta2,
        .epsilon = (float)cuda->epsilon,
        .is_f16 = update->program->copy_type == XV_F16,
    };
    launch(device, XV_KERNEL_UPDATE_SQUARES, table->n_pieces, &task);
    launch(device, XV_KERNEL_UPDATE_NORM, 1, &task);
    launch(device, XV_KERNEL_UPDATE_ADAMW, table->n_pieces, &task);
}

double xv_device_update(XvDevice *device, const XvDeviceUpdate *update, XvScaler *scaler)
{
    const XvDeviceKind *kind = device->kind;
    XvError error = {{0}};
    XvUpdateState state;
    xv_device_must(
        device,
        xv_device_update_prepare(device, update, &error) &&
            kind->write(device, xv_device_rates(device), &update->rates, sizeof update->rates, &error) &&
            kind->write(device, xv_device_scaler(device), scaler, sizeof *scaler, &error),
        &error);
    xv_device_update_launch(device, update);
    xv_device_finish(device);
    xv_device_must(device, kind->read(device, &state, device->tables->state, sizeof state, &error), &error);
    *scaler = state.scaler;
    return state.norm;
}
