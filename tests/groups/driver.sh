# The device cuda without a GPU: the runtime's own path over NVIDIA's driver interface, against stand-ins for its
# libraries (tests/driver) whose kernels the emulator runs. Results must be those of the emulator bit for bit.

export CFLAGS=-O0  # of the host's part of programs, which only launches kernels
case=tests/replay/pretrain_swin_bert_images
folder=$WORK/driver
images=$folder/pretrain
standin="XV_CUDA_LIBRARIES=$PWD/$BUILD/tests/driver STANDIN_KERNELS=$PWD/$folder/kernels_simt.so
    XV_CUBIN_CACHE=$PWD/$WORK/cubins STANDIN_REPORT=$WORK/report STANDIN_COMPILED=$WORK/compiled"

# with SETTINGS COMMAND...: the command with the stand-ins and further settings.
with() {
    local settings=$1
    shift
    # shellcheck disable=SC2086
    env $standin $settings "$@"
}

# replayed DEVICE NAME OPTIONS...: outputs, gradients, three updates into $folder/*.NAME.
replayed() {
    local device=$1 name=$2
    shift 2
    with "" timeout 600 "$images" replay --device "$device" --entry images --weights "$case/weights.safetensors" \
        --inputs "$case/inputs.safetensors" --outputs "$folder/outputs.$name" --grads "$folder/grads.$name" \
        --after "$folder/after.$name" --curve "$folder/curve.$name" "$@"
}

# short SETTINGS [NAME]: a replay of the observing graph alone, into $folder/outputs.NAME.
short() {
    with "$1" timeout 600 "$images" replay --device cuda --entry images --weights "$case/weights.safetensors" \
        --inputs "$case/inputs.safetensors" --outputs "$folder/outputs.${2:-short}"
}

# fails PATTERN NAME SETTINGS: the short replay ends with a message.
fails() {
    says 1 "$1" "$2" short "$3"
}

compilations() {
    wc -l < "$WORK/compiled"
}

same_numbers() {
    succeeds "the emulator" replayed simt simt
    succeeds "the driver" replayed cuda cuda
    for file in outputs grads after curve; do
        succeeds "$file are the same" cmp "$folder/$file.simt" "$folder/$file.cuda"
    done
    succeeds "with all their kernels as graphs" grep -qE '^graph_kernels [1-9][0-9]{2}' "$WORK/report"
}

# Decoding: of every further token one graph launch and one wait; keys and values never leave the device.
decoding() {
    local case=tests/replay/captioning_swin_bert device
    succeeds "the captioning program" timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --config "$case/config.json" \
        --shapes "$case/inputs.safetensors" --task captioning --target cuda --precision fp32 --output "$folder" &&
        succeeds "its kernels" make_simt "$folder" ||
        return
    for device in simt cuda; do
        succeeds "captions by $device" with "" timeout 600 "$folder/captioning" replay --device $device \
            --weights "$case/weights.safetensors" --inputs "$case/inputs.safetensors" \
            --outputs "$folder/outputs.$device"
    done
    succeeds "captions: the official ones" "$BUILD/tests/compare" --case "$case" --outputs "$folder/outputs.cuda"
    same "captions are the same" "$folder/outputs.simt" "$folder/outputs.cuda"
    succeeds "captions: hardly a wait but that for the words" awk '{ n[$1] = $2 }
        END { exit n["graph_launches"] < 20 || n["waits"] > n["graph_launches"] + 4 }' "$WORK/report"
}

