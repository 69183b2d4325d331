// The evaluation loop; see evaluate.h.
#include "runtime/loop/evaluate.h"

#include "runtime/checkpoint/weights.h"
#include "runtime/loop/meters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double xv_mean(const XvMean *mean)
{
    return mean->weight > 0.0 ? mean->sum / mean->weight : NAN;
}

static bool create(XvEvaluation *evaluation, const XvEntry *entry, XvError *error)
{
    *evaluation =
        (XvEvaluation){.entry = entry, .n_losses = xv_entry_losses(entry), .n_metrics = entry->n_metrics};
    evaluation->losses = calloc((size_t)evaluation->n_losses + 1, sizeof *evaluation->losses);
    evaluation->metrics = calloc((size_t)evaluation->n_metrics + 1, sizeof *evaluation->metrics);
    if (!evaluation->losses || !evaluation->metrics) {
        return xv_fail(error, "no memory");
    }
    for (int i = 0; i < evaluation->n_losses; i++) {
        evaluation->losses[i].name = xv_entry_loss(entry, i);
    }
    for (int i = 0; i < evaluation->n_metrics; i++) {
        evaluation->metrics[i].name = entry->metrics[i];
    }
    return true;
}

void xv_evaluation_free(XvEvaluation *evaluation)
{
    free(evaluation->losses);
    free(evaluation->metrics);
    free(evaluation->features[0]);
    free(evaluation->features[1]);
    *evaluation = (XvEvaluation){0};
}

// Sets the rows from `valid` on of an integer input in the arena.
static void set_rows(const XvHost *host, const XvGraph *graph, const char *name, int64_t valid, int32_t value)
{
    const XvValue *input = xv_graph_input(graph, name);
    if (!input || input->dtype != XV_I32 || input->rank == 0) {
        return;
    }
    int64_t count = xv_value_count(input), row = input->shape[0] ? count / input->shape[0] : 0;
    int32_t *values = xv_host_tensor(host, input).data;
    for (int64_t i = valid * row; i < count; i++) {
        values[i] = value;
    }
}

static void add_losses(const XvHost *host, XvEvaluation *evaluation, int64_t valid)
{
    for (int i = 0; i < evaluation->n_losses; i++) {
        XvMean *mean = &evaluation->losses[i];
        mean->sum += (double)valid * xv_host_scalar(host, &evaluation->entry->observe, mean->name);
        mean->weight += (double)valid;
    }
}

static void add_metrics(const XvHost *host, XvEvaluation *evaluation)
{
    for (int i = 0; i < evaluation->n_metrics; i++) {
        XvMean *mean = &evaluation->metrics[i];
        const XvValue *value = xv_graph_output(&evaluation->entry->observe, mean->name);
        if (value && value->dtype == XV_F32 && xv_value_count(value) == 2) {
            const float *pair = xv_host_tensor(host, value).data;
            mean->sum += (double)pair[0];
            mean->weight += (double)pair[1];
        }
    }
}

static const XvValue *feature(const XvEntry *entry, int side)
{
    const XvValue *value = xv_graph_output(&entry->observe, side == 0 ? "image_feat" : "text_feat");
    return value && value->dtype == XV_F32 && value->rank == 2 ? value : NULL;
}

static bool has_features(const XvEntry *entry)
{
    const XvValue *image = feature(entry, 0), *text = feature(entry, 1);
    return image && text && image->shape[0] == text->shape[0] && image->shape[1] == text->shape[1];
}

typedef struct Loop {
    XvHost *host;
    XvSource *source;
    const XvEvaluateOptions *options;
    XvEvaluation *evaluation;
    XvEvaluation
        partial;  // means over partly filled batches, held back until it is known whether others exist
    int *valid;   // samples of the batch that count, per rank
} Loop;

static bool run_batch(Loop *loop, const XvBatch *batch, XvError *error)
{
    const XvEntry *entry = loop->evaluation->entry;
    const XvGraph *graph = &entry->observe;
    if (!xv_host_fill(loop->host, graph, batch->tensors, batch->n_tensors, error)) {
        return false;
    }
    set_rows(loop->host, graph, "is_image", batch->valid, 1);
    set_rows(loop->host, graph, "masked_ids", batch->valid, -100);
    xv_host_set_draws(loop->host, entry, graph, &(XvDrawMoment){loop->options->seed, batch->index, false});
    xv_host_run(loop->host, graph);
    return true;
}

// Rows of the features of all ranks, as many as are still wanted, into place.
static bool keep_features(Loop *loop, int side, int64_t wanted, XvError *error)
{
    XvEvaluation *evaluation = loop->evaluation;
    const XvValue *value = feature(evaluation->entry, side);
    int world = xv_comm_world(loop->host->comm);
    int64_t count = xv_value_count(value), width = value->shape[1];
    float *all = malloc((size_t)(count * world) * sizeof *all);
    size_t bytes = (size_t)((evaluation->n_features + wanted) * width) * sizeof(float);
    float *grown = realloc(evaluation->features[side], bytes);
    evaluation->features[side] = grown ? grown : evaluation->features[side];
    if (!all || !grown) {
        free(all);
        return xv_fail(error, "no memory for features");
    }
    xv_comm_all_gather(loop->host->comm, xv_host_tensor(loop->host, value).data, all, count);
    float *to = grown + evaluation->n_features * width;
    for (int rank = 0; rank < world && wanted > 0; rank++) {
        int64_t rows = wanted < loop->valid[rank] ? wanted : loop->valid[rank];
        memcpy(to, all + rank * count, (size_t)(rows * width) * sizeof *to);
        to += rows * width;
        wanted -= rows;
    }
    free(all);
    evaluation->width = width;
    return true;
}

