// What the kernels of a program need on one architecture: registers, shared memory, spills, and their machine code as
// text. Compiles with NVRTC, which needs no GPU.
#pragma once

#include "runtime/cuda/cubins.h"

#include <stdio.h>

typedef struct XvSurveyRow {
    char *name;
    XvKernelUse use;
} XvSurveyRow;

typedef struct XvSurvey {
    XvCubins cubins;
    XvSurveyRow *rows;  // the library's kernels, then the program's, as the sources list them
    int n_rows;
    const char *architecture;  // borrowed
    double seconds;            // that compiling took
} XvSurvey;

// Compiles everything anew. False after a message, also when the compiler warned of anything.
bool xv_survey_make(XvSurvey *survey, const char *kernels, const char *architecture, XvError *error);
void xv_survey_free(XvSurvey *survey);

// A table with a line of sums behind it, or a JSON array with an object for each kernel.
void xv_survey_print(const XvSurvey *survey, FILE *file);
bool xv_survey_print_json(const XvSurvey *survey, FILE *file, XvError *error);

// Writes the machine code as FOLDER/piece0.cubin, piece1.cubin ...; the folder is made.
bool xv_survey_save(const XvSurvey *survey, const char *folder, XvError *error);

// Machine code of one kernel as nvdisasm writes it (SASS); compiles the piece that holds it. The tool is looked for as
// libraries.h says.
bool xv_disassemble(const char *kernels, const char *architecture, const char *kernel, FILE *file,
                    XvError *error);

// What the commands `xvlmc inspect --arch` and `PROGRAM kernels` do: print a table, or JSON, and with `folder` save the
// machine code; or print the machine code of the kernel `sass`.
typedef struct XvSurveyOptions {
    const char *architecture, *sass, *folder;
    bool is_json;
} XvSurveyOptions;
bool xv_survey_run(const char *kernels, const XvSurveyOptions *options, FILE *file, XvError *error);
