// Batches of a loader through the encoders; see eval_ranking.h.
#include "runtime/loop/eval_ranking.h"

typedef struct SourceRows {
    XvSource source;
} SourceRows;

static bool open_rows(SourceRows *rows, const XvEvalRanking *request, const XvEntry *encoder, XvError *error)
{
    XvSourceRequest source = {.entry = encoder,
                              .graph = &encoder->observe,
                              .path = request->path,
                              .vocab = request->vocab,
                              .settings = request->settings,
                              .is_evaluation = true,
                              .rank = xv_comm_rank(request->host->comm),
                              .world = xv_comm_world(request->host->comm),
                              .by_batch = true};
    return xv_source_open(&rows->source, request->sources, &source, error) ||
           xv_fail_in(error, "data of entry %s", encoder->name);
}

static bool next_rows(void *context, XvHost *host, const XvGraph *graph, int64_t *n, XvError *error)
{
    SourceRows *rows = context;
    XvBatch batch;
    if (!rows->source.kind->next(rows->source.state, &batch, error)) {
        return false;
    }
    *n = batch.is_end ? XV_ROWS_END : batch.valid;
    return batch.is_end || xv_host_fill(host, graph, batch.tensors, batch.n_tensors, error);
}

static bool add_recalls(const XvTwoStageResult *ranking, cJSON *result, XvError *error)
{
    XvScores scores = xv_two_stage_scores(ranking);
    XvRecalls recalls;
    if (!xv_recalls(&scores, &recalls, error)) {
        return false;
    }
    for (int i = 0; i < XV_RECALL_ROWS; i++) {
        cJSON_AddNumberToObject(result, xv_recall_name(i), xv_recall_value(&recalls, i));
    }
    cJSON_AddNumberToObject(result, "images", (double)ranking->images);
    cJSON_AddNumberToObject(result, "texts", (double)ranking->texts);
    return true;
}

bool xv_eval_ranking(const XvEvalRanking *request, cJSON *result, int64_t *pairs, XvError *error)
{
    SourceRows images = {0}, texts = {0};
    XvTwoStageResult ranking = {0};
    XvTwoStageData data = {.images = {&images, next_rows},
                           .texts = {&texts, next_rows},
                           .k = (int64_t)xv_settings_number(request->settings, "k_test", 256)};
    bool is_done = open_rows(&images, request, request->stages->encode_image, error) &&
                   open_rows(&texts, request, request->stages->encode_text, error) &&
                   xv_two_stage_run(request->host, request->stages, &data, &ranking, error) &&
                   add_recalls(&ranking, result, error);
    *pairs = ranking.pairs;
    xv_two_stage_free(&ranking);
    xv_source_close(&images.source);
    xv_source_close(&texts.source);
    return is_done;
}
