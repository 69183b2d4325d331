// Samples from records: reading, parsing, and the fields of a record; see sample.h.
#include "runtime/data/sample.h"

#include "runtime/data/json_line.h"
#include "runtime/data/sample_job.h"

#include <math.h>
#include <string.h>

void xv_workspace_free(XvWorkspace *workspace)
{
    xv_bytes_free(&workspace->line);
    xv_bytes_free(&workspace->file);
    xv_bytes_free(&workspace->text);
    xv_image_free(&workspace->decoded);
    xv_image_free(&workspace->resized);
    xv_image_free(&workspace->augmented);
    xv_resizer_free(&workspace->resizer);
    xv_tokens_free(&workspace->tokens);
}

bool xv_job_is_training(const XvJob *job)
{
    return job->options->mode == XV_LOADER_TRAIN;
}

bool xv_job_wants(const XvJob *job, unsigned group)
{
    return (job->sampler->wants & group) != 0;
}

// ---- fields

const char *xv_job_string(const XvJob *job, const char *key)
{
    const cJSON *value = xv_json_member(job->record, key);
    if (!cJSON_IsString(value)) {
        xv_fail(job->error, value ? "field \"%s\" is not a string" : "no field \"%s\"", key);
        return NULL;
    }
    return value->valuestring;
}

bool xv_job_integer(const XvJob *job, const char *key, int64_t *value)
{
    const cJSON *number = xv_json_member(job->record, key);
    if (!cJSON_IsNumber(number) || !(fabs(number->valuedouble) < 0x1p53)) {
        return xv_fail(job->error, number ? "field \"%s\" is not a whole number" : "no field \"%s\"", key);
    }
    *value = (int64_t)number->valuedouble;
    return true;
}

const char *xv_job_choice(const XvJob *job, const char *key)
{
    const cJSON *value = xv_json_member(job->record, key);
    const cJSON *item = value;
    if (cJSON_IsArray(value)) {
        int count = cJSON_GetArraySize(value);
        int at = count > 1 ? job->draws.between(job->draws.state, 0, count - 1) : 0;
        item = cJSON_GetArrayItem(value, at);
    }
    if (!cJSON_IsString(item)) {
        xv_fail(job->error,
                value ? "field \"%s\" is neither a string nor a list of strings" : "no field \"%s\"", key);
        return NULL;
    }
    return item->valuestring;
}

// ---- the whole sample

static bool make(XvJob *job, XvYield *yield)
{
    XvBytes *line = &job->workspace->line;
    cJSON *tree = xv_json_parse_line((char *)line->data, line->count, job->error);
    if (!tree) {
        return false;
    }
    job->record = tree;
    job->workspace->n_partial = 0;
    bool is_text = cJSON_IsString(tree) && job->sampler->kind->make == xv_make_answer;
    bool ok = cJSON_IsObject(tree) || is_text || xv_fail(job->error, "the record is not a JSON object");
    ok = ok && job->sampler->kind->make(job, yield);
    yield->n_partial = job->workspace->n_partial;
    cJSON_Delete(tree);
    return ok;
}

bool xv_sample_make(const XvSampler *sampler, XvWorkspace *workspace, XvPick pick, XvYield *yield,
                    XvError *error)
{
    XvStream stream = xv_stream(pick.key);
    XvJob job = {.sampler = sampler,
                 .options = sampler->options,
                 .workspace = workspace,
                 .pick = pick,
                 .error = error};
    job.mask_draws = xv_stream_draws(&stream);
    job.draws = xv_job_is_training(&job) ? job.mask_draws : xv_first_draws();
    if (sampler->stream) {
        return xv_line_stream_read(sampler->stream, pick.item, &workspace->line, &job.path, error) &&
               make(&job, yield);
    }
    int64_t record = xv_survey_record(sampler->survey, pick.item);
    job.path = xv_records_path(sampler->files, record);
    return xv_records_read(sampler->files, record, &workspace->line, error) && make(&job, yield);
}
