# The official numbers (tests/replay): the model is compiled at a recorded case's sizes, run on the same tensors, and
# every loss, output, gradient and update is compared. SKIP_BASE_SIZE=1 leaves out the published size, which needs
# 4 GB of disk and 8 GB of memory.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}  # the tools that compare keep their files until they end

. tests/replay/steps.sh
. tests/replay/mixed.sh

# compile FOLDER CASE TASK INPUTS OPTIONS...: builds FOLDER/TASK at the sizes of the case, without a word of warning.
# Optimised for single precision, fused, as for a user; other sources are many or long, and half of this group's time.
compile() {
    local folder=$1 case=$2 task=$3 inputs=$4
    shift 4
    case " $* " in
    *" --no-fuse "* | *" --precision "*) local -x CFLAGS=-O0 ;;
    esac
    rm -rf "$folder"
    timeout 1200 "$BUILD/xvlmc" models/xvlm_base.dsl --task "$task" --target c --config "$case/config.json" \
        --shapes "$inputs" --output "$folder" "$@" > "$WORK/compile" 2>&1 || { cat "$WORK/compile"; return 1; }
    ! grep -i 'warning' "$WORK/compile"
}

# state NAME CASE PROGRAM: names, types and shapes of the state dict, counts, what learns at the larger rate.
state() {
    succeeds "$1: says what it holds" sh -c "'$3' info --json > '$3.json'" &&
        succeeds "$1: state dict" "$BUILD/tests/state_compare" --case "$2" --info "$3.json"
}

# tiny CASE TASK [ENTRY]: one entry point, or all that the inputs fit.
tiny() {
    local case=tests/replay/$1 folder=$WORK/replay name fusing run
    run="$folder/$2 replay ${3:+--entry $3} --weights $case/weights.safetensors"
    for fusing in "" --no-fuse; do
        name="$1 ${fusing:-fused}"
        # shellcheck disable=SC2086
        succeeds "$name: compiles" compile "$folder" "$case" "$2" "$case/inputs.safetensors" $fusing || continue
        state "$name" "$case" "$folder/$2"
        # shellcheck disable=SC2086
        succeeds "$name: runs" timeout 600 $run --inputs "$case/inputs.safetensors" \
            --outputs "$folder/outputs.safetensors" --grads "$folder/grads.safetensors" || continue
        succeeds "$name: losses, outputs" "$BUILD/tests/compare" --case "$case" --outputs "$folder/outputs.safetensors"
        succeeds "$name: gradients" "$BUILD/tests/compare" --case "$case" --grads "$folder/grads.safetensors"
        recorded_steps "$name" "$case" "$folder" "$run"
    done
    rm -rf "$folder"
}

# runs TYPE CASE COMMAND FOLDER: the command on the recorded pictures and on four that differ from them by 1e-6.
runs() {
    local draw
    for draw in 0 1 2 3 4; do
        # shellcheck disable=SC2086
        mixed_run "$BUILD/tests" "$1" "$2" $draw "$4" timeout 600 $3 || return 1
    done
}

# mixed TYPE CASE TASK ENTRY [OPTION]: outputs, losses and gradients by the rule of mixed_precision.json. ENTRY may
# be "".
mixed() {
    local type=$1 case=tests/replay/$2 folder=$WORK/replay name="$2 $1 ${5:-fused}"
    # shellcheck disable=SC2086
    succeeds "$name: compiles" compile "$folder" "$case" "$3" "$case/inputs.safetensors" --precision "$type" \
        --verify ${5:-} || return
    succeeds "$name: runs" runs "$type" "$case" \
        "$folder/$3 replay ${4:+--entry $4} --weights $case/weights.safetensors" "$folder" &&
        succeeds "$name: is as close as mixed precision is" "$BUILD/tests/mixed_compare" --case "$case" \
            --type "$type" --runs "$folder"
    rm -rf "$folder"
}

