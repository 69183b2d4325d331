// The command `replay`: runs entry points on exactly the tensors of a file and writes every named output, every
// gradient and, if asked, the parameters after some optimizer steps, under official names. Comparing with another
// implementation starts here.
//
// Dropout and stochastic depth are off unless their masks are in the file; samples (hard negatives) are taken from it
// where it has them and drawn otherwise. Outputs come from the observe graph, gradients from the train graph; the
// losses of both must agree. Decoders whose prompt is in the file run first: entry points may read what they found.
//
// With several ranks each runs on the tensors called `rank<R>.NAME`, or NAME where all are given the same; rank 0
// writes the outputs of all under such names, the gradients of each rank as `rank<R>.local_grad.NAME` beside them, and
// the mean of these as the gradients.
#include "runtime/base/format.h"
#include "runtime/checkpoint/weights.h"
#include "runtime/loop/command.h"
#include "runtime/loop/host.h"
#include "runtime/loop/optimizer.h"
#include "runtime/loop/ranks.h"
#include "runtime/loop/replay_decode.h"
#include "runtime/loop/replay_ranking.h"
#include "runtime/loop/replay_ranks.h"
#include "runtime/loop/replay_results.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct ReplayOptions {
    const char *weights, *inputs, *outputs, *grads, *after, *curve, *entry, *kernels;
    int64_t steps, seed;
    double lr, weight_decay, lr_mult, warmup, total, clip;
    double loss_scale;  // 0: not given
    bool trace, no_trace, partial;
} ReplayOptions;

typedef struct Replay {
    const XvCommand *command;
    ReplayOptions options;
    XvHost host;
    XvSafetensors inputs;
    void **owned;  // buffers of given draws, freed at the end
    int n_owned;
    XvDecoded *decoded;   // one per decoder of the program
    XvEntrySet decoders;  // those that run
    XvResults results;
    cJSON *curve;
} Replay;

static bool is_first(const Replay *replay)
{
    return xv_comm_rank(replay->command->comm) == 0;
}

// Inputs and draws ------------------------------------------------------------------------------------------------

static bool same_shape(const XvStored *stored, const XvValue *value)
{
    return stored->rank == value->rank &&
           memcmp(stored->shape, value->shape, (size_t)value->rank * sizeof *value->shape) == 0;
}

// The decoder that finds a value which the file does not hold, if its prompt is there; else -1.
static int decoder_of(const Replay *replay, const XvValue *value)
{
    const XvProgram *program = replay->command->program;
    int decoder = xv_decoder_of_input(program, value);
    return decoder >= 0 && xv_decoder_fits(program, &program->decoders[decoder], &replay->inputs) ? decoder
                                                                                                  : -1;
}

// Copies a value that a decoder has found; false when none has.
static bool fill_decoded(const Replay *replay, const XvValue *value)
{
    XvTensor tensor = xv_host_tensor(&replay->host, value);
    for (int i = 0; i < replay->command->program->n_decoders * XV_DECODED_PARTS; i++) {
        const XvTensor *found = &replay->decoded[i / XV_DECODED_PARTS].tensors[i % XV_DECODED_PARTS];
        if (found->data && strcmp(found->name, value->name) == 0 && found->rank == value->rank &&
            memcmp(found->shape, value->shape, (size_t)value->rank * sizeof *value->shape) == 0) {
            memcpy(tensor.data, found->data, xv_tensor_bytes(found));
            return true;
        }
    }
    return false;
}

// Whether the file holds all inputs of the entry in the compiled shapes; `error` says what does not fit.
static bool fits(const Replay *replay, const XvEntry *entry, XvError *error)
{
    for (int i = 0; i < entry->observe.n_inputs; i++) {
        const XvValue *value = &entry->observe.inputs[i];
        const XvStored *stored = xv_safetensors_find(&replay->inputs, value->name);
        if (!stored && decoder_of(replay, value) >= 0) {
            continue;
        }
        if (!stored) {
            return xv_fail(error, "entry '%s' needs '%s', which the file does not hold", entry->name,
                           value->name);
        }
        if (!same_shape(stored, value)) {
            char has[XV_SHAPE_TEXT];
            char needs[XV_SHAPE_TEXT];
            return xv_fail(error, "'%s' is %s in the file and %s in this program; compile with --shapes %s",
                           value->name, xv_shape_text(has, stored->rank, stored->shape),
                           xv_shape_text(needs, value->rank, value->shape), replay->options.inputs);
        }
    }
    return true;
}

