// Collectives of the CPU: memory is the host's, so the communicator works on it directly; see collective.h.
#include "runtime/device/collective.h"

#include "runtime/comm/comm.h"

#include <string.h>

void xv_gather_ranks(const XvRun *run, const void *own, void *all, int64_t words)
{
    xv_comm_all_gather(run->comm, own, all, words);
}

void xv_own_rank(const XvRun *run, const void *all, void *own, int64_t words)
{
    memcpy(own, (const char *)all + (size_t)xv_comm_rank(run->comm) * (size_t)words * 4, (size_t)words * 4);
}
