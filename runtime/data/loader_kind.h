// The kinds of data a loader can make: one row each, so that a new kind is a row and a function that makes a sample.
//
// A row says what a sample is made of and by which rules of the official data sets: texts, crop,
// flip and augmentation of training, pictures per record. Reading, order, threads and collation are the same for all.
#pragma once

#include "runtime/base/error.h"

#include <stdbool.h>

struct XvJob;
struct XvYield;

// Groups of inputs; a kind can fill those whose groups it has (loader_bind.c).
enum {
    XV_FILLS_IMAGE = 1 << 0,     // image
    XV_FILLS_TEXT = 1 << 1,      // text_ids, text_atts
    XV_FILLS_MASKS = 1 << 2,     // text_ids_masked, masked_pos, masked_ids
    XV_FILLS_REGIONS = 1 << 3,   // idx_to_group_img, image_atts, is_image
    XV_FILLS_BOX = 1 << 4,       // target_bbox
    XV_FILLS_IDX = 1 << 5,       // idx
    XV_FILLS_QUESTION = 1 << 6,  // question_ids, question_atts
    XV_FILLS_ANSWERS = 1 << 7,   // answer_ids, answer_atts, weights, k, answer_question
    XV_FILLS_TARGETS = 1 << 8,   // targets
    XV_FILLS_PROMPT = 1 << 9,    // prompt_ids
};

typedef enum XvCropRule {
    XV_CROP_RANDOM,  // RandomResizedCrop
    XV_CROP_WHOLE,   // resize alone
    XV_CROP_BOX,     // around a box that stays inside
} XvCropRule;

// What must be known of all records before the first batch (loader_survey.h).
typedef enum XvSurveyNeed {
    XV_SURVEY_NONE,
    XV_SURVEY_IMAGE_ID,    // idx: equal numbers for equal "image_id"
    XV_SURVEY_IMAGE_NAME,  // idx: equal numbers for equal file names
    XV_SURVEY_GROUP,       // one item per picture, with the captions of all its records
} XvSurveyNeed;

typedef struct XvLoaderKind {
    const char *name;
    bool (*make)(struct XvJob *job, struct XvYield *yield);
    unsigned fills;               // XV_FILLS_...
    const char *image_key;        // default; NULL where the layout fixes it
    bool is_path;                 // pictures are always paths
    bool is_regions;              // several samples per picture, one crop around a box
    bool is_streamed;             // files may be too many and too large to be indexed
    int pictures;                 // per record
    int train_words, eval_words;  // longest text; 0: max_words of the configuration
    bool is_partial;              // inputs that it does not know are somebody else's
    bool has_end_token;           // [CLS] ... [SEP], not [CLS] ... alone
    XvCropRule crop;
    double min_crop_scale;  // of XV_CROP_RANDOM
    int n_augments;         // ops that RandomAugment may draw: the first of XvAugment
    XvSurveyNeed survey;
} XvLoaderKind;

// The row of a name; NULL with a message that lists the names.
const XvLoaderKind *xv_loader_kind(const char *name, XvError *error);

// Number of a row, and the row of a number, NULL behind the last.
int xv_loader_kind_number(const XvLoaderKind *kind);
const XvLoaderKind *xv_loader_kind_at(int index);
