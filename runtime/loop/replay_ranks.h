// The file of a replay as one of several ranks sees it.
#pragma once

#include "runtime/checkpoint/safetensors.h"
#include "runtime/comm/comm.h"

// With several ranks: tensors called `rank<R>.NAME` become NAME for rank R and are gone for the others; those without a
// rank stay, for all, where the rank has none of its own of that name. With one rank nothing changes.
bool xv_replay_rank_view(XvSafetensors *file, const XvComm *comm, XvError *error);
