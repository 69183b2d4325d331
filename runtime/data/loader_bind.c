// Shapes as equations between named sizes; see loader_bind.h.
#include "runtime/data/loader_bind.h"

#include "runtime/data/masking.h"

#include <stdio.h>
#include <string.h>

// Sizes that shapes are made of; negative entries of a shape are literal.
typedef enum Size {
    SIZE_END,
    SIZE_B,
    SIZE_I,
    SIZE_R,
    SIZE_T,
    SIZE_M,
    SIZE_S,
    SIZE_A,
    SIZE_L,
    SIZE_P,
    SIZE_COUNT
} Size;

typedef struct KnownInput {
    const char *name;
    unsigned group;  // XV_FILLS_...
    XvRole role;
    XvDtype dtype;
    int shape[4];  // Size, or -n for n
} KnownInput;

static const KnownInput KNOWN[] = {
    {"image", XV_FILLS_IMAGE, XV_ROLE_IMAGE, XV_F32, {SIZE_I, -3, SIZE_R, SIZE_R}},
    {"idx_to_group_img", XV_FILLS_REGIONS, XV_ROLE_GROUP, XV_I32, {SIZE_B}},
    {"text_ids", XV_FILLS_TEXT, XV_ROLE_TEXT_IDS, XV_I32, {SIZE_B, SIZE_T}},
    {"text_atts", XV_FILLS_TEXT, XV_ROLE_TEXT_ATTS, XV_I32, {SIZE_B, SIZE_T}},
    {"text_ids_masked", XV_FILLS_MASKS, XV_ROLE_TEXT_IDS_MASKED, XV_I32, {SIZE_B, SIZE_T}},
    {"masked_pos", XV_FILLS_MASKS, XV_ROLE_MASKED_POS, XV_I32, {SIZE_B, SIZE_M}},
    {"masked_ids", XV_FILLS_MASKS, XV_ROLE_MASKED_IDS, XV_I32, {SIZE_B, SIZE_M}},
    {"image_atts", XV_FILLS_REGIONS, XV_ROLE_IMAGE_ATTS, XV_I32, {SIZE_B, SIZE_S}},
    {"target_bbox", XV_FILLS_BOX, XV_ROLE_TARGET_BBOX, XV_F32, {SIZE_B, -4}},
    {"is_image", XV_FILLS_REGIONS, XV_ROLE_IS_IMAGE, XV_I32, {SIZE_B}},
    {"idx", XV_FILLS_IDX, XV_ROLE_LABEL, XV_I32, {SIZE_B}},
    {"txt2img", XV_FILLS_IDX, XV_ROLE_LABEL, XV_I32, {SIZE_B}},
    {"targets", XV_FILLS_TARGETS, XV_ROLE_LABEL, XV_I32, {SIZE_B}},
    {"question_ids", XV_FILLS_QUESTION, XV_ROLE_TEXT_IDS, XV_I32, {SIZE_B, SIZE_T}},
    {"question_atts", XV_FILLS_QUESTION, XV_ROLE_TEXT_ATTS, XV_I32, {SIZE_B, SIZE_T}},
    {"answer_ids", XV_FILLS_ANSWERS, XV_ROLE_ANSWER_IDS, XV_I32, {SIZE_A, SIZE_L}},
    {"answer_atts", XV_FILLS_ANSWERS, XV_ROLE_ANSWER_ATTS, XV_I32, {SIZE_A, SIZE_L}},
    {"weights", XV_FILLS_ANSWERS, XV_ROLE_WEIGHTS, XV_F32, {SIZE_A}},
    {"answer_question", XV_FILLS_ANSWERS, XV_ROLE_ANSWER_QUESTION, XV_I32, {SIZE_A}},
    {"k", XV_FILLS_ANSWERS, XV_ROLE_ANSWERS_EACH, XV_I32, {SIZE_B}},
    {"prompt_ids", XV_FILLS_PROMPT, XV_ROLE_PROMPT, XV_I32, {SIZE_B, SIZE_P}},
};

enum { N_KNOWN = sizeof KNOWN / sizeof *KNOWN };

static const char *const SIZE_NAMES[SIZE_COUNT] = {
    [SIZE_END] = "",
    [SIZE_B] = "the batch size",
    [SIZE_I] = "the number of pictures",
    [SIZE_R] = "image_res",
    [SIZE_T] = "max_tokens",
    [SIZE_M] = "max_masks",
    [SIZE_S] = "1 + (image_res / patch_size)^2",
    [SIZE_A] = "the number of answers",
    [SIZE_L] = "the length of answers",
    [SIZE_P] = "the length of the prompt",
};

typedef struct Sizes {
    int64_t values[SIZE_COUNT];       // 0: not known yet
    const char *sources[SIZE_COUNT];  // the input that said so; NULL: the options
} Sizes;

static const KnownInput *find_known(const XvValue *input, const XvLoaderKind *kind)
{
    bool is_prefixed = strncmp(input->name, "eval.", 5) == 0;  // official names of evaluation inputs
    for (int i = 0; i < N_KNOWN; i++) {
        if (strcmp(KNOWN[i].name, input->name + (is_prefixed ? 5 : 0)) == 0 &&
            (KNOWN[i].group & kind->fills)) {
            return &KNOWN[i];
        }
    }
    return NULL;
}

static bool fail_unknown(const XvValue *input, const XvLoaderKind *kind, XvError *error)
{
    char names[512] = "";
    for (int i = 0; i < N_KNOWN; i++) {
        size_t used = strlen(names);
        if (KNOWN[i].group & kind->fills) {
            snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", KNOWN[i].name);
        }
    }
    return xv_fail(error, "data of kind \"%s\" has no input %s (it has %s)", kind->name, input->name, names);
}

