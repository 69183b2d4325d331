// Which of how many processes this is, as launchers say it in environment variables.
#pragma once

#include "runtime/base/error.h"

typedef struct XvLaunch {
    const char *rank_name, *world_name;  // the variables that were believed; NULL: none is set
    bool is_open_mpi;                    // started by mpirun of Open MPI
    bool is_of_torchrun;                 // by torchrun, or as it does it: no launcher of MPI says anything
    int rank, world;                     // 0 of 1 where no variable is set
    const char *local_name;              // the variable that says local_rank; NULL: none does
    int local_rank;                      // which of the ranks of this machine; 0 where it is not said
} XvLaunch;

// Reads, in this order: RANK and WORLD_SIZE (torchrun), OMPI_COMM_WORLD_RANK and _SIZE (mpirun of Open MPI), PMI_RANK
// and PMI_SIZE (mpiexec of MPICH and its relatives), SLURM_PROCID and SLURM_STEP_NUM_TASKS (srun; a batch script has
// only the first). False when what is set is not a rank of a world, or when the first contradict what mpirun says. With
// several ranks the local rank is that of LOCAL_RANK, OMPI_COMM_WORLD_LOCAL_RANK, MPI_LOCALRANKID (MPICH) or
// SLURM_LOCALID.
bool xv_launch_read(XvLaunch *launch, XvError *error);
