// Shapes as equations between named sizes; see loader_bind.h.
#include "runtime/data/loader_bind.h"

#include "runtime/data/masking.h"

#include <stdio.h>
#include <string.h>

// Sizes that shapes are made of; negative entries of a shape are literal.
typedef enum Size { SIZE_END, SIZE_B, SIZE_I, SIZE_R, SIZE_T, SIZE_M, SIZE_S, SIZE_COUNT } Size;

typedef struct KnownInput {
    const char *name;
    XvRole role;
    XvDtype dtype;
    int shape[4];       // Size, or -n for n
    bool is_for_pairs;  // kind image_text has it
} KnownInput;

static const KnownInput KNOWN[] = {
    {"image", XV_ROLE_IMAGE, XV_F32, {SIZE_I, -3, SIZE_R, SIZE_R}, true},
    {"idx_to_group_img", XV_ROLE_GROUP, XV_I32, {SIZE_B}, false},
    {"text_ids", XV_ROLE_TEXT_IDS, XV_I32, {SIZE_B, SIZE_T}, true},
    {"text_atts", XV_ROLE_TEXT_ATTS, XV_I32, {SIZE_B, SIZE_T}, true},
    {"text_ids_masked", XV_ROLE_TEXT_IDS_MASKED, XV_I32, {SIZE_B, SIZE_T}, true},
    {"masked_pos", XV_ROLE_MASKED_POS, XV_I32, {SIZE_B, SIZE_M}, true},
    {"masked_ids", XV_ROLE_MASKED_IDS, XV_I32, {SIZE_B, SIZE_M}, true},
    {"image_atts", XV_ROLE_IMAGE_ATTS, XV_I32, {SIZE_B, SIZE_S}, false},
    {"target_bbox", XV_ROLE_TARGET_BBOX, XV_F32, {SIZE_B, -4}, false},
    {"is_image", XV_ROLE_IS_IMAGE, XV_I32, {SIZE_B}, false},
};

enum { N_KNOWN = sizeof KNOWN / sizeof *KNOWN };

static const char *const SIZE_NAMES[SIZE_COUNT] = {
    [SIZE_END] = "",
    [SIZE_B] = "the batch size",
    [SIZE_I] = "max_images",
    [SIZE_R] = "image_res",
    [SIZE_T] = "max_tokens",
    [SIZE_M] = "max_masks",
    [SIZE_S] = "1 + (image_res / patch_size)^2",
};

typedef struct Sizes {
    int64_t values[SIZE_COUNT];       // 0: not known yet
    const char *sources[SIZE_COUNT];  // the input that said so; NULL: the options
} Sizes;

static const KnownInput *find_known(const XvValue *input, bool is_regions)
{
    for (int i = 0; i < N_KNOWN; i++) {
        if (strcmp(KNOWN[i].name, input->name) == 0 && (is_regions || KNOWN[i].is_for_pairs)) {
            return &KNOWN[i];
        }
    }
    return NULL;
}

static bool fail_unknown(const XvValue *input, const XvLoaderOptions *options, bool is_regions,
                         XvError *error)
{
    char names[256] = "";
    for (int i = 0; i < N_KNOWN; i++) {
        size_t used = strlen(names);
        if (is_regions || KNOWN[i].is_for_pairs) {
            snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", KNOWN[i].name);
        }
    }
    return xv_fail(error, "data of kind \"%s\" has no input %s (it has %s)", options->kind, input->name,
                   names);
}

// In pairs the pictures are as many as the texts.
static Size size_of(int entry, bool is_regions)
{
    return entry == SIZE_I && !is_regions ? SIZE_B : (Size)entry;
}

static bool match_dimension(Sizes *sizes, const XvValue *input, int axis, Size size, XvError *error)
{
    int64_t found = input->shape[axis];
    if (sizes->values[size] == 0) {
        sizes->values[size] = found;
        sizes->sources[size] = input->name;
    }
    if (sizes->values[size] != found || found < 1) {
        return xv_fail(error, "input %s: dimension %d is %lld, but %s is %lld%s%s", input->name, axis,
                       (long long)found, SIZE_NAMES[size], (long long)sizes->values[size],
                       sizes->sources[size] ? " in input " : "",
                       sizes->sources[size] ? sizes->sources[size] : "");
    }
    return true;
}