// With one picture per record and no regions the pictures are as many as the texts; the rows of an answer list are
// the batch.
static Size size_of(int entry, const XvLoaderKind *kind)
{
    bool is_list = kind->fills == XV_FILLS_ANSWERS;
    bool is_batch =
        (entry == SIZE_I && !kind->is_regions && kind->pictures == 1) || (entry == SIZE_A && is_list);
    return is_batch ? SIZE_B : (Size)entry;
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

static bool match(Sizes *sizes, const XvValue *input, const KnownInput *known, const XvLoaderKind *kind,
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
        if (entry > 0 && !match_dimension(sizes, input, axis, size_of(entry, kind), error)) {
            return false;
        }
    }
    return true;
}

static int or_default(int64_t value, int otherwise)
{
    return value > 0 ? (int)value : otherwise;
}

static bool check_sizes(const XvLoaderOptions *options, const XvBinding *binding, const Sizes *sizes,
                        XvError *error)
{
    const XvLoaderKind *kind = binding->kind;
    if (binding->batch_size < 1 || (kind->is_regions && options->max_images < 1)) {
        return xv_fail(error, "data of kind \"%s\": no input tells %s", kind->name,
                       SIZE_NAMES[binding->batch_size < 1 ? SIZE_B : SIZE_I]);
    }
    if (options->max_tokens < 2 || options->max_tokens > XV_MAX_TOKENS) {
        return xv_fail(error, "max_tokens is %d, not in 2..%d", options->max_tokens, XV_MAX_TOKENS);
    }
    if ((binding->wants & XV_FILLS_ANSWERS) &&
        (options->answer_tokens < 2 || options->answer_tokens > XV_MAX_TOKENS)) {
        return xv_fail(error, "answers of %d tokens: they must have room for 2..%d", options->answer_tokens,
                       XV_MAX_TOKENS);
    }
    int64_t pictures = sizes->values[SIZE_I];
    if (kind->pictures > 1 && pictures > 0 && pictures != (int64_t)kind->pictures * binding->batch_size) {
        return xv_fail(error, "input image: %lld pictures, but %d for each of %d records make %d",
                       (long long)pictures, kind->pictures, binding->batch_size,
                       kind->pictures * binding->batch_size);
    }
    int side = options->image_res / options->patch_size;
    if (side < 1 || (sizes->values[SIZE_S] > 0 && sizes->values[SIZE_S] != 1 + side * side)) {
        return xv_fail(error, "input image_atts: %lld positions, but image_res %d and patch_size %d make %d",
                       (long long)sizes->values[SIZE_S], options->image_res, options->patch_size,
                       1 + side * side);
    }
    return true;
}

static void take_sizes(XvLoaderOptions *options, XvBinding *binding, const Sizes *sizes)
{
    const XvLoaderKind *kind = binding->kind;
    options->image_res = or_default(sizes->values[SIZE_R], 224);
    options->max_tokens = or_default(sizes->values[SIZE_T], 40);
    options->mask.max = or_default(sizes->values[SIZE_M], 8);
    options->max_images = (int)sizes->values[SIZE_I];
    options->answer_tokens = (int)sizes->values[SIZE_L];
    options->prompt_tokens = (int)sizes->values[SIZE_P];
    options->image_key = options->image_key ? options->image_key : kind->image_key;
    if (!(options->scale_low > 0 || options->scale_low < 0)) {
        options->scale_low = kind->min_crop_scale > 0 ? kind->min_crop_scale : options->scale_high;
    }
    binding->batch_size = (int)sizes->values[SIZE_B];
    bool is_list = kind->fills == XV_FILLS_ANSWERS;
    binding->answer_rows = is_list ? binding->batch_size : (int)sizes->values[SIZE_A];
    if (binding->batch_size < 1 && kind->pictures > 1) {
        binding->batch_size = (int)(sizes->values[SIZE_I] / kind->pictures);  // pictures alone
    }
}

bool xv_loader_bind(XvLoaderOptions *options, XvBinding *binding, XvError *error)
{
    const XvLoaderKind *kind = xv_loader_kind(options->kind, error);
    if (!kind) {
        return false;
    }
    *binding = (XvBinding){.kind = kind, .image_input = -1};
    if (options->n_inputs < 1 || options->n_inputs > XV_BATCH_TENSORS) {
        return xv_fail(error, "%d inputs, not 1..%d", options->n_inputs, XV_BATCH_TENSORS);
    }
    Sizes sizes = {.values = {[SIZE_I] = kind->is_regions ? options->max_images : 0,
                              [SIZE_R] = options->image_res,
                              [SIZE_T] = options->max_tokens,
                              [SIZE_M] = options->mask.max}};
    for (int i = 0; i < options->n_inputs; i++) {
        const KnownInput *known = find_known(&options->inputs[i], kind);
        if (!known && kind->is_partial) {
            continue;
        }
        if (!known) {
            return fail_unknown(&options->inputs[i], kind, error);
        }
        if (!match(&sizes, &options->inputs[i], known, kind, error)) {
            return false;
        }
        binding->image_input = known->role == XV_ROLE_IMAGE ? binding->n_inputs : binding->image_input;
        binding->inputs[binding->n_inputs] = options->inputs[i];
        binding->roles[binding->n_inputs++] = known->role;
        binding->wants |= known->group;
    }
    take_sizes(options, binding, &sizes);
    return check_sizes(options, binding, &sizes, error);
}
