// Parameters of a program: fresh values, values from a file, values into a file.
//
// Files carry the official state_dict names. A parameter may have further names there (tied weights), and files may
// carry buffers that the program computes itself; both are known and are not complained about.
#pragma once

#include "runtime/base/error.h"
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

typedef struct XvLoadReport {
    int loaded;              // parameters
    int missing;             // parameters that the file lacks
    int misshapen;           // parameters that the file has in another shape
    int unexpected;          // tensors of the file that the program does not know
    int64_t elements;        // loaded
    char first_unexpected[128];
} XvLoadReport;

// Reads all parameters from a file by name; F64, F16 and BF16 are converted. Tensors whose names start with
// "optimizer." or "training." (state of an interrupted run) are passed over. Missing and misshapen parameters are an
// error that names them, unless `is_partial`: then they keep their values and are counted. The region is unchanged
// where the function fails for misfits.
bool xv_weights_load(const XvProgram *program, const XvSafetensors *file, bool is_partial, float *parameters,
                     XvLoadReport *report, XvError *error);

// One line: "weights.safetensors: 230 tensors loaded (443,874 values); 1 unexpected (head.bias)".
void xv_load_report_print(FILE *out, const char *path, const XvLoadReport *report);

// Describes parameter i as a tensor of `region`, which may be any region laid out like the parameters.
XvTensor xv_parameter_tensor(const XvProgram *program, int i, float *region);

// Writes all parameters under their official names, tied ones once, with the configuration of the program in the
// metadata.
bool xv_weights_save(const XvProgram *program, float *parameters, const char *path, XvError *error);

// The metadata that marks a file as written by this program; at least XV_PROGRAM_METADATA entries of `out` are set.
enum { XV_PROGRAM_METADATA = 4 };
void xv_program_metadata(const XvProgram *program, XvMetadata out[XV_PROGRAM_METADATA]);
