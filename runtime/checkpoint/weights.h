// Parameters of a program: fresh values, values from a file, values into a file.
//
// Files carry the official state_dict names. A parameter may have further names there (tied weights), and files may
// carry buffers that the program computes itself; both are known and are not complained about. Files of other models
// are translated by the rules of the task.
#pragma once

#include "runtime/base/error.h"
#include "runtime/checkpoint/load_plan.h"
#include "runtime/checkpoint/safetensors.h"
#include "runtime/program.h"

#include <stdio.h>

// 64-bit FNV-1a of a text: the purpose under which a name's random stream is keyed.
uint64_t xv_text_hash(const char *text);

// Draws every parameter as its XvParameter says. Each has a stream of its own, keyed by the seed and its name, so
// that a parameter that is added changes no other. `parameters` is the parameter region.
void xv_weights_init(const XvProgram *program, uint64_t seed, float *parameters);

// Brings the parameters with a clamp into their range, in place.
void xv_weights_clamp(const XvProgram *program, float *parameters);

// Loads a checkpoint of any format by the rules of load_plan.h: F64, F16 and BF16 are converted, position tables of
// another size are resampled, tensors whose names start with "optimizer." or "training." (state of an interrupted run)
// are passed over. Misfits are an error that names them, unless the options allow them; then the region is unchanged.
// Prints one line of coverage to `out`, unless that is NULL.
bool xv_weights_load(const XvProgram *program, const char *path, const XvLoadOptions *options,
                     float *parameters, FILE *out, XvError *error);

// Describes parameter i as a tensor of `region`, which may be any region laid out like the parameters. Who has the
// region to read alone does not write through it.
XvTensor xv_parameter_tensor(const XvProgram *program, int i, const float *region);

// Writes all parameters under their official names with the configuration of the program. The name of the file chooses
// the format: .th, .pth, .pt and .bin for torch.load, with tied names sharing one storage and the buffers that official
// state dicts carry, so that official code loads it strictly; safetensors otherwise, with tied weights once.
bool xv_weights_save(const XvProgram *program, const float *parameters, const char *path, XvError *error);

// The metadata that marks a file as written by this program; at least XV_PROGRAM_METADATA entries of `out` are set.
enum { XV_PROGRAM_METADATA = 4 };
void xv_program_metadata(const XvProgram *program, XvMetadata out[XV_PROGRAM_METADATA]);
