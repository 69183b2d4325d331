// The command `bench`: the time of whole training steps (forward, backward, clipping, update) beside the machine's
// measured ceilings: matrix products at the best sgemm rate, bytes at the copy rate.
#include "runtime/base/format.h"
#include "runtime/checkpoint/weights.h"
#include "runtime/device/gemm.h"
#include "runtime/loop/command.h"
#include "runtime/loop/host.h"
#include "runtime/loop/optimizer.h"
#include "runtime/loop/queue.h"
#include "runtime/loop/ranks.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Bench {
    XvHost host;
    XvOptimizer optimizer;
    double *seconds;
    int64_t n_steps;
    double peak_flops;  // a second
    double bandwidth;   // bytes a second, read and write
} Bench;

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int64_t n)
{
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// Best of a few products of 1536^3: what the step's own library reaches on an easy shape.
static double measured_peak(void)
{
    enum { SIDE = 1536, ROUNDS = 4 };
    size_t count = (size_t)SIDE * SIDE;
    float *a = malloc(3 * count * sizeof *a);
    if (!a) {
        return 0;
    }
    for (size_t i = 0; i < 3 * count; i++) {
        a[i] = (float)(i % 7) - 3;
    }
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double start = xv_seconds();
        xv_gemm(&(XvGemm){.m = SIDE,
                          .n = SIDE,
                          .k = SIDE,
                          .alpha = 1,
                          .batch = 1,
                          .a = a,
                          .b = a + count,
                          .c = a + 2 * count,
                          .lda = SIDE,
                          .ldb = SIDE,
                          .ldc = SIDE});
        double rate = 2.0 * SIDE * SIDE * SIDE / (xv_seconds() - start);
        best = rate > best ? rate : best;
    }
    free(a);
    return best;
}

static double measured_bandwidth(void)
{
    enum { ROUNDS = 4 };
    const size_t count = (size_t)64 << 20;  // 256 MiB each: far larger than any cache
    float *from = malloc(count * sizeof *from);
    float *to = malloc(count * sizeof *to);
    double best = 0;
    if (from && to) {
        memset(from, 1, count * sizeof *from);
        memset(to, 1, count * sizeof *to);
        for (int round = 0; round < ROUNDS; round++) {
            double start = xv_seconds();
#pragma omp parallel for simd schedule(static)
            for (size_t i = 0; i < count; i++) {
                to[i] = from[i];
            }
            double rate = 2.0 * (double)count * sizeof *from / (xv_seconds() - start);
            best = rate > best ? rate : best;
        }
    }
    free(from);
    free(to);
    return best;
}

// The same of a device: products by its library, copies of its memory, each several times in a row and waited for once.
static void measure_device(Bench *bench)
{
    enum { SIDE = 4096, ROUNDS = 8 };
    XvDevice *device = &bench->host.device;
    const XvAsync *async = device->kind->async;
    const size_t count = (size_t)SIDE * SIDE, bytes = count * sizeof(float);
    XvError error = {{0}};
    char *memory = device->kind->allocate(device, 3 * bytes, &error);
    bool is_good = memory && device->kind->wait(device, &error), is_done = false;
    XvGemm gemm = {.m = SIDE,
                   .n = SIDE,
                   .k = SIDE,
                   .alpha = 1,
                   .batch = 1,
                   .a = (float *)(void *)memory,
                   .b = (float *)(void *)(memory + bytes),
                   .c = (float *)(void *)(memory + 2 * bytes),
                   .lda = SIDE,
                   .ldb = SIDE,
                   .ldc = SIDE};
    for (int what = 0; what < 2 && is_good; what++) {
        double start = 0;
        for (int round = -1; round < ROUNDS && is_good; round++) {
            is_good = what ? async->copy(device, memory, memory + bytes, bytes, &error)
                           : !device->kind->gemm || device->kind->gemm(device, &gemm, &is_done, &error);
            if (round < 0) {
                is_good = is_good && device->kind->wait(device, &error);
                start = xv_seconds();
            }
        }
        is_good = is_good && device->kind->wait(device, &error);
        double rate = ROUNDS / (xv_seconds() - start);
        bench->peak_flops = what ? bench->peak_flops : is_done ? rate * 2.0 * SIDE * SIDE * SIDE : 0;
        bench->bandwidth = rate * 2.0 * (double)bytes;
    }
    device->kind->release(device, memory);
    if (!is_good) {
        xv_device_fail(device, &error);
    }
}

static void measure_ceilings(Bench *bench)
{
    if (bench->host.mirror) {
        measure_device(bench);
    } else {
        bench->peak_flops = measured_peak();
        bench->bandwidth = measured_bandwidth();
    }
}