static bool fill_inputs(Replay *replay, const XvGraph *graph, XvError *error)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        const XvStored *stored = xv_safetensors_find(&replay->inputs, graph->inputs[i].name);
        XvTensor tensor = xv_host_tensor(&replay->host, &graph->inputs[i]);
        if (!stored) {
            if (!fill_decoded(replay, &graph->inputs[i])) {
                return xv_fail(error, "nothing gives '%s'", graph->inputs[i].name);
            }
            continue;
        }
        bool is_read = tensor.dtype == XV_F32
                           ? xv_safetensors_read_f32(&replay->inputs, stored, tensor.data, error)
                           : xv_safetensors_read_i32(&replay->inputs, stored, tensor.data, error);
        if (!is_read) {
            return false;
        }
    }
    return true;
}

static void *owned_buffer(Replay *replay, size_t bytes)
{
    void *buffer = malloc(bytes ? bytes : 1);
    void **grown = realloc(replay->owned, ((size_t)replay->n_owned + 1) * sizeof *grown);
    if (!buffer || !grown) {
        free(buffer);
        return NULL;
    }
    replay->owned = grown;
    replay->owned[replay->n_owned++] = buffer;
    return buffer;
}

static bool give_draw(Replay *replay, const XvDrawInfo *info, XvDraw *draw, XvError *error)
{
    const XvStored *stored = xv_safetensors_find(&replay->inputs, info->name);
    if (!stored) {
        return true;
    }
    int64_t count = 1;
    for (int i = 0; i < info->rank; i++) {
        count *= info->shape[i];
    }
    if (stored->count != count) {
        return xv_fail(error, "draw '%s' has %" PRId64 " elements in the file and %" PRId64 " here",
                       info->name, stored->count, count);
    }
    void *buffer = owned_buffer(replay, (size_t)count * 4);
    if (!buffer) {
        return xv_fail(error, "out of memory");
    }
    if (info->kind == XV_DRAW_SAMPLE) {
        draw->given_index = buffer;
        return xv_safetensors_read_i32(&replay->inputs, stored, buffer, error);
    }
    draw->given_mask = buffer;
    draw->scale = (float)(1 / (1 - info->rate));
    return xv_safetensors_read_f32(&replay->inputs, stored, buffer, error);
}

static bool run_graph(Replay *replay, const XvEntry *entry, const XvGraph *graph, XvError *error)
{
    XvDrawMoment moment = {.seed = (uint64_t)replay->options.seed, .step = 0, .is_keep_on = false};
    xv_host_set_draws(&replay->host, entry, graph, &moment);
    for (int i = 0; i < graph->n_draws; i++) {
        if (!give_draw(replay, &graph->draws[i], &replay->host.draws[i], error)) {
            return false;
        }
    }
    if (!fill_inputs(replay, graph, error)) {
        return false;
    }
    xv_host_run(&replay->host, graph);
    return true;
}

// Results ---------------------------------------------------------------------------------------------------------

// An entry's outputs replace nothing that an earlier entry gave.
static bool keep_outputs(Replay *replay, const XvGraph *graph, XvError *error)
{
    for (int i = 0; i < graph->n_outputs; i++) {
        XvTensor tensor = xv_host_tensor(&replay->host, &graph->outputs[i]);
        bool is_trace = strncmp(tensor.name, "trace.", 6) == 0;
        if (!(is_trace && replay->options.no_trace) && !xv_results_add(&replay->results, &tensor, error)) {
            return false;
        }
    }
    return true;
}

// Two-stage retrieval, where the program has it and the file its inputs.
static bool rank_pairs(Replay *replay, XvError *error)
{
    bool is_wanted =
        !replay->options.entry && xv_replay_ranking_entries(replay->command->program, &replay->inputs);
    if (xv_ranks_any(replay->command->comm, !is_wanted)) {
        return true;
    }
    XvReplayRanking ranking;
    bool is_done = xv_replay_ranking(&replay->host, &replay->inputs, &ranking, error);
    for (int i = 0; i < XV_RANKING_TENSORS && is_done; i++) {
        is_done = xv_results_add(&replay->results, &ranking.tensors[i], error);
    }
    xv_replay_ranking_free(&ranking);
    return is_done;
}

