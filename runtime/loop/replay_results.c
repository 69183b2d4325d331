// Copies of outputs; see replay_results.h.
#include "runtime/loop/replay_results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Whether `name` is that of a rank's result.
static bool is_named(const char *name, const XvComm *comm, int rank, const char *plain)
{
    char prefix[32] = "";
    if (xv_comm_world(comm) > 1) {
        snprintf(prefix, sizeof prefix, "rank%d.", rank);
    }
    size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 && strcmp(name + length, plain) == 0;
}

const XvTensor *xv_results_find(const XvResults *results, const char *name)
{
    for (int i = 0; i < results->n_tensors; i++) {
        if (is_named(results->tensors[i].name, results->comm, xv_comm_rank(results->comm), name)) {
            return &results->tensors[i];
        }
    }
    return NULL;
}

static bool grow(XvResults *results)
{
    if (results->n_tensors < results->capacity) {
        return true;
    }
    int capacity = 2 * results->capacity + 64;
    XvTensor *grown = realloc(results->tensors, (size_t)capacity * sizeof *grown);
    results->tensors = grown ? grown : results->tensors;
    results->capacity = grown ? capacity : results->capacity;
    return grown != NULL;
}

static bool keep(XvResults *results, const XvTensor *tensor, int rank, const void *data, XvError *error)
{
    XvTensor copy = *tensor;
    char *name = NULL;
    size_t bytes = xv_tensor_bytes(tensor);
    int written = xv_comm_world(results->comm) > 1 ? asprintf(&name, "rank%d.%s", rank, tensor->name)
                                                   : asprintf(&name, "%s", tensor->name);
    copy.data = malloc(bytes + 1);
    if (written < 0 || !copy.data || !grow(results)) {
        free(written < 0 ? NULL : name);
        free(copy.data);
        return xv_fail(error, "no memory for \"%s\"", tensor->name);
    }
    copy.name = name;
    memcpy(copy.data, data, bytes);
    results->tensors[results->n_tensors++] = copy;
    return true;
}

// Elements have 4 bytes: values of a program are F32 or I32.
static bool keep_of_all(XvResults *results, const XvTensor *tensor, XvError *error)
{
    int world = xv_comm_world(results->comm), own = xv_comm_rank(results->comm);
    size_t bytes = xv_tensor_bytes(tensor);
    double sums[2] = {(double)bytes, (double)bytes * (double)bytes};
    xv_comm_sum_f64(results->comm, sums, 2);
    if (fabs(sums[1] * world - sums[0] * sums[0]) > 0.0) {  // no variance where all are equal
        return xv_fail(error, "\"%s\" is not of one size on all ranks", tensor->name);
    }
    char *all = malloc((size_t)world * bytes + 1);
    if (!all) {
        return xv_fail(error, "no memory for \"%s\" of %d ranks", tensor->name, world);
    }
    xv_comm_all_gather(results->comm, tensor->data, all, (int64_t)(bytes / 4));
    bool is_kept = true;
    for (int rank = 0; rank < world && is_kept; rank++) {
        bool is_wanted = own == 0 || rank == own;
        is_kept = !is_wanted || keep(results, tensor, rank, all + (size_t)rank * bytes, error);
    }
    free(all);
    return is_kept;
}

bool xv_results_add(XvResults *results, const XvTensor *tensor, XvError *error)
{
    if (xv_results_find(results, tensor->name)) {
        return true;
    }
    return results->comm ? keep_of_all(results, tensor, error)
                         : keep(results, tensor, 0, tensor->data, error);
}

void xv_results_free(XvResults *results)
{
    for (int i = 0; i < results->n_tensors; i++) {
        free((char *)results->tensors[i].name);
        free(results->tensors[i].data);
    }
    free(results->tensors);
    *results = (XvResults){0};
}
