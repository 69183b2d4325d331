// Iterations and updates; see trainer.h.
#include "runtime/loop/trainer.h"

#include "runtime/base/random.h"
#include "runtime/checkpoint/weights.h"
#include "runtime/loop/ranks.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PURPOSE_CHOICE = 0xC401CE };

// What runs in the host's arena.
static XvEntrySet training_entries(const XvProgram *program)
{
    XvEntrySet entries = 0;
    for (int e = 0; e < program->n_entries; e++) {
        bool is_training = xv_is_training(&program->entries[e]);
        entries |= (XvEntrySet)is_training << e;
        entries |= is_training ? xv_critic_entries(program, &program->entries[e]) : 0;
    }
    return entries;
}

bool xv_trainer_create(XvTrainer *trainer, const XvProgram *program, XvError *error)
{
    *trainer = (XvTrainer){.sources = calloc((size_t)program->n_entries + 1, sizeof *trainer->sources)};
    if (!trainer->sources) {
        return xv_fail(error, "no memory");
    }
    if (!xv_host_create(&trainer->host, program, XV_HOST_TRAIN, training_entries(program), error) ||
        !xv_meters_create(&trainer->meters, program, error)) {
        xv_trainer_free(trainer);
        return false;
    }
    trainer->optimizer.scaler.loss_scale = xv_first_loss_scale(program);
    trainer->losses = calloc((size_t)trainer->meters.n_meters + 1, sizeof *trainer->losses);
    if (!trainer->losses) {
        xv_trainer_free(trainer);
        return xv_fail(error, "no memory");
    }
    return true;
}

void xv_trainer_free(XvTrainer *trainer)
{
    for (int e = 0; trainer->sources && trainer->host.program && e < trainer->host.program->n_entries; e++) {
        xv_source_close(&trainer->sources[e]);
    }
    free(trainer->sources);
    xv_queue_close(trainer->queue);
    free(trainer->positions);
    xv_critic_close(&trainer->critic);
    free(trainer->losses);
    xv_meters_free(&trainer->meters);
    xv_host_free(&trainer->host);
    *trainer = (XvTrainer){0};
}

bool xv_is_entry_chosen(const XvEntry *entry, uint64_t seed, int64_t step)
{
    if (entry->probability >= 1.0) {
        return true;
    }
    uint64_t key = xv_key(xv_key(xv_key(seed, PURPOSE_CHOICE), (uint64_t)step), xv_text_hash(entry->name));
    XvStream stream = xv_stream(key);
    return xv_stream_uniform(&stream) < entry->probability;
}

// An update that was made: where it belongs, and its losses at the place of its entry in trainer->losses.
typedef struct Update {
    int entry;
    int64_t step;
} Update;

static void read_losses(XvTrainer *trainer, int e)
{
    const XvEntry *entry = &trainer->host.program->entries[e];
    double *losses = trainer->losses + trainer->meters.first[e];
    for (int i = 0; i < xv_entry_losses(entry); i++) {
        losses[i] = xv_host_scalar(&trainer->host, &entry->train, xv_entry_loss(entry, i));
    }
}

// Adds the means of the losses over the ranks to the meters; `means` NULL: they are taken here.
static bool take_losses(XvTrainer *trainer, const Update *update, const double *means, XvError *error)
{
    int e = update->entry;
    const XvEntry *entry = &trainer->host.program->entries[e];
    double *losses = trainer->losses + trainer->meters.first[e];
    int n_losses = xv_entry_losses(entry);
    bool is_finite = true, is_finite_everywhere = true;
    for (int i = 0; i < n_losses; i++) {
        if (!isfinite(losses[i]) && is_finite) {
            is_finite = xv_fail(
                error, "step %" PRId64 ": %s of entry %s is %g; the parameters are as before this update",
                update->step, xv_entry_loss(entry, i), entry->name, losses[i]);
        }
    }
    if (means) {
        memcpy(losses, means, (size_t)n_losses * sizeof *losses);
    } else {
        xv_ranks_mean(trainer->host.comm, losses, n_losses);
    }
    for (int i = 0; i < n_losses; i++) {
        is_finite_everywhere = is_finite_everywhere && isfinite(losses[i]);
    }
    if (!is_finite_everywhere) {
        return xv_comm_agree(trainer->host.comm, is_finite, error);
    }
    for (int i = 0; i < n_losses; i++) {
        xv_meter_add(&trainer->meters.meters[trainer->meters.first[e] + i], losses[i]);
    }
    return true;
}

// is_answered: a norm that is not finite has made the scale of the loss smaller.
static bool take_norm(XvTrainer *trainer, const Update *update, double norm, bool is_answered, XvError *error)
{
    const XvProgram *program = trainer->host.program;
    if (!isfinite(norm) && is_answered) {
        return true;  // left out; the next has a smaller scale
    }
    if (!isfinite(norm)) {
        xv_fail(error,
                "step %" PRId64
                ": the gradient of entry %s has the norm %g although its losses are finite; the "
                "parameters are as before this update",
                update->step, program->entries[update->entry].name, norm);
        return xv_comm_agree(trainer->host.comm, false, error);
    }
    if (update->entry == program->n_entries - 1) {
        trainer->norm_sum += norm;
        trainer->norm_count++;
    }
    return true;
}

// Updates that are waited for -------------------------------------------------------------------------------------

