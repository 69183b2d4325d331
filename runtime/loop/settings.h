// Settings of a run as the compiled-in configuration gives them, under the official key names.
#pragma once

#include "runtime/base/error.h"

#include <cjson/cJSON.h>
#include <stdint.h>

typedef struct XvSettings {
    cJSON *config;                     // owned
    double lr, lr_mult, weight_decay;  // optimizer.*
    double warmup;  // schedular.num_warmup_steps: steps, or a share of the run (xv_warmup_steps)
    double epochs;  // schedular.epochs
    double steps;   // schedular.num_training_steps, instead of epochs; 0: not given
    double clip;    // accelerator.CLIP_GRAD_NORM; 0: none
    uint64_t seed;  // accelerator.RNG_SEED
} XvSettings;

// Parses XvProgram.config; keys that are not there get the values of the published recipe (no clipping where there is
// no accelerator section). False for what is not a JSON object.
bool xv_settings_read(XvSettings *settings, const char *config, XvError *error);
void xv_settings_free(XvSettings *settings);

// The value under a dotted path, or NULL. Borrowed.
const cJSON *xv_settings_find(const XvSettings *settings, const char *path);

// Gives a key of the top level another value, which the settings own from then on. False without memory.
bool xv_settings_set(XvSettings *settings, const char *key, cJSON *value);

// The number, truth or text under a dotted path ("images.batch_size"), or `otherwise`.
double xv_settings_number(const XvSettings *settings, const char *path, double otherwise);
bool xv_settings_truth(const XvSettings *settings, const char *path, bool otherwise);
const char *xv_settings_text(const XvSettings *settings, const char *path, const char *otherwise);
