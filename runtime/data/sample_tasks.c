// Samples of retrieval, NLVR2 and weakly supervised grounding (dataset/re_dataset.py, nlvr_dataset.py,
// grounding_dataset.py).
#include "runtime/data/json_line.h"
#include "runtime/data/sample_job.h"

#include <string.h>

static bool make_picture(const XvJob *job, XvYield *yield)
{
    const char *path = yield->images[0] ? xv_job_string(job, "image") : NULL;
    return !yield->images[0] || (path && xv_job_picture(job, path, true, yield->images[0]));
}

static bool make_text(const XvJob *job, const char *text, XvYield *yield)
{
    return text && xv_job_text(job, text, &(XvTextRule){0}, yield->samples[0].text);
}

// The caption of an item that stands for one of its record's captions, else a choice.
static const char *caption_of(const XvJob *job)
{
    int at = xv_survey_text(job->sampler->survey, job->pick.item);
    if (at < 0) {
        return xv_job_choice(job, "caption");
    }
    const cJSON *value = xv_json_member(job->record, "caption");
    const cJSON *item = cJSON_IsArray(value) ? cJSON_GetArrayItem(value, at) : value;
    if (!cJSON_IsString(item)) {
        xv_fail(job->error, "caption %d is not a string", at + 1);
        return NULL;
    }
    return item->valuestring;
}

bool xv_make_retrieval(XvJob *job, XvYield *yield)
{
    yield->n_samples = 1;
    yield->samples[0].label = xv_survey_label(job->sampler->survey, job->pick.item);
    return (!xv_job_wants(job, XV_FILLS_TEXT) || make_text(job, caption_of(job), yield)) &&
           make_picture(job, yield);
}

bool xv_make_grounding_weak(XvJob *job, XvYield *yield)
{
    yield->n_samples = 1;
    yield->samples[0].label = xv_survey_label(job->sampler->survey, job->pick.item);
    return (!xv_job_wants(job, XV_FILLS_TEXT) || make_text(job, xv_job_string(job, "text"), yield)) &&
           make_picture(job, yield);
}

// "True" and "False" are strings; VLUE's file has them too.
static bool read_label(const XvJob *job, int32_t *label)
{
    const char *text = xv_job_string(job, "label");
    if (!text) {
        return false;
    }
    *label = strcmp(text, "True") == 0;
    return *label || strcmp(text, "False") == 0 ||
           xv_fail(job->error, "field \"label\" is \"%.40s\", neither \"True\" nor \"False\"", text);
}

bool xv_make_nlvr(XvJob *job, XvYield *yield)
{
    yield->n_samples = 1;
    if ((xv_job_wants(job, XV_FILLS_TARGETS) && !read_label(job, &yield->samples[0].label)) ||
        (xv_job_wants(job, XV_FILLS_TEXT) && !make_text(job, xv_job_string(job, "sentence"), yield))) {
        return false;
    }
    const cJSON *images = xv_json_member(job->record, "images");
    for (int i = 0; i < XV_MAX_PICTURES && yield->images[0]; i++) {
        const cJSON *path = cJSON_IsArray(images) ? cJSON_GetArrayItem(images, i) : NULL;
        if (!cJSON_IsString(path)) {
            return xv_fail(job->error, "field \"images\" is %s",
                           images ? "not a list of two paths" : "missing");
        }
        job->picture = i;  // each is cropped, mirrored and augmented on its own
        if (!xv_job_picture(job, path->valuestring, true, yield->images[i])) {
            return false;
        }
    }
    return true;
}