# Machine code is kept: one compilation a piece, however often and by however many the program is started.
cache() {
    local pieces file
    pieces=$(compilations)
    succeeds "several pieces" test "$pieces" -gt 2
    succeeds "a second start" short ""
    succeeds "compiles nothing" test "$(compilations)" -eq "$pieces"
    file=$(find "$WORK/cubins" -name '*.cubin' | sort | head -n 1)
    for damage in "truncate -s 100" "truncate -s 0" "sed -i s/XVCUBIN1/XVCUBIN0/" "sed -i s/STANDIN1/STANDIN2/"; do
        $damage "$file"
        succeeds "a damaged file ($damage)" short ""
        pieces=$((pieces + 1))
        succeeds "is compiled again ($damage)" test "$(compilations)" -eq "$pieces"
    done
    : > "$WORK/compiled"
    succeeds "another compiler" short STANDIN_NVRTC=13.1
    succeeds "compiles everything" test "$(compilations)" -gt 2
    rm -rf "$WORK/cubins"
    short "" beside > /dev/null 2>&1 &
    succeeds "two at once" short ""
    succeeds "two at once, the other" wait $!
    : > "$WORK/compiled"
    succeeds "after two at once" short ""
    succeeds "everything is there" test "$(compilations)" -eq 0
    succeeds "no rests" test -z "$(find "$WORK/cubins" -type f ! -name '*.cubin')"
    succeeds "a cache of one byte" short "XV_CUBIN_CACHE_LIMIT=1 STANDIN_NVRTC=13.2"
    succeeds "holds one file" test "$(find "$WORK/cubins" -name '*.cubin' | wc -l)" -le 2
    says 0 'compiled kernels are not kept: cannot make the folder' "a cache that cannot be" \
        short XV_CUBIN_CACHE=/proc/none
}

# Training steps are queued: of every further step one graph launch, and one wait, for the step four before, so that
# nothing is idle: it holds back a host that is faster than its device. Beside a fast device nobody waits.
queued() {
    local count steps
    for steps in 6 8; do
        succeeds "$steps steps of a fast device" with STANDIN_PACE=fast timeout 600 "$images" bench --steps $steps \
            --steps-only --device cuda
        cp "$WORK/report" "$WORK/report.$steps"
    done
    succeeds "two further steps of a fast device: waits 0" test "$(grep -x 'waits [0-9]*' "$WORK/report.6")" = \
        "$(grep -x 'waits [0-9]*' "$WORK/report.8")"
    for steps in 6 8; do
        succeeds "$steps steps" with "" timeout 600 "$images" bench --steps $steps --steps-only --device cuda
        cp "$WORK/report" "$WORK/report.$steps"
    done
    for count in "launches 0" "graph_launches 2" "waits 2" "drains 0" "sends 2" "allocations 0"; do
        succeeds "two further steps: $count" awk -v name="${count% *}" -v wanted="${count#* }" '
            $1 == name { value[NR == FNR] = $2 } END { exit value[0] - value[1] != wanted }' \
            "$WORK/report.6" "$WORK/report.8"
    done
}

# A profiler gets a range for every launch, with the line it comes from; without recordings it sees when it runs.
ranges() {
    succeeds "without recordings" with "XV_CUDA_GRAPHS=off STANDIN_RANGES=$PWD/$WORK/ranges
        NVTX_INJECTION64_PATH=$PWD/$BUILD/tests/driver/libtool.so" timeout 600 "$images" replay --device cuda \
        --entry images --weights "$case/weights.safetensors" --inputs "$case/inputs.safetensors" \
        --outputs "$folder/outputs.direct" --grads "$folder/grads.direct"
    succeeds "every kernel is launched alone" grep -qx 'graph_launches 0' "$WORK/report"
    same "without recordings: outputs" "$folder/outputs.direct" "$folder/outputs.cuda"
    same "without recordings: gradients" "$folder/grads.direct" "$folder/grads.cuda"
    succeeds "a range for every launch" test "$(grep -c '^range ' "$WORK/ranges")" -eq \
        "$(sed -n 's/^launches //p' "$WORK/report")"
    succeeds "with the line of each" grep -qE \
        '^range models/layers.dsl:[0-9]+  vision_encoder\.[a-z0-9_.]+  (k_|xv_matmul)' "$WORK/ranges"
    ends_with 1 "with a line for all" grep -vE '^range (models|tasks)/|^range clamp  xv_clamp|^stream|^end' \
        "$WORK/ranges"
    succeeds "streams have names" grep -qx 'stream inputs' "$WORK/ranges"
    succeeds "all ranges ended" grep -qx 'end 0 deepest 1' "$WORK/ranges"
    succeeds "no tool, no ranges" short "STANDIN_RANGES=$WORK/none"
    succeeds "nothing was loaded" test ! -e "$WORK/none"
    says 0 'no ranges for a profiler: NVTX_INJECTION64_PATH: .*none.so' "a tool that is not there" \
        short NVTX_INJECTION64_PATH=./none.so
    says 0 'it has no InitializeInjectionNvtx2' "a tool that is none" \
        short "NVTX_INJECTION64_PATH=$PWD/$BUILD/tests/driver/libcuda.so.1"
}

