// Samples of captioning: captions behind the prompt, and pictures with their references
// (dataset/captioning_dataset.py).
#include "runtime/data/caption.h"
#include "runtime/data/json_line.h"
#include "runtime/data/sample_job.h"

#include <stdlib.h>

static bool make_picture(const XvJob *job, XvYield *yield)
{
    const char *path = yield->images[0] ? xv_job_string(job, "image") : NULL;
    return !yield->images[0] || (path && xv_job_picture(job, path, true, yield->images[0]));
}

bool xv_make_captioning(XvJob *job, XvYield *yield)
{
    yield->n_samples = 1;
    if (xv_job_wants(job, XV_FILLS_TEXT)) {
        XvTextRule rule = {.before = job->options->prompt, .has_end_token = true};
        const char *caption = xv_job_choice(job, "caption");
        if (!caption || !xv_job_text(job, caption, &rule, yield->samples[0].text)) {
            return false;
        }
    }
    return make_picture(job, yield);
}

static void drop_references(XvSample *sample)
{
    for (int i = 0; i < XV_REFERENCES; i++) {
        free(sample->references[i]);
        sample->references[i] = NULL;
    }
}

// Reads the captions of another record of the same picture, cleaned.
static bool add_reference(const XvJob *job, int64_t record, XvSample *sample, int at)
{
    XvBytes *text = &job->workspace->text;
    if (!xv_records_read(job->sampler->files, record, text, job->error)) {
        return false;
    }
    cJSON *tree = xv_json_parse_line((char *)text->data, text->count, job->error);
    if (!tree) {
        return false;
    }
    XvJob other = *job;
    other.record = tree;
    const char *caption = xv_job_choice(&other, "caption");
    sample->references[at] = caption ? xv_pre_caption(caption, job->options->max_words, job->error) : NULL;
    cJSON_Delete(tree);
    return sample->references[at] != NULL;
}

// Draws up to XV_REFERENCES of the picture's records without replacement.
static bool make_references(const XvJob *job, XvSample *sample)
{
    const int64_t *records;
    int count = xv_survey_members(job->sampler->survey, job->pick.item, &records);
    int32_t *order = malloc(((size_t)count + 1) * sizeof *order);
    if (!order) {
        return xv_fail(job->error, "no memory for %d captions", count);
    }
    for (int i = 0; i < count; i++) {
        order[i] = i;
    }
    job->draws.shuffle(job->draws.state, order, count);
    bool ok = true;
    for (int i = 0; i < count && i < XV_REFERENCES && ok; i++) {
        ok = add_reference(job, records[order[i]], sample, i);
    }
    free(order);
    return ok;
}

bool xv_make_scst(XvJob *job, XvYield *yield)
{
    yield->n_samples = 1;
    drop_references(&yield->samples[0]);
    return make_references(job, &yield->samples[0]) && make_picture(job, yield);
}
