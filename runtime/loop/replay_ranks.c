// Names of ranks in a file; see replay_ranks.h.
#include "runtime/loop/replay_ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The rank that a name starts with, -1 without one, and the plain name behind it.
static long rank_of(const char *name, const char **plain)
{
    char *end;
    *plain = name;
    if (strncmp(name, "rank", 4) != 0 || name[4] < '0' || name[4] > '9') {
        return -1;
    }
    long rank = strtol(name + 4, &end, 10);
    if (*end != '.') {
        return -1;
    }
    *plain = end + 1;
    return rank;
}

static bool has_own(const XvSafetensors *file, int rank, const char *plain)
{
    char name[256];
    snprintf(name, sizeof name, "rank%d.%s", rank, plain);
    return xv_safetensors_find(file, name) != NULL;
}

static int by_name(const void *a, const void *b)
{
    const XvStored *x = a, *y = b;
    return strcmp(x->name, y->name);
}

bool xv_replay_rank_view(XvSafetensors *file, const XvComm *comm, XvError *error)
{
    int own = xv_comm_rank(comm), n_seen = 0;
    if (!comm) {
        return true;
    }
    XvStored *seen = calloc((size_t)file->n_tensors + 1, sizeof *seen);
    if (!seen) {
        return xv_fail(error, "no memory");
    }
    for (int i = 0; i < file->n_tensors; i++) {
        const char *plain;
        long rank = rank_of(file->tensors[i].name, &plain);
        if (rank == own || (rank < 0 && !has_own(file, own, plain))) {
            seen[n_seen] = file->tensors[i];
            seen[n_seen++].name = plain;
        }
    }
    qsort(seen, (size_t)n_seen, sizeof *seen, by_name);
    free(file->tensors);
    file->tensors = seen;
    file->n_tensors = n_seen;
    return true;
}
