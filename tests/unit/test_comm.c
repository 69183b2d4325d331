// Who a process is, from the variables of its launcher; libraries that are not there or are none; a world of one.
// Several ranks are tested by tests/groups/ranks.sh, which starts them.
#include "runtime/comm/comm.h"
#include "runtime/comm/launch.h"
#include "runtime/comm/mpi_abi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static const char *const VARIABLES[] = {
    "RANK",
    "WORLD_SIZE",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "PMI_RANK",
    "PMI_SIZE",
    "SLURM_PROCID",
    "SLURM_STEP_NUM_TASKS",
    "XV_MPI_LIBRARY",
    "LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "SLURM_LOCALID",
};
enum { N_VARIABLES = sizeof VARIABLES / sizeof VARIABLES[0] };

static int clear(void **state)
{
    (void)state;
    for (int i = 0; i < N_VARIABLES; i++) {
        unsetenv(VARIABLES[i]);
    }
    return 0;
}

static void set_pair(const char *rank_name, const char *rank, const char *world_name, const char *world)
{
    setenv(rank_name, rank, 1);
    setenv(world_name, world, 1);
}

static void assert_launch(int rank, int world, const char *rank_name)
{
    XvLaunch launch;
    XvError error = {0};
    if (!xv_launch_read(&launch, &error)) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(launch.rank, rank);
    assert_int_equal(launch.world, world);
    if (rank_name) {
        assert_string_equal(launch.rank_name, rank_name);
    } else {
        assert_null(launch.rank_name);
    }
}

static void assert_refused(const char *part)
{
    XvLaunch launch;
    XvError error = {0};
    assert_false(xv_launch_read(&launch, &error));
    if (!strstr(error.text, part)) {
        fail_msg("'%s' is not in: %s", part, error.text);
    }
}

static void test_no_launcher(void **state)
{
    (void)state;
    assert_launch(0, 1, NULL);
    setenv("RANK", "5", 1);          // means nothing alone
    setenv("SLURM_PROCID", "0", 1);  // a batch script, not a step
    assert_launch(0, 1, NULL);
    setenv("WORLD_SIZE", "1", 1);
    unsetenv("RANK");
    assert_launch(0, 1, NULL);
}

static void test_torchrun(void **state)
{
    XvLaunch launch;
    XvError error = {0};
    (void)state;
    set_pair("RANK", "1", "WORLD_SIZE", "2");
    assert_true(xv_launch_read(&launch, &error));
    assert_true(launch.is_of_torchrun);
    set_pair("SLURM_PROCID", "0", "SLURM_STEP_NUM_TASKS", "1");  // torchrun in a step of Slurm
    assert_true(xv_launch_read(&launch, &error));
    assert_true(launch.is_of_torchrun);
    set_pair("PMI_RANK", "1", "PMI_SIZE", "2");  // mpiexec, and the same said once more
    assert_true(xv_launch_read(&launch, &error));
    assert_false(launch.is_of_torchrun);
    unsetenv("RANK");
    unsetenv("WORLD_SIZE");
    assert_true(xv_launch_read(&launch, &error));
    assert_false(launch.is_of_torchrun);
}

static void test_local_ranks(void **state)
{
    static const char *const names[] = {"SLURM_LOCALID", "MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK",
                                        "LOCAL_RANK"};
    XvLaunch launch;
    XvError error = {0};
    (void)state;
    setenv("LOCAL_RANK", "3", 1);
    assert_true(xv_launch_read(&launch, &error));
    assert_int_equal(launch.local_rank, 0);  // means nothing to one process
    unsetenv("LOCAL_RANK");
    set_pair("RANK", "5", "WORLD_SIZE", "8");
    assert_true(xv_launch_read(&launch, &error));
    assert_int_equal(launch.local_rank, 0);
    assert_null(launch.local_name);
    for (int i = 0; i < 4; i++) {
        setenv(names[i], (const char *[]){"4", "5", "6", "7"}[i], 1);
        assert_true(xv_launch_read(&launch, &error));
        assert_int_equal(launch.local_rank, 4 + i);
        assert_string_equal(launch.local_name, names[i]);
    }
    setenv("LOCAL_RANK", "-1", 1);
    assert_refused("the environment variable LOCAL_RANK is \"-1\"");
}

static void test_launchers(void **state)
{
    (void)state;
    set_pair("SLURM_PROCID", "3", "SLURM_STEP_NUM_TASKS", "8");
    assert_launch(3, 8, "SLURM_PROCID");
    set_pair("PMI_RANK", "1", "PMI_SIZE", "2");  // mpiexec within a job: Slurm's are those of its helper
    assert_launch(1, 2, "PMI_RANK");
    unsetenv("PMI_SIZE");
    set_pair("OMPI_COMM_WORLD_RANK", "2", "OMPI_COMM_WORLD_SIZE", "4");
    assert_launch(2, 4, "OMPI_COMM_WORLD_RANK");
    set_pair("RANK", "2", "WORLD_SIZE", "4");
    assert_launch(2, 4, "RANK");
}