# two_ranks CASE TASK: both ranks of a case, each on a process of its own.
two_ranks() {
    local case=tests/replay/$1 folder=$WORK/replay mpirun name fusing
    mpirun=$(open_mpi)
    mpirun=${mpirun:-$(mpich)}
    if [ -z "$mpirun" ]; then
        skip "$1" "no mpirun here"
        return
    fi
    for fusing in "" --no-fuse; do
        name="$1 ${fusing:-fused}"
        # shellcheck disable=SC2086
        succeeds "$name: compiles" compile "$folder" "$case" "$2" "$case/inputs.safetensors" $fusing || continue
        # shellcheck disable=SC2086
        succeeds "$name: runs" timeout 600 $mpirun -n 2 "$folder/$2" replay --weights "$case/weights.safetensors" \
            --inputs "$case/inputs.safetensors" --outputs "$folder/outputs.safetensors" \
            --grads "$folder/grads.safetensors" || continue
        succeeds "$name: losses, outputs" "$BUILD/tests/compare" --case "$case" --outputs "$folder/outputs.safetensors"
        succeeds "$name: mean gradients" "$BUILD/tests/compare" --case "$case" --grads "$folder/grads.safetensors"
    done
    rm -rf "$folder"
}

# base CASE TASK [ENTRY]: the weights are drawn first, 863 MB.
base() {
    local case=tests/replay/base_size/$1 folder=$WORK/base files=$WORK/base_files compare run
    run="$folder/$2 replay ${3:+--entry $3}"
    compare="$BUILD/tests/base_compare --case $case"
    if [ -n "${SKIP_BASE_SIZE:-}" ]; then
        skip "$1" "SKIP_BASE_SIZE is set"
        return
    fi
    rm -rf "$files"
    # shellcheck disable=SC2086
    if succeeds "$1: weights are drawn" "$BUILD/tests/base_size" --case "$case" --output "$files" &&
        succeeds "$1: compiles" compile "$folder" "$case" "$2" "$files/inputs.safetensors" &&
        succeeds "$1: runs" timeout 1200 $run \
            --weights "$files/weights.safetensors" --inputs "$files/inputs.safetensors" \
            --outputs "$files/outputs.safetensors" --grads "$files/grads.safetensors"; then
        state "$1" "$case" "$folder/$2"
        succeeds "$1: losses, outputs" $compare --outputs "$files/outputs.safetensors"
        succeeds "$1: gradients" $compare --grads "$files/grads.safetensors"
        rm -f "$files/outputs.safetensors" "$files/grads.safetensors"
        if [ -f "$case/after_one_step.safetensors" ]; then
            succeeds "$1: one optimizer step" timeout 1200 $run \
                --weights "$files/weights.safetensors" --inputs "$files/inputs.safetensors" \
                --after "$files/after.safetensors" --steps 1 --lr 1e-4 --weight-decay 0.01 --lr-mult 2 --warmup 0 \
                --total 1 --clip 1 &&
                succeeds "$1: updates" $compare --before "$files/weights.safetensors" --after "$files/after.safetensors"
        fi
    fi
    rm -rf "$files" "$folder"
}

# The comparing tools themselves: a case agrees with itself, and not with what is missing, moved or another's.
tools() {
    local images=tests/replay/pretrain_swin_bert_images regions=tests/replay/pretrain_swin_bert_regions
    local compare="$BUILD/tests/compare --case $images"
    # shellcheck disable=SC2086
    {
        succeeds "a case agrees with itself" $compare --outputs $images/outputs.safetensors \
            --grads $images/grads.safetensors --after $images/after_steps.safetensors
        says 1 'missing, want|got shape' "outputs of another case differ" $compare \
            --outputs $regions/outputs.safetensors
        says 1 'receives none' "gradients of unused parameters are noticed" $compare \
            --grads $images/after_steps.safetensors
        says 1 'update .*relative L2 1 >' "parameters that stayed are noticed" $compare \
            --after $images/weights.safetensors
        says 1 'loss_total: got 10\.' "losses of another case are noticed" "$BUILD/tests/compare" --case $images \
            --outputs $regions/outputs.safetensors
        ends_with 2 "a file that is not there is an error" $compare --outputs $images/nothing.safetensors
        ends_with 1 "nothing compared is not a success" $compare
        echo '{"state_dict": [], "parameters": 0, "parameter_tensors": 0, "state_dict_entries": 0}' > "$WORK/empty.json"
        mkdir -p "$WORK/runs"
        cp $images/outputs.safetensors "$WORK/runs/outputs.0.safetensors"
        cp $images/grads.safetensors "$WORK/runs/grads.0.safetensors"
        succeeds "a case is as close to itself as mixed precision" "$BUILD/tests/mixed_compare" --case $images \
            --type tf32 --runs "$WORK/runs"
        cp $images/after_steps.safetensors "$WORK/runs/grads.0.safetensors"
        says 1 'tf32 median of grads: ' "gradients far off are noticed" "$BUILD/tests/mixed_compare" --case $images \
            --type tf32 --runs "$WORK/runs"
        ends_with 2 "no runs are an error" "$BUILD/tests/mixed_compare" --case $images --type tf32 --runs $images
        says 1 'missing' "a state dict without entries is noticed" "$BUILD/tests/state_compare" --case $images \
            --info "$WORK/empty.json"
    }
}

