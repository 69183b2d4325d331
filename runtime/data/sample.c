// Samples from records; see sample.h. Texts come first, because they fail cheaply.
#include "runtime/data/sample.h"

#include "runtime/data/base64.h"
#include "runtime/data/caption.h"
#include "runtime/data/encode.h"
#include "runtime/data/transform.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// One call of xv_sample_make.
typedef struct Job {
    const XvSampler *sampler;
    const XvLoaderOptions *options;
    XvWorkspace *workspace;
    XvPick pick;
    XvDraws draws;  // of crops, flips and choices: the first choice in evaluation
    XvDraws mask_draws;
    XvError *error;
} Job;

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

int xv_sample_text_size(const XvLoaderOptions *options)
{
    return 3 * options->max_tokens + 2 * options->mask.max;
}

// ---- text

static void pad_text(const XvLoaderOptions *options, int32_t pad_id, int32_t *text)
{
    int T = options->max_tokens, M = options->mask.max;
    for (int i = 0; i < T; i++) {
        text[i] = pad_id;
        text[T + i] = 0;
        text[2 * T + i] = pad_id;
    }
    for (int i = 0; i < M; i++) {
        text[3 * T + i] = 0;
        text[3 * T + M + i] = -100;
    }
}

void xv_sample_empty_text(const XvSampler *sampler, int32_t *text)
{
    XvSpecialIds specials = xv_vocabulary_specials(sampler->vocabulary);
    int T = sampler->options->max_tokens;
    pad_text(sampler->options, specials.pad, text);
    text[0] = specials.cls;
    text[T] = 1;
    text[2 * T] = specials.cls;
}

// "attribute caption", or the caption as it is.
static const char *join(Job *job, const XvRegion *region)
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

static bool tokenize(Job *job, const char *text)
{
    const XvVocabulary *vocabulary = job->sampler->vocabulary;
    XvTokens *tokens = &job->workspace->tokens;
    XvEncoding encoding = {.max_tokens = job->options->max_tokens};
    if (job->options->tokenized) {
        return xv_encode_pieces(vocabulary, encoding, text, tokens, job->error);
    }
    char *clean = xv_pre_caption(text, job->options->max_words, job->error);
    bool ok = clean && xv_encode(vocabulary, encoding, clean, tokens, job->error);
    free(clean);
    return ok;
}

static bool make_text(Job *job, const XvRegion *region, int32_t *text)
{
    const char *caption = join(job, region);
    if (!caption || !tokenize(job, caption)) {
        return false;
    }
    const XvTokens *tokens = &job->workspace->tokens;
    int T = job->options->max_tokens, M = job->options->mask.max;
    int n_tokens = tokens->count;
    if (n_tokens < 2) {
        return xv_fail(job->error, "caption \"%.60s\" has no token", caption);
    }
    XvSpecialIds specials = xv_vocabulary_specials(job->sampler->vocabulary);
    pad_text(job->options, specials.pad, text);
    for (int i = 0; i < n_tokens; i++) {
        text[i] = tokens->ids[i];
        text[T + i] = 1;
        text[2 * T + i] = tokens->ids[i];
    }
    int32_t *positions = text + 3 * T;
    int count =
        xv_mask_choose(&job->options->mask, tokens->is_continuation, n_tokens, &job->mask_draws, positions);
    for (int i = 0; i < count; i++) {
        positions[M + i] = text[positions[i]];
    }
    XvMaskVocabulary vocabulary = {specials.mask, xv_vocabulary_count(job->sampler->vocabulary)};
    xv_mask_replace(&vocabulary, positions, count, &job->mask_draws, text + 2 * T);
    return true;
}

// ---- picture

// A relative path that does not lead anywhere from the current folder is taken from the record file's folder.
static bool read_image_file(Job *job, const char *path)
{
    XvBytes *file = &job->workspace->file;
    if (path[0] == '/' || access(path, R_OK) == 0) {
        return xv_file_read(path, file, job->error);
    }
    const char *record_file = xv_records_place(job->sampler->files, job->pick.record).path;
    const char *slash = strrchr(record_file, '/');
    char full[PATH_MAX];
    int length =
        snprintf(full, sizeof full, "%.*s%s", slash ? (int)(slash - record_file) + 1 : 0, record_file, path);
    if (length >= (int)sizeof full) {
        return xv_fail(job->error, "the image path has %zu characters", strlen(path));
    }
    return xv_file_read(full, file, job->error);
}

static bool load_image(Job *job, const XvRecord *record, XvImageSize *size)
{
    XvBytes *file = &job->workspace->file;
    bool is_path = job->options->is_image_rpath;
    bool ok =
        is_path ? read_image_file(job, record->image) : xv_base64_decode(record->image, file, job->error);
    if (!ok) {
        return false;
    }
    return xv_image_size(file->data, file->count, size, job->error) ||
           (is_path && xv_fail_in(job->error, "%.300s", record->image));
}

