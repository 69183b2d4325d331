// Several ranks in step; see ranks.h.
#include "runtime/loop/ranks.h"

#include "runtime/base/random.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void average_range(XvHost *host, int64_t begin, int64_t end)
{
    float *values = xv_host_gradients(host);
    xv_comm_sum(host->comm, values + begin, end - begin);
    float share = 1.0f / (float)xv_comm_world(host->comm);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = begin; i < end; i++) {
        values[i] *= share;
    }
}

// The parameter that lies first from `at` on, or NULL: memory has an order of its own.
static const XvParameter *parameter_from(const XvProgram *program, int64_t at)
{
    const XvParameter *found = NULL;
    for (int i = 0; i < program->n_parameters; i++) {
        const XvParameter *parameter = &program->parameters[i];
        if (parameter->offset >= at && (!found || parameter->offset < found->offset)) {
            found = parameter;
        }
    }
    return found;
}

// Neighbours with gradients are averaged in one go, padding included.
void xv_ranks_average(XvHost *host, const XvEntry *entry)
{
    const XvProgram *program = host->program;
    int64_t begin = -1;
    for (int64_t at = 0; host->comm && at <= program->parameter_count; at++) {
        const XvParameter *parameter = parameter_from(program, at);
        at = parameter ? parameter->offset : program->parameter_count;
        bool is_wanted = parameter && entry->has_gradient[parameter - program->parameters];
        if (is_wanted && begin < 0) {
            begin = at;
        } else if (!is_wanted && begin >= 0) {
            average_range(host, begin, at);
            begin = -1;
        }
    }
}

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
    Standing own = {step, hash_of(xv_host_parameters(host), host->program->parameter_count)};
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
