# The target cuda on the emulator: library kernels against the target c and formulas, the official numbers at the
# tolerances of the target c, bf16, fp16 and tf32 by the rule of mixed precision, training with dropout against the
# target c, and that every kernel of a program has run. No GPU is used.

. tests/replay/steps.sh
. tests/replay/mixed.sh

library() {
    succeeds "library kernels compile" tests/simt/compile.sh tests/simt/attention.cu \
        "$BUILD/tests/kernels_simt.so" &&
        succeeds "library kernels" "$BUILD/tests/simt_library" &&
        succeeds "library kernels in all types" "$BUILD/tests/simt_types" &&
        succeeds "the optimizer" "$BUILD/tests/simt_update" &&
        succeeds "attention in all types" "$BUILD/tests/simt_attention" tests/simt/attention.cu &&
        succeeds "products of all types by cuBLASLt" env XV_CUDA_LIBRARIES="$PWD/$BUILD/tests/driver_blas" \
            STANDIN_KERNELS="$PWD/$BUILD/tests/kernels_simt.so" XV_CUBIN_CACHE="$WORK/cubins" \
            "$BUILD/tests/simt_types" cuda
}

# program FOLDER TASK OPTIONS...: FOLDER/TASK for the target cuda, with its kernels for the emulator. What runs on the
# host does nothing but launch them: it is not optimised.
program() {
    local folder=$1 task=$2
    local -x CFLAGS=-O0
    shift 2
    rm -rf "$folder"
    timeout 600 "$BUILD/xvlmc" --precision fp32 "$@" --task "$task" --target cuda --output "$folder" &&
        make_simt "$folder"
}

# all_ran NAME FOLDER [ENTRY]: every kernel that the steps of an entry, or of all, call is in FOLDER/kernels.txt.
all_ran() {
    grep -ohE '^    (k_[a-z0-9_A-Z]+)' "$2/${3:-}"*_train.c "$2/${3:-}"*_observe.c 2> /dev/null | tr -d ' ' |
        sort -u > "$WORK/called"
    cut -d ' ' -f 1 "$2/kernels.txt" | sort > "$WORK/ran"
    succeeds "$1: kernels are called" test -s "$WORK/called"
    ends_with 1 "$1: every kernel ran" grep -vxFf "$WORK/ran" "$WORK/called"
}

# library_ran NAME FOLDER: so are the library's, but for those that only other tests use.
library_ran() {
    cut -d ' ' -f 1 "$2/kernels.txt" "$2/updates.txt" | sort -u > "$WORK/ran"
    for kernel in xv_matmul xv_attention_f32_.* xv_attention_grad_f32_.*_parts xv_scatter_add \
        xv_sample xv_add_columns xv_update_squares xv_update_norm xv_update_adamw; do
        succeeds "$1: $kernel ran" grep -qx "$kernel" "$WORK/ran"
    done
}

# replay CASE TASK [ENTRY]: outputs, gradients and, where the case has them, optimizer steps.
replay() {
    local name=$1 case=tests/replay/$1 folder=$WORK/cuda run
    run="$folder/$2 replay --device simt ${3:+--entry $3} --weights $case/weights.safetensors"
    succeeds "$name: compiles" program "$folder" "$2" models/xvlm_base.dsl --config "$case/config.json" \
        --shapes "$case/inputs.safetensors" || return
    # shellcheck disable=SC2086
    succeeds "$name: runs" timeout 600 $run --inputs "$case/inputs.safetensors" \
        --outputs "$folder/outputs.safetensors" --grads "$folder/grads.safetensors" \
        --kernels "$folder/kernels.txt" || return
    succeeds "$name: losses, outputs" "$BUILD/tests/compare" --case "$case" --outputs "$folder/outputs.safetensors"
    succeeds "$name: gradients" "$BUILD/tests/compare" --case "$case" --grads "$folder/grads.safetensors"
    all_ran "$name" "$folder" "${3:-}"
    recorded_steps "$name" "$case" "$folder" "$run --kernels $folder/updates.txt"
}

# judged TYPE CASE TASK [ENTRY]: a program of bf16, fp16 or tf32 by the rule of mixed_precision.json.
judged() {
    local case=tests/replay/$2 folder=$WORK/cuda_$1
    program "$folder" "$3" models/xvlm_base.dsl --config "$case/config.json" --shapes "$case/inputs.safetensors" \
        --precision "$1" &&
        mixed_run "$BUILD/tests" "$1" "$case" 0 "$folder" timeout 600 "$folder/$3" replay --device simt \
            ${4:+--entry "$4"} --weights "$case/weights.safetensors" &&
        "$BUILD/tests/mixed_compare" --case "$case" --type "$1" --runs "$folder"
}

# waited PROCESS FILE: what the process wrote, and its status.
waited() {
    wait "$1"
    local status=$?
    cat "$2"
    return $status
}

# proved CASE TASK [ENTRY]: fp32 at its tolerances, bf16 and fp16 beside it.
proved() {
    local bf16 fp16
    judged bf16 "$@" > "$WORK/bf16.txt" 2>&1 &
    bf16=$!
    judged fp16 "$@" > "$WORK/fp16.txt" 2>&1 &
    fp16=$!
    replay "$@"
    succeeds "$1 bf16: is as close as mixed precision is" waited "$bf16" "$WORK/bf16.txt"
    succeeds "$1 fp16: is as close as mixed precision is" waited "$fp16" "$WORK/fp16.txt"
}