static bool match(Sizes *sizes, const XvValue *input, const KnownInput *known, bool is_regions,
                  XvError *error)
{
    int rank = 0;
    while (rank < 4 && known->shape[rank] != SIZE_END) {
        rank++;
    }
    if (input->rank != rank || input->dtype != known->dtype) {
        return xv_fail(error, "input %s: the data pipeline makes %s of rank %d, not %s of rank %d",
                       input->name, xv_dtype_name(known->dtype), rank, xv_dtype_name(input->dtype),
                       input->rank);
    }
    for (int axis = 0; axis < rank; axis++) {
        int entry = known->shape[axis];
        if (entry < 0 && input->shape[axis] != -entry) {
            return xv_fail(error, "input %s: dimension %d is %lld, not %d", input->name, axis,
                           (long long)input->shape[axis], -entry);
        }
        if (entry > 0 && !match_dimension(sizes, input, axis, size_of(entry, is_regions), error)) {
            return false;
        }
    }
    return true;
}

static int or_default(int64_t value, int otherwise)
{
    return value > 0 ? (int)value : otherwise;
}

static bool take_sizes(XvLoaderOptions *options, XvBinding *binding, const Sizes *sizes, XvError *error)
{
    options->image_res = or_default(sizes->values[SIZE_R], 224);
    options->max_tokens = or_default(sizes->values[SIZE_T], 40);
    options->mask.max = or_default(sizes->values[SIZE_M], 8);
    options->max_images = (int)sizes->values[SIZE_I];
    binding->batch_size = (int)sizes->values[SIZE_B];
    if (binding->batch_size < 1 || (binding->is_regions && options->max_images < 1)) {
        return xv_fail(error, "data of kind \"%s\": no input tells %s", options->kind,
                       SIZE_NAMES[binding->batch_size < 1 ? SIZE_B : SIZE_I]);
    }
    if (options->max_tokens < 2 || options->max_tokens > XV_MAX_TOKENS) {
        return xv_fail(error, "max_tokens is %d, not in 2..%d", options->max_tokens, XV_MAX_TOKENS);
    }
    int side = options->image_res / options->patch_size;
    if (side < 1 || (sizes->values[SIZE_S] > 0 && sizes->values[SIZE_S] != 1 + side * side)) {
        return xv_fail(error, "input image_atts: %lld positions, but image_res %d and patch_size %d make %d",
                       (long long)sizes->values[SIZE_S], options->image_res, options->patch_size,
                       1 + side * side);
    }
    return true;
}

bool xv_loader_bind(XvLoaderOptions *options, XvBinding *binding, XvError *error)
{
    *binding = (XvBinding){.is_regions = strcmp(options->kind, "regions") == 0, .image_input = -1};
    if (!binding->is_regions && strcmp(options->kind, "image_text") != 0) {
        return xv_fail(error, "data of kind \"%s\" is not known (there are \"image_text\" and \"regions\")",
                       options->kind);
    }
    if (options->n_inputs < 1 || options->n_inputs > XV_BATCH_TENSORS) {
        return xv_fail(error, "%d inputs, not 1..%d", options->n_inputs, XV_BATCH_TENSORS);
    }
    Sizes sizes = {.values = {[SIZE_I] = binding->is_regions ? options->max_images : 0,
                              [SIZE_R] = options->image_res,
                              [SIZE_T] = options->max_tokens,
                              [SIZE_M] = options->mask.max}};
    for (int i = 0; i < options->n_inputs; i++) {
        const KnownInput *known = find_known(&options->inputs[i], binding->is_regions);
        if (!known) {
            return fail_unknown(&options->inputs[i], options, binding->is_regions, error);
        }
        if (!match(&sizes, &options->inputs[i], known, binding->is_regions, error)) {
            return false;
        }
        binding->roles[i] = known->role;
        binding->image_input = known->role == XV_ROLE_IMAGE ? i : binding->image_input;
    }
    binding->n_inputs = options->n_inputs;
    return take_sizes(options, binding, &sizes, error);
}
