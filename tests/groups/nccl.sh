# Several ranks on the device cuda without GPUs: the runtime's own path over NCCL, against stand-ins for NVIDIA's
# libraries (tests/driver) in processes that mpirun starts. Results must be those of the emulator, whose collectives are
# MPI's, bit for bit.

export CFLAGS=-O0  # of the host's part of programs, which only launches kernels
case=tests/replay/retrieval_two_ranks
folder=$WORK/nccl
retrieval=$folder/retrieval
export OMP_NUM_THREADS=1  # two ranks on two cores
MPIRUN=$(open_mpi)
MPIRUN=${MPIRUN:-$(mpich)}
standin="STANDIN_KERNELS=$PWD/$folder/kernels_simt.so XV_CUBIN_CACHE=$PWD/$WORK/cubins
    XV_CUDA_LIBRARIES=$PWD/$BUILD/tests/driver_ranks STANDIN_REPORT=$PWD/$WORK/report STANDIN_DEVICES=2"

# ranks SETTINGS N COMMAND...: so many processes with the stand-ins and further settings.
ranks() {
    local settings=$1 n=$2
    shift 2
    # shellcheck disable=SC2086
    env $standin $settings timeout 300 $MPIRUN -n "$n" "$@"
}

# alone SETTINGS SETTINGS COMMAND...: two ranks without mpirun, as torchrun starts them, each with settings of its own;
# fails when one of them does. What rank 1 says is in $WORK/second.
alone() {
    local first=$1 second=$2 port status=0 pid
    local world="WORLD_SIZE=2 MASTER_ADDR=localhost"
    shift 2
    port=$((20000 + RANDOM % 10000))
    # shellcheck disable=SC2086
    env $standin $world MASTER_PORT=$port RANK=1 LOCAL_RANK=1 $second timeout 300 "$@" > "$WORK/second" 2>&1 &
    pid=$!
    # shellcheck disable=SC2086
    env $standin $world MASTER_PORT=$port RANK=0 LOCAL_RANK=0 $first timeout 300 "$@" || status=$?
    wait $pid || status=$?
    return $status
}

# Ranks that find each other over TCP and exchange everything through NCCL.
torchrun() {
    local bench="$retrieval bench --steps 2 --steps-only --device cuda" steps
    succeeds "torchrun: replay" alone "" "" "$retrieval" replay --device cuda --weights "$case/weights.safetensors" \
        --inputs "$case/inputs.safetensors" --outputs "$folder/outputs.alone" --grads "$folder/grads.alone"
    same "torchrun: outputs" "$folder/outputs.simt" "$folder/outputs.alone"
    same "torchrun: gradients" "$folder/grads.simt" "$folder/grads.alone"
    for steps in 6 8; do
        succeeds "torchrun: $steps steps" alone "" "" "$retrieval" bench --steps $steps --steps-only --device cuda
        cp "$WORK/report" "$WORK/report.$steps"
    done
    succeeds "torchrun: two further steps have two waits" test 2 -eq $(($(sed -n 's/^waits //p' "$WORK/report.8") - \
        $(sed -n 's/^waits //p' "$WORK/report.6")))
    # shellcheck disable=SC2086
    {
        says 1 'rank 1 has not come to port' "torchrun: a rank that has no NCCL" alone XV_MEETING_SECONDS=2 \
            "XV_CUDA_LIBRARIES=$PWD/$BUILD/tests/driver" $bench
        succeeds "torchrun: says so itself" grep -q 'rank 1: .*several ranks on GPUs: .*no libnccl.so' "$WORK/second"
        says 1 'MASTER_PORT, which says where rank 0 is, is not set' "torchrun: no port" \
            env -u MASTER_PORT $standin WORLD_SIZE=2 RANK=1 $bench
        says 1 'start the program with the mpirun' "torchrun: on the emulator" \
            env $standin WORLD_SIZE=2 RANK=1 "$retrieval" bench --steps 1 --device simt
    }
}

