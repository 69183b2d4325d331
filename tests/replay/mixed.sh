# A run of a program of bf16, fp16 or tf32 as the rule of mixed_precision.json wants it. Sourced by tests/groups/*.sh
# and by check.sh of the bundle for GPUs, so for any POSIX shell.

# mixed_run TOOLS TYPE CASE K FOLDER COMMAND...: a replay on the inputs of run K, for FOLDER/outputs.K.safetensors and
# FOLDER/grads.K.safetensors. Where targets lie at kinks of the box losses, the gradients are those of a run with
# targets moved off them (tests/tools/box_kinks.c). TOOLS is the folder of the tools.
mixed_run() {
    mixed_tools=$1 mixed_type=$2 mixed_case=$3 mixed_outputs=$5/outputs.$4.safetensors
    mixed_grads=$5/grads.$4.safetensors mixed_inputs=$5/inputs.safetensors mixed_moved=$5/moved.safetensors
    rm -f "$mixed_moved"
    "$mixed_tools/mixed_compare" --case "$mixed_case" --perturb "$4" --inputs "$mixed_inputs" &&
        "$mixed_tools/box_kinks" --case "$mixed_case" --type "$mixed_type" --inputs "$mixed_inputs" \
            --moved "$mixed_moved" || return 1
    shift 5
    if [ -e "$mixed_moved" ]; then
        "$@" --inputs "$mixed_inputs" --outputs "$mixed_outputs" &&
            "$@" --inputs "$mixed_moved" --grads "$mixed_grads"
    else
        "$@" --inputs "$mixed_inputs" --outputs "$mixed_outputs" --grads "$mixed_grads"
    fi
}
