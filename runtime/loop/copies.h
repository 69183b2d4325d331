// Copies of parameters in two bytes, which products of bf16 and fp16 programs read. They are laid out like the
// parameters: element for element, and only those that XvParameter.has_copy marks are kept.
//
// The optimizer writes them in the pass that writes the parameters. Whoever else changes parameters comes to
// xv_host_parameters first, which marks all copies as old; they are made anew before the next run reads them.
#pragma once

#include "runtime/base/region.h"
#include "runtime/program.h"

typedef struct XvCopies {
    XvRegion region;  // uint16_t per element of the parameter region
    bool are_old;
} XvCopies;

// NULL, and no error, for a program that has none. The copies are old at first.
bool xv_copies_create(XvCopies **copies, const XvProgram *program, XvError *error);
void xv_copies_free(XvCopies *copies);

// Rounds the parameters again if the copies are old. copies: or NULL.
void xv_copies_refresh(XvCopies *copies, const XvProgram *program, const float *parameters);