// Inputs that any program accepts: small indices, masks of ones, pictures of moderate values.
static void fill(XvHost *host, const XvGraph *graph)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        XvTensor tensor = xv_host_tensor(host, &graph->inputs[i]);
        int64_t count = xv_tensor_count(&tensor);
        for (int64_t j = 0; j < count; j++) {
            if (tensor.dtype == XV_F32) {
                ((float *)tensor.data)[j] =
                    (float)(j * 2654435761u % 1000) * 0.002f - 1 + (tensor.rank == 2 ? 1.25f : 0);
            } else {
                bool is_identity =
                    strcmp(tensor.name, "idx") == 0;  // all different, so that there are negatives
                ((int32_t *)tensor.data)[j] = is_identity ? (int32_t)j : strcmp(tensor.name, "is_image") != 0;
            }
        }
    }
}

// The training step of a training entry, the evaluation batch of another.
static const XvGraph *timed_graph(const XvEntry *entry)
{
    return entry->train.run ? &entry->train : &entry->observe;
}

static void run_step(Bench *bench, const XvEntry *entry, int64_t step)
{
    bool is_training = entry->train.run != NULL;
    const XvGraph *graph = timed_graph(entry);
    xv_host_clamp(&bench->host);
    bench->host.loss_scale = xv_loss_factor(bench->optimizer.scaler);
    XvDrawMoment moment = {.seed = 42, .step = step, .is_keep_on = is_training};
    xv_host_set_draws(&bench->host, entry, graph, &moment);
    fill(&bench->host, graph);
    double start = xv_seconds();
    xv_host_run(&bench->host, graph);
    if (is_training) {
        xv_optimizer_step(&bench->optimizer, &bench->host, entry);
        bench->optimizer.position++;
    }
    if (step >= 0) {
        bench->seconds[step] = xv_seconds() - start;
    }
}

static void take_queued(Bench *bench, XvQueue *queue)
{
    bench->optimizer.scaler = xv_queue_pop(queue).scaler;
}

// Steps as training on a device makes them: queued, none waited for before the last. Each counts as an equal share of
// the time between the end of the first step, which is not timed, and the end of the last.
static bool run_queued(Bench *bench, XvQueue *queue, const XvEntry *entry, XvError *error)
{
    enum { MOST_INPUTS = 64 };
    XvTensor tensors[MOST_INPUTS];
    XvHost *host = &bench->host;
    if (entry->train.n_inputs > MOST_INPUTS) {
        return xv_fail(error, "%d inputs; at most %d", entry->train.n_inputs, MOST_INPUTS);
    }
    fill(host, &entry->train);
    for (int i = 0; i < entry->train.n_inputs; i++) {
        tensors[i] = xv_host_tensor(host, &entry->train.inputs[i]);
    }
    double start = 0;
    for (int64_t step = -1; step < bench->n_steps; step++) {
        xv_host_set_draws(host, entry, &entry->train, &(XvDrawMoment){42, step, true});
        XvQueueStep next = {.entry = (int)(entry - host->program->entries),
                            .step = step,
                            .tensors = tensors,
                            .n_tensors = entry->train.n_inputs,
                            .rates = xv_optimizer_rates(&bench->optimizer),
                            .scaler = bench->optimizer.scaler,
                            .clip = bench->optimizer.clip};
        if (xv_queue_count(queue) == XV_QUEUE_STEPS) {
            take_queued(bench, queue);
        }
        if (!xv_queue_push(queue, &next, error)) {
            return false;
        }
        bench->optimizer.position++;
        if (step < 0) {
            take_queued(bench, queue);
            start = xv_seconds();
        }
    }
    while (xv_queue_count(queue) > 0) {
        take_queued(bench, queue);
    }
    for (int64_t step = 0; step < bench->n_steps; step++) {
        bench->seconds[step] = (xv_seconds() - start) / (double)bench->n_steps;
    }
    return true;
}

static bool run_steps(Bench *bench, const XvEntry *entry, XvError *error)
{
    XvQueue *queue = NULL;
    if (entry->train.run && !xv_queue_open(&queue, &bench->host, error)) {
        return false;
    }
    bool is_done = !queue || run_queued(bench, queue, entry, error);
    for (int64_t step = -1; step < bench->n_steps && !queue; step++) {
        run_step(bench, entry, step);
    }
    xv_queue_close(queue);
    return is_done;
}

// Samples of a step: the rows of the first integer input, else of the first input.
static int64_t pairs_of(const XvGraph *graph)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        if (graph->inputs[i].dtype == XV_I32 && graph->inputs[i].rank > 0) {
            return graph->inputs[i].shape[0];
        }
    }
    return graph->n_inputs > 0 && graph->inputs[0].rank > 0 ? graph->inputs[0].shape[0] : 1;
}

static double peak_memory(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    double kilobytes = 0;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmHWM: %lf kB", &kilobytes) == 1) {
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    return kilobytes * 1024;
}