build() {
    CFLAGS=-O1 timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --task retrieval --target cuda --ranks 2 \
        --precision fp32 --output "$folder" --config "$case/config.json" "$@" &&
        make_simt "$folder"
}

# replayed DEVICE: outputs and mean gradients into $folder/*.DEVICE.
replayed() {
    ranks "" 2 "$retrieval" replay --device "$1" --weights "$case/weights.safetensors" \
        --inputs "$case/inputs.safetensors" --outputs "$folder/outputs.$1" --grads "$folder/grads.$1"
}

replays() {
    local file
    succeeds "the emulator" replayed simt
    succeeds "the driver" replayed cuda
    succeeds "outputs" "$BUILD/tests/compare" --case "$case" --outputs "$folder/outputs.cuda"
    succeeds "mean gradients" "$BUILD/tests/compare" --case "$case" --grads "$folder/grads.cuda"
    for file in outputs grads; do
        same "$file of both" "$folder/$file.simt" "$folder/$file.cuda"
    done
}

# Of every further step one graph launch and one wait, for the step four before, on every rank: gradients, losses and
# what ranks tell each other go along with it.
queued() {
    local count steps rank
    for steps in 6 8; do
        succeeds "$steps steps" ranks "" 2 "$retrieval" bench --steps $steps --steps-only --device cuda
        cp "$WORK/report" "$WORK/report.0.$steps"
        cp "$WORK/report.1" "$WORK/report.1.$steps"
    done
    for rank in 0 1; do
        for count in "launches 0" "graph_launches 2" "waits 2" "drains 0" "sends 2" "allocations 0" "fetches 4"; do
            succeeds "two further steps of rank $rank: $count" awk -v name="${count% *}" -v wanted="${count#* }" '
                $1 == name { value[NR == FNR] = $2 } END { exit value[0] - value[1] != wanted }' \
                "$WORK/report.$rank.6" "$WORK/report.$rank.8"
        done
    done
}

# Evaluation: of every further batch one graph launch and one wait, for its results.
evaluation() {
    local steps count
    for steps in 3 5; do
        succeeds "$steps batches" ranks "" 2 "$retrieval" bench --entry encode_image --steps $steps --steps-only \
            --device cuda
        cp "$WORK/report" "$WORK/report.$steps"
    done
    for count in "graph_launches 2" "waits 2" "allocations 0"; do
        succeeds "two further batches: $count" awk -v name="${count% *}" -v wanted="${count#* }" '
            $1 == name { value[NR == FNR] = $2 } END { exit value[0] - value[1] != wanted }' \
            "$WORK/report.3" "$WORK/report.5"
    done
}

# trained SETTINGS FOLDER OPTIONS...: five steps, more than are ever under way.
trained() {
    local settings=$1 run=$2
    shift 2
    ranks "$settings" 2 "$retrieval" train --data tests/data/mini_coco/retrieval_train.json --steps 5 --seed 3 \
        --vocab tests/data/vocab/bert-base-uncased-vocab.txt --log-every 3 --output "$folder/$run" "$@"
}

