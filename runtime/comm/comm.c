// Collectives through MPI, or through devices; see comm.h.
#include "runtime/comm/comm.h"

#include "runtime/base/options.h"
#include "runtime/comm/launch.h"
#include "runtime/comm/meeting.h"
#include "runtime/comm/mpi_abi.h"
#include "runtime/comm/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Words handled by one call: keeps MPI's own buffers small beside the gradients, and counts within an int.
enum { MOST_AT_ONCE = 1 << 24 };

struct XvComm {
    XvMpi mpi;  // library NULL: MPI does not know of these ranks
    XvLaunch launch;
    int rank, world;
    bool has_failed;      // all ranks know
    XvCommDevice device;  // without MPI; state NULL: not yet
};

int xv_comm_rank(const XvComm *comm)
{
    return comm ? comm->rank : 0;
}

int xv_comm_world(const XvComm *comm)
{
    return comm ? comm->world : 1;
}

static bool initialise(const XvMpi *mpi, XvError *error)
{
    sigset_t before;
    int provided = 0;
    xv_signals_hold(&before);
    int status = mpi->init_thread(NULL, NULL, XV_MPI_THREAD_FUNNELED, &provided);
    xv_signals_release(&before);
    if (status != 0) {
        return xv_fail(error, "%s cannot be initialised (status %d)", mpi->path, status);
    }
    return provided >= XV_MPI_THREAD_FUNNELED ||
           xv_fail(error, "%s does not allow threads beside the one that calls it (level %d)", mpi->path,
                   provided);
}

static bool join(XvComm *comm, const XvLaunch *launch, XvError *error)
{
    const XvMpi *mpi = &comm->mpi;
    if (!initialise(mpi, error)) {
        return false;
    }
    mpi->comm_rank(mpi->world, &comm->rank);
    mpi->comm_size(mpi->world, &comm->world);
    if (comm->rank == launch->rank && comm->world == launch->world) {
        return true;
    }
    xv_fail(
        error,
        "the environment says rank %d of %d (%s, %s), but to %s this is rank %d of %d; start the program with "
        "the mpirun that belongs to this library (torchrun starts processes that MPI does not know of), or name the "
        "right library in XV_MPI_LIBRARY",
        launch->rank, launch->world, launch->rank_name, launch->world_name, mpi->path, comm->rank,
        comm->world);
    mpi->finalize();
    return false;
}

bool xv_comm_open(XvComm **comm, bool has_devices, XvError *error)
{
    XvLaunch launch;
    *comm = NULL;
    if (!xv_launch_read(&launch, error)) {
        return false;
    }
    if (launch.world == 1) {
        return true;
    }
    XvComm *joined = calloc(1, sizeof *joined);
    if (!joined) {
        return xv_fail(error, "no memory");
    }
    joined->launch = launch;
    if (has_devices && launch.is_of_torchrun) {
        joined->rank = launch.rank;
        joined->world = launch.world;
        *comm = joined;
        return true;
    }
    // mpirun of Open MPI sets variables that say so; srun's tell nothing, so the most common library comes first.
    bool prefers_open_mpi = launch.is_open_mpi || strcmp(launch.rank_name, "PMI_RANK") != 0;
    if (!xv_mpi_load(&joined->mpi, prefers_open_mpi, error)) {
        free(joined);
        return xv_fail_in(error, "%s is %d", launch.world_name, launch.world);
    }
    if (!join(joined, &launch, error)) {
        free(joined);
        return false;
    }
    *comm = joined;
    return true;
}

void xv_comm_close(XvComm *comm)
{
    if (comm && comm->mpi.library) {
        comm->mpi.finalize();
    }
    free(comm);
}

// Ends every rank: what a collective cannot have, no rank can go on without.
static void give_up(const XvComm *comm, const char *message)
{
    fflush(stdout);
    fprintf(stderr, "rank %d: %s\n", comm->rank, message);
    if (comm->mpi.library) {
        comm->mpi.abort(comm->mpi.world, XV_EXIT_FAILED);
    }
    exit(XV_EXIT_FAILED);  // torchrun ends the others
}

// A collective of the devices.
static void must(const XvComm *comm, bool is_done, const XvError *error)
{
    if (!is_done) {
        give_up(comm, error->text);
    }
}

static bool has_joined(const XvComm *comm)
{
    if (!comm->device.state) {
        give_up(comm, "the devices of the ranks have not joined yet");
    }
    return true;
}