# losses FOLDER PROGRAM OPTIONS...: one step of both entries on drawn scenes; what is logged, without the pace.
losses() {
    local folder=$1 program=$2
    shift 2
    timeout 600 "$program" train --data "$WORK/scenes/train_images.jsonl" --regions "$WORK/scenes/train_regions.jsonl" \
        --vocab "$WORK/scenes/vocab.txt" --output "$folder" --steps 1 --log-every 1 "$@" > "$folder.output" 2>&1 &&
        grep -oE '"train_[a-z_]*loss[a-z_]*":[-0-9.e]*|"gradient_norm":[-0-9.e]*' "$folder/log.txt" |
        sed 's/.*://' > "$folder.losses" && test -s "$folder.losses"
}

# Dropout, drop path and hard negatives are drawn: both targets must draw the same.
training() {
    local settings="--batch 8 --set images.image_key=image --set images.is_image_rpath=true
        --set regions.image_key=image --set regions.is_image_rpath=true --set regions.max_images=4
        --set vision_config.ape=false"
    # shellcheck disable=SC2086
    succeeds "the tiny program for cuda" program "$WORK/cuda" pretrain models/xvlm_tiny.dsl $settings &&
        succeeds "the tiny program for c" tiny_program &&
        succeeds "scenes are drawn" "$BUILD/xvlm" scenes --output "$WORK/scenes" --train 16 --val 8 --test 8 || return
    succeeds "training on the emulator" losses "$WORK/run_cuda" "$WORK/cuda/pretrain" --device simt
    succeeds "training on the CPU" losses "$WORK/run_c" "$TINY"
    succeeds "the targets log the same losses" awk 'NR == FNR { want[FNR] = $1; n = FNR; next }
        { d = $1 - want[FNR]; if (d < 0) d = -d; if (d > 1e-4 * want[FNR]) { print FNR, $1, want[FNR]; bad = 1 } }
        END { exit bad || FNR != n || n < 10 }' "$WORK/run_c.losses" "$WORK/run_cuda.losses"
}

mistakes() {
    local program=$WORK/cuda/pretrain
    says 1 'no device "gpu9"; there are: cuda, simt' "a device that does not exist" \
        "$program" bench --steps 1 --device gpu9
    says 2 'compiled for the target c' "a program without devices" "$TINY" bench --device simt
    rm -f "$WORK/cuda/kernels_simt.so"
    says 1 'make it with: make -C .* simt' "kernels that are not compiled" "$program" bench --device simt
}

# biases_fit FOLDER: a program of two-byte types has products with a bias, all of the result's type and without sums,
# which are those that cuBLASLt has.
biases_fit() {
    awk '/\.m = / { type = "none" }
        /\.type_c = / { type = $0; sub(/.*\.type_c = /, "", type); sub(/,.*/, "", type) }
        /\.bias = / { n++; if (!index($0, ".type_bias = " type "}") || /\.sums = /) { print; bad = 1 } }
        END { exit bad || n < 80 }' "$1"/*_train.c
}

# base_size PRECISION BYTES MEMORY: a base step with 128 pictures, compiled only. At most 900 launches with the three of
# the update, and the products, bytes and memory that shared work, epilogues and what is computed again leave.
base_size() {
    local folder=$WORK/base
    local -x CFLAGS=-O0
    succeeds "base size, $1: compiles" timeout 300 "$BUILD/xvlmc" models/xvlm_base.dsl --task pretrain --target cuda \
        --batch 128 --precision "$1" --output "$folder" || return
    "$folder/pretrain" info --json > "$WORK/info.json"
    succeeds "base size, $1: launches, products, bytes, memory" "$BUILD/tests/info_check" "$WORK/info.json" \
        "entries.images.train.kernels<=897" "entries.images.train.matmul_flops<=21.2e12" \
        "entries.images.train.matmul_flops>=18e12" "entries.images.train.bytes<=$2" \
        "entries.images.train.arena_bytes<=$3" "entries.regions.train.kernels<=950"
    ends_with 1 "base size, $1: bounds are looked at" "$BUILD/tests/info_check" "$WORK/info.json" \
        "entries.images.train.kernels<=100"
    [ "$1" = fp32 ] || succeeds "base size, $1: cuBLASLt adds all biases" biases_fit "$folder"
    rm -rf "$folder"
}

library
base_size fp32 245e9 31e9
base_size bf16 135e9 14e9
base_size fp16 135e9 14e9
while read -r -u 3 case task entry; do
    # shellcheck disable=SC2086
    proved "$case" "$task" $entry
    if [ "$case" = pretrain_swin_bert_images ]; then
        library_ran "images" "$WORK/cuda"
    fi
done 3< tests/replay/cases.txt
succeeds "pretrain_swin_bert_images tf32: is as close as mixed precision is" \
    judged tf32 pretrain_swin_bert_images pretrain images
training && mistakes
rm -rf "$WORK"/cuda* "$WORK/scenes"
