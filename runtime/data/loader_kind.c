// The table of kinds; see loader_kind.h.
#include "runtime/data/loader_kind.h"

#include "runtime/data/augment.h"
#include "runtime/data/sample_makers.h"

#include <stdio.h>
#include <string.h>

enum {
    IMAGE = XV_FILLS_IMAGE,
    PAIR = XV_FILLS_IMAGE | XV_FILLS_TEXT,
    REGIONS = PAIR | XV_FILLS_REGIONS | XV_FILLS_BOX,
    CAPTION_WORDS = 30,  // the official constructors' defaults
    TEST_QUESTION_WORDS = 50,
};

static const XvLoaderKind KINDS[] = {
    {.name = "image_text",
     .make = xv_make_pair,
     .fills = PAIR | XV_FILLS_MASKS,
     .image_key = "binary",
     .is_streamed = true,
     .pictures = 1,
     .min_crop_scale = 0.2,
     .n_augments = XV_AUGMENTS_ALL},
    {.name = "regions",
     .make = xv_make_regions,
     .fills = REGIONS | XV_FILLS_MASKS,
     .image_key = "binary",
     .is_streamed = true,
     .is_regions = true,
     .pictures = 1,
     .crop = XV_CROP_BOX,
     .n_augments = XV_AUGMENTS_PHOTOMETRIC},
    {.name = "nlvr_pretrain",
     .make = xv_make_pair,
     .fills = PAIR,
     .image_key = "binary",
     .is_streamed = true,
     .pictures = 1,
     .min_crop_scale = 0.2,
     .n_augments = XV_AUGMENTS_ALL},
    {.name = "caption_pretrain",
     .make = xv_make_pair,
     .fills = PAIR,
     .image_key = "binary",
     .is_streamed = true,
     .pictures = 1,
     .has_end_token = true,
     .min_crop_scale = 0.2,
     .n_augments = XV_AUGMENTS_ALL},
    {.name = "grounding_bbox_pretrain",
     .make = xv_make_regions,
     .fills = REGIONS,
     .image_key = "binary",
     .is_streamed = true,
     .is_regions = true,
     .pictures = 1,
     .crop = XV_CROP_BOX,
     .n_augments = XV_AUGMENTS_PHOTOMETRIC},
    {.name = "retrieval",
     .make = xv_make_retrieval,
     .fills = PAIR | XV_FILLS_IDX,
     .is_path = true,
     .pictures = 1,
     .train_words = CAPTION_WORDS,
     .eval_words = CAPTION_WORDS,
     .min_crop_scale = 0.5,
     .n_augments = XV_AUGMENTS_ALL,
     .survey = XV_SURVEY_IMAGE_ID},
    {.name = "nlvr",
     .make = xv_make_nlvr,
     .fills = PAIR | XV_FILLS_TARGETS,
     .is_path = true,
     .pictures = 2,
     .train_words = CAPTION_WORDS,
     .eval_words = CAPTION_WORDS,
     .min_crop_scale = 0.5,
     .n_augments = XV_AUGMENTS_ALL},
    {.name = "vqa",
     .make = xv_make_vqa,
     .fills = IMAGE | XV_FILLS_QUESTION | XV_FILLS_ANSWERS,
     .is_path = true,
     .pictures = 1,
     .train_words = CAPTION_WORDS,
     .eval_words = TEST_QUESTION_WORDS,
     .min_crop_scale = 0.5,
     .n_augments = XV_AUGMENTS_ALL},
    {.name = "vqa_answers",
     .make = xv_make_answer,
     .fills = XV_FILLS_ANSWERS,
     .is_path = true,
     .pictures = 1},
    {.name = "grounding_bbox",
     .make = xv_make_grounding_box,
     .fills = PAIR | XV_FILLS_BOX,
     .is_path = true,
     .pictures = 1,
     .train_words = CAPTION_WORDS,
     .eval_words = CAPTION_WORDS,
     .crop = XV_CROP_BOX,
     .n_augments = XV_AUGMENTS_PHOTOMETRIC},
    {.name = "grounding_weak",
     .make = xv_make_grounding_weak,
     .fills = PAIR | XV_FILLS_IDX,
     .is_path = true,
     .pictures = 1,
     .train_words = CAPTION_WORDS,
     .eval_words = CAPTION_WORDS,
     .crop = XV_CROP_WHOLE,
     .n_augments = XV_AUGMENTS_ALL,
     .survey = XV_SURVEY_IMAGE_NAME},
    {.name = "captions",
     .make = xv_make_captioning,
     .fills = PAIR | XV_FILLS_PROMPT,
     .is_path = true,
     .pictures = 1,
     .has_end_token = true,
     .min_crop_scale = 0.5,
     .n_augments = XV_AUGMENTS_ALL},
    {.name = "self_critical",
     .make = xv_make_scst,
     .fills = IMAGE | XV_FILLS_PROMPT,
     .is_path = true,
     .is_partial = true,
     .pictures = 1,
     .min_crop_scale = 0.5,
     .n_augments = XV_AUGMENTS_ALL,
     .survey = XV_SURVEY_GROUP},
};

enum { N_KINDS = sizeof KINDS / sizeof *KINDS };

int xv_loader_kind_number(const XvLoaderKind *kind)
{
    return (int)(kind - KINDS);
}

const XvLoaderKind *xv_loader_kind_at(int index)
{
    return index >= 0 && index < N_KINDS ? &KINDS[index] : NULL;
}

const XvLoaderKind *xv_loader_kind(const char *name, XvError *error)
{
    char names[512] = "";
    for (int i = 0; i < N_KINDS; i++) {
        if (strcmp(KINDS[i].name, name) == 0) {
            return &KINDS[i];
        }
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", KINDS[i].name);
    }
    xv_fail(error, "data of kind \"%s\" is not known (there are %s)", name, names);
    return NULL;
}
