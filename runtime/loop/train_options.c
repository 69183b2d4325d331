// The options of the train command; see train_run.h.
#include "runtime/loop/train_run.h"

#include <string.h>

enum { MOST_OPTIONS = 64 };

#define STEPS INT64_C(1000000000000)

static const XvTrainOptions NOT_GIVEN = {.steps = -1,
                                         .batch = -1,
                                         .seed = -1,
                                         .threads = 2,
                                         .save_every = 1000,
                                         .log_every = 50,
                                         .epochs = -1,
                                         .lr = -1,
                                         .warmup = -1,
                                         .minutes = -1,
                                         .places = {.dataset_size = -1}};

// Records, weights to start from, and where results go. Returns how many were written.
static int data_options(XvTrainOptions *o, XvOption *options)
{
    const XvOption list[] = {
        {"--data", "F", XV_OPTION_TEXT, &o->data, 0, 0,
         "records of the main entry: files or folders, with commas between several; train_file if not given"},
        {"--regions", "F", XV_OPTION_TEXT, &o->regions, 0, 0,
         "records with regions, where the task has such an entry; train_file_regions if not given; or none"},
        {"--val", "F", XV_OPTION_TEXT, &o->val, 0, 0,
         "held-out records, evaluated at the end and by --eval-every; val_file if not given; or none"},
        {"--val-regions", "F", XV_OPTION_TEXT, &o->val_regions, 0, 0, "held-out records with regions"},
        {"--vocab", "F", XV_OPTION_TEXT, &o->vocab, 0, 0,
         "vocab.txt of the tokenizer; beside the records, or text_encoder, if not given"},
        XV_DATA_PLACES(&o->places),
        {"--dataset-size", "N", XV_OPTION_INTEGER, &o->places.dataset_size, 0, STEPS,
         "records of an epoch where they are streamed; train_dataset_size if not given"},
        {"--output", "DIR", XV_OPTION_TEXT, &o->output, 0, 0,
         "folder for checkpoints, log.txt and model.safetensors"},
        {"--checkpoint", "F", XV_OPTION_TEXT, &o->checkpoint, 0, 0,
         "weights to start from: safetensors, .th, .pth, .bin; of this task, of pre-training, of an encoder"},
        {"--vision", "F", XV_OPTION_TEXT, &o->vision, 0, 0,
         "weights of the vision encoder, loaded before --checkpoint"},
        {"--text", "F", XV_OPTION_TEXT, &o->text, 0, 0,
         "weights of the text encoder, loaded before --checkpoint"},
        {"--source", "NAME", XV_OPTION_TEXT, &o->source, 0, 0,
         "take --checkpoint for this kind of file instead of finding out; `checkpoint` shows the kinds"},
        {"--partial", NULL, XV_OPTION_FLAG, &o->partial, 0, 0,
         "load what fits of --checkpoint, keep the rest fresh"},
        {"--torch", NULL, XV_OPTION_FLAG, &o->torch, 0, 0, "write model.th for torch.load as well"},
    };
    _Static_assert(sizeof list / sizeof *list <= MOST_OPTIONS / 2, "room for options");
    memcpy(options, list, sizeof list);
    return sizeof list / sizeof *list;
}

// The length of the run, what it does and when.
static int run_options(XvTrainOptions *o, XvOption *options)
{
    const XvOption list[] = {
        {"--epochs", "X", XV_OPTION_REAL, &o->epochs, 0, STEPS,
         "passes over --data; configured if not given"},
        {"--steps", "N", XV_OPTION_INTEGER, &o->steps, 0, STEPS, "iterations, instead of --epochs"},
        {"--batch", "N", XV_OPTION_INTEGER, &o->batch, 0, STEPS,
         "the batch size is compiled in; another one is refused"},
        {"--lr", "X", XV_OPTION_REAL, &o->lr, 0, STEPS, "base learning rate"},
        {"--warmup", "X", XV_OPTION_REAL, &o->warmup, 0, STEPS,
         "steps of warm-up (whole number) or share of the run"},
        {"--seed", "N", XV_OPTION_INTEGER, &o->seed, 0, INT64_MAX,
         "of fresh parameters, data order, dropout"},
        {"--resume", NULL, XV_OPTION_FLAG, &o->resume, 0, 0, "continue the run in --output, bit for bit"},
        {"--threads", "N", XV_OPTION_INTEGER, &o->threads, 0, 256, "threads that prepare data (2)"},
        {"--save-every", "N", XV_OPTION_INTEGER, &o->save_every, 0, STEPS,
         "steps between checkpoints (1000)"},
        {"--log-every", "N", XV_OPTION_INTEGER, &o->log_every, 1, STEPS,
         "steps between lines of the log (50)"},
        {"--eval-every", "N", XV_OPTION_INTEGER, &o->eval_every, 0, STEPS,
         "steps between evaluations of --val"},
        {"--minutes", "X", XV_OPTION_REAL, &o->minutes, 0, STEPS,
         "stop after this time, ready to be resumed"},
    };
    _Static_assert(sizeof list / sizeof *list <= MOST_OPTIONS / 2, "room for options");
    memcpy(options, list, sizeof list);
    return sizeof list / sizeof *list;
}

static bool check_options(const XvTrainOptions *options, XvError *error)
{
    if (!options->output) {
        return xv_fail(error, "--output DIR is needed");
    }
    if (options->steps >= 0 && options->epochs >= 0.0) {
        return xv_fail(error, "give --steps or --epochs, not both");
    }
    return true;
}

bool xv_train_options(const XvCommand *command, XvTrainOptions *o, int *status)
{
    XvOption options[MOST_OPTIONS];
    *o = NOT_GIVEN;
    int n_options = data_options(o, options);
    n_options += run_options(o, options + n_options);
    const XvOptionTable table = {
        "--data F --output DIR [options]",
        "Trains and writes DIR/model.safetensors; SIGINT and SIGTERM end it in good order. What the configuration\n"
        "names (train_file, image_root, ...) is the default of the flags.",
        options, n_options};
    if (!xv_command_options(command, &table, status)) {
        return false;
    }
    XvError error = {0};
    if (!check_options(o, &error)) {
        *status = xv_command_fail(command, XV_EXIT_USAGE, &error);
        return false;
    }
    return true;
}
