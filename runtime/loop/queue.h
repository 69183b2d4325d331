// Training steps on their way through a device that works on its own. A step is one recording of everything it does
// (clamps, the graph of its entry, clipping, the update), started as a whole, and the host waits for none of it: it
// sends the inputs of the next steps while the device works on earlier ones, and reads what a step left when
// several later ones are queued. At a loss (of any rank) or a norm that is not finite the device stops to update, so
// that the parameters stay those of before that step whatever is queued behind it; but where the loss has a scale, a
// norm lowers it and leaves out its own update alone.
#pragma once

#include "runtime/loop/host.h"

enum { XV_QUEUE_STEPS = 4, XV_QUEUE_LOSSES = 32 };

typedef struct XvQueue XvQueue;

// A step to be made. host->draws are those of the step.
typedef struct XvQueueStep {
    int entry;
    int64_t step;  // its number, for messages
    const XvTensor *tensors;
    int n_tensors;
    XvRates rates;
    XvScaler scaler;  // as the last step left it; not used while others are on their way: the device knows
    double clip;      // largest norm; 0 or less: no clipping
    bool wants_stop;  // of this rank, for all to know
} XvQueueStep;

typedef struct XvQueueResult {
    int entry;
    int64_t step;
    double losses[XV_QUEUE_LOSSES];  // as xv_entry_loss counts them
    double means[XV_QUEUE_LOSSES];   // the same over all ranks
    double norm;                     // of the gradients of the loss itself, before clipping
    XvScaler scaler;                 // after the update
    bool has_stopped;                // neither this update nor a later one is made
    bool wants_stop;                 // any rank
} XvQueueResult;

// *queue is NULL where steps cannot be queued: on a device without lanes. The host has joined its ranks: what they have
// to tell each other (gradients, losses, whether to stop) goes along with the steps. False after a message.
bool xv_queue_open(XvQueue **queue, XvHost *host, XvError *error);
void xv_queue_close(XvQueue *queue);

// Steps that are on their way, at most XV_QUEUE_STEPS.
int xv_queue_count(const XvQueue *queue);

// Starts a step; there must be room. False when an input is missing or of another shape; errors of the device end the
// process.
bool xv_queue_push(XvQueue *queue, const XvQueueStep *step, XvError *error);

// Waits for the oldest step; there must be one.
XvQueueResult xv_queue_pop(XvQueue *queue);