static bool make_update(XvTrainer *trainer, int e, const XvTensor *tensors, int n_tensors, XvError *error)
{
    XvHost *host = &trainer->host;
    const XvEntry *entry = &host->program->entries[e];
    Update update = {e, trainer->step};
    xv_host_clamp(host);
    if (!xv_host_fill(host, &entry->train, tensors, n_tensors, error)) {
        return xv_fail_in(error, "data of entry %s", entry->name);
    }
    bool can_scale_down = xv_can_scale_down(trainer->optimizer.scaler);
    host->loss_scale = xv_loss_factor(trainer->optimizer.scaler);
    xv_host_set_draws(host, entry, &entry->train, &(XvDrawMoment){trainer->seed, trainer->step, true});
    xv_host_run(host, &entry->train);
    read_losses(trainer, e);
    if (!take_losses(trainer, &update, NULL, error)) {
        return false;
    }
    double norm = xv_optimizer_step(&trainer->optimizer, host, entry);
    return take_norm(trainer, &update, norm, can_scale_down, error);
}

// Updates on their way --------------------------------------------------------------------------------------------

static bool land_update(XvTrainer *trainer, XvError *error)
{
    XvQueueResult result = xv_queue_pop(trainer->queue);
    Update update = {result.entry, result.step};
    int n_losses = xv_entry_losses(&trainer->host.program->entries[update.entry]);
    memcpy(trainer->losses + trainer->meters.first[update.entry], result.losses,
           (size_t)n_losses * sizeof *result.losses);
    trainer->optimizer.scaler = result.scaler;
    trainer->has_heard_stop = trainer->has_heard_stop || result.wants_stop;
    return take_losses(trainer, &update, result.means, error) &&
           take_norm(trainer, &update, result.norm, !result.has_stopped, error);
}

bool xv_trainer_settle(XvTrainer *trainer, XvError *error)
{
    while (trainer->queue && xv_queue_count(trainer->queue) > 0) {
        if (!land_update(trainer, error)) {
            return false;
        }
    }
    return true;
}

static bool start_update(XvTrainer *trainer, int e, const XvTensor *tensors, int n_tensors, XvError *error)
{
    XvHost *host = &trainer->host;
    const XvEntry *entry = &host->program->entries[e];
    if (xv_queue_count(trainer->queue) == XV_QUEUE_STEPS && !land_update(trainer, error)) {
        return false;
    }
    xv_host_set_draws(host, entry, &entry->train, &(XvDrawMoment){trainer->seed, trainer->step, true});
    XvQueueStep step = {.entry = e,
                        .step = trainer->step,
                        .tensors = tensors,
                        .n_tensors = n_tensors,
                        .rates = xv_optimizer_rates(&trainer->optimizer),
                        .scaler = trainer->optimizer.scaler,
                        .clip = trainer->optimizer.clip,
                        .wants_stop = trainer->wants_stop};
    if (!xv_queue_push(trainer->queue, &step, error)) {
        return xv_fail_in(error, "data of entry %s", entry->name);
    }
    return true;
}

static bool update(XvTrainer *trainer, int e, XvError *error)
{
    XvHost *host = &trainer->host;
    const XvEntry *entry = &host->program->entries[e];
    XvSource *source = &trainer->sources[e];
    XvBatch batch;
    XvTensor tensors[XV_BATCH_TENSORS + XV_CRITIC_TENSORS];
    if (!source->kind->next(source->state, &batch, error)) {
        return xv_fail_in(error, "data of entry %s", entry->name);
    }
    int n_tensors = batch.n_tensors;
    memcpy(tensors, batch.tensors, (size_t)n_tensors * sizeof *tensors);
    uint64_t key = xv_key(xv_rank_seed(host->comm, trainer->seed), (uint64_t)trainer->step);
    bool has_critic = trainer->critic.entry == entry;
    if (has_critic) {
        if (!xv_trainer_settle(trainer, error)) {
            return false;
        }
        xv_host_clamp(host);
        if (!xv_critic_judge(&trainer->critic, &batch, key, tensors, &n_tensors, error)) {
            return xv_fail_in(error, "data of entry %s", entry->name);
        }
    }
    bool is_done = trainer->queue && !has_critic ? start_update(trainer, e, tensors, n_tensors, error)
                                                 : make_update(trainer, e, tensors, n_tensors, error);
    trainer->pairs += is_done ? (int64_t)batch.valid * xv_comm_world(host->comm) : 0;
    return is_done;
}

bool xv_trainer_iterate(XvTrainer *trainer, XvError *error)
{
    const XvProgram *program = trainer->host.program;
    for (int e = 0; e < program->n_entries; e++) {
        const XvEntry *entry = &program->entries[e];
        bool is_main = e == program->n_entries - 1;
        if (!trainer->sources[e].state ||
            (!is_main && !xv_is_entry_chosen(entry, trainer->seed, trainer->step))) {
            continue;
        }
        if (!update(trainer, e, error)) {
            return false;
        }
        trainer->optimizer.position += entry->advances_schedule;
    }
    trainer->step++;
    return true;
}

bool xv_trainer_stops(XvTrainer *trainer, bool wants_stop)
{
    trainer->wants_stop = wants_stop;
    return trainer->queue && trainer->host.comm ? trainer->has_heard_stop
                                                : xv_ranks_any(trainer->host.comm, wants_stop);
}

void xv_trainer_reset_meters(XvTrainer *trainer)
{
    xv_meters_reset(&trainer->meters);
    trainer->norm_sum = 0.0;
    trainer->norm_count = 0;
}