# Products by the library, and by the generated kernel where it has none: the official numbers.
blas() {
    local settings="XV_CUDA_LIBRARIES=$PWD/$BUILD/tests/driver_blas" file
    succeeds "with cuBLASLt" with "$settings" timeout 600 "$images" replay --device cuda --entry images \
        --weights "$case/weights.safetensors" --inputs "$case/inputs.safetensors" --outputs "$folder/outputs.blas" \
        --grads "$folder/grads.blas" --kernels "$folder/kernels.blas"
    succeeds "outputs" "$BUILD/tests/compare" --case "$case" --outputs "$folder/outputs.blas"
    succeeds "gradients" "$BUILD/tests/compare" --case "$case" --grads "$folder/grads.blas"
    says 0 'xv_matmul [1-9]' "what the library has not" grep xv_matmul "$folder/kernels.blas"
    fails 'cublasLtMatmul: cuBLAS status 13' "a product" "$settings STANDIN_FAIL=cublasLtMatmul:13:3"
    succeeds "a product that the library takes back" short "$settings STANDIN_FAIL=cublasLtMatmul:15:3" back
    succeeds "is made all the same" "$BUILD/tests/compare" --case "$case" --outputs "$folder/outputs.back"
    says 0 'matrix products run as generated kernels' "no library of products" short ""
}

# biased PROGRAM: rows and columns of its products with a bias, those of the observing and of the training graph. The
# stand-in has none of less than four columns.
biased() {
    awk '/\.m = / { split($0, size, /[^0-9]+/); m = size[2]; n = size[3] }
        /\.bias = / && n >= 4 { print m, n }' "$1"_observe.c "$1"_train.c | sort
}

# A program of bf16: the same bits as on the emulator, and with cuBLASLt as close as mixed precision is.
bf16() {
    local settings="XV_CUDA_LIBRARIES=$PWD/$BUILD/tests/driver_blas"
    rm -rf "$folder"
    succeeds "bf16: compiles" timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --config "$case/config.json" \
        --shapes "$case/inputs.safetensors" --task pretrain --target cuda --precision bf16 --output "$folder" &&
        succeeds "bf16: kernels for the emulator" make_simt "$folder" || return
    same_numbers
    succeeds "bf16 with cuBLASLt" with "$settings STANDIN_BIASED=$PWD/$WORK/biased" timeout 600 "$images" replay \
        --device cuda --entry images --weights "$case/weights.safetensors" --inputs "$case/inputs.safetensors" \
        --outputs "$folder/outputs.0.safetensors" --grads "$folder/grads.0.safetensors"
    succeeds "is as close as mixed precision is" "$BUILD/tests/mixed_compare" --case "$case" --type bf16 \
        --runs "$folder"
    biased "$folder/images" > "$WORK/with_bias"
    succeeds "bf16: products have biases" test "$(wc -l < "$WORK/with_bias")" -ge 30
    sort "$WORK/biased" > "$WORK/added"
    same "bf16: cuBLASLt adds them all" "$WORK/with_bias" "$WORK/added"
}

