// Collectives of programs for the target cuda: those of the host where kernels use its memory, else the device's; see
// library.h.
#include "runtime/comm/comm.h"
#include "runtime/cuda/library.h"
#include "runtime/device/collective.h"

static bool is_at_work(const XvDevice *device)
{
    return !device->has_failed && !device->is_rehearsed;
}

// A device of its own memory that spans the ranks, or NULL where nothing is to be done (any more).
static const XvDeviceRanks *ranks_of(const XvRun *run)
{
    return run->comm && is_at_work(run->device) ? run->device->kind->ranks : NULL;
}

void xv_cuda_gather_ranks(const XvRun *run, const void *own, void *all, int64_t words)
{
    XvDevice *device = run->device;
    const XvDeviceRanks *ranks = ranks_of(run);
    if (device->kind->is_host_memory) {
        xv_gather_ranks(run, own, all, words);
    } else if (ranks) {
        device->has_failed = !ranks->gather(device, own, all, words, &device->failure);
    }
}

void xv_cuda_own_rank(const XvRun *run, const void *all, void *own, int64_t words)
{
    XvDevice *device = run->device;
    size_t bytes = (size_t)words * 4;
    const char *part = (const char *)all + (size_t)xv_comm_rank(run->comm) * bytes;
    if (device->kind->is_host_memory) {
        xv_own_rank(run, all, own, words);
    } else if (is_at_work(device)) {
        device->has_failed = !device->kind->async->copy(device, own, part, bytes, &device->failure);
    }
}

void xv_cuda_average_ranks(const XvRun *run, const XvRange *ranges, int n_ranges)
{
    XvDevice *device = run->device;
    const XvDeviceRanks *ranks = ranks_of(run);
    if (device->kind->is_host_memory) {
        xv_average_ranks(run, ranges, n_ranges);
    } else if (ranks && !run->is_local) {
        device->has_failed = !ranks->average(device, run->gradients, ranges, n_ranges, &device->failure);
    }
}

void xv_cuda_finish_averages(const XvRun *run)
{
    const XvDeviceRanks *ranks = ranks_of(run);
    if (ranks && !run->is_local) {
        run->device->has_failed = !ranks->finish_averages(run->device, &run->device->failure);
    }
}
