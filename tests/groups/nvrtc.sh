# Every kernel of the base model's pre-training program compiles with NVRTC for every architecture, without a warning;
# the table of registers, shared memory and spills is in the output of this group. Needs libnvrtc (make deps-cuda), no
# GPU; without it the tests are skipped by name.

if [ -z "${XV_CUDA_LIBRARIES:-}" ]; then
    for folder in "$BUILD"/cuda/nvidia/*/lib; do
        [ -d "$folder" ] && export XV_CUDA_LIBRARIES=$folder
    done
fi

succeeds "the base program for cuda" timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --task pretrain --target cuda \
    --batch 128 --output "$WORK/nvrtc"
says 1 'there is no libnvrtc.so in /nonexistent' "NVRTC that is not there" \
    env XV_CUDA_LIBRARIES=/nonexistent "$WORK/nvrtc/pretrain" kernels
says 1 "NVRTC .* for sm_1: .*|there is no|libnvrtc is not in" "an architecture that does not exist" \
    "$WORK/nvrtc/pretrain" kernels --arch sm_1
if grep -q 'libnvrtc' "$WORK/output"; then
    for architecture in sm_80 sm_90a sm_100; do
        skip "$architecture" "no libnvrtc; make deps-cuda fetches it"
    done
else
    for architecture in sm_80 sm_90a sm_100; do
        says 0 "for $architecture: no warning" "$architecture" timeout 3600 "$WORK/nvrtc/pretrain" kernels \
            --arch $architecture
        echo "$architecture: $(grep 'with spills' "$WORK/output")"
        cp "$WORK/output" "$WORK/$architecture.txt"
    done
    awk '$1 ~ /^xv_/' "$WORK/sm_90a.txt"
    ends_with 1 "no spills in attention on sm_90a" \
        awk '$1 ~ /^xv_attention/ && $5 > 0 { found = 1 } END { exit !found }' "$WORK/sm_90a.txt"
fi
rm -rf "$WORK/nvrtc"
