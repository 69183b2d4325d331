// Samples of pre-training records: pairs, and regions with their texts (dataset/pretrain_dataset.py).
#include "runtime/data/record.h"
#include "runtime/data/sample_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static XvTextRule rule_of(const XvJob *job)
{
    return (XvTextRule){.has_end_token = job->sampler->kind->has_end_token, .has_masks = true};
}

static bool is_path(const XvJob *job)
{
    return job->sampler->kind->is_path || job->options->is_image_rpath;
}

// "attribute caption", or the caption as it is.
static const char *join(const XvJob *job, const XvRegion *region)
{
    if (!region->attribute) {
        return region->caption;
    }
    XvBytes *text = &job->workspace->text;
    size_t length = strlen(region->attribute) + 1 + strlen(region->caption);
    if (!xv_bytes_reserve(text, length)) {
        xv_fail(job->error, "no memory for a caption of %zu bytes", length);
        return NULL;
    }
    snprintf((char *)text->data, length + 1, "%s %s", region->attribute, region->caption);
    return (const char *)text->data;
}

static bool make_text(const XvJob *job, const XvRegion *region, int32_t *block)
{
    const char *caption = join(job, region);
    XvTextRule rule = rule_of(job);
    return caption && xv_job_text(job, caption, &rule, block);
}

// Texts come first, because they fail cheaply.
static bool make_pair(const XvJob *job, const XvRecord *record, XvYield *yield)
{
    XvRegion whole = {.is_image = true, .w = job->options->image_res, .h = job->options->image_res};
    const XvTexts *captions = &record->captions;
    int at = captions->count > 1 ? job->draws.between(job->draws.state, 0, captions->count - 1) : 0;
    if (captions->count == 0 || !captions->items[at]) {
        return xv_fail(job->error, "field \"%s\" (the caption) is %s", job->options->caption_key,
                       captions->is_present ? "neither a string nor a list of strings" : "missing");
    }
    whole.caption = captions->items[at];
    yield->samples[0].region = whole;
    yield->n_samples = 1;
    if (!make_text(job, &whole, yield->samples[0].text)) {
        return false;
    }
    XvImageSize size;
    if (!yield->images[0]) {
        return true;
    }
    if (!xv_job_load(job, record->image, is_path(job), &size)) {
        return false;
    }
    XvRegionView view = xv_job_view(job, size, true);
    return xv_job_render(job, &view, is_path(job) ? record->image : NULL, yield->images[0]);
}

// Takes the regions into the yield, each with its text.
static bool make_texts(const XvJob *job, const XvRegion *regions, int count, XvYield *yield)
{
    for (int i = 0; i < count; i++) {
        if (!make_text(job, &regions[i], yield->samples[i].text)) {
            return false;
        }
        yield->samples[i].region = regions[i];
    }
    yield->n_samples = count;
    return count > 0 || xv_fail(job->error, "no element lies far enough inside the picture");
}

static bool make_regions(const XvJob *job, const XvRecord *record, XvYield *yield)
{
    XvRegionOptions options = {
        .image_res = job->options->image_res,
        .patch_size = job->options->patch_size,
        .max_regions = job->options->max_regions,
        .min_perc_in_image = job->options->min_perc_in_image,
        .min_margin = job->options->min_margin,
        .careful_hflip = job->options->careful_hflip == XV_YES,
    };
    XvRegionScene scene = {.record = record, .options = &options, .draws = &job->draws};
    if (!xv_job_load(job, record->image, is_path(job), &scene.size)) {
        return false;
    }
    XvRegionView view = xv_region_whole(scene.size);
    if (xv_job_is_training(job) && !xv_region_view(&scene, &view, job->error)) {
        return false;
    }
    XvRegion *regions = malloc((size_t)options.max_regions * sizeof *regions);
    if (!regions) {
        return xv_fail(job->error, "no memory for %d regions", options.max_regions);
    }
    int count = xv_region_choose(&scene, &view, regions, job->error);
    bool ok = count >= 0 && make_texts(job, regions, count, yield);
    free(regions);
    return ok && (!yield->images[0] ||
                  xv_job_render(job, &view, is_path(job) ? record->image : NULL, yield->images[0]));
}

typedef bool (*Maker)(const XvJob *job, const XvRecord *record, XvYield *yield);

static bool make(XvJob *job, XvYield *yield, const char *caption_key, Maker maker)
{
    XvRecord record;
    XvRecordKeys keys = {job->options->image_key, caption_key};
    if (!xv_record_view(job->record, &keys, &record, job->error)) {
        return false;
    }
    bool ok = maker(job, &record, yield);
    xv_record_free(&record);
    return ok;
}

bool xv_make_pair(XvJob *job, XvYield *yield)
{
    return make(job, yield, job->options->caption_key, make_pair);
}

bool xv_make_regions(XvJob *job, XvYield *yield)
{
    return make(job, yield, "caption", make_regions);
}