void xv_comm_use(XvComm *comm, const XvCommDevice *device)
{
    comm->device = device ? *device : (XvCommDevice){0};
}

bool xv_comm_share(const XvComm *comm, void *bytes, size_t size, XvError *error)
{
    if (!comm->mpi.library) {
        return xv_meeting_share(&comm->launch, bytes, size, error);
    }
    char *all = calloc((size_t)comm->world, size);
    if (!all) {
        give_up(comm, "no memory");
    }
    xv_comm_all_gather(comm, bytes, all, (int64_t)(size / 4));
    memcpy(bytes, all, size);
    free(all);
    return true;
}

// In pieces through a buffer, because the pieces of one rank do not lie beside those of the next.
static void gather_much(const XvComm *comm, const char *own, char *all, int64_t words)
{
    char *pieces = malloc((size_t)comm->world * MOST_AT_ONCE * 4);
    if (!pieces) {
        give_up(comm, "no memory for gathering");
        return;
    }
    for (int64_t at = 0; at < words; at += MOST_AT_ONCE) {
        int64_t n = words - at < MOST_AT_ONCE ? words - at : MOST_AT_ONCE;
        xv_comm_all_gather(comm, own + at * 4, pieces, n);
        for (int64_t rank = 0; rank < comm->world; rank++) {
            memcpy(all + (rank * words + at) * 4, pieces + rank * n * 4, (size_t)n * 4);
        }
    }
    free(pieces);
}

void xv_comm_all_gather(const XvComm *comm, const void *own, void *all, int64_t words)
{
    XvError error = {{0}};
    if (!comm) {
        memcpy(all, own, (size_t)words * 4);
    } else if (!comm->mpi.library) {
        must(comm, has_joined(comm) && comm->device.gather(comm->device.state, own, all, words, &error),
             &error);
    } else if (words > MOST_AT_ONCE) {
        gather_much(comm, own, all, words);
    } else {
        const XvMpi *mpi = &comm->mpi;
        mpi->allgather(own, (int)words, mpi->word, all, (int)words, mpi->word, mpi->world);
    }
}

static void sum_on_devices(const XvComm *comm, void *values, int64_t count, bool is_f64)
{
    XvError error = {{0}};
    must(comm, has_joined(comm) && comm->device.sum(comm->device.state, values, count, is_f64, &error),
         &error);
}

void xv_comm_sum(const XvComm *comm, float *values, int64_t count)
{
    if (comm && !comm->mpi.library) {
        sum_on_devices(comm, values, count, false);
        return;
    }
    for (int64_t at = 0; comm && at < count; at += MOST_AT_ONCE) {
        const XvMpi *mpi = &comm->mpi;
        int64_t n = count - at < MOST_AT_ONCE ? count - at : MOST_AT_ONCE;
        mpi->allreduce(mpi->in_place, values + at, (int)n, mpi->f32, mpi->sum, mpi->world);
    }
}

void xv_comm_sum_f64(const XvComm *comm, double *values, int count)
{
    if (comm && !comm->mpi.library) {
        sum_on_devices(comm, values, count, true);
    } else if (comm) {
        const XvMpi *mpi = &comm->mpi;
        mpi->allreduce(mpi->in_place, values, count, mpi->f64, mpi->sum, mpi->world);
    }
}

bool xv_comm_agree(XvComm *comm, bool is_well, XvError *error)
{
    if (!comm || comm->has_failed) {
        return comm ? false : is_well;
    }
    if (!comm->mpi.library && !comm->device.state) {
        return is_well;
    }
    int32_t own = is_well;
    int32_t *all = calloc((size_t)comm->world, sizeof *all);
    if (!all) {
        give_up(comm, "no memory");
        return false;
    }
    xv_comm_all_gather(comm, &own, all, 1);
    int first = 0;
    while (first < comm->world && all[first]) {
        first++;
    }
    free(all);
    if (first == comm->world) {
        return true;
    }
    comm->has_failed = true;
    if (first != comm->rank) {
        error->text[0] = 0;
    }
    return false;
}

void xv_comm_fail(const XvComm *comm, int status)
{
    if (comm && !comm->has_failed && comm->mpi.library) {
        fflush(stdout);
        comm->mpi.abort(comm->mpi.world, status);
    }
}

void xv_comm_give_up(const XvComm *comm, const XvError *error)
{
    give_up(comm, error->text);
}
