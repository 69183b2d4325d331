// What of a checkpoint goes where in a program: decided for every parameter before anything is read, so that it can be
// shown (`checkpoint`), refused, or done.
//
// A checkpoint is taken for one of the program's own names, or for one of the sources its task declares
// (XvProgram.load_rules): the one under which most names are found, then the one that leaves the fewest parameters
// without values, then the first, the program's own.
#pragma once

#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/resample.h"
#include "runtime/program.h"

typedef enum XvLoadAction {
    XV_LOAD_COPIED,
    XV_LOAD_RESAMPLED,  // a position table of another size
    XV_LOAD_INITIALISED,  // not there, and meant to be fresh: marked `fresh` in the model, or `none` in the source
    XV_LOAD_MISSING,    // not there, and wanted
    XV_LOAD_MISSHAPEN,  // there in another shape
    XV_LOAD_ACTIONS,
} XvLoadAction;

typedef enum XvTensorUse {
    XV_TENSOR_IGNORED,  // nothing of the program has this name
    XV_TENSOR_LOADED,   // read into a parameter, perhaps several
    XV_TENSOR_KNOWN,    // a buffer or another name of a parameter: the program has its own
    XV_TENSOR_STATE,    // of an interrupted run: optimizer, position
} XvTensorUse;

typedef struct XvLoadItem {
    XvLoadAction action;
    int tensor;  // of the checkpoint; -1 if there is none
} XvLoadItem;

typedef struct XvLoadPlan {
    const XvProgram *program;
    const XvCheckpoint *checkpoint;
    const char *source;              // NULL: the program's own names
    XvLoadItem *items;               // one per parameter
    XvTensorUse *uses;               // one per tensor of the checkpoint
    int of_action[XV_LOAD_ACTIONS];  // parameters
    int n_ignored;
} XvLoadPlan;

typedef struct XvLoadOptions {
    bool is_complete;    // fresh parameters must be there too: for evaluation
    bool is_partial;     // load what fits, whatever is missing
    const char *source;  // take the checkpoint for this source; NULL: find out, "own": the program's names
} XvLoadOptions;

// Decides. False for a source that the task does not declare; misfits are in the plan.
bool xv_load_plan_make(XvLoadPlan *plan, const XvProgram *program, const XvCheckpoint *checkpoint,
                       const XvLoadOptions *options, XvError *error);

void xv_load_plan_free(XvLoadPlan *plan);

// False with the first misfits by name if there are any and the options do not allow them, or if nothing would be
// loaded.
bool xv_load_plan_check(const XvLoadPlan *plan, const XvLoadOptions *options, XvError *error);

// Reads the parameters of the plan into their region; the others keep their values. Tied names of a parameter that
// hold other values in the file are an error.
bool xv_load_plan_apply(const XvLoadPlan *plan, float *parameters, XvError *error);

// One line: "f.th: 631 of 637 parameters loaded, 24 resampled, 6 initialised; 13 tensors ignored".
void xv_load_plan_line(const XvLoadPlan *plan, char *out, size_t size);

// "loaded", "resampled", "initialised", "missing", "misshapen".
const char *xv_load_action_name(XvLoadAction action);
