// Finding and understanding an MPI library; see mpi_abi.h.
#include "runtime/comm/mpi_abi.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(void *) == 8,
               "handles that are ints travel in the registers of pointers: 64-bit systems only");

// Sonames, so that no development package is needed: Open MPI 2 to 5, MPICH and relatives, Debian's MPICH.
static const char *const LIBRARIES[] = {"libmpi.so.40", "libmpi.so.20", "libmpi.so", "libmpi.so.12",
                                        "libmpich.so.12"};
enum { N_LIBRARIES = sizeof LIBRARIES / sizeof LIBRARIES[0] };

static const struct {
    const char *name;
    size_t offset;
} FUNCTIONS[] = {
    {"MPI_Init_thread", offsetof(XvMpi, init_thread)},
    {"MPI_Comm_rank", offsetof(XvMpi, comm_rank)},
    {"MPI_Comm_size", offsetof(XvMpi, comm_size)},
    {"MPI_Allgather", offsetof(XvMpi, allgather)},
    {"MPI_Allreduce", offsetof(XvMpi, allreduce)},
    {"MPI_Abort", offsetof(XvMpi, abort)},
    {"MPI_Finalize", offsetof(XvMpi, finalize)},
    {"MPI_Get_library_version", offsetof(XvMpi, get_library_version)},
};
enum { N_FUNCTIONS = sizeof FUNCTIONS / sizeof FUNCTIONS[0] };

static bool open_library(XvMpi *mpi, const char *name)
{
    // Open MPI's own plugins expect its symbols to be visible.
    mpi->library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    snprintf(mpi->path, sizeof mpi->path, "%s", name);
    return mpi->library != NULL;
}

static bool find_library(XvMpi *mpi, bool prefers_open_mpi, XvError *error)
{
    const char *given = getenv("XV_MPI_LIBRARY");
    if (given && *given) {
        return open_library(mpi, given) || xv_fail(error, "XV_MPI_LIBRARY: %s", dlerror());
    }
    for (int i = 0; i < N_LIBRARIES; i++) {
        if (open_library(mpi, LIBRARIES[prefers_open_mpi ? i : N_LIBRARIES - 1 - i])) {
            return true;
        }
    }
    return xv_fail(
        error,
        "no MPI library is found (%s to %s): install Open MPI or MPICH, or name the file of another one "
        "in the environment variable XV_MPI_LIBRARY",
        LIBRARIES[0], LIBRARIES[N_LIBRARIES - 1]);
}

static bool find_functions(XvMpi *mpi, XvError *error)
{
    for (int i = 0; i < N_FUNCTIONS; i++) {
        void *symbol = dlsym(mpi->library, FUNCTIONS[i].name);
        if (!symbol) {
            return xv_fail(error, "%s has no %s: it is not an MPI library of version 3 or later", mpi->path,
                           FUNCTIONS[i].name);
        }
        memcpy((char *)mpi + FUNCTIONS[i].offset, &symbol, sizeof symbol);
    }
    return true;
}

static bool find_open_mpi_handles(XvMpi *mpi)
{
    XvMpiHandle *handles[] = {&mpi->world, &mpi->word, &mpi->f32, &mpi->f64, &mpi->sum};
    const char *names[] = {"ompi_mpi_comm_world", "ompi_mpi_int", "ompi_mpi_float", "ompi_mpi_double",
                           "ompi_mpi_op_sum"};
    for (int i = 0; i < 5; i++) {
        *handles[i] = (XvMpiHandle)dlsym(mpi->library, names[i]);
        if (!*handles[i]) {
            return false;
        }
    }
    mpi->in_place = (void *)(uintptr_t)1;
    return true;
}

static bool is_of_mpich(const char *version)
{
    static const char *const words[] = {"MPICH", "MVAPICH", "Intel(R) MPI"};
    for (int i = 0; i < 3; i++) {
        if (strstr(version, words[i])) {
            return true;
        }
    }
    return false;
}

// The numbers of the MPICH ABI initiative.
static bool find_mpich_handles(XvMpi *mpi, XvError *error)
{
    char version[8192] = "";  // MPI_MAX_LIBRARY_VERSION_STRING of MPICH, the longest
    int length = 0;
    mpi->get_library_version(version, &length);
    if (!is_of_mpich(version)) {
        version[strcspn(version, "\n")] = 0;
        return xv_fail(
            error,
            "%s is an MPI library of a family that is not known here (\"%.100s\"); Open MPI, MPICH, "
            "MVAPICH, Intel MPI and Cray MPICH are; name one of them in XV_MPI_LIBRARY",
            mpi->path, version);
    }
    mpi->world = 0x44000000;
    mpi->word = 0x4c000405;
    mpi->f32 = 0x4c00040a;
    mpi->f64 = 0x4c00080b;
    mpi->sum = 0x58000003;
    mpi->in_place = (void *)(intptr_t)-1;
    return true;
}

bool xv_mpi_load(XvMpi *mpi, bool prefers_open_mpi, XvError *error)
{
    *mpi = (XvMpi){0};
    return find_library(mpi, prefers_open_mpi, error) && find_functions(mpi, error) &&
           (find_open_mpi_handles(mpi) || find_mpich_handles(mpi, error));
}
