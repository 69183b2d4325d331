# Several processes over MPI, with every launcher that is installed: Open MPI's, MPICH's. Neither is needed to build;
# where one is missing its tests are skipped by name.

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}  # what MPI keeps until its end is not ours

# collectives FAMILY MPIRUN
collectives() {
    local family=$1 run="timeout 120 $2" ranks=$BUILD/tests/ranks
    # shellcheck disable=SC2086
    {
        says 0 '^ranks: [0-9]+ passed, 0 failed' "$family: collectives of two ranks" $run -n 2 "$ranks" 2 large
        says 0 '^ranks: [0-9]+ passed, 0 failed' "$family: collectives of three ranks" $run -n 3 "$ranks" 3
        says 3 'rank 1: this rank is unwell' "$family: a rank that fails takes the others down" \
            $run -n 3 "$ranks" 3 fail
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

OPEN_MPI=$(open_mpi)
MPICH=$(mpich)
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
        "another library than the launcher's" \
        env XV_MPI_LIBRARY=libmpich.so.12 timeout 60 $OPEN_MPI -n 2 "$BUILD/tests/ranks" 2
fi

# Training, on the first launcher there is -----------------------------------------------------------------------------

scenes=$WORK/scenes
runs=$WORK/runs
MPIRUN=${OPEN_MPI:-$MPICH}
STEPS=10
rm -rf "$scenes" "$runs"
mkdir -p "$runs"
export OMP_NUM_THREADS=1  # two ranks on two cores

# trained MPIRUN PROGRAM FOLDER OPTIONS...: a run on both entries that logs and saves every step.
trained() {
    local mpirun=$1 program=$2 folder=$3
    shift 3
    # shellcheck disable=SC2086
    timeout 300 $mpirun "$program" train --data "$scenes/train_images.jsonl" --regions "$scenes/train_regions.jsonl" \
        --val "$scenes/val_images.jsonl" --output "$runs/$folder" --steps $STEPS --log-every 1 --save-every 1 \
        --seed 3 "$@"
}

two() {
    trained "$MPIRUN -n 2" "$TINY" "$@"
}

# same_run NAME FOLDER FOLDER: equal curves, but for the pace, and equal parameters.
same_run() {
    local folder
    for folder in "$2" "$3"; do
        curve_of "$runs/$folder/log.txt" > "$runs/$folder.curve"
    done
    succeeds "$1: every step is in the log once" test "$(grep -c train_ "$runs/$3.curve")" -eq $STEPS
    same "$1: curve" "$runs/$2.curve" "$runs/$3.curve"
    same "$1: parameters" "$runs/$2/model.safetensors" "$runs/$3/model.safetensors"
}

# ranks_below PID: the processes below a launcher that have none below themselves.
ranks_below() {
    local child children
    children=$(ps -o pid= --ppid "$1")
    for child in $children; do
        ranks_below "$child"
    done
    [ -n "$children" ] || echo "$1"
}

# end_one SIGNAL FOLDER: sends the signal to one rank of a run that has saved a checkpoint and is not done; ENDED is the
# status of the whole.
end_one() {
    local signal=$1 folder=$2 pid rank
    rm -rf "${runs:?}/$folder"
    # shellcheck disable=SC2086
    $MPIRUN -n 2 "$TINY" train --data "$scenes/train_images.jsonl" --regions "$scenes/train_regions.jsonl" \
        --val "$scenes/val_images.jsonl" --output "$runs/$folder" --steps $STEPS --log-every 1 --save-every 1 --seed 3 \
        > "$WORK/output" 2>&1 < /dev/null &
    pid=$!
    while kill -0 $pid 2> /dev/null && [ ! -e "$runs/$folder/checkpoint_latest.safetensors" ]; do
        sleep 0.01
    done
    rank=$(ranks_below $pid | tail -n 1)
    [ "$rank" != $pid ] && kill "-$signal" "$rank" 2> /dev/null
    ENDED=0
    wait $pid || ENDED=$?
    [ -e "$runs/$folder/checkpoint_latest.safetensors" ] && [ ! -e "$runs/$folder/model.safetensors" ]
}

# ended SIGNAL STATUS FOLDER: one rank is ended by the signal, all end with a status like that, and resume.
ended() {
    local signal=$1 wanted=$2 folder=$3 attempt
    for attempt in 1 2 3; do
        end_one "$signal" "$folder" && break
    done
    # shellcheck disable=SC2254
    case $ENDED in
    $wanted) succeeds "a rank ended by $signal ends the others" test ! -e "$runs/$folder/model.safetensors" ;;
    *) fail "a rank ended by $signal (attempt $attempt): status $ENDED, expected $wanted" "$WORK/output" ;;
    esac
    succeeds "a run whose rank was ended by $signal resumes" two "$folder" --resume
    same_run "a rank ended by $signal, and resumed" whole "$folder"
}

