// A training run without its command line: what one iteration does, and the state that decides about the next.
//
// An iteration runs each entry but the last with its probability, as a complete update, and then the last, the main
// entry; the schedule advances with the entries that say so (Pretrain.py). Everything random is a function of
// the seed and the number of the iteration, so (parameters, moments, counters, data positions) are the whole
// state. With several ranks, each has its own data and draws, while the choice of entries is the same on all;
// gradients are averaged, so that parameters and everything else of the state stay the same on every rank,
// the means of losses included.
#pragma once

#include "runtime/checkpoint/safetensors.h"
#include "runtime/loop/critic.h"
#include "runtime/loop/host.h"
#include "runtime/loop/meters.h"
#include "runtime/loop/optimizer.h"
#include "runtime/loop/queue.h"
#include "runtime/loop/source.h"

typedef struct XvTrainer {
    XvHost host;
    XvOptimizer optimizer;
    XvSource *sources;  // per entry; an entry without one is never run
    XvCritic critic;    // of the entry that needs one, or {0}
    XvMeters meters;
    XvQueue *queue;      // updates on their way through a device; NULL: each is complete before the next
    double *losses;      // one per meter: those of the update that is being made
    int64_t *positions;  // of the data, [entries, ranks], as of the last xv_trainer_meet
    uint64_t seed;
    int64_t step;         // iterations done
    int64_t pairs;        // samples of all updates of all ranks since xv_trainer_create
    double norm_sum;      // of gradient norms before clipping, over the updates of the main entry since the
    int64_t norm_count;   // last reset
    bool wants_stop;      // of this rank, told to the others with the next update that is queued
    bool has_heard_stop;  // with an update that has come back
} XvTrainer;

// Allocates everything; the sources are left empty for the caller to open.
bool xv_trainer_create(XvTrainer *trainer, const XvProgram *program, XvError *error);
void xv_trainer_free(XvTrainer *trainer);

// One iteration; with several ranks (host.comm) every one has to come here. False when a batch cannot be had, or a loss
// or the gradient is not finite: the message names the step, the entry and the loss, and the parameters are those of
// before the update. All ranks know of what is not finite; a batch that cannot be had is this rank's alone.
bool xv_trainer_iterate(XvTrainer *trainer, XvError *error);

// Waits for the updates that are on their way and adds what they left to the meters: to be called before the meters are
// read or the trainer is saved. An update that was not finite is found here or by a later iteration, with its message;
// no later one has changed the parameters.
bool xv_trainer_settle(XvTrainer *trainer, XvError *error);

// After an iteration: whether all ranks stop, because one of them wants to. Every rank has to come here, and all stop
// after the same iteration; where updates are queued, some iterations after the wish.
bool xv_trainer_stops(XvTrainer *trainer, bool wants_stop);

// Whether the iteration number `step` runs an entry of this probability; a pure function.
bool xv_is_entry_chosen(const XvEntry *entry, uint64_t seed, int64_t step);

void xv_trainer_reset_meters(XvTrainer *trainer);

// Tells every rank where the data of all ranks are: each has its own place in a stream. Every rank has to come here
// before one of them saves. False on all of them when some data cannot be read on.
bool xv_trainer_meet(XvTrainer *trainer, XvError *error);

// Writes parameters, moments, counters, data positions and unfinished sums to one file, so that no instant exists in
// which they do not belong together. See training_state.c for the names.
bool xv_trainer_save(XvTrainer *trainer, const char *path, XvError *error);

// Settings of the run that a checkpoint belongs to, readable before the trainer is set up.
typedef struct XvRunSettings {
    uint64_t seed;
    int64_t ranks;
    int64_t warmup, total;
    double lr, lr_mult, weight_decay, clip;
} XvRunSettings;

bool xv_run_settings_read(const XvSafetensors *file, XvRunSettings *settings, XvError *error);

// Puts the trainer where xv_trainer_save found it; sources must be open. False when the file is of another program,
// configuration or data set.
bool xv_trainer_load(XvTrainer *trainer, const XvSafetensors *file, XvError *error);