// How far the two graphs of an entry may be apart: they sum in different orders, and where results are rounded a sum
// that differs in its last bit may be rounded the other way, layer after layer. The official model in bf16 on pictures
// that differ by 1e-6 has losses that differ by more than one step of the type (mixed_precision.json of the cases of
// tests/replay); a graph that computes something else is further off than four.
static double rounding_of(const XvProgram *program)
{
    bool is_fp32 = strcmp(program->precision, "fp32") == 0;
    return is_fp32 ? 1e-5 : 4 * (program->copy_type == XV_BF16 ? 0x1p-7 : 0x1p-10);
}

static bool check_losses(const Replay *replay, const XvEntry *entry, XvError *error)
{
    const double tolerance = rounding_of(replay->command->program);
    for (int i = 0; i < entry->train.n_outputs; i++) {
        const char *name = entry->train.outputs[i].name;
        const XvTensor *result = xv_results_find(&replay->results, name);
        double trained = xv_host_scalar(&replay->host, &entry->train, name);
        double observed = result ? (double)*(float *)result->data : trained;
        if (!(fabs(observed - trained) <= tolerance * fmax(1, fabs(observed)))) {
            return xv_fail(error, "entry '%s': %s is %.9g in the observe graph and %.9g in the train graph",
                           entry->name, name, observed, trained);
        }
    }
    return true;
}

// What each rank has when no mean is taken, by a run of its own.
static bool keep_local_gradients(Replay *replay, const XvEntry *entry, XvError *error)
{
    const XvProgram *program = replay->command->program;
    replay->host.is_local = true;
    bool is_run = run_graph(replay, entry, &entry->train, error);
    replay->host.is_local = false;
    xv_unscale_gradients(&replay->host);
    for (int i = 0; i < program->n_parameters && is_run; i++) {
        XvTensor tensor = xv_parameter_tensor(program, i, xv_host_read_gradients(&replay->host));
        char name[512];
        snprintf(name, sizeof name, "local_grad.%s", tensor.name);
        tensor.name = name;
        if (entry->has_gradient[i] && !xv_results_add(&replay->results, &tensor, error)) {
            return false;
        }
    }
    return is_run;
}

static bool save_gradients(Replay *replay, const XvEntry *entry, XvError *error)
{
    const XvProgram *program = replay->command->program;
    if (!is_first(replay)) {
        return true;
    }
    XvTensor *tensors = calloc((size_t)program->n_parameters + 1, sizeof *tensors);
    if (!tensors) {
        return xv_fail(error, "out of memory");
    }
    int n_tensors = 0;
    for (int i = 0; i < program->n_parameters; i++) {
        if (entry->has_gradient[i]) {
            tensors[n_tensors++] = xv_parameter_tensor(program, i, xv_host_read_gradients(&replay->host));
        }
    }
    XvFileContent content = {.tensors = tensors, .n_tensors = n_tensors};
    bool is_saved = xv_safetensors_write(replay->options.grads, &content, error);
    free(tensors);
    return is_saved;
}

// Optimizer steps on the same inputs --------------------------------------------------------------------------------

static void note_step(Replay *replay, const XvEntry *entry, double rate, double norm)
{
    cJSON *row = cJSON_CreateObject();
    cJSON *losses = cJSON_AddObjectToObject(row, "losses");
    for (int i = 0; i < entry->train.n_outputs; i++) {
        const char *name = entry->train.outputs[i].name;
        double loss = xv_host_scalar(&replay->host, &entry->train, name);
        xv_ranks_mean(replay->command->comm, &loss, 1);
        cJSON_AddNumberToObject(losses, name, loss);
    }
    cJSON_AddNumberToObject(row, "lr", rate);
    cJSON_AddNumberToObject(row, "grad_norm", norm);
    cJSON_AddItemToArray(replay->curve, row);
}

static bool take_steps(Replay *replay, const XvEntry *entry, XvError *error)
{
    const ReplayOptions *options = &replay->options;
    const XvProgram *program = replay->command->program;
    XvOptimizer optimizer = {
        .schedule = {.warmup = (int64_t)options->warmup, .total = (int64_t)options->total},
        .lr = options->lr,
        .lr_mult = options->lr_mult,
        .weight_decay = options->weight_decay,
        .clip = options->clip,
        .scaler.loss_scale = xv_first_loss_scale(program) > 0 ? replay->host.loss_scale : 0,
    };
    for (int64_t step = 0; step < options->steps; step++) {
        xv_host_clamp(&replay->host);
        replay->host.loss_scale = xv_loss_factor(optimizer.scaler);
        if (!run_graph(replay, entry, &entry->train, error)) {
            return false;
        }
        double rate = xv_optimizer_rate(&optimizer);
        double norm = xv_optimizer_step(&optimizer, &replay->host, entry);
        note_step(replay, entry, rate, norm);
        optimizer.position++;
    }
    return !options->after || !is_first(replay) ||
           xv_weights_save(program, xv_host_read_parameters(&replay->host), options->after, error);
}