# program RANKS FOLDER OPTIONS...: the tiny program for so many ranks, in the folder of $WORK.
program() {
    local ranks=$1 folder=$2
    shift 2
    "$BUILD/xvlmc" models/xvlm_tiny.dsl --task pretrain --batch 4 --ranks "$ranks" --set images.image_key=image \
        --set images.is_image_rpath=true --set regions.image_key=image --set regions.is_image_rpath=true \
        --set regions.max_images=4 --set schedular.num_warmup_steps=4 --output "$WORK/$folder" "$@"
}

# evaluated PROGRAM...: metrics that do not depend on how the records are spread over ranks.
evaluated() {
    timeout 300 "$@" eval --data "$scenes/val_images.jsonl" --checkpoint "$runs/whole/model.safetensors" --json |
        grep -E '"(mlm_accuracy|txt_r|img_r)'
}

training() {
    succeeds "an undisturbed run of two ranks" two whole
    cp "$WORK/output" "$WORK/whole.output"
    succeeds "only rank 0 prints" test "$(grep -c '^done: ' "$WORK/whole.output")" -eq 1
    succeeds "an epoch is shared by the ranks" grep -q '"step":8,"epoch":1,' "$runs/whole/log.txt"
    succeeds "the same run again" two again
    same_run "two ranks repeat" whole again
    ended KILL '[1-9]*' killed
    ended TERM '[0-9]*' terminated

    # Streams: every rank has its own place in its own files, and goes on from there, whatever rank is ended.
    for part in 1 2 3; do
        sed -n "$part~3p" "$scenes/train_images.jsonl" > "$scenes/part$part.jsonl"
    done
    TINY=$WORK/streaming/pretrain
    parts=$scenes/part1.jsonl,$scenes/part2.jsonl,$scenes/part3.jsonl
    succeeds "the program for two ranks over streams is built" program 2 streaming --set images.stream=true \
        --set regions.stream=true
    succeeds "an undisturbed run over streams" two stream_whole --data "$parts"
    succeeds "a run over streams is stopped" two stream --data "$parts" --minutes 0
    says 0 'resuming after step 1 of 10' "a run over streams resumes" two stream --data "$parts" --resume
    same_run "two ranks over streams, resumed" stream_whole stream
    TINY=$WORK/tiny2/pretrain

    # What contradicts a run or its program is refused, and says what to do.
    says 1 'holds a run already' "a folder that holds a run" two whole
    succeeds "it is told once" test "$(grep -c 'holds a run already' "$WORK/output")" -eq 1
    says 2 'rank 0: pretrain train: --output DIR is needed' "wrong usage" timeout 60 $MPIRUN -n 2 "$TINY" train --data x
    succeeds "it is told once" test "$(grep -c 'is needed' "$WORK/output")" -eq 1
    says 1 'compiled for 2 processes and runs in a world of 1.*mpirun -n 2, or .*--ranks 1' "two ranks alone" \
        trained "" "$TINY" alone
    says 1 'compiled for 2 processes and runs in a world of 3.*--ranks 3' "two ranks in a world of three" \
        trained "$MPIRUN -n 3" "$TINY" three
    says 1 'compiled for 1 process and runs in a world of 2.*--ranks 2' "one rank in a world of two" two_of_one
    says 1 'the run has 2 ranks, and this is a world of 1.*mpirun -n 2' "a run of two ranks resumed by one" \
        trained "" "$WORK/tiny1/pretrain" whole --resume

    # All ranks end when one cannot go on, whether the others know or not.
    says 1 'rank [01]: pretrain train: step [0-9]+: .* is -?(nan|inf)' "a loss that is not finite" \
        two explosion --lr 1e9 --warmup 0
    says 1 'step 0: the parameters of rank 1 are not those of rank 0' "ranks that start from different parameters" \
        different_parameters
    says 1 'rank 1: pretrain train: ' "a rank that cannot read its data" unreadable
    succeeds "one rank evaluates" evaluated "$WORK/tiny1/pretrain"
    cp "$WORK/output" "$WORK/one.eval"
    # shellcheck disable=SC2086
    succeeds "two ranks evaluate" evaluated $MPIRUN -n 2 "$TINY"
    cp "$WORK/output" "$WORK/two.eval"
    same "two ranks evaluate as one" "$WORK/one.eval" "$WORK/two.eval"
}

