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

void xv_average_ranks(const XvRun *run, const XvRange *ranges, int n_ranges)
{
    float share = 1.0f / (float)xv_comm_world(run->comm);
    for (int i = 0; i < n_ranges && run->comm && !run->is_local; i++) {
        float *values = run->gradients + ranges[i].first;
        int64_t count = ranges[i].count;
        xv_comm_sum(run->comm, values, count);
#pragma omp parallel for simd schedule(static)
        for (int64_t j = 0; j < count; j++) {
            values[j] *= share;
        }
    }
}