# In which order the streams of a step run must not matter.
training() {
    local order
    succeeds "the program for training is built" build --batch 2 --set text_config.vocab_size=30522 \
        --set image_root=tests/data/mini_coco || return
    succeeds "the emulator trains" trained "" simt --device simt
    for order in early late; do
        succeeds "the driver trains ($order)" trained STANDIN_ORDER=$order $order --device cuda --save-every \
            "$([ $order = early ] && echo 2 || echo 1000)"
        cp "$WORK/report" "$WORK/report.$order"
        cp "$WORK/report.1" "$WORK/report.1.$order"
        succeeds "as one graph a step ($order)" grep -qx 'graph_launches 5' "$WORK/report.1"
        same "the same parameters ($order)" "$folder/simt/model.safetensors" "$folder/$order/model.safetensors"
    done
    succeeds "both orders have one curve" test "$(curve_of "$folder/early/log.txt")" = \
        "$(curve_of "$folder/late/log.txt")"
    # The first rank fetches parameters and moments, the other, which only compares, parameters; neither sends any.
    succeeds "saving fetches everything once and sends nothing" awk '
        { value[FILENAME, $1] = $2 }
        END { first = value[ARGV[1], "fetched_bytes"] - value[ARGV[2], "fetched_bytes"]
            second = value[ARGV[3], "fetched_bytes"] - value[ARGV[4], "fetched_bytes"]
            exit first <= 0 || first != 3 * second ||
                value[ARGV[1], "sent_bytes"] != value[ARGV[2], "sent_bytes"] }' \
        "$WORK/report.early" "$WORK/report.late" "$WORK/report.1.early" "$WORK/report.1.late"
    succeeds "torchrun: trains" alone "" "" "$retrieval" train --data tests/data/mini_coco/retrieval_train.json \
        --steps 5 --seed 3 --vocab tests/data/vocab/bert-base-uncased-vocab.txt --log-every 3 \
        --output "$folder/alone" --device cuda
    same "torchrun: the same parameters" "$folder/simt/model.safetensors" "$folder/alone/model.safetensors"
    says 0 'stopped after step [1-5] of 5' "a stop that one rank wants" trained "" stopped --device cuda --minutes 0
    succeeds "is the stop of all" trained "" stopped --device cuda --resume
    same "and changes nothing" "$folder/simt/model.safetensors" "$folder/stopped/model.safetensors"
    succeeds "none is left waiting" test "$(pgrep -fc "$retrieval")" -eq 0
}

# one_fails SETTINGS OPTIONS...: only the second rank has the settings.
one_fails() {
    local settings=$1 command
    shift
    command="$retrieval bench --steps 6 --steps-only --device cuda"
    # shellcheck disable=SC2086
    env $standin timeout 100 $MPIRUN -n 1 $command : -n 1 env $settings $command
}

mistakes() {
    says 1 'several ranks on GPUs: XV_CUDA_LIBRARIES: there is no libnccl.so in' "no NCCL" \
        ranks "XV_CUDA_LIBRARIES=$PWD/$BUILD/tests/driver" 2 "$retrieval" bench --steps 1 --device cuda
    says 1 'there is no libnccl.so in' "no NCCL on one rank" one_fails "XV_CUDA_LIBRARIES=$PWD/$BUILD/tests/driver"
    says 1 'version 2.9; 2.10 or later' "an old NCCL" ranks STANDIN_NCCL=20900 2 "$retrieval" bench --steps 1
    says 1 'LOCAL_RANK is 2, but the driver sees 2 GPUs; every rank needs one of its own' "too few GPUs" \
        one_fails LOCAL_RANK=2
    says 1 'invalid usage \(5\): Duplicate GPU detected : rank 0 and rank 1 both on CUDA device 1' "one GPU for both" \
        ranks "" 2 "$retrieval" bench --steps 1 --device cuda:1
    says 1 'rank 1: ncclCommInitRank: an error of the stand-in for NCCL \(2\)' "a rank that does not join" \
        one_fails STANDIN_FAIL=ncclCommInitRank:2:1
    says 1 'ncclAllReduce: an error of the stand-in for NCCL \(3\)' "a collective that cannot be queued" \
        ranks STANDIN_FAIL=ncclAllReduce:3:4 2 "$retrieval" bench --steps 1 --device cuda
    says 1 'device cuda: cuGraphLaunch: CUDA_ERROR_LAUNCH_FAILED' "a GPU that fails on one rank" \
        one_fails STANDIN_FAIL=cuGraphLaunch:719:3
    says 1 'compiled for 2 processes and runs in a world of 1' "one process" ranks "" 1 "$retrieval" bench --steps 1
}

if [ -z "$MPIRUN" ]; then
    skip "several GPUs" "no mpirun here"
else
    succeeds "the program of two ranks is built" build --shapes "$case/inputs.safetensors" &&
        replays && queued && evaluation && mistakes && torchrun && training
fi
rm -rf "$folder"