# Retrieval in two stages: batches of images, captions and pairs are shared out, none of which divides evenly.
# retrieval RANKS: the program for so many ranks, in $WORK/retrieval$RANKS.
retrieval() {
    CFLAGS=-O1 timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --task retrieval --ranks "$1" --batch 4 \
        --config tests/replay/retrieval_swin_bert/config.json --set text_config.vocab_size=30522 --set k_test=4 \
        --set batch_size_test=3 --set batch_size_test_text=7 --set image_root=tests/data/mini_coco \
        --output "$WORK/retrieval$1"
}

# ranked FILE PROGRAM...: the recalls of fresh parameters, which are those of the seed.
ranked() {
    local file=$1
    shift
    timeout 300 "$@" eval --data tests/data/mini_coco/retrieval_test.json --output "$file" \
        --vocab tests/data/vocab/bert-base-uncased-vocab.txt --checkpoint "$runs/retrieval/model.safetensors"
}

sharing() {
    succeeds "retrieval for one rank is built" retrieval 1
    succeeds "retrieval for two ranks is built" retrieval 2
    succeeds "retrieval: parameters" timeout 300 "$WORK/retrieval1/retrieval" train --steps 1 --seed 5 \
        --data tests/data/mini_coco/retrieval_train.json --vocab tests/data/vocab/bert-base-uncased-vocab.txt \
        --output "$runs/retrieval"
    succeeds "retrieval: one rank" ranked "$WORK/one.json" "$WORK/retrieval1/retrieval"
    cp "$WORK/output" "$WORK/one.output"
    # shellcheck disable=SC2086
    succeeds "retrieval: two ranks" ranked "$WORK/two.json" $MPIRUN -n 2 "$WORK/retrieval2/retrieval"
    cp "$WORK/output" "$WORK/two.output"
    same "retrieval: two ranks give the numbers of one" "$WORK/one.json" "$WORK/two.json"
    same "retrieval: and say the same" "$WORK/one.output" "$WORK/two.output"
}

# emulated_program FOLDER COMMAND...: builds a program for the target cuda there, with kernels for the emulator.
emulated_program() {
    local folder=$WORK/$1
    shift
    CFLAGS=-O1 timeout 600 "$@" --target cuda --precision fp32 --ranks 2 --output "$folder" &&
        make_simt "$folder"
}

# losses_of FOLDER: the losses of a run's log, one a line.
losses_of() {
    grep -oE '"train_[a-z_]*loss[a-z_]*":[-0-9.e]*|"gradient_norm":[-0-9.e]*' "$runs/$1/log.txt" | sed 's/.*://'
}

