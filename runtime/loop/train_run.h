// A run of the train command: options, files, and the trainer. train_options.c reads its options, train_open.c sets it
// up, train.c runs it.
#pragma once

#include "runtime/loop/command.h"
#include "runtime/loop/data_paths.h"
#include "runtime/loop/interrupt.h"
#include "runtime/loop/log.h"
#include "runtime/loop/progress.h"
#include "runtime/loop/run_folder.h"
#include "runtime/loop/trainer.h"

#include <limits.h>

#define XV_CHECKPOINT_NAME "checkpoint_latest.safetensors"
#define XV_MODEL_NAME "model.safetensors"
#define XV_TORCH_NAME "model.th"
#define XV_LOG_NAME "log.txt"
#define XV_CURVE_NAME "curve.png"

typedef struct XvTrainOptions {
    const char *data, *regions, *val, *val_regions, *vocab, *output;
    XvDataPlaces places;
    const char *checkpoint, *vision, *text, *source;  // weights to start from
    int64_t steps, batch, seed, threads, save_every, log_every,
        eval_every;                      // -1: not given (0 for the intervals)
    double epochs, lr, warmup, minutes;  // -1: not given
    bool resume, partial, torch;
} XvTrainOptions;

typedef struct XvTrainRun {
    const XvCommand *command;
    XvTrainOptions options;
    XvSettings settings;
    XvDataPath data, regions, val, val_regions;
    XvTrainer trainer;
    XvSource *val_sources;  // per entry; {0} without
    bool has_val;
    XvLog log;
    XvInterrupt interrupt;
    bool is_listening;  // interrupt has been started
    bool is_resumed;
    int64_t epoch_steps;  // iterations that read all records of the main entry once
    int64_t saved_step;   // of the checkpoint in the output folder; -1: none
    XvRunFolder folder;   // of --output
    // Its files, where they are written.
    char checkpoint_path[PATH_MAX], model_path[PATH_MAX], torch_path[PATH_MAX];
    char log_path[PATH_MAX], curve_path[PATH_MAX];
} XvTrainRun;

// Reads the options of the command. False with the status to end with: usage was asked for or there was a message.
bool xv_train_options(const XvCommand *command, XvTrainOptions *options, int *status);

// Reads the settings, and decides by flags and configuration which records are read; none where neither names any.
bool xv_train_choose_data(XvTrainRun *run, XvError *error);

// After that: creates the output folder, opens data, sets the trainer to fresh, given or resumed parameters, opens the
// log. Contradictions between options and the run that is resumed are refused.
bool xv_train_open(XvTrainRun *run, XvError *error);
void xv_train_close(XvTrainRun *run);

// Draws the losses of a log over its steps into a PNG file.
bool xv_curve_write(const char *log_path, const char *png_path, const char *title, XvError *error);
