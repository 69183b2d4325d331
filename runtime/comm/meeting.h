// How ranks that MPI does not know of tell each other a few bytes before they have anything else: rank 0 listens at
// MASTER_ADDR and MASTER_PORT, as torchrun sets them, the others come there. The port is the next one where torchrun
// itself keeps MASTER_PORT (TORCHELASTIC_USE_AGENT_STORE). XV_MEETING_SECONDS is how long they wait for each other,
// 300 by default.
#pragma once

#include "runtime/comm/launch.h"

#include <stddef.h>

// The bytes of rank 0 become those of every rank. All ranks at once. False after a message, on a rank that has waited
// in vain or that has come to a world of another size.
bool xv_meeting_share(const XvLaunch *launch, void *bytes, size_t size, XvError *error);