static void report(Bench *bench, const XvEntry *entry, bool is_json)
{
    const XvGraph *graph = timed_graph(entry);
    double seconds = median(bench->seconds, bench->n_steps);
    int64_t pairs = pairs_of(graph) * xv_comm_world(bench->host.comm);
    double optimizer_bytes = entry->train.run ? 28.0 * (double)xv_parameter_elements(bench->host.program) : 0;
    double bytes = graph->bytes + optimizer_bytes;
    double flop_floor = bench->peak_flops > 0 ? graph->matmul_flops / bench->peak_flops : 0;
    double byte_floor = bench->bandwidth > 0 ? bytes / bench->bandwidth : 0;
    double floor = flop_floor > byte_floor ? flop_floor : byte_floor;
    if (!is_json) {
        char memory[XV_FORMAT_SIZE];
        printf("%s/%s %s: %.3f s a step of %lld pairs, %.1f pairs/s, %.1f GFLOP/s\n",
               bench->host.program->model, bench->host.program->task, entry->name, seconds, (long long)pairs,
               (double)pairs / seconds, graph->matmul_flops / seconds * 1e-9);
        printf(
            "floors: products %.3f s at %.1f GFLOP/s, bytes %.3f s at %.1f GB/s; ratio to the larger %.2f; memory %s\n",
            flop_floor, bench->peak_flops * 1e-9, byte_floor, bench->bandwidth * 1e-9,
            floor > 0 ? seconds / floor : 0, xv_format_bytes(memory, peak_memory()));
        return;
    }
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "entry", entry->name);
    cJSON_AddNumberToObject(object, "seconds", seconds);
    cJSON_AddNumberToObject(object, "pairs", (double)pairs);
    cJSON_AddNumberToObject(object, "pairs_per_second", (double)pairs / seconds);
    cJSON_AddNumberToObject(object, "matmul_flops", graph->matmul_flops);
    cJSON_AddNumberToObject(object, "flops_per_second", graph->matmul_flops / seconds);
    cJSON_AddNumberToObject(object, "bytes", bytes);
    cJSON_AddNumberToObject(object, "peak_flops_per_second", bench->peak_flops);
    cJSON_AddNumberToObject(object, "bytes_per_second", bench->bandwidth);
    cJSON_AddNumberToObject(object, "flop_floor_seconds", flop_floor);
    cJSON_AddNumberToObject(object, "byte_floor_seconds", byte_floor);
    cJSON_AddNumberToObject(object, "ratio_to_floor", floor > 0 ? seconds / floor : 0);
    cJSON_AddNumberToObject(object, "peak_memory_bytes", peak_memory());
    cJSON *steps = cJSON_AddArrayToObject(object, "step_seconds");
    for (int64_t i = 0; i < bench->n_steps; i++) {
        cJSON_AddItemToArray(steps, cJSON_CreateNumber(bench->seconds[i]));
    }
    char *text = cJSON_Print(object);
    puts(text ? text : "{}");
    free(text);
    cJSON_Delete(object);
}

int xv_command_bench(const XvCommand *command)
{
    int64_t steps = 5;
    bool is_json = false, is_alone = false;
    const char *name = NULL;
    const XvOption table[] = {
        {"--steps", "N", XV_OPTION_INTEGER, &steps, 1, 100000, "steps timed, after one that is not (5)"},
        {"--entry", "NAME", XV_OPTION_TEXT, &name, 0, 0, "entry point (the main one)"},
        {"--steps-only", NULL, XV_OPTION_FLAG, &is_alone, 0, 0, "do not measure the machine's ceilings"},
        {"--json", NULL, XV_OPTION_FLAG, &is_json, 0, 0, "machine-readable"},
    };
    XvOptionTable options = {
        "[--steps N] [--entry NAME] [--steps-only] [--json]",
        "Times training steps (or evaluation batches of --entry) with made-up inputs beside the machine's ceilings.",
        table, 4};
    int status;
    if (!xv_command_options(command, &options, &status)) {
        return status;
    }
    XvError error = {{0}};
    const XvEntry *entry = xv_entry_by_name(command->program, name, &error);
    if (!entry) {
        return xv_command_fail(command, XV_EXIT_USAGE, &error);
    }
    Bench bench = {
        .n_steps = steps,
        .optimizer = {.schedule = {0, 1000000}, .lr = 1e-5, .lr_mult = 2, .weight_decay = 0.01, .clip = 1}};
    bench.optimizer.scaler.loss_scale = xv_first_loss_scale(command->program);
    bench.seconds = calloc((size_t)steps, sizeof *bench.seconds);
    XvEntrySet entries = (XvEntrySet)1 << (entry - command->program->entries);
    bool is_ready =
        bench.seconds && xv_host_create(&bench.host, command->program,
                                        entry->train.run ? XV_HOST_TRAIN : XV_HOST_OBSERVE, entries, &error);
    is_ready =
        xv_comm_agree(command->comm, is_ready, &error) && xv_host_join(&bench.host, command->comm, &error);
    if (is_ready) {
        if (!is_alone) {
            measure_ceilings(&bench);
        }
        xv_weights_init(command->program, 42, xv_host_parameters(&bench.host));
        is_ready = run_steps(&bench, entry, &error);
        if (is_ready) {
            report(&bench, entry, is_json);
        }
    }
    xv_host_free(&bench.host);
    free(bench.seconds);
    return is_ready ? XV_EXIT_OK : xv_command_fail(command, XV_EXIT_FAILED, &error);
}
