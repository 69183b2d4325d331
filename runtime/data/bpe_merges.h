// Merges of byte-level BPE as a table from a pair of pieces to the piece they make.
#pragma once

#include "runtime/data/bpe.h"

typedef struct XvMerge {
    int32_t left, right;  // ids of the pieces; -1 in an empty slot
    int32_t rank;         // line of the list, from 0
    int32_t made;         // id of the joined piece
} XvMerge;

struct XvMerges {
    int32_t bytes[256];  // id of the piece of each byte
    XvMerge *slots;      // [mask + 1] open hash table
    uint32_t mask;
};

// NULL when the pieces are not joined by any merge.
const XvMerge *xv_merges_find(const XvMerges *merges, int32_t left, int32_t right);