static bool is_training(const Job *job)
{
    return job->options->mode == XV_LOADER_TRAIN;
}

// Draws from a stream of its own: what it takes does not shift the crops and masks.
static bool augment(Job *job)
{
    enum { PURPOSE_AUGMENT = 0xA06 };
    XvStream stream = xv_stream(xv_key(job->pick.key, PURPOSE_AUGMENT));
    XvDraws draws = xv_stream_draws(&stream);
    int n_choices = job->sampler->is_regions ? XV_AUGMENTS_PHOTOMETRIC : XV_AUGMENTS_ALL;
    XvWorkspace *workspace = job->workspace;
    return !is_training(job) ||
           xv_random_augment(&job->options->augment, n_choices, &draws, &workspace->resized,
                             &workspace->augmented) ||
           xv_fail(job->error, "no memory to augment a picture");
}

static bool render(Job *job, const XvRegionView *view, const char *name, float *out)
{
    XvWorkspace *workspace = job->workspace;
    const XvBytes *file = &workspace->file;
    int res = job->options->image_res;
    if (!xv_image_decode(file->data, file->count, view->crop.top + view->crop.height, &workspace->decoded,
                         job->error)) {
        return job->options->is_image_rpath ? xv_fail_in(job->error, "%.300s", name) : false;
    }
    if (!xv_image_resize(&workspace->resized, res, res, job->error) ||
        !xv_resize(&workspace->resizer, &workspace->decoded, view->crop, &workspace->resized, job->error)) {
        return false;
    }
    if (view->is_flipped) {
        xv_flip(&workspace->resized);
    }
    if (!augment(job)) {
        return false;
    }
    xv_normalise(&workspace->resized, out);
    return true;
}

// ---- the two kinds

static bool make_pair(Job *job, const XvRecord *record, XvYield *yield)
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
    if (!yield->image) {
        return true;
    }
    if (!load_image(job, record, &size)) {
        return false;
    }
    XvRegionView view = xv_region_whole(size);
    if (is_training(job)) {
        view.crop = xv_random_crop(size, job->options->scale_low, job->options->scale_high, &job->draws);
        view.is_flipped = job->draws.uniform(job->draws.state) < 0.5;
    }
    return render(job, &view, record->image, yield->image);
}

// Takes the regions into the yield, each with its text.
static bool make_texts(Job *job, const XvRegion *regions, int count, XvYield *yield)
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

static bool make_regions(Job *job, const XvRecord *record, XvYield *yield)
{
    XvRegionOptions options = {
        .image_res = job->options->image_res,
        .patch_size = job->options->patch_size,
        .max_regions = job->options->max_regions,
        .min_perc_in_image = job->options->min_perc_in_image,
        .careful_hflip = job->options->careful_hflip,
    };
    XvRegionScene scene = {.record = record, .options = &options, .draws = &job->draws};
    if (!load_image(job, record, &scene.size)) {
        return false;
    }
    XvRegionView view = xv_region_whole(scene.size);
    if (is_training(job) && !xv_region_view(&scene, &view, job->error)) {
        return false;
    }
    XvRegion *regions = malloc((size_t)options.max_regions * sizeof *regions);
    if (!regions) {
        return xv_fail(job->error, "no memory for %d regions", options.max_regions);
    }
    int count = xv_region_choose(&scene, &view, regions, job->error);
    bool ok = count >= 0 && make_texts(job, regions, count, yield);
    free(regions);
    return ok && (!yield->image || render(job, &view, record->image, yield->image));
}

bool xv_sample_make(const XvSampler *sampler, XvWorkspace *workspace, XvPick pick, XvYield *yield,
                    XvError *error)
{
    XvStream stream = xv_stream(pick.key);
    Job job = {.sampler = sampler,
               .options = sampler->options,
               .workspace = workspace,
               .pick = pick,
               .error = error};
    job.mask_draws = xv_stream_draws(&stream);
    job.draws = is_training(&job) ? job.mask_draws : xv_first_draws();

    if (!xv_records_read(sampler->files, pick.record, &workspace->line, error)) {
        return false;
    }
    XvRecord record;
    XvRecordKeys keys = {job.options->image_key, sampler->is_regions ? "caption" : job.options->caption_key};
    if (!xv_record_parse((char *)workspace->line.data, workspace->line.count, &keys, &record, error)) {
        return false;
    }
    bool ok = sampler->is_regions ? make_regions(&job, &record, yield) : make_pair(&job, &record, yield);
    xv_record_free(&record);
    return ok;
}
