// What the functions that make samples share: one call's record and random numbers, texts and pictures.
#pragma once

#include "runtime/data/sample.h"
#include "runtime/data/sample_makers.h"

#include <cjson/cJSON.h>

// One call of xv_sample_make.
typedef struct XvJob {
    const XvSampler *sampler;
    const XvLoaderOptions *options;
    XvWorkspace *workspace;
    XvPick pick;
    const cJSON *record;  // an object
    const char *path;     // of the file it is from
    int picture;          // number of the picture of the record that is being made
    XvDraws draws;        // of crops, flips and choices: the first choice in evaluation
    XvDraws mask_draws;
    XvError *error;
} XvJob;

bool xv_job_is_training(const XvJob *job);

// Whether the program has an input of the group (XV_FILLS_...).
bool xv_job_wants(const XvJob *job, unsigned group);

// ---- fields; NULL or false with a message that names the field

const char *xv_job_string(const XvJob *job, const char *key);
bool xv_job_integer(const XvJob *job, const char *key, int64_t *value);

// A string, or one of a list of strings (drawn in training, the first in evaluation).
const char *xv_job_choice(const XvJob *job, const char *key);

// ---- texts (sample_text.c)

typedef struct XvTextRule {
    const char *before;  // put before the cleaned text, or NULL
    bool is_question;    // cleaned by pre_question
    bool has_end_token;
    bool has_masks;  // fill the masked copies; needs two tokens
} XvTextRule;

// Cleans (unless the data are tokenized), cuts into tokens after the start token, at most T, and fills the text block.
// False for a text of which nothing is left.
bool xv_job_text(const XvJob *job, const char *text, const XvTextRule *rule, int32_t *block);

// The tokens of an answer as it is, between start and end token, into a row of ids and one of attention, L each.
bool xv_job_answer(const XvJob *job, const char *text, int32_t *row);

// Whether a text speaks of sides, so that mirroring would make it wrong.
bool xv_says_side(const char *text);

// ---- pictures (sample_picture.c)

// Reads the file of a path field, or the base64 of a field, into the workspace; its size.
bool xv_job_load(const XvJob *job, const char *image, bool is_path, XvImageSize *size);

// The view of a kind that crops at random or not at all; `may_flip` says whether mirroring is allowed.
XvRegionView xv_job_view(const XvJob *job, XvImageSize size, bool may_flip);

// Decodes, crops, resizes, mirrors, augments and normalises what was loaded into [3, R, R]; `name` for messages.
bool xv_job_render(const XvJob *job, const XvRegionView *view, const char *name, float *out);

// Load, view and render for the path in a field, below the image root.
bool xv_job_picture(const XvJob *job, const char *path, bool may_flip, float *out);