static void test_open_mpi_is_noticed(void **state)
{
    (void)state;
    XvLaunch launch;
    XvError error = {0};
    set_pair("RANK", "0", "WORLD_SIZE", "2");
    assert_true(xv_launch_read(&launch, &error));
    assert_false(launch.is_open_mpi);
    set_pair("OMPI_COMM_WORLD_RANK", "0", "OMPI_COMM_WORLD_SIZE", "2");
    assert_true(xv_launch_read(&launch, &error));
    assert_true(launch.is_open_mpi);
}

static void test_contradictions(void **state)
{
    (void)state;
    set_pair("RANK", "0", "WORLD_SIZE", "2");
    set_pair("OMPI_COMM_WORLD_RANK", "1", "OMPI_COMM_WORLD_SIZE", "2");
    assert_refused(
        "both rank 0 of 2 (RANK, WORLD_SIZE) and rank 1 of 2 (OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE)");
    set_pair("RANK", "0", "WORLD_SIZE", "1");
    assert_refused("both rank 0 of 1");
}

static void test_nonsense(void **state)
{
    (void)state;
    setenv("WORLD_SIZE", "2", 1);
    assert_refused("RANK, which says which of these processes this is, is not set");
    setenv("RANK", "2", 1);
    assert_refused("ranks count from 0 to 1");
    setenv("RANK", "-1", 1);
    assert_refused("RANK is \"-1\"");
    setenv("RANK", "", 1);
    assert_refused("RANK is \"\"");
    setenv("WORLD_SIZE", "two", 1);
    assert_refused("WORLD_SIZE is \"two\"");
    setenv("WORLD_SIZE", "0", 1);
    assert_refused("WORLD_SIZE is \"0\"");
}

static void assert_not_opened(const char *part)
{
    XvComm *comm = NULL;
    XvError error = {0};
    assert_false(xv_comm_open(&comm, false, &error));
    assert_null(comm);
    if (!strstr(error.text, part)) {
        fail_msg("'%s' is not in: %s", part, error.text);
    }
}

static void test_libraries(void **state)
{
    (void)state;
    set_pair("RANK", "0", "WORLD_SIZE", "2");
    setenv("XV_MPI_LIBRARY", "libxv_no_such_library.so", 1);
    assert_not_opened("WORLD_SIZE is 2: XV_MPI_LIBRARY: libxv_no_such_library.so");
    setenv("XV_MPI_LIBRARY", "libm.so.6", 1);
    assert_not_opened("libm.so.6 has no MPI_Init_thread");
}

static void test_world_of_one(void **state)
{
    (void)state;
    XvComm *comm = NULL;
    XvError error = {0};
    setenv("XV_MPI_LIBRARY", "libxv_no_such_library.so", 1);  // not looked for
    set_pair("OMPI_COMM_WORLD_RANK", "0", "OMPI_COMM_WORLD_SIZE", "1");
    assert_true(xv_comm_open(&comm, false, &error));
    assert_null(comm);
    assert_int_equal(xv_comm_rank(comm), 0);
    assert_int_equal(xv_comm_world(comm), 1);
    float own[3] = {1, 2, 3}, all[3] = {0};
    double numbers[2] = {1, 2};
    xv_comm_all_gather(comm, own, all, 3);
    assert_memory_equal(own, all, sizeof own);
    xv_comm_sum(comm, all, 3);
    xv_comm_sum_f64(comm, numbers, 2);
    assert_memory_equal(own, all, sizeof own);
    assert_true(numbers[0] <= 1 && numbers[1] >= 2);
    xv_fail(&error, "alone");
    assert_true(xv_comm_agree(comm, true, &error));
    assert_false(xv_comm_agree(comm, false, &error));
    assert_string_equal(error.text, "alone");
    xv_comm_fail(comm, 1);
    xv_comm_close(comm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_no_launcher, clear),
        cmocka_unit_test_setup(test_launchers, clear),
        cmocka_unit_test_setup(test_local_ranks, clear),
        cmocka_unit_test_setup(test_torchrun, clear),
        cmocka_unit_test_setup(test_open_mpi_is_noticed, clear),
        cmocka_unit_test_setup(test_contradictions, clear),
        cmocka_unit_test_setup(test_nonsense, clear),
        cmocka_unit_test_setup(test_libraries, clear),
        cmocka_unit_test_setup(test_world_of_one, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
