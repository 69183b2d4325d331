# Every kernel that any task of the base model has, at the published sizes and batch 2, on the emulator against the same
# kernel of the target c, in single precision and in bf16. Two tasks at a time.

# compare_task TASK PRECISION: leaves what was said, and the status behind it, in $WORK/TASK-PRECISION.txt.
compare_task() {
    local name=$1-$2
    mkdir -p "$WORK/$name" &&
        timeout 1800 "$BUILD/tests/against_c" "$WORK/$name" models/xvlm_base.dsl "$1" 2 "$2" > "$WORK/$name.txt" 2>&1
    echo "status $?" >> "$WORK/$name.txt"
    rm -rf "${WORK:?}/$name"
}

# told TASK PRECISION: what that was.
told() {
    says 0 '^[0-9]+ kernels ran' "$1, $2" cat "$WORK/$1-$2.txt" &&
        says 0 '^status 0$' "$1 agrees, $2" cat "$WORK/$1-$2.txt"
    grep 'kernels ran' "$WORK/$1-$2.txt" | sed "s/^/  $1, $2: /"
}

for tasks in "pretrain captioning" "vqa retrieval" "grounding_weak nlvr" "captioning_scst grounding_bbox_pretrain" \
    "grounding_bbox captioning_pretrain" nlvr_pretrain; do
    for precision in fp32 bf16; do
        for task in $tasks; do
            compare_task "$task" $precision &
        done
        wait
        for task in $tasks; do
            told "$task" $precision
        done
    done
done
says 0 '^11$' "no task is left out" sh -c "ls tasks/*.dsl | grep -vc training.dsl"

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
    succeeds "they compile" "${CXX:-g++}" -std=c++20 -DXV_SIMT -O1 -fPIC -shared -Wall -Wextra -Werror \
        -Wno-unused-function -Wno-unknown-pragmas -ffp-contract=off -I. -include runtime/cuda/library.cuh -x c++ \
        "$folder/kernels.cu" -o "$folder/kernels_simt.so"
    succeeds "attention of the base programs" timeout 600 "$folder/simt_attention" "$folder/kernels.cu"
    rm -rf "$folder"
}

attention
