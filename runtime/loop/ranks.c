// Several ranks in step; see ranks.h.
#include "runtime/loop/ranks.h"

#include "runtime/base/random.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void xv_ranks_mean(const XvComm *comm, double *values, int count)
{
    xv_comm_sum_f64(comm, values, count);
    for (int i = 0; i < count; i++) {
        values[i] /= xv_comm_world(comm);
    }
}

bool xv_ranks_any(const XvComm *comm, bool is_true)
{
    double sum = is_true;
    xv_comm_sum_f64(comm, &sum, 1);
    return sum > 0.0;
}

uint64_t xv_ranks_common(const XvComm *comm, uint64_t set)
{
    double without[64];
    for (int i = 0; i < 64; i++) {
        without[i] = !(set >> i & 1);
    }
    xv_comm_sum_f64(comm, without, 64);
    for (int i = 0; i < 64; i++) {
        set &= ~((uint64_t)(without[i] > 0.0) << i);
    }
    return set;
}

// Eight lanes, so that it runs at the speed of memory.
static uint64_t hash_of(const float *values, int64_t count)
{
    enum { LANES = 8 };
    uint32_t lanes[LANES] = {1, 2, 3, 4, 5, 6, 7, 8};
    const uint32_t *words = (const uint32_t *)(const void *)values;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            lanes[lane] = (lanes[lane] ^ words[i + lane]) * 0x01000193u;
        }
    }
    for (; i < count; i++) {
        lanes[i % LANES] = (lanes[i % LANES] ^ words[i]) * 0x01000193u;
    }
    uint64_t hash = 0;
    for (int lane = 0; lane < LANES; lane++) {
        hash = xv_key(hash, lanes[lane]);
    }
    return hash;
}

typedef struct Standing {
    int64_t step;
    uint64_t parameters;  // hash
} Standing;

bool xv_ranks_check(XvHost *host, int64_t step, XvError *error)
{
    XvComm *comm = host->comm;
    if (!comm) {
        return true;
    }
    int world = xv_comm_world(comm);
    Standing own = {step, hash_of(xv_host_read_parameters(host), host->program->parameter_count)};
    Standing *all = calloc((size_t)world, sizeof *all);
    if (!all) {
        return xv_fail(error, "no memory");
    }
    xv_comm_all_gather(comm, &own, all, (int64_t)(sizeof own / 4));
    int rank = 1;
    while (rank < world && memcmp(&all[0], &all[rank], sizeof own) == 0) {
        rank++;
    }
    Standing first = all[0], other = all[rank < world ? rank : 0];
    free(all);
    if (rank == world) {
        return true;
    }
    if (first.step != other.step) {
        xv_fail(error,
                "rank %d is at step %" PRId64 ", rank 0 at step %" PRId64
                ": --output, --checkpoint and --data must "
                "lead every rank to the same files",
                rank, other.step, first.step);
    } else {
        xv_fail(error,
                "step %" PRId64
                ": the parameters of rank %d are not those of rank 0: do all ranks read the same "
                "--checkpoint, and run the same program on the same kind of processor?",
                step, rank);
    }
    return xv_comm_agree(comm, false, error);
}
