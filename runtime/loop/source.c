// Sources over the loaders of runtime/data; see source.h. Options of an entry are read from the configuration group
// of its name ("images.image_key"), those of texts from the top level ("max_words"); sizes come from the inputs.
#include "runtime/loop/source.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct LoaderState {
    XvLoader *loader;
    const char *paths[1];
    char vocab[PATH_MAX];
} LoaderState;

// vocab.txt in the folder of the first records, which need not exist.
static void vocabulary_beside(const char *records, char path[PATH_MAX])
{
    int length = (int)strcspn(records, ",");
    snprintf(path, PATH_MAX, "%.*s", length, records);
    struct stat status;
    bool is_folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    const char *slash = strrchr(path, '/');
    int folder = is_folder ? length : slash ? (int)(slash - path) : 0;
    snprintf(path, PATH_MAX, "%.*s%svocab.txt", folder, records, folder > 0 ? "/" : "");
}

bool xv_vocabulary_path(const XvSourceRequest *request, char *path, XvError *error)
{
    if (request->vocab) {
        snprintf(path, PATH_MAX, "%s", request->vocab);
        return true;
    }
    vocabulary_beside(request->path, path);
    if (access(path, R_OK) == 0) {
        return true;
    }
    const char *configured = xv_settings_text(request->settings, "text_encoder", NULL);
    if (configured && access(configured, R_OK) == 0) {
        snprintf(path, PATH_MAX, "%s", configured);
        return true;
    }
    return xv_fail(error, "there is no vocabulary %s%s%s; give one with --vocab F", path,
                   configured ? ", nor the configured text_encoder " : "", configured ? configured : "");
}

static void print_warning(void *context, const char *message)
{
    (void)context;
    fprintf(stderr, "warning: %s\n", message);
}

static bool set_augment(XvLoaderOptions *options, const XvSettings *settings, XvError *error)
{
    XvAugmentOptions *augment = &options->augment;
    double n_ops = xv_settings_number(settings, "randaug.ops", augment->n_ops);
    augment->level = xv_settings_number(settings, "randaug.level", augment->level);
    augment->fixes.auto_contrast =
        xv_settings_truth(settings, "randaug.fix_autocontrast", augment->fixes.auto_contrast);
    augment->fixes.sharpness = xv_settings_truth(settings, "randaug.fix_sharpness", augment->fixes.sharpness);
    if (!(n_ops >= 0 && n_ops <= XV_AUGMENT_MAX_OPS) ||
        !(augment->level >= 0 && augment->level <= XV_AUGMENT_MAX_LEVEL)) {
        return xv_fail(error, "randaug.ops must lie in 0..%d and randaug.level in 0..%d", XV_AUGMENT_MAX_OPS,
                       XV_AUGMENT_MAX_LEVEL);
    }
    augment->n_ops = (int)n_ops;
    return true;
}

typedef struct Group {
    const XvSettings *settings;
    const char *name;
    char path[256];
} Group;

static const char *in_group(Group *group, const char *key)
{
    snprintf(group->path, sizeof group->path, "%s.%s", group->name, key);
    return group->path;
}

static void set_texts(XvLoaderOptions *options, const XvSettings *settings)
{
    options->max_words = (int)xv_settings_number(settings, "max_words", options->max_words);
    options->mask.prob = xv_settings_number(settings, "mask_prob", options->mask.prob);
    options->mask.skipgram_prb = xv_settings_number(settings, "skipgram_prb", options->mask.skipgram_prb);
    options->mask.skipgram_size =
        (int)xv_settings_number(settings, "skipgram_size", options->mask.skipgram_size);
    options->mask.whole_word = xv_settings_truth(settings, "mask_whole_word", options->mask.whole_word);
}

static XvChoice choice_of(const XvSettings *settings, const char *path)
{
    bool if_yes = xv_settings_truth(settings, path, false),
         if_unset = xv_settings_truth(settings, path, true);
    return if_yes != if_unset ? XV_UNSET : if_yes ? XV_YES : XV_NO;
}

// Keys of the entry's own group, as the pre-training configurations have them.
static void set_group(XvLoaderOptions *options, Group *group)
{
    const XvSettings *settings = group->settings;
    options->image_key = xv_settings_text(settings, in_group(group, "image_key"), options->image_key);
    options->caption_key = xv_settings_text(settings, in_group(group, "caption_key"), options->caption_key);
    options->is_image_rpath =
        xv_settings_truth(settings, in_group(group, "is_image_rpath"), options->is_image_rpath);
    options->tokenized = xv_settings_truth(settings, in_group(group, "tokenized"), options->tokenized);
    options->max_regions =
        (int)xv_settings_number(settings, in_group(group, "max_regions"), options->max_regions);
    options->min_perc_in_image =
        xv_settings_number(settings, in_group(group, "min_perc_in_image"), options->min_perc_in_image);
    options->min_margin = xv_settings_number(settings, in_group(group, "min_margin"), options->min_margin);
    options->scale_low = xv_settings_number(settings, in_group(group, "min_crop_scale"), options->scale_low);
    options->careful_hflip = choice_of(settings, in_group(group, "careful_hflip"));
    options->stream = choice_of(settings, in_group(group, "stream"));
}

