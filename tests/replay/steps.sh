# What the groups that replay recorded cases share: the recorded optimizer steps. Sourced by tests/groups/*.sh.

# setting CASE RECORD NAME: a number of the settings of recorded optimizer steps; 0 for one that is null.
setting() {
    sed -n "/\"$2\": {/,/\"log\": \[/p" "$1/config.json" | sed -n "s/^ *\"$3\": \(null\|[0-9.e-]*\),*\$/\1/p" |
        sed 's/null/0/' | head -n 1
}

# steps CASE RECORD: the options of replay that repeat recorded optimizer steps.
steps() {
    echo --steps "$(setting "$1" "$2" steps)" --lr "$(setting "$1" "$2" lr)" \
        --weight-decay "$(setting "$1" "$2" weight_decay)" --lr-mult "$(setting "$1" "$2" lr_mult)" \
        --warmup "$(setting "$1" "$2" num_warmup_steps)" --total "$(setting "$1" "$2" num_training_steps)" \
        --clip "$(setting "$1" "$2" clip_grad_norm)"
}

# recorded_steps NAME CASE FOLDER REPLAY: after_steps, after_steps_noclip and train20, where the case has them.
recorded_steps() {
    local name=$1 case=$2 folder=$3 run=$4 record
    run="$run --inputs $case/inputs.safetensors"
    for record in after_steps after_steps_noclip; do
        [ -f "$case/$record.safetensors" ] || continue
        # shellcheck disable=SC2046,SC2086
        succeeds "$name: $record" timeout 600 $run $(steps "$case" $record) \
            --after "$folder/after.safetensors" --curve "$folder/curve.json" &&
            succeeds "$name: updates of $record" "$BUILD/tests/compare" --case "$case" --record $record \
                --after "$folder/after.safetensors" &&
            succeeds "$name: losses of $record" "$BUILD/tests/compare" --case "$case" --record $record \
                --curve "$folder/curve.json"
    done
    if grep -q '"train20"' "$case/config.json"; then
        # shellcheck disable=SC2046,SC2086
        succeeds "$name: twenty optimizer steps" timeout 900 $run $(steps "$case" train20) \
            --curve "$folder/train20.json" &&
            succeeds "$name: losses of twenty steps" "$BUILD/tests/compare" --case "$case" \
                --train20 "$folder/train20.json"
    fi
}
