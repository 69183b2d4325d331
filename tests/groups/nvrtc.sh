# Every kernel of every task of the base model compiles with NVRTC for every architecture, without a warning; the table
# of registers, shared memory and spills of the pre-training program's library kernels is in the output of this group.
# Needs libnvrtc (make deps-cuda), no GPU; without it the tests are skipped by name. Programs are bf16, pre-training
# fp32 as well. ARCHITECTURES names those that tasks other than pre-training are compiled for (all three).

if [ -z "${XV_CUDA_LIBRARIES:-}" ]; then
    for folder in "$BUILD"/cuda/nvidia/*/lib; do
        ls "$folder"/libnvrtc.so* > /dev/null 2>&1 && export XV_CUDA_LIBRARIES=$PWD/$folder
    done
fi

every="sm_80 sm_90a sm_100"

# kernels_of TASK ARCHITECTURE...: its kernels for sm_90a and others.
kernels_of() {
    local task=$1
    shift
    for architecture in "$@"; do
        says 0 "for $architecture: no warning" "$task, $architecture" timeout 1800 "$BUILD/xvlmc" inspect \
            "$WORK/nvrtc/$task" --arch "$architecture"
        echo "  $(tail -1 "$WORK/output"); $(grep 'with spills' "$WORK/output")"
        cp "$WORK/output" "$WORK/$task-$architecture.txt"
    done
    ends_with 1 "$task: no spills in attention on sm_90a" \
        awk '$1 ~ /^xv_attention/ && $5 > 0 { found = 1 } END { exit !found }' "$WORK/$task-sm_90a.txt"
}

succeeds "the base programs for cuda" timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --target cuda --no-build \
    --output "$WORK/nvrtc" &&
    succeeds "base pre-training in fp32" timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --task pretrain --target cuda \
        --precision fp32 --no-build --output "$WORK/nvrtc/pretrain_fp32"
says 1 'there is no libnvrtc.so in /nonexistent' "NVRTC that is not there" \
    env XV_CUDA_LIBRARIES=/nonexistent "$BUILD/xvlmc" inspect "$WORK/nvrtc/nlvr" --arch sm_90a
says 1 "NVRTC .* for sm_1: .*|there is no|libnvrtc is not in" "an architecture that does not exist" \
    "$BUILD/xvlmc" inspect "$WORK/nvrtc/nlvr" --arch sm_1
if grep -q 'libnvrtc' "$WORK/output"; then
    for folder in "$WORK/nvrtc"/*/; do
        skip "$(basename "$folder") for sm_80, sm_90a, sm_100" "no libnvrtc; make deps-cuda fetches it"
    done
else
    for folder in "$WORK/nvrtc"/*/; do
        case $folder in
        */pretrain*) kernels_of "$(basename "$folder")" $every ;;
        # shellcheck disable=SC2086
        *) kernels_of "$(basename "$folder")" ${ARCHITECTURES:-$every} ;;
        esac
    done
    awk '$1 == "kernel" || $1 ~ /^xv_/' "$WORK/pretrain-sm_90a.txt"
    says 1 "there is no kernel 'nothing'" "machine code of a kernel that does not exist" \
        "$BUILD/xvlmc" inspect "$WORK/nvrtc/nlvr" --sass nothing
    if "$BUILD/xvlmc" inspect "$WORK/nvrtc/nlvr" --sass xv_clamp > "$WORK/sass" 2>&1; then
        says 0 'text.xv_clamp:' "machine code of a kernel" cat "$WORK/sass"
    else
        says 0 'nvdisasm is not in' "machine code needs a tool" cat "$WORK/sass"
    fi
fi
rm -rf "$WORK/nvrtc"