// Keys of the top level, as the fine-tuning configurations have them.
static void set_top(XvLoaderOptions *options, const XvSettings *settings)
{
    options->dataset_size = (int64_t)xv_settings_number(settings, "train_dataset_size", 0);
    options->patch_size = (int)xv_settings_number(settings, "patch_size", options->patch_size);
    options->image_root = xv_settings_text(settings, "image_root", NULL);
    options->vqa_root = xv_settings_text(settings, "vqa_root", NULL);
    options->vg_root = xv_settings_text(settings, "vg_root", NULL);
    options->prompt = xv_settings_text(settings, "prompt", NULL);
    options->references = xv_settings_text(settings, "refcoco_data", NULL);
    if (options->careful_hflip == XV_UNSET) {
        options->careful_hflip = choice_of(settings, "careful_hflip");
    }
}

static void *loader_open(const XvSourceRequest *request, XvError *error)
{
    LoaderState *state = calloc(1, sizeof *state);
    if (!state) {
        xv_fail(error, "no memory");
        return NULL;
    }
    state->paths[0] = request->path;
    XvLoaderOptions options = xv_loader_defaults();
    set_texts(&options, request->settings);
    set_group(&options, &(Group){.settings = request->settings, .name = request->entry->name});
    set_top(&options, request->settings);
    options.kind = request->entry->data;
    options.paths = state->paths;
    options.n_paths = 1;
    options.inputs = request->graph->inputs;
    options.n_inputs = request->graph->n_inputs;
    options.mode = request->is_evaluation ? XV_LOADER_EVAL : XV_LOADER_TRAIN;
    options.vocab_path = state->vocab;
    options.seed = request->seed;
    options.threads = request->threads;
    options.rank = request->rank;
    options.world = request->world > 1 ? request->world : 1;
    options.by_batch = request->by_batch;
    options.warn = print_warning;
    bool ok =
        xv_vocabulary_path(request, state->vocab, error) && set_augment(&options, request->settings, error);
    state->loader = ok ? xv_loader_open(&options, error) : NULL;
    if (!state->loader) {
        free(state);
        return NULL;
    }
    return state;
}

static bool loader_next(void *state, XvBatch *batch, XvError *error)
{
    return xv_loader_next(((LoaderState *)state)->loader, batch, error);
}

static int64_t loader_position(const void *state)
{
    return xv_loader_position(((const LoaderState *)state)->loader);
}

static void loader_seek(void *state, int64_t position)
{
    xv_loader_seek(((LoaderState *)state)->loader, position);
}

static int64_t loader_records(const void *state)
{
    return xv_loader_records(((const LoaderState *)state)->loader);
}

static int64_t loader_batches(const void *state)
{
    return xv_loader_batches(((const LoaderState *)state)->loader);
}

static int loader_batch_size(const void *state)
{
    return xv_loader_batch_size(((const LoaderState *)state)->loader);
}

static int64_t loader_partial(const void *state)
{
    return xv_loader_partial(((const LoaderState *)state)->loader);
}

static int64_t loader_skipped(const void *state)
{
    return xv_loader_skipped(((const LoaderState *)state)->loader);
}

static double loader_waited(const void *state)
{
    return xv_loader_waited(((const LoaderState *)state)->loader);
}

static void loader_close(void *state)
{
    xv_loader_close(((LoaderState *)state)->loader);
    free(state);
}

const XvSourceKind XV_LOADER_SOURCE = {
    .open = loader_open,
    .next = loader_next,
    .position = loader_position,
    .seek = loader_seek,
    .records = loader_records,
    .batches = loader_batches,
    .batch_size = loader_batch_size,
    .skipped = loader_skipped,
    .partial = loader_partial,
    .waited = loader_waited,
    .close = loader_close,
};

bool xv_source_open(XvSource *source, const XvSourceKind *kind, const XvSourceRequest *request,
                    XvError *error)
{
    *source = (XvSource){.kind = kind, .state = kind->open(request, error)};
    return source->state != NULL;
}

void xv_source_close(XvSource *source)
{
    if (source->state) {
        source->kind->close(source->state);
    }
    *source = (XvSource){0};
}
