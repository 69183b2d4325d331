// The table behind references.h, for its two readers.
#pragma once

#include "runtime/data/references.h"

struct XvReferences {
    XvReference *items;  // by ref_id, once complete
    int count;
};

bool xv_references_reserve(XvReferences *references, int count, XvError *error);

// Fills the table from the official folder (references_refer.c).
bool xv_references_refer(XvReferences *references, const char *folder, XvError *error);