static bool save_curve(const Replay *replay, XvError *error)
{
    char *text = cJSON_Print(replay->curve);
    FILE *file = text ? fopen(replay->options.curve, "w") : NULL;
    bool is_saved = file && fputs(text, file) >= 0;
    is_saved = (!file || fclose(file) == 0) && is_saved;
    free(text);
    return is_saved || xv_fail(error, "cannot write '%s'", replay->options.curve);
}

static bool observe_entry(Replay *replay, const XvEntry *entry, XvError *error)
{
    return run_graph(replay, entry, &entry->observe, error) && keep_outputs(replay, &entry->observe, error);
}

static bool train_entry(Replay *replay, const XvEntry *entry, XvError *error)
{
    const ReplayOptions *options = &replay->options;
    if (replay->command->comm && options->grads && options->outputs &&
        !keep_local_gradients(replay, entry, error)) {
        return false;
    }
    if (!run_graph(replay, entry, &entry->train, error) || !check_losses(replay, entry, error)) {
        return false;
    }
    xv_unscale_gradients(&replay->host);
    if (options->grads && !save_gradients(replay, entry, error)) {
        return false;
    }
    return (!options->after && !options->curve) || take_steps(replay, entry, error);
}

// Whether an entry or a decoder of that name is to run: without --entry all are, but not what only serves decoders.
static bool is_asked_for(const Replay *replay, const char *name, bool is_serving)
{
    const char *entry = replay->options.entry;
    return entry ? strcmp(entry, name) == 0 : !is_serving;
}

// Notes a decoder to run, and the entry that it begins with among those that need an arena.
static void add_decoder(Replay *replay, int decoder, XvEntrySet *arena)
{
    replay->decoders |= (XvEntrySet)1 << decoder;
    *arena |= (XvEntrySet)1 << replay->command->program->decoders[decoder].prefill;
}

// The entry points and decoders that were asked for and whose inputs the file holds; none is an error. `arena` is what
// runs in the host's arena.
static bool find_fitting(Replay *replay, XvEntrySet *entries, XvEntrySet *arena, XvError *error)
{
    const XvProgram *program = replay->command->program;
    XvError misfit = {{0}};
    *entries = *arena = 0;
    for (int i = 0; i < program->n_entries; i++) {
        const XvEntry *entry = &program->entries[i];
        bool is_wanted = is_asked_for(replay, entry->name, xv_entry_is_decoders(program, i));
        bool is_run = is_wanted && fits(replay, entry, &misfit);
        *entries |= (XvEntrySet)is_run << i;
        for (int j = 0; is_run && j < entry->observe.n_inputs; j++) {
            const XvValue *value = &entry->observe.inputs[j];
            int decoder = xv_safetensors_find(&replay->inputs, value->name) ? -1 : decoder_of(replay, value);
            if (decoder >= 0) {
                add_decoder(replay, decoder, arena);
            }
        }
    }
    for (int i = 0; i < program->n_decoders; i++) {
        const XvDecoder *decoder = &program->decoders[i];
        if (is_asked_for(replay, decoder->name, false) &&
            xv_decoder_fits(program, decoder, &replay->inputs)) {
            add_decoder(replay, i, arena);
        }
    }
    *arena |= *entries | (replay->options.entry ? 0 : xv_replay_ranking_entries(program, &replay->inputs));
    return *arena || xv_fail(error, "%s fits no entry point: %s", replay->options.inputs, misfit.text);
}

static bool run_decoders(Replay *replay, XvError *error)
{
    const XvProgram *program = replay->command->program;
    replay->decoded = calloc((size_t)program->n_decoders + 1, sizeof *replay->decoded);
    if (!replay->decoded) {
        return xv_fail(error, "out of memory");
    }
    for (int i = 0; i < program->n_decoders; i++) {
        XvDecoded *decoded = &replay->decoded[i];
        if (!(replay->decoders >> i & 1)) {
            continue;
        }
        if (!xv_replay_decoder(&replay->host, &program->decoders[i], &replay->inputs,
                               (uint64_t)replay->options.seed, decoded, error) ||
            !xv_results_add(&replay->results, &decoded->tensors[XV_DECODED_IDS], error) ||
            !xv_results_add(&replay->results, &decoded->tensors[XV_DECODED_SCORES], error)) {
            return false;
        }
    }
    return true;
}

