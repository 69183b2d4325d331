# Every kernel of every task of the base model compiles with NVRTC for every architecture, without a warning; the table
# of registers, shared memory and spills of the pre-training program's library kernels is in the output of this group.
# Needs libnvrtc (make deps-cuda), no GPU; without it the tests are skipped by name.

if [ -z "${XV_CUDA_LIBRARIES:-}" ]; then
    for folder in "$BUILD"/cuda/nvidia/*/lib; do
        [ -d "$folder" ] && export XV_CUDA_LIBRARIES=$PWD/$folder
    done
fi

# kernels_of TASK: its kernels for every architecture.
kernels_of() {
    for architecture in sm_80 sm_90a sm_100; do
        says 0 "for $architecture: no warning" "$1, $architecture" timeout 1800 "$BUILD/xvlmc" inspect \
            "$WORK/nvrtc/$1" --arch $architecture
        echo "  $(tail -1 "$WORK/output"); $(grep 'with spills' "$WORK/output")"
        cp "$WORK/output" "$WORK/$1-$architecture.txt"
    done
    ends_with 1 "$1: no spills in attention on sm_90a" \
        awk '$1 ~ /^xv_attention/ && $5 > 0 { found = 1 } END { exit !found }' "$WORK/$1-sm_90a.txt"
}

succeeds "the base programs for cuda" timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --target cuda --no-build \
    --precision fp32 --output "$WORK/nvrtc"
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
        kernels_of "$(basename "$folder")"
    done
    awk '$1 == "kernel" || $1 ~ /^xv_/' "$WORK/pretrain-sm_90a.txt"
    succeeds "base pre-training in bf16" timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --task pretrain --target cuda \
        --precision bf16 --no-build --output "$WORK/nvrtc_bf16"
    mkdir -p "$WORK/nvrtc" && rm -rf "$WORK/nvrtc/pretrain_bf16" && mv "$WORK/nvrtc_bf16" "$WORK/nvrtc/pretrain_bf16"
    kernels_of pretrain_bf16
    awk '$1 ~ /^xv_attention/' "$WORK/pretrain_bf16-sm_90a.txt"
    says 1 "there is no kernel 'nothing'" "machine code of a kernel that does not exist" \
        "$BUILD/xvlmc" inspect "$WORK/nvrtc/nlvr" --sass nothing
    if "$BUILD/xvlmc" inspect "$WORK/nvrtc/nlvr" --sass xv_clamp > "$WORK/output" 2>&1; then
        says 0 'text.xv_clamp:' "machine code of a kernel" cat "$WORK/output"
    else
        says 0 'nvdisasm is not in' "machine code needs a tool" cat "$WORK/output"
    fi
fi
rm -rf "$WORK/nvrtc"
