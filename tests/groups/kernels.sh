# Every kernel that any task of the base model has, at the published sizes and batch 2, on the emulator against the same
# kernel of the target c, in single precision beside bf16.

tasks=$(all_tasks)

# compare_tasks PRECISION: leaves what was said, and the status behind it, in $WORK/PRECISION.txt.
compare_tasks() {
    mkdir -p "$WORK/$1"
    # shellcheck disable=SC2086
    timeout 3600 "$BUILD/tests/against_c" "$WORK/$1" models/xvlm_base.dsl 2 "$1" $tasks > "$WORK/$1.txt" 2>&1
    echo "status $?" >> "$WORK/$1.txt"
    rm -rf "${WORK:?}/$1"
}

# told PRECISION: what that was.
told() {
    says 0 '^[0-9]{3,} kernels ran' "kernels run, $1" cat "$WORK/$1.txt"
    says 0 '^status 0$' "kernels agree, $1" cat "$WORK/$1.txt"
    for task in $tasks; do
        says 0 "^$task: [0-9]+ kernels" "kernels of $task, $1" cat "$WORK/$1.txt"
    done
    grep 'kernels' "$WORK/$1.txt" | sed "s/^/  $1: /"
}

compare_tasks fp32 &
compare_tasks bf16
wait
told fp32
told bf16
ends_with 0 "no task is left out" test "$(echo "$tasks" | wc -l)" -eq 11

# Attention is the library's, made for each shape: those of all base programs, in every type, on the emulator against
# formulas in double precision.
attention() {
    local folder=$WORK/attention
    mkdir -p "$folder" && cp "$BUILD/tests/simt_attention" "$folder"
    succeeds "the base programs for cuda" timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --target cuda --batch 2 \
        --precision fp32 --no-build --output "$folder/base" || return
    grep -h '^XV_ATTENTION' "$folder"/base/*/kernels.cu | sort -u > "$folder/f32.cu"
    {
        cat "$folder/f32.cu"
        sed 's/XvExact/XvBf16/; s/_f32_/_bf16_/' "$folder/f32.cu"
        sed 's/XvExact/XvF16/; s/_f32_/_f16_/' "$folder/f32.cu"
        sed 's/XvExact/XvTf32/; s/_f32_/_tf32_/' "$folder/f32.cu"
    } | awk '{ print; sub(/^[^(]*\(/, ""); sub(/,.*/, ""); print "XV_ENTRY(" $0 ")" }' > "$folder/kernels.cu"
    succeeds "kernels of attention" test "$(grep -c '^XV_ATTENTION' "$folder/kernels.cu")" -ge 100
    succeeds "they compile" tests/simt/compile.sh "$folder/kernels.cu" "$folder/kernels_simt.so"
    succeeds "attention of the base programs" timeout 600 "$folder/simt_attention" "$folder/kernels.cu"
    rm -rf "$folder"
}

attention
