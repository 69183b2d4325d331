// Collectives within a graph: rows of all ranks and back.
#pragma once

#include "runtime/program.h"

#include <stdint.h>

// `all` becomes the `words` 4-byte words of every rank, in rank order. Every rank of the run has to come here.
void xv_gather_ranks(const XvRun *run, const void *own, void *all, int64_t words);

// The part of `all` that is this rank's: the gradient of xv_gather_ranks, in which nothing is summed
// (models/xvlm.py, AllGather).
void xv_own_rank(const XvRun *run, const void *all, void *own, int64_t words);
