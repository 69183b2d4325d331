// NCCL behind a few functions; see nccl.h.
#include "runtime/cuda/nccl.h"

#include "runtime/comm/threads.h"
#include "runtime/cuda/libraries.h"

#include <dlfcn.h>
#include <stdlib.h>

// Constants of nccl.h.
enum { WORD = 3, FLOAT_32 = 7, FLOAT_64 = 8, SUM = 0, MEAN = 4 };

#define NCCL_CALLS(X)                                                                  \
    X(version, "ncclGetVersion", (int *version))                                       \
    X(make_id, "ncclGetUniqueId", (XvNcclId * id))                                     \
    X(join, "ncclCommInitRank", (void **world, int n_ranks, XvNcclId id, int rank))    \
    X(leave, "ncclCommDestroy", (void *world))                                         \
    X(give_up, "ncclCommAbort", (void *world))                                         \
    X(group_start, "ncclGroupStart", (void))                                           \
    X(group_end, "ncclGroupEnd", (void))                                               \
    X(all_gather, "ncclAllGather",                                                     \
      (const void *own, void *all, size_t count, int type, void *world, void *stream)) \
    X(all_reduce, "ncclAllReduce",                                                     \
      (const void *from, void *to, size_t count, int type, int operation, void *world, void *stream))

#define NCCL_FIELD(field, symbol, parameters) int(*field) parameters;

struct XvNccl {
    void *library;
    NCCL_CALLS(NCCL_FIELD)
    const char *(*error_string)(int status);
    const char *(*last_error)(void *world);
    void *world;  // NULL: not joined
};

static bool good(const XvNccl *nccl, int status, const char *call, XvError *error)
{
    if (status == 0) {
        return true;
    }
    const char *last = nccl->last_error(nccl->world);
    return xv_fail(error, "%s: %s (%d)%s%s", call, nccl->error_string(status), status,
                   last && *last ? ": " : "", last ? last : "");
}

#define LOAD(field, symbol, parameters) \
    &&xv_cuda_function(nccl->library, "libnccl", symbol, &nccl->field, error)

// Means and captured calls: NCCL 2.10.
static bool load(XvNccl *nccl, XvError *error)
{
    static const XvLibraryFile file = {"libnccl.so", NULL, "nvidia-nccl-cu13"};
    enum { OLDEST = 21000 };
    int version = 0;
    nccl->library = xv_cuda_library(&file, NULL, error);
    bool is_loaded =
        nccl->library NCCL_CALLS(LOAD) &&
        xv_cuda_function(nccl->library, "libnccl", "ncclGetErrorString", &nccl->error_string, error) &&
        xv_cuda_function(nccl->library, "libnccl", "ncclGetLastError", &nccl->last_error, error) &&
        good(nccl, nccl->version(&version), "ncclGetVersion", error);
    return is_loaded &&
           (version >= OLDEST || xv_fail(error, "this libnccl is of version %d.%d; 2.10 or later is needed",
                                         version / 10000, version / 100 % 100));
}

bool xv_nccl_open(XvNccl **opened, XvError *error)
{
    XvNccl *nccl = calloc(1, sizeof *nccl);
    *opened = NULL;
    if (!nccl) {
        return xv_fail(error, "no memory");
    }
    if (!load(nccl, error)) {
        xv_nccl_close(nccl, false);
        return xv_fail_in(error, "several ranks on GPUs");
    }
    *opened = nccl;
    return true;
}

void xv_nccl_close(XvNccl *nccl, bool is_whole)
{
    if (!nccl) {
        return;
    }
    if (nccl->world) {
        (is_whole ? nccl->leave : nccl->give_up)(nccl->world);
    }
    if (nccl->library) {
        dlclose(nccl->library);
    }
    free(nccl);
}

bool xv_nccl_make_id(const XvNccl *nccl, XvNcclId *id, XvError *error)
{
    return good(nccl, nccl->make_id(id), "ncclGetUniqueId", error);
}

bool xv_nccl_join(XvNccl *nccl, const XvNcclId *id, int rank, int world, XvError *error)
{
    sigset_t before;
    void *joined = NULL;
    xv_signals_hold(&before);
    int status = nccl->join(&joined, world, *id, rank);
    xv_signals_release(&before);
    nccl->world = status == 0 ? joined : NULL;
    return good(nccl, status, "ncclCommInitRank", error);
}

bool xv_nccl_gather(const XvNccl *nccl, const void *own, void *all, int64_t words, void *stream,
                    XvError *error)
{
    int status = nccl->all_gather(own, all, (size_t)words, WORD, nccl->world, stream);
    return good(nccl, status, "ncclAllGather", error);
}

bool xv_nccl_sum(const XvNccl *nccl, void *values, int64_t count, bool is_f64, void *stream, XvError *error)
{
    int type = is_f64 ? FLOAT_64 : FLOAT_32;
    int status = nccl->all_reduce(values, values, (size_t)count, type, SUM, nccl->world, stream);
    return good(nccl, status, "ncclAllReduce", error);
}

bool xv_nccl_average(const XvNccl *nccl, float *values, const XvRange *ranges, int n_ranges, void *stream,
                     XvError *error)
{
    bool is_good = good(nccl, nccl->group_start(), "ncclGroupStart", error);
    for (int i = 0; i < n_ranges && is_good; i++) {
        float *at = values + ranges[i].first;
        int status = nccl->all_reduce(at, at, (size_t)ranges[i].count, FLOAT_32, MEAN, nccl->world, stream);
        is_good = good(nccl, status, "ncclAllReduce", error);
    }
    return is_good && good(nccl, nccl->group_end(), "ncclGroupEnd", error);
}
