#!/bin/sh
# Checks the target cuda on a machine with a GPU and writes one report, in Markdown, dated. Runs in the folder that
# bundle.sh made. Settings, from the environment:
#   REPORTS       folder of reports (reports)
#   PARTS         what is done, in a report of its own each time: cases, steps (the base-size step), torch (PyTorch's)
#   PYTHON        a Python with PyTorch (python3)
#   SECONDS_EACH  the most that one check may take (120); PyTorch, which compiles, may take twice as long
#   JOBS          how many cases are replayed at once (half as many as there are cores, 4 at least)
#   STEPS         how many steps a training run has (40)
set -u
cd "$(dirname "$0")" || exit 1
REPORTS=${REPORTS:-reports}
PYTHON=${PYTHON:-python3}
LIMIT=${SECONDS_EACH:-120}
JOBS=${JOBS:-$(($(nproc) > 8 ? $(nproc) / 2 : 4))}
PARTS=${PARTS:-cases steps torch}
export XV_CUBIN_CACHE="${XV_CUBIN_CACHE:-$PWD/cubins}"

# NVIDIA's libraries may be where that Python has them.
if [ -z "${XV_CUDA_LIBRARIES:-}${VIRTUAL_ENV:-}" ]; then
    packages=$("$PYTHON" -c 'import nvidia; print(list(nvidia.__path__)[0])' 2> /dev/null) &&
        VIRTUAL_ENV=${packages%/lib/python*} && export VIRTUAL_ENV
fi

. ./mixed.sh

# program NAME COMMAND...
program() {
    name=$1
    shift
    ./runner "$WORK/programs/$name.so" "$@"
}

# replay CASE PRECISION ENTRY OPTIONS...
replay() {
    case=$1 precision=$2 entry=$3
    shift 3
    # shellcheck disable=SC2086
    program "$case-$precision" replay --device cuda ${entry:+--entry $entry} \
        --weights "cases/$case/weights.safetensors" "$@"
}

# recorded CASE PRECISION ENTRY SUFFIX OPTIONS...: on the recorded inputs, for FOLDER/outputs.SUFFIX, grads.SUFFIX.
recorded() {
    case=$1 precision=$2 entry=$3 suffix=$4
    shift 4
    replay "$case" "$precision" "$entry" --inputs "cases/$case/inputs.safetensors" \
        --outputs "$FOLDER/outputs.$suffix" --grads "$FOLDER/grads.$suffix" "$@"
}

# exact CASE ENTRY: single precision, at the tolerances of the CPU.
exact() {
    recorded "$1" fp32 "$2" safetensors &&
        ./compare --case "cases/$1" --outputs "$FOLDER/outputs.safetensors" &&
        ./compare --case "cases/$1" --grads "$FOLDER/grads.safetensors"
}

# mixed CASE ENTRY PRECISION: by the rule of mixed_precision.json, the median of three runs.
mixed() {
    for draw in 0 1 2; do
        mixed_run . "$3" "cases/$1" $draw "$FOLDER" replay "$1" "$3" "$2" || return 1
    done
    ./mixed_compare --case "cases/$1" --type "$3" --runs "$FOLDER"
}

# replayed CASE ENTRY PRECISION
replayed() {
    FOLDER=$WORK/$1-$3
    mkdir -p "$FOLDER"
    if [ "$3" = fp32 ]; then exact "$1" "$2"; else mixed "$1" "$2" "$3"; fi
}

IMAGES=pretrain_swin_bert_images

updated() {
    FOLDER=$WORK
    recorded $IMAGES fp32 images again --after "$WORK/after" &&
        ./compare --case cases/$IMAGES --after "$WORK/after"
}

# repeated PRECISION: the first run is that of `replayed`.
repeated() {
    FOLDER=$WORK
    first=safetensors
    [ "$1" = fp32 ] || first=0.safetensors
    recorded $IMAGES "$1" images again &&
        cmp "$WORK/$IMAGES-$1/outputs.$first" "$WORK/outputs.again" &&
        cmp "$WORK/$IMAGES-$1/grads.$first" "$WORK/grads.again"
}

# training FOLDER OPTIONS [exec]
training() {
    # shellcheck disable=SC2086
    ${3:-} ./runner "$WORK/programs/tiny.so" train --device cuda --data scenes/train_images.jsonl \
        --vocab scenes/vocab.txt --output "$1" --steps "${STEPS:-40}" --save-every $((${STEPS:-40} / 4)) \
        --log-every 10 $2
}

