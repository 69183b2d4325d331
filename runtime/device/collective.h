// Collectives within a graph: rows of all ranks and back.
#pragma once

#include "runtime/program.h"

#include <stdint.h>

// `all` becomes the `words` 4-byte words of every rank, in rank order. Every rank of the run has to come here.
void xv_gather_ranks(const XvRun *run, const void *own, void *all, int64_t words);

// The part of `all` that is this rank's: the gradient of xv_gather_ranks, in which nothing is summed
// (models/xvlm.py, AllGather).
void xv_own_rank(const XvRun *run, const void *all, void *own, int64_t words);

// Replaces gradients by their means over the ranks, as DistributedDataParallel does: sums, divided by the number of
// ranks. Generated steps call it for a bucket of gradients when these are final. With run->is_local it does nothing.
void xv_average_ranks(const XvRun *run, const XvRange *ranges, int n_ranges);