static bool keep_pairs(Loop *loop, int64_t valid, XvError *error)
{
    int64_t wanted = loop->options->retrieval - loop->evaluation->n_features;
    wanted = wanted < valid ? wanted : valid;
    if (wanted <= 0 || !has_features(loop->evaluation->entry)) {
        return true;
    }
    for (int side = 0; side < 2; side++) {
        if (!keep_features(loop, side, wanted, error)) {
            return false;
        }
    }
    loop->evaluation->n_features += wanted;
    return true;
}

// What the batch adds to the means: of this rank, until sum_over_ranks.
static bool take_batch(Loop *loop, const XvBatch *batch, XvError *error)
{
    XvEvaluation *evaluation = loop->evaluation;
    int world = xv_comm_world(loop->host->comm);
    int64_t valid = 0;
    xv_comm_all_gather(loop->host->comm, &batch->valid, loop->valid, 1);
    for (int rank = 0; rank < world; rank++) {
        valid += loop->valid[rank];
    }
    bool is_full = valid == (int64_t)loop->source->kind->batch_size(loop->source->state) * world;
    XvEvaluation *into = is_full ? evaluation : &loop->partial;
    add_losses(loop->host, into, batch->valid);
    add_metrics(loop->host, into);
    into->records += valid;
    const XvObserver *observer = loop->options->observer;
    if (observer && !observer->batch(observer->context, loop->host, evaluation->entry, batch, error)) {
        return false;
    }
    return keep_pairs(loop, valid, error);
}

static bool run_all(Loop *loop, XvError *error)
{
    for (;;) {
        XvBatch batch;
        if (!loop->source->kind->next(loop->source->state, &batch, error)) {
            return false;
        }
        if (batch.is_end) {
            return true;
        }
        if (!run_batch(loop, &batch, error) || !take_batch(loop, &batch, error)) {
            return false;
        }
    }
}

static void sum_means(const XvComm *comm, XvMean *means, int count)
{
    for (int i = 0; i < count; i++) {
        double pair[2] = {means[i].sum, means[i].weight};
        xv_comm_sum_f64(comm, pair, 2);
        means[i].sum = pair[0];
        means[i].weight = pair[1];
    }
}

static void sum_over_ranks(const Loop *loop)
{
    const XvComm *comm = loop->host->comm;
    const XvSource *source = loop->source;
    double counts[2] = {(double)source->kind->skipped(source->state),
                        (double)source->kind->partial(source->state)};
    sum_means(comm, loop->evaluation->losses, loop->evaluation->n_losses);
    sum_means(comm, loop->evaluation->metrics, loop->evaluation->n_metrics);
    sum_means(comm, loop->partial.losses, loop->partial.n_losses);
    sum_means(comm, loop->partial.metrics, loop->partial.n_metrics);
    xv_comm_sum_f64(comm, counts, 2);
    loop->evaluation->skipped = (int64_t)counts[0];
    loop->evaluation->partial = (int64_t)counts[1];
}

static void add_means(XvMean *to, const XvMean *from, int count)
{
    for (int i = 0; i < count; i++) {
        to[i].sum += from[i].sum;
        to[i].weight += from[i].weight;
    }
}

// Partly filled batches count where they are the rule.
static void settle_partial(Loop *loop)
{
    XvEvaluation *whole = loop->evaluation, *partial = &loop->partial;
    if (whole->records >= partial->records) {
        whole->left_out = partial->records;
        return;
    }
    add_means(whole->losses, partial->losses, whole->n_losses);
    add_means(whole->metrics, partial->metrics, whole->n_metrics);
    whole->records += partial->records;
}

bool xv_evaluate(XvHost *host, const XvEntry *entry, XvSource *source, const XvEvaluateOptions *options,
                 XvEvaluation *evaluation, XvError *error)
{
    Loop loop = {.host = host, .source = source, .options = options, .evaluation = evaluation};
    xv_host_clamp(host);
    bool is_done = create(evaluation, entry, error) && create(&loop.partial, entry, error);
    loop.valid = calloc((size_t)xv_comm_world(host->comm), sizeof *loop.valid);
    is_done = is_done && (loop.valid || xv_fail(error, "no memory")) && run_all(&loop, error);
    if (is_done) {
        sum_over_ranks(&loop);
        settle_partial(&loop);
        evaluation->has_retrieval = evaluation->n_features > 0;
        is_done = !evaluation->has_retrieval ||
                  xv_retrieval(evaluation->features[0], evaluation->features[1], evaluation->n_features,
                               evaluation->width, &evaluation->retrieval, error);
    }
    free(loop.valid);
    xv_evaluation_free(&loop.partial);
    return is_done;
}