# The tool that moves targets off the kinks of box losses: three recorded boxes lie at one in bf16, none in fp16.
box_kinks() {
    local boxes=tests/replay/grounding_bbox_pretrain_swin_bert moved=$WORK/moved.safetensors case
    local tool="$BUILD/tests/box_kinks --moved $moved"
    # shellcheck disable=SC2086
    {
        for case in pretrain_swin_bert_images pretrain_swin_bert_regions; do
            case=tests/replay/$case
            succeeds "no box at a kink: $case" $tool --case $case --type bf16 --inputs $case/inputs.safetensors
        done
        succeeds "no box at a kink in fp16" $tool --case $boxes --type fp16 --inputs $boxes/inputs.safetensors
        ends_with 1 "no target is moved" test -e "$moved"
        says 0 'row 4, x: centre \+0\.00468 is within 0\.00597 of a kink' "a centre at a kink is noticed" \
            $tool --case $boxes --type bf16 --inputs $boxes/inputs.safetensors
        says 0 'row 3, x: lower edge -0\.00111 is within 0\.00895 of a kink' "an edge at a kink is noticed" \
            $tool --case $boxes --type bf16 --inputs $boxes/inputs.safetensors
        succeeds "targets are moved" mv "$moved" "$WORK/clear.safetensors"
        succeeds "moved targets are at no kink" $tool --case $boxes --type bf16 --inputs "$WORK/clear.safetensors"
        ends_with 1 "they stay" test -e "$moved"
        case=tests/replay/pretrain_clipvit_bert_regions
        says 0 'row 2, x: overlap \+0\.00368 is within 0\.00434 of a kink' "boxes that hardly overlap are noticed" \
            $tool --case $case --type bf16 --inputs $case/inputs.safetensors
        mkdir -p "$WORK/far" && cp $boxes/outputs.safetensors "$WORK/far" &&
            sed 's/0\.00398/3/' $boxes/mixed_precision.json > "$WORK/far/mixed_precision.json"
        says 1 'row 0, x: no place off the kinks' "a target that cannot be moved is noticed" \
            $tool --case "$WORK/far" --type bf16 --inputs $boxes/inputs.safetensors
        ends_with 2 "a type without recorded errors is an error" $tool --case $boxes --type fp32 \
            --inputs $boxes/inputs.safetensors
    }
}

tools
box_kinks
while read -r -u 3 case task entry; do
    # shellcheck disable=SC2086
    tiny "$case" "$task" $entry
    mixed bf16 "$case" "$task" "$entry"
done 3< tests/replay/cases.txt
two_ranks retrieval_two_ranks retrieval
for type in fp16 tf32; do
    mixed $type pretrain_swin_bert_images pretrain images
    mixed $type pretrain_clipvit_bert_regions pretrain regions
    mixed $type captioning_swin_bert captioning ""
done
mixed bf16 pretrain_swin_bert_images pretrain images --no-fuse
base pretrain_images_224 pretrain images
base pretrain_regions_224 pretrain regions
base pretrain_clipvit_images_224 pretrain images
base pretrain_deit_roberta_images_224 pretrain images
base retrieval_384 retrieval
base nlvr_384 nlvr