# One run to the end; one that is killed behind its first checkpoint and continued.
resumed() {
    training "$WORK/whole" "" || return 1
    training "$WORK/killed" "" exec &
    run=$!
    while kill -0 $run 2> /dev/null && [ ! -e "$WORK/killed/checkpoint.safetensors" ]; do
        sleep 0.05
    done
    kill -9 $run 2> /dev/null
    wait $run 2> /dev/null
    training "$WORK/killed" --resume && cmp "$WORK/whole/model.safetensors" "$WORK/killed/model.safetensors"
}

sanitized() {
    compute-sanitizer --error-exitcode 9 ./runner "$WORK/programs/$IMAGES-fp32.so" bench --device cuda --steps 1 \
        --steps-only
}

# Functions in a shell of their own, so that a time limit can end them.
if [ "${1:-}" = run ]; then
    WORK=$2
    shift 2
    "$@"
    exit
fi

WORK=$(mktemp -d) || exit 1
trap 'rm -rf "$WORK"' EXIT
mkdir "$WORK/programs" && tar -xzf programs.tar.gz -C "$WORK/programs" || exit 1
read -r PRECISIONS < precisions.txt

if ! timeout "$LIMIT" ./check.sh run "$WORK" program $IMAGES-fp32 bench --device cuda --steps-only --steps 1 \
    > "$WORK/start" 2>&1; then
    cat "$WORK/start" >&2
    echo "gpu-check: nothing was checked: the device cuda cannot be used here" >&2
    exit 1
fi
mkdir -p "$REPORTS" || exit 1
REPORT=$REPORTS/$(date +%Y-%m-%d-%H%M%S).md

say() {
    echo "$*" | tee -a "$REPORT"
}

# row NAME COMMAND...: one row of the table, printed; a file WORK/failed.* where it failed.
row() {
    name=$1
    shift
    output=$(mktemp "$WORK/output.XXXXXX")
    start=$(date +%s)
    if timeout "$LIMIT" ./check.sh run "$WORK" "$@" > "$output" 2>&1; then
        echo "| $name | passed | $(($(date +%s) - start)) s |"
    else
        echo "| $name | **failed**: $(tail -n 1 "$output" | tr '|' '/') | $(($(date +%s) - start)) s |"
        mktemp "$WORK/failed.XXXXXX" > /dev/null
    fi
}

check() {
    row "$@" | tee -a "$REPORT"
}

# Every recorded case in a precision, several at a time; the rows in the order of the cases.
check_cases() {
    running=0
    while read -r case _ entry; do
        row "$case, $1" replayed "$case" "$entry" "$1" > "$WORK/row.$case" &
        running=$((running + 1))
        [ $((running % JOBS)) -ne 0 ] || wait
    done < cases.txt
    wait
    while read -r case _; do
        tee -a "$REPORT" < "$WORK/row.$case"
    done < cases.txt
}

wants() {
    case " $PARTS " in *" $1 "*) ;; *) return 1 ;; esac
}

# timed SECONDS COMMAND...: the end of what it prints is in the report.
timed() {
    status=0
    timeout "$@" > "$WORK/timed" 2>&1 || status=$?
    {
        echo '```'
        tail -n 12 "$WORK/timed"
        echo '```'
    } | tee -a "$REPORT"
    return $status
}

# stepped PRECISION ENTRY
stepped() {
    timed "$LIMIT" ./runner "$WORK/programs/base-$1.so" bench --device cuda --entry "$2" --steps 10 && return
    say "**failed**"
    mktemp "$WORK/failed.XXXXXX" > /dev/null
}

say "# The target cuda, $(date -u +%Y-%m-%d)"
say ""
say "$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2> /dev/null | head -n 1)"
say ""
if wants cases; then
    say "| check | result | time |"
    say "|---|---|---|"
    for precision in $PRECISIONS; do
        check_cases "$precision"
        check "the same bits twice, $precision" repeated "$precision"
    done
    check "three updates of $IMAGES" updated
    check "killed, continued: the same bits" resumed
    if command -v compute-sanitizer > /dev/null; then
        check "compute-sanitizer" sanitized
    else
        say "| compute-sanitizer | not found | |"
    fi
fi
if wants steps; then
    say ""
    say "Base size, B = 128, beside the device's ceilings:"
    say ""
    stepped bf16 regions
    for precision in $PRECISIONS; do
        stepped "$precision" images
    done
fi
if wants torch; then
    say ""
    say "PyTorch's steps, bf16 autocast and fused AdamW:"
    say ""
    for options in "" "--compile" "--regions 48" "--regions 48 --compile"; do
        # shellcheck disable=SC2086
        timed $((2 * LIMIT)) "$PYTHON" bench/torch_step.py --device cuda --batch 128 --autocast --fused $options
    done
fi
failed=$(find "$WORK" -maxdepth 1 -name 'failed.*' | wc -l)
say ""
say "$failed checks failed."
echo "report: $REPORT"
[ "$failed" -eq 0 ]