# tiny TYPE: a pre-training program so cold (the least temperature there is) that its first gradients are infinite in
# fp16 at the first scale of the loss.
tiny() {
    tiny_program "$folder/$1" --target cuda --precision "$1" --batch 2 --set temp=0.001 --set regions.batch_size=2 \
        --set regions.max_images=1 &&
        make_simt "$folder/$1"
}

# trained TYPE RUN SETTINGS OPTIONS...: three steps of both entries, six updates: more than are ever under way.
limit="timeout 600"
trained() {
    local type=$1 run=$2 settings=$3
    shift 3
    # shellcheck disable=SC2086
    with "STANDIN_KERNELS=$PWD/$folder/$type/kernels_simt.so $settings" $limit "$folder/$type/pretrain" train \
        --data "$folder/scenes/train_images.jsonl" --regions "$folder/scenes/train_regions.jsonl" --val none \
        --output "$folder/$run" --steps 3 --log-every 1 --seed 3 --threads 0 "$@"
}

# same_run NAME RUN: the parameters, the state and the curve of the emulator.
same_run() {
    local file
    for file in model checkpoint_latest; do
        same "$1: $file" "$folder/simt/$file.safetensors" "$folder/$2/$file.safetensors"
    done
    succeeds "$1: curve" test "$(curve_of "$folder/simt/log.txt")" = "$(curve_of "$folder/$2/log.txt")"
}

# state_of RUN: the counters in a checkpoint, one a line.
state_of() {
    grep -aoE '"(step|updates|loss_scale|scale_age)\\":[0-9]+' "$folder/$1/checkpoint_latest.safetensors" | tr -d '\\"'
}

# Training in fp16: the device leaves out updates and lowers the scale of the loss without a word of the host, which
# waits as often as with bf16, and the results are those of the emulator, where each update is waited for.
scaled() {
    local count pid
    succeeds "scenes are drawn" "$BUILD/xvlm" scenes --output "$folder/scenes" --train 16 --val 4 --test 4 &&
        succeeds "the tiny program of fp16" tiny fp16 && succeeds "the tiny program of bf16" tiny bf16 || return
    succeeds "fp16: the emulator trains" trained fp16 simt "" --device simt
    succeeds "fp16: the driver trains" trained fp16 cuda "" --device cuda
    cp "$WORK/report" "$WORK/report.fp16"
    same_run "fp16" cuda
    succeeds "fp16: the scale was halved, updates were left out" awk -F: '{ value[$1] = $2 }
        END { exit value["step"] != 3 || value["loss_scale"] >= 1024 || value["loss_scale"] < 1 ||
            value["updates"] >= 6 || value["updates"] < 1 ||
            value["loss_scale"] * 2 ^ (6 - value["updates"]) != 1024 }' <(state_of cuda)
    succeeds "fp16: the log has the scale" test "$(sed -n 's/.*"train_loss_scale":\([0-9]*\).*/loss_scale:\1/p' \
        "$folder/cuda/log.txt" | tail -n 1)" = "$(state_of cuda | grep loss_scale)"
    succeeds "bf16: the driver trains" trained bf16 bf16_run "" --device cuda
    for count in launches graph_launches waits drains sends fetches allocations; do
        succeeds "fp16 and bf16 have equally many $count" test "$(grep "^$count " "$WORK/report.fp16")" = \
            "$(grep "^$count " "$WORK/report")"
    done
    limit='' trained fp16 killed "" --device cuda --save-every 1 > "$WORK/output" 2>&1 < /dev/null &
    pid=$!
    while kill -0 $pid 2> /dev/null && [ ! -e "$folder/killed/checkpoint_latest.safetensors" ]; do
        sleep 0.05
    done
    pkill -KILL -P $pid || kill -KILL $pid
    wait $pid 2> /dev/null
    succeeds "fp16: a run is killed in time" test ! -e "$folder/killed/model.safetensors"
    succeeds "fp16: with another scale than at the start" grep -qE 'loss_scale:(512|256|128)$' <(state_of killed)
    succeeds "fp16: it resumes, kernel by kernel" trained fp16 killed XV_CUDA_GRAPHS=off --device cuda --resume
    succeeds "fp16: nothing is recorded" grep -qx 'graph_launches 0' "$WORK/report"
    same_run "fp16, killed and resumed" killed
}

