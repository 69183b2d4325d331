# Every kernel that any task of the base model has, at the published sizes and batch 2, on the emulator against the same
# kernel of the target c. Two tasks at a time.

# compare_task TASK: leaves what was said, and the status behind it, in $WORK/TASK.txt.
compare_task() {
    mkdir -p "$WORK/$1" &&
        timeout 1800 "$BUILD/tests/against_c" "$WORK/$1" models/xvlm_base.dsl "$1" 2 > "$WORK/$1.txt" 2>&1
    echo "status $?" >> "$WORK/$1.txt"
    rm -rf "${WORK:?}/$1"
}

# told TASK: what that was.
told() {
    says 0 '^[0-9]+ kernels ran' "$1" cat "$WORK/$1.txt" && says 0 '^status 0$' "$1 agrees" cat "$WORK/$1.txt"
    grep 'kernels ran' "$WORK/$1.txt" | sed "s/^/  $1: /"
}

for tasks in "pretrain captioning" "vqa retrieval" "grounding_weak nlvr" "captioning_scst grounding_bbox_pretrain" \
    "grounding_bbox captioning_pretrain" nlvr_pretrain; do
    for task in $tasks; do
        compare_task "$task" &
    done
    wait
    for task in $tasks; do
        told "$task"
    done
done
says 0 '^11$' "no task is left out" sh -c "ls tasks/*.dsl | grep -vc training.dsl"