// Every entry is observed, training entries first, before an update changes the parameters.
static bool replay_entries(Replay *replay, XvEntrySet entries, XvError *error)
{
    const ReplayOptions *options = &replay->options;
    const XvProgram *program = replay->command->program;
    for (int i = 0; i < 2 * program->n_entries; i++) {
        const XvEntry *entry = &program->entries[i % program->n_entries];
        bool is_turn = (entry->train.run == NULL) == (i >= program->n_entries);
        if (is_turn && (entries >> (entry - program->entries) & 1) && !observe_entry(replay, entry, error)) {
            return false;
        }
    }
    if (!rank_pairs(replay, error)) {
        return false;
    }
    bool wants_training = options->grads || options->after || options->curve;
    int n_trained = 0;
    for (int i = 0; i < program->n_entries && wants_training; i++) {
        bool is_wanted = (entries >> i & 1) && program->entries[i].train.run;
        if (is_wanted && !train_entry(replay, &program->entries[i], error)) {
            return false;
        }
        n_trained += is_wanted;
    }
    if (wants_training && n_trained == 0) {
        return xv_fail(error,
                       "no entry point that %s fits minimises anything, so there are no gradients or updates",
                       options->inputs);
    }
    XvFileContent content = {.tensors = replay->results.tensors, .n_tensors = replay->results.n_tensors};
    if (!is_first(replay)) {
        return true;
    }
    return (!replay->options.outputs || xv_safetensors_write(replay->options.outputs, &content, error)) &&
           (!replay->options.curve || save_curve(replay, error));
}

static bool load_weights(Replay *replay, XvError *error)
{
    XvLoadOptions options = {.is_complete = true, .is_partial = replay->options.partial};
    return xv_weights_load(replay->command->program, replay->options.weights, &options,
                           xv_host_parameters(&replay->host), is_first(replay) ? stderr : NULL, error);
}

// Reads what is needed; entries and decoders that do not fit on every rank are left out on all of them.
static bool prepare(Replay *replay, XvEntrySet *entries, XvError *error)
{
    const ReplayOptions *options = &replay->options;
    const XvProgram *program = replay->command->program;
    XvComm *comm = replay->command->comm;
    XvHostUse use = options->grads || options->after || options->curve ? XV_HOST_TRAIN : XV_HOST_OBSERVE;
    XvEntrySet arena;
    bool is_ready = xv_replay_rank_view(&replay->inputs, comm, error) &&
                    find_fitting(replay, entries, &arena, error) &&
                    xv_host_create(&replay->host, program, use, arena, error) && load_weights(replay, error);
    if (!xv_comm_agree(comm, is_ready, error) || !xv_host_join(&replay->host, comm, error)) {
        return false;
    }
    if (xv_first_loss_scale(program) > 0) {
        double given = replay->options.loss_scale;
        replay->host.loss_scale = given > 0 ? (float)given : xv_first_loss_scale(program);
    } else if (replay->options.loss_scale > 0) {
        return xv_fail(error, "--loss-scale is for programs of fp16, this one is of %s", program->precision);
    }
    *entries = xv_ranks_common(comm, *entries);
    replay->decoders = xv_ranks_common(comm, replay->decoders);
    // Parameters with a range are brought into it before a step; the official forward pass does the same.
    xv_host_clamp(&replay->host);
    return true;
}

static bool run_replay(Replay *replay, XvError *error)
{
    XvEntrySet entries = 0;
    bool is_open = xv_safetensors_open(&replay->inputs, replay->options.inputs, error);
    bool is_done = xv_comm_agree(replay->command->comm, is_open, error) && prepare(replay, &entries, error) &&
                   run_decoders(replay, error) && replay_entries(replay, entries, error);
    if (is_done && replay->options.kernels) {
        is_done = replay->host.device.kind
                      ? xv_device_save_counts(&replay->host.device, replay->options.kernels, error)
                      : xv_fail(error, "--kernels: this program has no device to launch kernels on");
    }
    if (is_open) {
        xv_safetensors_close(&replay->inputs);
    }
    return is_done;
}