# The target cuda on the emulator: the official numbers of two ranks, and the curve of the target c.
emulated() {
    local case=tests/replay/retrieval_two_ranks folder=$WORK/emulated STEPS=3
    succeeds "emulator: two ranks are built" emulated_program emulated "$BUILD/xvlmc" models/xvlm_base.dsl \
        --task retrieval --config "$case/config.json" --shapes "$case/inputs.safetensors" || return
    succeeds "emulator: gradients are averaged while others are computed" test \
        "$(grep -c xv_cuda_average_ranks "$folder/pairs_train.c")" -ge 5
    # shellcheck disable=SC2086
    succeeds "emulator: two ranks replay" timeout 600 $MPIRUN -n 2 "$folder/retrieval" replay --device simt \
        --weights "$case/weights.safetensors" --inputs "$case/inputs.safetensors" \
        --outputs "$folder/outputs.safetensors" --grads "$folder/grads.safetensors"
    succeeds "emulator: losses, outputs" "$BUILD/tests/compare" --case "$case" --outputs "$folder/outputs.safetensors"
    succeeds "emulator: mean gradients" "$BUILD/tests/compare" --case "$case" --grads "$folder/grads.safetensors"
    rm -rf "$folder"

    succeeds "emulator: the tiny program for two ranks" emulated_program emulated "$BUILD/xvlmc" models/xvlm_tiny.dsl \
        --task pretrain --batch 4 --set images.image_key=image --set images.is_image_rpath=true \
        --set regions.image_key=image --set regions.is_image_rpath=true --set regions.max_images=4 \
        --set schedular.num_warmup_steps=4 || return
    succeeds "emulator: two ranks train" trained "$MPIRUN -n 2" "$folder/pretrain" emulated --device simt
    succeeds "the same on the target c" two on_c
    losses_of emulated > "$WORK/emulated.losses"
    losses_of on_c > "$WORK/on_c.losses"
    succeeds "two ranks on the emulator have the losses of the target c" awk '
        NR == FNR { want[FNR] = $1; n = FNR; next }
        { d = $1 - want[FNR]; if (d < 0) d = -d; if (d > 1e-4 * want[FNR]) { print FNR, $1, want[FNR]; bad = 1 } }
        END { exit bad || FNR != n || n < 15 }' "$WORK/on_c.losses" "$WORK/emulated.losses"
    says 1 'compiled for 2 processes and runs in a world of 1' "two ranks alone on the emulator" \
        trained "" "$folder/pretrain" alone --device simt
    rm -rf "$folder"
}

two_of_one() {
    trained "$MPIRUN -n 2" "$WORK/tiny1/pretrain" other
}

# Two programs in one world: the second starts from other weights, or with other files.
apart() {
    local common="$TINY train --output $runs/$1 --steps $STEPS --seed 3"
    # shellcheck disable=SC2086
    timeout 120 $MPIRUN -n 1 $common $2 : -n 1 $common $3
}

different_parameters() {
    local data="--data $scenes/train_images.jsonl"
    apart different "$data --checkpoint $runs/whole/model.safetensors" "$data"
}

unreadable() {
    sed 's/"image": *"[^"]*"/"image": "none.jpg"/' "$scenes/train_images.jsonl" > "$scenes/unreadable.jsonl"
    apart unreadable "--data $scenes/train_images.jsonl" "--data $scenes/unreadable.jsonl"
}

if [ -n "$MPIRUN" ]; then
    succeeds "scenes are drawn" "$BUILD/xvlm" scenes --output "$scenes" --train 64 --val 16 --test 8
    succeeds "the program for one rank is built" program 1 tiny1
    succeeds "the program for two ranks is built" program 2 tiny2
    TINY=$WORK/tiny2/pretrain
    training
    sharing
    emulated
    if [ -n "$OPEN_MPI" ] && [ -n "$MPICH" ]; then
        MPIRUN=$MPICH
        succeeds "a run of two ranks with MPICH" two mpich
        same_run "the library makes no difference for two ranks" whole mpich
    fi
else
    skip "training" "no mpirun here"
fi
rm -rf "$runs" "$scenes"
