// Processes that work together (ranks): who they are, and the collectives of data-parallel training.
//
// A world of several ranks is started by mpirun, srun or another launcher of MPI programs; the ranks find each other
// through MPI, which is looked for when the program runs (mpi_abi.h), so that neither building nor running one process
// needs it. NULL stands for a world of one process everywhere.
//
// Programs on devices that have collectives of their own may also be started by torchrun. Their ranks meet over TCP
// (meeting.h), and what hosts exchange goes through their devices. Before these have joined (xv_comm_use) every rank
// speaks for itself: who fails ends, and torchrun ends the others.
//
// All collectives must be called by the thread that called xv_comm_open, in the same order on every rank. Their results
// are the same bits on every rank, and the same in every run with as many ranks. What goes wrong inside of MPI ends all
// ranks with MPI's message.
#pragma once

#include "runtime/base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct XvComm XvComm;

// Joins the world that the environment tells of (launch.h): *comm is NULL when that is one process. False when the
// variables contradict each other or MPI, or when no MPI library is found. `has_devices`: there are collectives without
// MPI.
bool xv_comm_open(XvComm **comm, bool has_devices, XvError *error);

// Leaves the world when all ranks do.
void xv_comm_close(XvComm *comm);

int xv_comm_rank(const XvComm *comm);  // 0..world-1
int xv_comm_world(const XvComm *comm);

// `all` becomes the `words` 4-byte words of every rank in rank order. The memory must not overlap.
void xv_comm_all_gather(const XvComm *comm, const void *own, void *all, int64_t words);

// Replaces the values by their sums over the ranks.
void xv_comm_sum(const XvComm *comm, float *values, int64_t count);
void xv_comm_sum_f64(const XvComm *comm, double *values, int count);

// The bytes of rank 0, a multiple of 4, become those of every rank. False after a message.
bool xv_comm_share(const XvComm *comm, void *bytes, size_t size, XvError *error);

// Collectives of devices, which hosts have where MPI does not know of them: words of every rank in rank order, sums of
// floats or doubles. False after a message.
typedef struct XvCommDevice {
    void *state;
    bool (*gather)(void *state, const void *own, void *all, int64_t words, XvError *error);
    bool (*sum)(void *state, void *values, int64_t count, bool is_f64, XvError *error);
} XvCommDevice;

// From now on; NULL: no longer. With MPI nothing changes.
void xv_comm_use(XvComm *comm, const XvCommDevice *device);

// Whether all ranks are well. If not, the message of the first unwell rank stays in its `error`, those of the others
// become empty, and the world counts as failed together: from then on this is false at once.
bool xv_comm_agree(XvComm *comm, bool is_well, XvError *error);

// Ends a process that has failed: after a failure that all ranks know of it returns, so that they end in order; after
// one that the others do not know of it takes them down, since they may be waiting for this rank.
void xv_comm_fail(const XvComm *comm, int status);

// Ends all ranks with the message: where the others already wait for this rank in something that has no end.
void xv_comm_give_up(const XvComm *comm, const XvError *error);
