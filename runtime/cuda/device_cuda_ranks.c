// Several GPUs, one a rank: NCCL on the streams of the device, gradients on a stream of their own; see XvDeviceRanks in
// device.h.
#include "runtime/comm/comm.h"
#include "runtime/cuda/device_cuda.h"

// What hosts exchange where MPI does not know of them passes through the device and is waited for -----------------

static char *room(XvDevice *device, size_t bytes, XvError *error)
{
    XvCuda *cuda = device->state;
    if (bytes > cuda->exchange_bytes) {
        device->kind->release(device, cuda->exchange);
        cuda->exchange_bytes = 0;
        cuda->exchange = device->kind->allocate(device, bytes, error);
        cuda->exchange_bytes = cuda->exchange ? bytes : 0;
    }
    return cuda->exchange;
}

static bool gather_of_hosts(void *state, const void *own, void *all, int64_t words, XvError *error)
{
    XvDevice *device = state;
    XvCuda *cuda = device->state;
    size_t bytes = (size_t)words * 4, all_bytes = bytes * (size_t)xv_comm_world(cuda->comm);
    char *memory = room(device, bytes + all_bytes, error);
    return memory && device->kind->write(device, memory + all_bytes, own, bytes, error) &&
           xv_nccl_gather(cuda->nccl, memory + all_bytes, memory, words, cuda->lanes[XV_LANE_COMPUTE],
                          error) &&
           device->kind->read(device, all, memory, all_bytes, error);
}

static bool sum_of_hosts(void *state, void *values, int64_t count, bool is_f64, XvError *error)
{
    XvDevice *device = state;
    XvCuda *cuda = device->state;
    size_t bytes = (size_t)count * (is_f64 ? sizeof(double) : sizeof(float));
    char *memory = room(device, bytes, error);
    return memory && device->kind->write(device, memory, values, bytes, error) &&
           xv_nccl_sum(cuda->nccl, memory, count, is_f64, cuda->lanes[XV_LANE_COMPUTE], error) &&
           device->kind->read(device, values, memory, bytes, error);
}

// Joining ---------------------------------------------------------------------------------------------------------

// A rank that cannot says so before the others wait for it in NCCL, which has no end to its patience.
static bool join(XvDevice *device, XvComm *comm, XvError *error)
{
    XvCuda *cuda = device->state;
    const XvAsync *async = device->kind->async;
    XvNcclId id = {{0}};
    bool is_able = xv_nccl_open(&cuda->nccl, error) &&
                   (cuda->computed = async->mark_create(device, error)) != NULL &&
                   (cuda->averaged = async->mark_create(device, error)) != NULL &&
                   (xv_comm_rank(comm) != 0 || xv_nccl_make_id(cuda->nccl, &id, error));
    if (!xv_comm_agree(comm, is_able, error) || !xv_comm_share(comm, &id, sizeof id, error)) {
        return false;
    }
    if (!xv_nccl_join(cuda->nccl, &id, xv_comm_rank(comm), xv_comm_world(comm), error)) {
        xv_comm_give_up(comm, error);
        return false;
    }
    cuda->comm = comm;
    xv_comm_use(comm, &(XvCommDevice){device, gather_of_hosts, sum_of_hosts});
    return true;
}

void xv_cuda_ranks_leave(XvDevice *device)
{
    XvCuda *cuda = device->state;
    if (cuda->comm) {
        xv_comm_use(cuda->comm, NULL);
    }
    xv_nccl_close(cuda->nccl, !device->has_failed);
    xv_cuda_async.mark_free(device, cuda->computed);
    xv_cuda_async.mark_free(device, cuda->averaged);
    xv_device_cuda.release(device, cuda->exchange);  // the device may not be open yet
}

// Collectives within steps ----------------------------------------------------------------------------------------

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
