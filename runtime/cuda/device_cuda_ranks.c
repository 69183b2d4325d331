// Several GPUs, one a rank: NCCL on the streams of the device, gradients on a stream of their own; see XvDeviceRanks in
// device.h.
#include "runtime/comm/comm.h"
#include "runtime/cuda/device_cuda.h"

#include <stdlib.h>

// Rank 0's id becomes everybody's.
static bool share_id(const XvCuda *cuda, XvComm *comm, XvNcclId *id, XvError *error)
{
    enum { WORDS = sizeof *id / 4 };
    XvNcclId *all = calloc((size_t)xv_comm_world(comm), sizeof *all);
    bool is_made = (all || xv_fail(error, "no memory")) &&
                   (xv_comm_rank(comm) != 0 || xv_nccl_make_id(cuda->nccl, id, error));
    if (xv_comm_agree(comm, is_made, error)) {
        xv_comm_all_gather(comm, id, all, WORDS);
        *id = all[0];
    } else {
        is_made = false;
    }
    free(all);
    return is_made;
}

// A rank that cannot says so before the others wait for it in NCCL, which has no end to its patience.
static bool join(XvDevice *device, XvComm *comm, XvError *error)
{
    XvCuda *cuda = device->state;
    const XvAsync *async = device->kind->async;
    XvNcclId id = {{0}};
    bool is_able = xv_nccl_open(&cuda->nccl, error) &&
                   (cuda->computed = async->mark_create(device, error)) != NULL &&
                   (cuda->averaged = async->mark_create(device, error)) != NULL;
    if (!xv_comm_agree(comm, is_able, error) || !share_id(cuda, comm, &id, error)) {
        return false;
    }
    if (!xv_nccl_join(cuda->nccl, &id, xv_comm_rank(comm), xv_comm_world(comm), error)) {
        xv_comm_give_up(comm, error);
        return false;
    }
    return true;
}

static bool gather(XvDevice *device, const void *own, void *all, int64_t words, XvError *error)
{
    XvCuda *cuda = device->state;
    return xv_nccl_gather(cuda->nccl, own, all, words, cuda->lanes[XV_LANE_COMPUTE], error);
}

static bool average(XvDevice *device, float *values, const XvRange *ranges, int n_ranges, XvError *error)
{
    XvCuda *cuda = device->state;
    const XvAsync *async = device->kind->async;
    return async->mark(device, cuda->computed, XV_LANE_COMPUTE, error) &&
           async->follow(device, XV_LANE_RANKS, cuda->computed, error) &&
           xv_nccl_average(cuda->nccl, values, ranges, n_ranges, cuda->lanes[XV_LANE_RANKS], error);
}

static bool finish_averages(XvDevice *device, XvError *error)
{
    XvCuda *cuda = device->state;
    const XvAsync *async = device->kind->async;
    return async->mark(device, cuda->averaged, XV_LANE_RANKS, error) &&
           async->follow(device, XV_LANE_COMPUTE, cuda->averaged, error);
}

const XvDeviceRanks xv_cuda_ranks = {
    .join = join,
    .gather = gather,
    .average = average,
    .finish_averages = finish_averages,
};
