# Every kernel of every task of the base model compiles with NVRTC for every architecture, without a warning; the table
# of registers, shared memory and spills of the pre-training program's library kernels is in the output of this group.
# Needs libnvrtc (make deps-cuda), no GPU; without it the tests are skipped by name. Programs are bf16, pre-training
# fp32 as well. Kernels that several tasks have are compiled once: for sm_90a at the batches of the tasks, for sm_80 and
# sm_100 at a batch of 8, of which fewer are left.

if [ -z "${XV_CUDA_LIBRARIES:-}" ]; then
    for folder in "$BUILD"/cuda/nvidia/*/lib; do
        ls "$folder"/libnvrtc.so* > /dev/null 2>&1 && export XV_CUDA_LIBRARIES=$PWD/$folder
    done
fi

# kernels_of NAME ARCHITECTURE...: those of a folder.
kernels_of() {
    local name=$1
    shift
    for architecture in "$@"; do
        says 0 "for $architecture: no warning" "$name, $architecture" timeout 1800 "$BUILD/xvlmc" inspect \
            "$WORK/nvrtc/$name" --arch "$architecture"
        echo "  $name: $(tail -1 "$WORK/output"); $(grep 'with spills' "$WORK/output")"
        cp "$WORK/output" "$WORK/$(basename "$name")-$architecture.txt"
    done
}

# merged NAME FOLDER...: the kernels of all tasks, from sources in the folders, as the folder NAME.
merged() {
    local name=$1 file task
    shift
    file=$WORK/nvrtc/$name/kernels.cu
    mkdir -p "$WORK/nvrtc/$name"
    find "$@" -name kernels.cu | sort | xargs awk -f tests/tools/merge_kernels.awk > "$file"
    succeeds "$name: kernels of all tasks" test "$(grep -c '^XV_ENTRY' "$file")" -gt 1000
    for task in $(all_tasks); do
        succeeds "$name: kernels of $task" grep -q "^XV_ENTRY(k_.*_of_$task)" "$file"
    done
}

# sources FOLDER OPTIONS...: of the base model for the target cuda.
sources() {
    local folder=$WORK/nvrtc/$1
    shift
    timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --target cuda --no-build --output "$folder" "$@"
}

# fits NAME: no spills in attention on sm_90a.
fits() {
    ends_with 1 "$1: no spills in attention on sm_90a" \
        awk '$1 ~ /^xv_attention/ && $5 > 0 { found = 1 } END { exit !found }' "$WORK/$1-sm_90a.txt"
}

succeeds "the base programs" sources base
succeeds "pre-training in fp32" sources exact/pretrain_fp32 --task pretrain --precision fp32
succeeds "the base programs at a batch of 8" sources eight --batch 8
merged all "$WORK/nvrtc/base" "$WORK/nvrtc/exact"
merged all_eight "$WORK/nvrtc/eight"
says 1 'there is no libnvrtc.so in /nonexistent' "NVRTC that is not there" \
    env XV_CUDA_LIBRARIES=/nonexistent "$BUILD/xvlmc" inspect "$WORK/nvrtc/base/nlvr" --arch sm_90a
says 1 "NVRTC .* for sm_1: .*|there is no|libnvrtc is not in" "an architecture that does not exist" \
    "$BUILD/xvlmc" inspect "$WORK/nvrtc/base/nlvr" --arch sm_1
if grep -q 'libnvrtc' "$WORK/output"; then
    skip "kernels for sm_80, sm_90a, sm_100" "no libnvrtc; make deps-cuda fetches it"
else
    kernels_of base/pretrain sm_90a
    kernels_of all sm_90a && fits all
    kernels_of all_eight sm_80 sm_100
    awk '$1 == "kernel" || $1 ~ /^xv_/' "$WORK/pretrain-sm_90a.txt"
    says 1 "there is no kernel 'nothing'" "machine code of a kernel that does not exist" \
        "$BUILD/xvlmc" inspect "$WORK/nvrtc/base/nlvr" --sass nothing
    if "$BUILD/xvlmc" inspect "$WORK/nvrtc/base/nlvr" --sass xv_clamp > "$WORK/sass" 2>&1; then
        says 0 'text.xv_clamp:' "machine code of a kernel" cat "$WORK/sass"
    else
        says 0 'nvdisasm is not in' "machine code needs a tool" cat "$WORK/sass"
    fi
fi
rm -rf "$WORK/nvrtc"