static void free_replay(Replay *replay)
{
    for (int i = 0; i < replay->n_owned; i++) {
        free(replay->owned[i]);
    }
    for (int i = 0; replay->decoded && i < replay->command->program->n_decoders; i++) {
        xv_decoded_free(&replay->decoded[i]);
    }
    free(replay->decoded);
    free(replay->owned);
    xv_results_free(&replay->results);
    cJSON_Delete(replay->curve);
    xv_host_free(&replay->host);
}

int xv_command_replay(const XvCommand *command)
{
    Replay replay = {.command = command,
                     .results = {.comm = command->comm},
                     .options = {.lr = 1e-3,
                                 .weight_decay = 0.01,
                                 .lr_mult = 2,
                                 .warmup = 2,
                                 .total = 10,
                                 .clip = 1,
                                 .steps = 3,
                                 .seed = 42}};
    ReplayOptions *o = &replay.options;
    const XvOption table[] = {
        {"--weights", "F", XV_OPTION_TEXT, &o->weights, 0, 0,
         "parameters, under official names: safetensors, .th, .pth, .bin"},
        {"--inputs", "F", XV_OPTION_TEXT, &o->inputs, 0, 0, "inputs and random decisions (safetensors)"},
        {"--outputs", "F", XV_OPTION_TEXT, &o->outputs, 0, 0, "where every named output goes"},
        {"--grads", "F", XV_OPTION_TEXT, &o->grads, 0, 0, "where the gradients go"},
        {"--after", "F", XV_OPTION_TEXT, &o->after, 0, 0, "where the parameters after --steps updates go"},
        {"--curve", "F", XV_OPTION_TEXT, &o->curve, 0, 0,
         "losses, rate and gradient norm of each update, as JSON"},
        {"--kernels", "F", XV_OPTION_TEXT, &o->kernels, 0, 0,
         "which kernels were launched and how often (target cuda)"},
        {"--steps", "N", XV_OPTION_INTEGER, &o->steps, 1, 1000000, "updates for --after and --curve (3)"},
        {"--entry", "NAME", XV_OPTION_TEXT, &o->entry, 0, 0,
         "one entry point or decoder instead of all that the inputs fit"},
        {"--trace", NULL, XV_OPTION_FLAG, &o->trace, 0, 0,
         "outputs of modules too (they are written anyway)"},
        {"--no-trace", NULL, XV_OPTION_FLAG, &o->no_trace, 0, 0, "leave the outputs of modules out"},
        {"--partial", NULL, XV_OPTION_FLAG, &o->partial, 0, 0, "load what fits of --weights"},
        {"--seed", "N", XV_OPTION_INTEGER, &o->seed, 0, INT64_MAX,
         "of samples that the file does not hold (42)"},
        {"--lr", "X", XV_OPTION_REAL, &o->lr, 0, 1000, "base rate of the updates (0.001)"},
        {"--weight-decay", "X", XV_OPTION_REAL, &o->weight_decay, 0, 1000, "(0.01)"},
        {"--lr-mult", "X", XV_OPTION_REAL, &o->lr_mult, 0, 1000, "factor of fresh parameters (2)"},
        {"--warmup", "N", XV_OPTION_REAL, &o->warmup, 0, 1000000000, "steps of warm-up (2)"},
        {"--total", "N", XV_OPTION_REAL, &o->total, 1, 1000000000, "steps of the schedule (10)"},
        {"--clip", "X", XV_OPTION_REAL, &o->clip, -1, 1000000, "largest gradient norm, 0 for none (1)"},
        {"--loss-scale", "X", XV_OPTION_REAL, &o->loss_scale, 1, 65536,
         "factor of the loss in the backward pass of an fp16 program (1024)"},
    };
    XvOptionTable options = {
        "--weights F --inputs F --outputs F [--grads F] [--after F --steps N]",
        "Runs exactly the tensors of a file and writes outputs, gradients and updated parameters.", table,
        (int)(sizeof table / sizeof *table)};
    int status;
    if (!xv_command_options(command, &options, &status)) {
        return status;
    }
    XvError error = {{0}};
    if (!o->weights || !o->inputs || (!o->outputs && !o->grads && !o->after && !o->curve)) {
        xv_fail(&error, "--weights, --inputs and one of --outputs, --grads, --after, --curve are needed");
        return xv_command_fail(command, XV_EXIT_USAGE, &error);
    }
    replay.curve = cJSON_CreateArray();
    bool is_done = run_replay(&replay, &error);
    free_replay(&replay);
    return is_done ? XV_EXIT_OK : xv_command_fail(command, XV_EXIT_FAILED, &error);
}
