// The variables of the launchers; see launch.h.
#include "runtime/comm/launch.h"

#include <stdlib.h>

typedef struct Launcher {
    const char *rank, *world;
} Launcher;

enum { TORCHRUN, OPEN_MPI, PMI, SLURM, N_LAUNCHERS };

static const Launcher LAUNCHERS[N_LAUNCHERS] = {
    [TORCHRUN] = {"RANK", "WORLD_SIZE"},
    [OPEN_MPI] = {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
    [PMI] = {"PMI_RANK", "PMI_SIZE"},
    [SLURM] = {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},
};

static bool read_number(const char *name, int low, int *number, XvError *error)
{
    const char *text = getenv(name);
    char *end = NULL;
    long value = strtol(text, &end, 10);
    if (end == text || *end != 0 || value < low || value > 1000000) {
        return xv_fail(error, "the environment variable %s is \"%s\"; it must be a number from %d on", name,
                       text, low);
    }
    *number = (int)value;
    return true;
}

// What one launcher says. It does not speak where its world variable is not set.
static bool read_launcher(const Launcher *launcher, XvLaunch *launch, XvError *error)
{
    if (!getenv(launcher->world) || !read_number(launcher->world, 1, &launch->world, error)) {
        return !getenv(launcher->world);
    }
    if (!getenv(launcher->rank)) {
        return launch->world == 1 ||
               xv_fail(error,
                       "the environment variable %s is %d, but %s, which says which of these "
                       "processes this is, is not set; start the program with mpirun or srun",
                       launcher->world, launch->world, launcher->rank);
    }
    if (!read_number(launcher->rank, 0, &launch->rank, error)) {
        return false;
    }
    launch->rank_name = launcher->rank;
    launch->world_name = launcher->world;
    return launch->rank < launch->world ||
           xv_fail(error, "the environment variable %s is %d and %s is %d: ranks count from 0 to %d",
                   launcher->rank, launch->rank, launcher->world, launch->world, launch->world - 1);
}

static bool read_local_rank(XvLaunch *launch, XvError *error)
{
    static const char *const names[] = {"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID",
                                        "SLURM_LOCALID"};
    for (int i = 0; i < 4 && launch->world > 1; i++) {
        if (getenv(names[i])) {
            launch->local_name = names[i];
            return read_number(names[i], 0, &launch->local_rank, error);
        }
    }
    return true;
}

bool xv_launch_read(XvLaunch *launch, XvError *error)
{
    XvLaunch heard[N_LAUNCHERS];
    const XvLaunch *first = NULL;
    for (int i = 0; i < N_LAUNCHERS; i++) {
        heard[i] = (XvLaunch){.rank = 0, .world = 1};
        if (!read_launcher(&LAUNCHERS[i], &heard[i], error)) {
            return false;
        }
        // mpirun passes Slurm's variables of its own helpers on to the ranks, so they count only where it says nothing.
        bool contradicts = first && i != SLURM && heard[i].rank_name &&
                           (heard[i].rank != first->rank || heard[i].world != first->world);
        if (contradicts) {
            return xv_fail(
                error,
                "the environment says both rank %d of %d (%s, %s) and rank %d of %d (%s, %s); unset the "
                "variables that are not of this run",
                first->rank, first->world, first->rank_name, first->world_name, heard[i].rank, heard[i].world,
                heard[i].rank_name, heard[i].world_name);
        }
        first = !first && heard[i].rank_name ? &heard[i] : first;
    }
    *launch = first ? *first : (XvLaunch){.rank = 0, .world = 1};
    launch->is_open_mpi = heard[OPEN_MPI].rank_name != NULL;
    launch->is_of_torchrun = heard[TORCHRUN].rank_name && !heard[OPEN_MPI].rank_name && !heard[PMI].rank_name;
    return read_local_rank(launch, error);
}
