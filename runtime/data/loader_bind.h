// Which tensor of a program's inputs is filled with what, and the sizes that follow from their shapes.
#pragma once

#include "runtime/base/error.h"
#include "runtime/data/loader.h"

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
    XV_ROLE_COUNT,
} XvRole;

typedef struct XvBinding {
    bool is_regions;
    XvRole roles[XV_BATCH_TENSORS];  // of each input
    int n_inputs;
    int image_input;  // index of the image among them, or -1
    int batch_size;   // B
} XvBinding;

// Matches inputs and options and fills in the sizes that the options leave at 0. Fails with the name of the
// input that is unknown or contradicts.
bool xv_loader_bind(XvLoaderOptions *options, XvBinding *binding, XvError *error);
