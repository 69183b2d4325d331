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

// Reads the losses of the run that just ended, averages them over the ranks, and adds them to the meters.
static bool take_losses(XvTrainer *trainer, int e, XvError *error)
{
    const XvEntry *entry = &trainer->host.program->entries[e];
    double *losses = trainer->losses + trainer->meters.first[e];
    int n_losses = xv_entry_losses(entry);
    bool is_finite = true, is_finite_everywhere = true;
    for (int i = 0; i < n_losses; i++) {
        losses[i] = xv_host_scalar(&trainer->host, &entry->train, xv_entry_loss(entry, i));
        if (!isfinite(losses[i]) && is_finite) {
            is_finite = xv_fail(
                error, "step %" PRId64 ": %s of entry %s is %g; the parameters are as before this update",
                trainer->step, xv_entry_loss(entry, i), entry->name, losses[i]);
        }
    }
    xv_ranks_mean(trainer->host.comm, losses, n_losses);
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

static bool update(XvTrainer *trainer, int e, XvError *error)
{
    XvHost *host = &trainer->host;
    const XvEntry *entry = &host->program->entries[e];
    XvSource *source = &trainer->sources[e];
    XvBatch batch;
    XvTensor tensors[XV_BATCH_TENSORS + XV_CRITIC_TENSORS];
    xv_weights_clamp(host->program, host->parameters.data);
    if (!source->kind->next(source->state, &batch, error)) {
        return xv_fail_in(error, "data of entry %s", entry->name);
    }
    int n_tensors = batch.n_tensors;
    memcpy(tensors, batch.tensors, (size_t)n_tensors * sizeof *tensors);
    uint64_t key = xv_key(xv_rank_seed(host->comm, trainer->seed), (uint64_t)trainer->step);
    bool is_judged = trainer->critic.entry != entry ||
                     xv_critic_judge(&trainer->critic, &batch, key, tensors, &n_tensors, error);
    if (!is_judged || !xv_host_fill(host, &entry->train, tensors, n_tensors, error)) {
        return xv_fail_in(error, "data of entry %s", entry->name);
    }
    xv_host_set_draws(host, entry, &entry->train, &(XvDrawMoment){trainer->seed, trainer->step, true});
    xv_host_run(host, &entry->train);
    if (!take_losses(trainer, e, error)) {
        return false;
    }
    xv_ranks_average(host, entry);
    double norm = xv_optimizer_step(&trainer->optimizer, host, entry);
    if (!isfinite(norm)) {
        xv_fail(error,
                "step %" PRId64
                ": the gradient of entry %s has the norm %g although its losses are finite; the "
                "parameters are as before this update",
                trainer->step, entry->name, norm);
        return xv_comm_agree(host->comm, false, error);
    }
    if (e == host->program->n_entries - 1) {
        trainer->norm_sum += norm;
        trainer->norm_count++;
    }
    trainer->pairs += (int64_t)batch.valid * xv_comm_world(host->comm);
    return true;
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

void xv_trainer_reset_meters(XvTrainer *trainer)
{
    xv_meters_reset(&trainer->meters);
    trainer->norm_sum = 0.0;
    trainer->norm_count = 0;
}
