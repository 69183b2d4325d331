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
    *evaluation = (XvEvaluation){.entry = entry, .n_losses = xv_entry_losses(entry), .n_metrics = entry->n_metrics};
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

static bool keep_features(const XvHost *host, XvEvaluation *evaluation, int64_t rows, XvError *error)
{
    const XvEntry *entry = evaluation->entry;
    evaluation->width = feature(entry, 0)->shape[1];
    for (int side = 0; side < 2; side++) {
        size_t row_bytes = (size_t)evaluation->width * sizeof(float);
        float *grown = realloc(evaluation->features[side], (size_t)(evaluation->n_features + rows) * row_bytes + 1);
        if (!grown) {
            return xv_fail(error, "no memory for features");
        }
        evaluation->features[side] = grown;
        memcpy(grown + evaluation->n_features * evaluation->width, xv_host_tensor(host, feature(entry, side)).data,
               (size_t)rows * row_bytes);
    }
    evaluation->n_features += rows;
    return true;
}

typedef struct Loop {
    XvHost *host;
    XvSource *source;
    const XvEvaluateOptions *options;
    XvEvaluation *evaluation;
    XvEvaluation partial;    // means over partly filled batches, held back until it is known whether others exist
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

static bool take_batch(Loop *loop, const XvBatch *batch, XvError *error)
{
    XvEvaluation *evaluation = loop->evaluation;
    bool is_full = batch->valid == loop->source->kind->batch_size(loop->source->state);
    XvEvaluation *into = is_full ? evaluation : &loop->partial;
    add_losses(loop->host, into, batch->valid);
    add_metrics(loop->host, into);
    into->records += batch->valid;
    const XvObserver *observer = loop->options->observer;
    if (observer && !observer->batch(observer->context, loop->host, evaluation->entry, batch, error)) {
        return false;
    }
    int64_t wanted = loop->options->retrieval - evaluation->n_features;
    int64_t rows = wanted < batch->valid ? wanted : batch->valid;
    return rows <= 0 || !has_features(evaluation->entry) || keep_features(loop->host, evaluation, rows, error);
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
    xv_weights_clamp(host->program, host->parameters.data);
    bool is_done = create(evaluation, entry, error) && create(&loop.partial, entry, error) && run_all(&loop, error);
    if (is_done) {
        settle_partial(&loop);
        evaluation->skipped = source->kind->skipped(source->state);
        evaluation->partial = source->kind->partial(source->state);
        evaluation->has_retrieval = evaluation->n_features > 0;
        is_done = !evaluation->has_retrieval ||
                  xv_retrieval(evaluation->features[0], evaluation->features[1], evaluation->n_features, evaluation->width,
                               &evaluation->retrieval, error);
    }
    xv_evaluation_free(&loop.partial);
    return is_done;
}
