# Several processes over MPI, with every launcher that is installed: Open MPI's, MPICH's. Neither is needed to build;
# where one is missing its tests are skipped by name.

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}  # what MPI keeps until its end is not ours

# launcher FAMILY: the mpirun of Open MPI or MPICH with the options that tests need, or nothing.
launcher() {
    local name
    for name in "mpirun.$1" mpirun mpiexec; do
        if command -v "$name" > /dev/null && "$name" --version 2>&1 | grep -Eqi "$2"; then
            echo "$name$3"
            return
        fi
    done
}

# collectives FAMILY MPIRUN
collectives() {
    local family=$1 run="timeout 120 $2" ranks=$BUILD/tests/ranks
    # shellcheck disable=SC2086
    {
        says 0 '^ranks: [0-9]+ passed, 0 failed' "$family: collectives of two ranks" $run -n 2 "$ranks" 2 large
        says 0 '^ranks: [0-9]+ passed, 0 failed' "$family: collectives of three ranks" $run -n 3 "$ranks" 3
        says 3 'rank 1: this rank is unwell' "$family: a rank that fails takes the others down" $run -n 3 "$ranks" 3 fail
        says 3 'rank 1: this rank is unwell' "$family: a failure that all know of" $run -n 3 "$ranks" 3 agree
        succeeds "$family: it is told once" test "$(grep -c unwell "$WORK/output")" -eq 1
        says 2 'both rank 0 of 1 .* and rank [01] of 2' "$family: variables that contradict each other" \
            env RANK=0 WORLD_SIZE=1 $run -n 2 "$ranks" 2
    }
}

succeeds "one process needs no launcher" "$BUILD/tests/ranks" 1
says 2 'RANK, which says which of these processes this is, is not set' "a world without a rank" \
    env WORLD_SIZE=2 "$BUILD/tests/ranks" 2
says 2 'WORLD_SIZE is 2: XV_MPI_LIBRARY: .*none.so' "an MPI library that is not there" \
    env WORLD_SIZE=2 RANK=0 XV_MPI_LIBRARY=./none.so "$BUILD/tests/ranks" 2

OPEN_MPI=$(launcher openmpi 'open mpi|openrte' " --oversubscribe --bind-to none")
MPICH=$(launcher mpich 'hydra|mpich' "")
if [ -n "$OPEN_MPI" ]; then
    collectives "Open MPI" "$OPEN_MPI"
    says 2 'torchrun starts processes that MPI does not know of' "ranks that MPI does not know of" \
        env WORLD_SIZE=2 RANK=1 "$BUILD/tests/ranks" 2
else
    skip "Open MPI" "no mpirun of Open MPI here"
fi
if [ -n "$MPICH" ]; then
    collectives "MPICH" "$MPICH"
else
    skip "MPICH" "no mpirun of MPICH here"
fi
if [ -n "$OPEN_MPI" ] && [ -n "$MPICH" ]; then
    # shellcheck disable=SC2086
    says 2 'to libmpich.so.12 this is rank 0 of 1; start the program with the mpirun that belongs' \
        "another library than the launcher's" env XV_MPI_LIBRARY=libmpich.so.12 timeout 60 $OPEN_MPI -n 2 "$BUILD/tests/ranks" 2
fi
