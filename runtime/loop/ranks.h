// What training and evaluation do with several ranks: means, shared decisions, equal parameters. Gradients are averaged
// within a program's steps (runtime/device/collective.h).
#pragma once

#include "runtime/comm/comm.h"
#include "runtime/loop/host.h"

// Replaces values by their means over the ranks.
void xv_ranks_mean(const XvComm *comm, double *values, int count);

// Whether it is true on any rank.
bool xv_ranks_any(const XvComm *comm, bool is_true);

// What all ranks have of a set.
uint64_t xv_ranks_common(const XvComm *comm, uint64_t set);

// Checks that every rank is at the same step with the same parameters, bit for bit. Every rank has to come here; false
// on all of them when a rank is elsewhere, with a message that names it on rank 0.
bool xv_ranks_check(XvHost *host, int64_t step, XvError *error);