mistakes() {
    mkdir -p "$WORK/empty"
    fails 'no NVIDIA driver here' "no driver" XV_CUDA_LIBRARIES="$WORK/empty"
    says 1 'no --device is given, so cuda .*no NVIDIA driver' "no driver, no device named" \
        env XV_CUDA_LIBRARIES="$WORK/empty" "$images" bench --steps 1
    says 1 'no GPU 1; the driver sees 1' "a second GPU" with "" "$images" bench --steps 1 --device cuda:1
    says 1 'there is no device "cuda:x"' "a device that is no number" with "" "$images" bench --device cuda:x
    fails 'cuInit: CUDA_ERROR_NO_DEVICE \(100\)' "cuInit" STANDIN_FAIL=cuInit:100:1
    fails 'GB of memory on stand-in 0.* cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY \(2\): out of memory' "little memory" \
        STANDIN_MEMORY=1000000
    fails 'kernel [a-z_0-9]*: cuLaunchKernel: CUDA_ERROR_INVALID_VALUE' "a launch" STANDIN_FAIL=cuLaunchKernel:1:40
    fails 'cuModuleLoadData: CUDA_ERROR_INVALID_IMAGE' "an image" STANDIN_FAIL=cuModuleLoadData:200:2
    fails 'kernel xv_[a-z_]*: cuModuleGetFunction: CUDA_ERROR_UNKNOWN' "a kernel" STANDIN_FAIL=cuModuleGetFunction:999:9
    fails 'cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS' "an address" STANDIN_FAIL=cuStreamSynchronize:700:2
    fails 'NVRTC 13.3 for sm_90a: NVRTC_ERROR_COMPILATION.*planted' "a compilation" \
        "STANDIN_NVRTC=13.3 STANDIN_FAIL=nvrtcCompileProgram:6:2"
    cp "$BUILD/tests/driver/libcuda.so.1" "$WORK/empty"
    fails 'there is no libnvrtc.so in' "no compiler" XV_CUDA_LIBRARIES="$PWD/$WORK/empty"
}

# What the runtime declares of NVIDIA's interfaces by itself, against their headers. A toolkit has them, and Python
# packages beside the libraries; CUDA_HEADERS names a further folder.
declared() {
    local header name folder folders=()
    for folder in ${CUDA_HEADERS:+"$CUDA_HEADERS"} "${CUDA_HOME:-/usr/local/cuda}"/include /usr/local/cuda*/include \
        "$BUILD"/cuda/nvidia/*/include; do
        folders+=(-isystem "$folder")
    done
    for header in cuda.h:CUDA cublasLt.h:BLASLT nccl.h:NCCL; do
        name=${header%:*}
        if echo "#include <$name>" | "${CC:-cc}" -fsyntax-only "${folders[@]}" -x c - 2> /dev/null; then
            succeeds "what is declared of $name" "${CC:-cc}" -std=c11 -D_GNU_SOURCE -fsyntax-only -I. "${folders[@]}" \
                -DHEADER_"${header#*:}" tests/driver/headers.c
        else
            skip "what is declared of $name" "$name is not here"
        fi
    done
}

declared
succeeds "the images program" timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --config "$case/config.json" \
    --shapes "$case/inputs.safetensors" --task pretrain --target cuda --precision fp32 --output "$folder" &&
    succeeds "its kernels" make_simt "$folder" &&
    same_numbers && cache && queued && ranges && blas && mistakes && decoding && scaled && bf16
rm -rf "$folder"
