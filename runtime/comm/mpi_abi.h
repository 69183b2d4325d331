// The few functions and constants of MPI that the runtime needs, from a library that is loaded when the program runs.
//
// MPI fixes the names of functions, but not what its handles are. Open MPI passes addresses of objects that its library
// exports; MPICH and what shares its binary interface (Intel MPI, MVAPICH, Cray MPICH) pass fixed ints. Both are kept
// here as uintptr_t: an int argument takes the register of a pointer in the calling conventions of 64-bit systems, and
// the ints in question are positive.
#pragma once

#include "runtime/base/error.h"

#include <stdint.h>

typedef uintptr_t XvMpiHandle;

typedef struct XvMpi {
    void *library;
    XvMpiHandle world;     // MPI_COMM_WORLD
    XvMpiHandle word;      // MPI_INT: 4 bytes that are only copied
    XvMpiHandle f32, f64;  // MPI_FLOAT, MPI_DOUBLE
    XvMpiHandle sum;       // MPI_SUM
    void *in_place;        // MPI_IN_PLACE
    char path[256];        // name it was found under
    // MPI_* of the same name.
    int (*init_thread)(int *argc, char ***argv, int required, int *provided);
    int (*comm_rank)(XvMpiHandle comm, int *rank);
    int (*comm_size)(XvMpiHandle comm, int *size);
    int (*allgather)(const void *send, int n_send, XvMpiHandle send_type, void *receive, int n_receive,
                     XvMpiHandle receive_type, XvMpiHandle comm);
    int (*allreduce)(const void *send, void *receive, int count, XvMpiHandle type, XvMpiHandle op,
                     XvMpiHandle comm);
    int (*abort)(XvMpiHandle comm, int status);
    int (*finalize)(void);
    int (*get_library_version)(char *version, int *length);
} XvMpi;

// MPI_THREAD_FUNNELED: only the thread that initialised MPI calls it. The same number in both families.
enum { XV_MPI_THREAD_FUNNELED = 1 };

// Loads the library named by the environment variable XV_MPI_LIBRARY, or else the first of the usual names that is
// there, Open MPI's before MPICH's or the other way round. Does not initialise MPI.
bool xv_mpi_load(XvMpi *mpi, bool prefers_open_mpi, XvError *error);
