#!/bin/sh
# Checks the target cuda on a machine with a GPU and writes one report, in Markdown, dated. Runs in the folder that
# bundle.sh made. REPORTS names the folder of reports (reports), PYTHON a Python with PyTorch (python3), SECONDS_EACH
# the most that one check may take (120).
set -u
cd "$(dirname "$0")" || exit 1
REPORTS=${REPORTS:-reports}
PYTHON=${PYTHON:-python3}
LIMIT=${SECONDS_EACH:-120}

# replay ENTRY NAME: outputs, gradients and updates of a case into WORK/*.NAME.
replay() {
    "./$1" replay --device cuda --entry "$1" --weights "cases/$1/weights.safetensors" \
        --inputs "cases/$1/inputs.safetensors" --outputs "$WORK/outputs.$2" --grads "$WORK/grads.$2" \
        --after "$WORK/after.$2"
}

compared() {
    replay "$1" "$1" && ./compare --case "cases/$1" --outputs "$WORK/outputs.$1" &&
        ./compare --case "cases/$1" --grads "$WORK/grads.$1"
}

updated() {
    ./compare --case cases/images --after "$WORK/after.images"
}

repeated() {
    replay images again && cmp "$WORK/outputs.images" "$WORK/outputs.again" &&
        cmp "$WORK/grads.images" "$WORK/grads.again" && cmp "$WORK/after.images" "$WORK/after.again"
}

training() {
    ./tiny train --device cuda --data scenes/train_images.jsonl --vocab scenes/vocab.txt --output "$1" --steps 40 \
        --save-every 10 --log-every 10 $2
}

# One run to the end; one that is killed behind its first checkpoint and continued.
resumed() {
    training "$WORK/whole" "" || return 1
    training "$WORK/killed" "" &
    run=$!
    while kill -0 $run 2> /dev/null && [ ! -e "$WORK/killed/checkpoint.safetensors" ]; do
        sleep 0.05
    done
    kill -9 $run 2> /dev/null
    wait $run 2> /dev/null
    training "$WORK/killed" --resume && cmp "$WORK/whole/model.safetensors" "$WORK/killed/model.safetensors"
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
failed=0

if ! ./images bench --device cuda --steps-only --steps 1 > "$WORK/start" 2>&1; then
    cat "$WORK/start" >&2
    echo "gpu-check: nothing was checked: the device cuda cannot be used here" >&2
    exit 1
fi
mkdir -p "$REPORTS" || exit 1
REPORT=$REPORTS/$(date +%Y-%m-%d-%H%M%S).md

say() {
    echo "$*" | tee -a "$REPORT"
}

# check NAME COMMAND...: one row of the table.
check() {
    name=$1
    shift
    start=$(date +%s)
    if timeout "$LIMIT" ./check.sh run "$WORK" "$@" > "$WORK/output" 2>&1; then
        say "| $name | passed | $(($(date +%s) - start)) s |"
    else
        say "| $name | **failed**: $(tail -n 1 "$WORK/output" | tr '|' '/') | $(($(date +%s) - start)) s |"
        failed=$((failed + 1))
    fi
}

timed() {
    echo '```' >> "$REPORT"
    timeout "$LIMIT" "$@" 2>&1 | tail -n 12 | tee -a "$REPORT"
    echo '```' >> "$REPORT"
}

say "# The target cuda, $(date -u +%Y-%m-%d)"
say ""
say "$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2> /dev/null | head -n 1)"
say ""
say "| check | result | time |"
say "|---|---|---|"
check "images: outputs and gradients at the tolerances of fp32" compared images
check "images: three updates" updated
check "regions: outputs and gradients at the tolerances of fp32" compared regions
check "the same bits twice" repeated
check "killed, continued: the same bits" resumed
if command -v compute-sanitizer > /dev/null; then
    check "compute-sanitizer" compute-sanitizer --error-exitcode 9 ./images bench --device cuda --steps 1 --steps-only
else
    say "| compute-sanitizer | not found | |"
fi
say ""
say "Base size, B = 128, \`images\`, fp32, beside the device's ceilings; then PyTorch's step:"
say ""
timed ./base bench --device cuda --steps 10
for options in "" "--compile"; do
    # shellcheck disable=SC2086
    timed "$PYTHON" bench/torch_step.py --device cuda --batch 128 --autocast --fused $options
done
say ""
say "$failed checks failed."
echo "report: $REPORT"
[ $failed -eq 0 ]
