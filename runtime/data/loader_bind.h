// Which tensor of a program's inputs is filled with what, and the sizes that follow from their shapes.
#pragma once

#include "runtime/base/error.h"
#include "runtime/data/loader.h"
#include "runtime/data/loader_kind.h"

#include <stdbool.h>

typedef enum XvRole {
    XV_ROLE_IMAGE,
    XV_ROLE_GROUP,     // idx_to_group_img
    XV_ROLE_TEXT_IDS,  // the text roles stand in the order of the text block (sample.h)
    XV_ROLE_TEXT_ATTS,
    XV_ROLE_TEXT_IDS_MASKED,
    XV_ROLE_MASKED_POS,
    XV_ROLE_MASKED_IDS,
    XV_ROLE_IMAGE_ATTS,
    XV_ROLE_TARGET_BBOX,
    XV_ROLE_IS_IMAGE,
    XV_ROLE_LABEL,  // idx, targets
    XV_ROLE_PROMPT,
    XV_ROLE_ANSWERS_EACH,  // k
    XV_ROLE_ANSWER_IDS,    // from here on: a row per answer
    XV_ROLE_ANSWER_ATTS,
    XV_ROLE_WEIGHTS,
    XV_ROLE_ANSWER_QUESTION,
} XvRole;

typedef struct XvBinding {
    const XvLoaderKind *kind;
    unsigned wants;                    // XV_FILLS_... of the inputs
    XvValue inputs[XV_BATCH_TENSORS];  // those that the loader fills
    XvRole roles[XV_BATCH_TENSORS];    // of each
    int n_inputs;
    int image_input;  // index of the image among them, or -1
    int batch_size;   // B
    int answer_rows;  // A, or 0
} XvBinding;

// Matches inputs and options and fills in the sizes that the options leave at 0. Fails with the name of the
// input that is unknown or contradicts.
bool xv_loader_bind(XvLoaderOptions *options, XvBinding *binding, XvError *error);
