// Rows of a replay file through the encoders, batch by batch; see replay_ranking.h.
#include "runtime/loop/replay_ranking.h"

#include "runtime/loop/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Rows in the file if it holds every input of the graph, else 0.
static int64_t rows_of(const XvGraph *graph, const XvSafetensors *inputs)
{
    int64_t rows = 0;
    for (int i = 0; i < graph->n_inputs; i++) {
        const XvValue *value = &graph->inputs[i];
        const XvStored *stored = xv_safetensors_find(inputs, value->name);
        bool fits = stored && value->rank > 0 && stored->rank == value->rank &&
                    (rows == 0 || stored->shape[0] == rows) &&
                    memcmp(stored->shape + 1, value->shape + 1,
                           (size_t)(value->rank - 1) * sizeof *value->shape) == 0;
        if (!fits) {
            return 0;
        }
        rows = stored->shape[0];
    }
    return rows;
}

XvEntrySet xv_replay_ranking_entries(const XvProgram *program, const XvSafetensors *inputs)
{
    XvTwoStage stages;
    XvError ignored = {{0}};
    bool has_rows = xv_two_stage_find(program, &stages, &ignored) &&
                    rows_of(&stages.encode_image->observe, inputs) > 0 &&
                    rows_of(&stages.encode_text->observe, inputs) > 0;
    return has_rows ? xv_two_stage_entries(program, &stages) : 0;
}

typedef struct FileRows {
    const XvSafetensors *inputs;
    int64_t position, total;
} FileRows;

// The rows from `first` on of a stored tensor into a whole batch; missing ones repeat the last.
static bool copy_rows(const XvSafetensors *inputs, const XvStored *stored, int64_t first, XvTensor *tensor,
                      XvError *error)
{
    size_t row = (size_t)(stored->count / stored->shape[0]) * 4;
    char *all = malloc((size_t)stored->count * 4);
    bool is_read = all && (tensor->dtype == XV_F32
                               ? xv_safetensors_read_f32(inputs, stored, (float *)(void *)all, error)
                               : xv_safetensors_read_i32(inputs, stored, (int32_t *)(void *)all, error));
    for (int64_t i = 0; i < tensor->shape[0] && is_read; i++) {
        int64_t at = first + i < stored->shape[0] ? first + i : stored->shape[0] - 1;
        memcpy((char *)tensor->data + (size_t)i * row, all + (size_t)at * row, row);
    }
    free(all);
    return is_read || (!all && xv_fail(error, "no memory for '%s'", stored->name));
}

static bool next_rows(void *context, XvHost *host, const XvGraph *graph, int64_t *rows, XvError *error)
{
    FileRows *file = context;
    int64_t batch = graph->inputs[0].shape[0];
    int64_t left = file->total - file->position;
    *rows = left == 0 ? XV_ROWS_END : left < batch ? left : batch;
    for (int i = 0; i<graph->n_inputs && * rows> 0; i++) {
        const XvStored *stored = xv_safetensors_find(file->inputs, graph->inputs[i].name);
        XvTensor tensor = xv_host_tensor(host, &graph->inputs[i]);
        if (!copy_rows(file->inputs, stored, file->position, &tensor, error)) {
            return false;
        }
    }
    file->position += left < batch ? left : batch;
    return true;
}

static void name_scores(XvReplayRanking *ranking)
{
    XvTwoStageResult *result = &ranking->result;
    ranking->tensors[0] = (XvTensor){.name = "eval.score_i2t",
                                     .dtype = XV_F32,
                                     .rank = 2,
                                     .shape = {result->images, result->texts},
                                     .data = result->image_to_text};
    ranking->tensors[1] = (XvTensor){.name = "eval.score_t2i",
                                     .dtype = XV_F32,
                                     .rank = 2,
                                     .shape = {result->texts, result->images},
                                     .data = result->text_to_image};
}

static bool rank(XvReplayRanking *ranking, XvError *error)
{
    XvScores scores = xv_two_stage_scores(&ranking->result);
    XvRecalls recalls;
    if (!xv_recalls(&scores, &recalls, error)) {
        return false;
    }
    for (int i = 0; i < XV_RECALL_ROWS; i++) {
        ranking->recalls[i] = (float)xv_recall_value(&recalls, i);
        snprintf(ranking->names[i], sizeof ranking->names[i], "eval.%s", xv_recall_name(i));
        ranking->tensors[2 + i] =
            (XvTensor){.name = ranking->names[i], .dtype = XV_F32, .data = &ranking->recalls[i]};
        fprintf(stderr, "%s%s %.2f", i ? ", " : "ranking: ", xv_recall_name(i), xv_recall_value(&recalls, i));
    }
    fprintf(stderr, " (%lld pairs scored)\n", (long long)ranking->result.pairs);
    return true;
}

bool xv_replay_ranking(XvHost *host, const XvSafetensors *inputs, XvReplayRanking *ranking, XvError *error)
{
    XvTwoStage stages;
    XvSettings settings;
    *ranking = (XvReplayRanking){0};
    if (!xv_two_stage_find(host->program, &stages, error) ||
        !xv_settings_read(&settings, host->program->config, error)) {
        return false;
    }
    int64_t k = (int64_t)xv_settings_number(&settings, "k_test", 256);
    xv_settings_free(&settings);
    FileRows images = {.inputs = inputs, .total = rows_of(&stages.encode_image->observe, inputs)};
    FileRows texts = {.inputs = inputs, .total = rows_of(&stages.encode_text->observe, inputs)};
    XvTwoStageData data = {.images = {&images, next_rows}, .texts = {&texts, next_rows}, .k = k};
    if (!xv_two_stage_run(host, &stages, &data, &ranking->result, error)) {
        return false;
    }
    name_scores(ranking);
    return rank(ranking, error);
}

void xv_replay_ranking_free(XvReplayRanking *ranking)
{
    xv_two_stage_free(&ranking->result);
}
