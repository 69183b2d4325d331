# Training on drawn scenes: the loss falls; the curve depends on the seed alone; a run that is killed and resumed gives
# the curve it would have given; broken records are named, counted and passed over.

scenes=$WORK/scenes
runs=$WORK/runs
rm -rf "$runs" "$scenes"
mkdir -p "$runs"
succeeds "scenes are drawn" "$BUILD/xvlm" scenes --output "$scenes" --train 64 --val 16 --test 8
succeeds "the tiny program is built" tiny_program

STEPS=20

# train FOLDER OPTIONS...: a run on both entries that logs and saves every step.
train() {
    local folder=$runs/$1
    shift
    timeout 600 "$TINY" train --data "$scenes/train_images.jsonl" --regions "$scenes/train_regions.jsonl" \
        --val "$scenes/val_images.jsonl" --output "$folder" --steps $STEPS --log-every 1 --save-every 1 "$@"
}

# same_curve NAME FOLDER FOLDER: equal curves, but for the pace.
same_curve() {
    local folder
    for folder in "$2" "$3"; do
        curve_of "$runs/$folder/log.txt" > "$runs/$folder.curve"
    done
    succeeds "$1: every step is in the log" test "$(grep -c train_ "$runs/$2.curve")" -ge $STEPS
    same "$1: curve" "$runs/$2.curve" "$runs/$3.curve"
}

# same_run NAME FOLDER FOLDER: equal curves, and equal parameters.
same_run() {
    same_curve "$@"
    same "$1: parameters" "$runs/$2/model.safetensors" "$runs/$3/model.safetensors"
}

# kill_during SIGNAL FOLDER OPTIONS...: starts a run and ends it with the signal once it has saved a checkpoint and
# before it is done; KILLED is its exit status.
kill_during() {
    local signal=$1 folder=$2 pid
    shift 2
    "$TINY" train --data "$scenes/train_images.jsonl" --regions "$scenes/train_regions.jsonl" \
        --val "$scenes/val_images.jsonl" --output "$runs/$folder" --steps $STEPS --log-every 1 --save-every 1 "$@" \
        > "$WORK/output" 2>&1 < /dev/null &
    pid=$!
    while kill -0 $pid 2> /dev/null && [ ! -e "$runs/$folder/checkpoint_latest.safetensors" ]; do
        sleep 0.01
    done
    kill "-$signal" $pid 2> /dev/null
    wait $pid 2> /dev/null
    KILLED=$?
    [ -e "$runs/$folder/checkpoint_latest.safetensors" ] && [ ! -e "$runs/$folder/model.safetensors" ]
}

# interrupted SIGNAL STATUS FOLDER: kills a run, trying again when it was done first, and resumes it.
interrupted() {
    local signal=$1 wanted=$2 folder=$3 attempt
    for attempt in 1 2 3; do
        rm -rf "${runs:?}/$folder"
        kill_during "$signal" "$folder" --seed 3 && break
    done
    if [ "$KILLED" -eq "$wanted" ] && [ ! -e "$runs/$folder/model.safetensors" ]; then
        pass
    else
        fail "a run can be ended by $signal (attempt $attempt): status $KILLED, expected $wanted" "$WORK/output"
    fi
    succeeds "a run ended by $signal resumes" train "$folder" --seed 3 --resume
    same_run "killed by $signal and resumed" whole "$folder"
}

succeeds "an undisturbed run" train whole --seed 3
succeeds "a run without data threads" train threadless --seed 3 --threads 0
same_run "data threads change nothing" whole threadless
succeeds "a run with another seed" train other --seed 4
ends_with 1 "another seed gives another model" cmp -s "$runs/whole/model.safetensors" "$runs/other/model.safetensors"
interrupted KILL 137 killed
interrupted TERM 0 terminated

# What contradicts a run is refused.
says 1 'resume' "a folder that holds a run" train whole --seed 3
says 1 'seed' "another seed for a run that is resumed" train whole --seed 5 --resume
says 1 'batch' "another batch size than compiled" train fresh --batch 3

# The checkpoint, resumed at its end, trains no further; a broken one is refused by name.
cp -r "$runs/whole" "$runs/broken" 2> /dev/null
head -c 1000 "$runs/whole/checkpoint_latest.safetensors" > "$runs/broken/checkpoint_latest.safetensors"
says 1 'checkpoint_latest.safetensors' "a checkpoint that was cut" train broken --seed 3 --resume

# The loss falls: mean of the first five steps against the last five of a longer run.
falls() {
    sed -n 's/.*"train_loss_total":\([0-9.eE+-]*\).*/\1/p' "$1" | awk '
        NR <= 5 { first += $1 }
        { last[NR % 5] = $1 }
        END { for (i in last) { sum += last[i] }; print NR, first / 5, sum / 5; exit !(NR >= 60 && sum < 0.9 * first) }'
}
STEPS=80
succeeds "a longer run" train long --seed 3
succeeds "the loss falls" falls "$runs/long/log.txt"

# The same in mixed precision: the loss falls as far, a run that is ended and resumed gives the same curve.
last_loss() {
    sed -n 's/.*"train_loss_total":\([0-9.eE+-]*\).*/\1/p' "$1" | tail -n 1
}
mixed() {
    succeeds "the tiny program of $1 is built" tiny_program "$WORK/mixed_$1" --precision "$1" || return
    mkdir -p "$runs/$1"
    (
        TINY=$WORK/mixed_$1/pretrain
        runs=$runs/$1
        succeeds "a longer run of $1" train long --seed 3
        succeeds "the loss falls in $1" falls "$runs/long/log.txt"
        STEPS=20
        succeeds "an undisturbed run of $1" train whole --seed 3
        interrupted TERM 0 terminated
    )
    succeeds "$1 ends where f32 ends" awk -v want="$(last_loss "$runs/long/log.txt")" \
        -v got="$(last_loss "$runs/$1/long/log.txt")" 'BEGIN { exit !(got < 1.1 * want && got > 0.9 * want) }'
}
mixed bf16
mixed fp16
succeeds "the log of fp16 has the scale of the loss" grep -q '"train_loss_scale":1024' "$runs/fp16/long/log.txt"
ends_with 1 "the log of bf16 has none" grep -q 'train_loss_scale' "$runs/bf16/long/log.txt"

# eval of the last parameters finds what the run logged at its end.
# evaluated FILE: its loss as eval prints it; logged FILE: the one of the last evaluation in a log.
evaluated() {
    sed -n 's/.*"loss_total":[[:space:]]*\([0-9.eE+-]*\).*/\1/p' "$1"
}
logged() {
    sed -n 's/.*"val_loss_total":\([0-9.eE+-]*\).*/\1/p' "$1" | tail -n 1
}
says 0 '"loss_total"' "eval of a trained model" "$TINY" eval --data "$scenes/val_images.jsonl" --seed 3 --json \
    --checkpoint "$runs/long/model.safetensors"
loss=$(evaluated "$WORK/output")
succeeds "eval finds the loss of the log" test "$loss" = "$(logged "$runs/long/log.txt")"

# Broken records: a cut line, a picture that is not there, one that is no picture, one cut in its header. Each is named
# once, with its line, and the run goes on without it.
{
    cat "$scenes/train_images.jsonl"
    printf '{"image": "images/train/000001.jpg", "cap\n'
    printf '{"image": "images/train/none.jpg", "caption": "a red ring"}\n'
    printf '{"image": "images/train/text.jpg", "caption": "a red ring"}\n'
    printf '{"image": "images/train/cut.jpg", "caption": "a red ring"}\n'
} > "$scenes/broken.jsonl"
echo "no picture" > "$scenes/images/train/text.jpg"
head -c 100 "$scenes/images/train/000001.jpg" > "$scenes/images/train/cut.jpg"
STEPS=9  # all 68 records at 8 a step
ends_with 0 "a run over broken records" timeout 600 "$TINY" train --data "$scenes/broken.jsonl" \
    --output "$runs/skipping" --steps $STEPS --log-every 1 --seed 3
cp "$WORK/output" "$WORK/skipping.output"
for line in 65 66 67 68; do
    succeeds "record $line is named once" test "$(grep -c "broken.jsonl:$line:" "$WORK/skipping.output")" -eq 1
done
succeeds "no other record is named" test "$(grep -c 'broken.jsonl:[0-9]*:' "$WORK/skipping.output")" -eq 4
says 0 '^ *4 records could not be used' "eval counts the broken records" "$TINY" eval --data "$scenes/broken.jsonl" \
    --checkpoint "$runs/long/model.safetensors"

# Where a configuration names the data, the flags may be left out, and win where they are not.
configured=$WORK/configured/pretrain
split -l 32 "$scenes/train_images.jsonl" "$scenes/half."
cat > "$WORK/data.yaml" << END
train_file: ["$scenes/half.aa", "$scenes/half.ab"]
train_file_regions: "$scenes/train_regions.jsonl"
val_file: ["$scenes/val_images.jsonl"]
test_file: $scenes/broken.jsonl
images: {image_key: image, is_image_rpath: true}
regions: {image_key: image, is_image_rpath: true, max_images: 4}
END
succeeds "a configuration that names its data" "$BUILD/xvlmc" models/xvlm_tiny.dsl --task pretrain --batch 8 \
    --config "$WORK/data.yaml" --set vision_config.ape=false --set schedular.num_warmup_steps=4 \
    --output "$WORK/configured"
STEPS=3
succeeds "a run on given data" train given --seed 3
succeeds "a run on configured data" "$configured" train --output "$runs/configured" --seed 3 --steps 3 --log-every 1
same_curve "configured data are the same data" given configured
says 0 '^  images: 32 records' "flags win" "$configured" train --output "$runs/less" --seed 3 --steps 1 \
    --data "$scenes/half.aa" --regions none --val none
ends_with 1 "flags win: nothing is held out" grep -q val_ "$runs/less/log.txt"
says 0 '^ *4 records could not be used' "eval reads the configured test records" "$configured" eval \
    --checkpoint "$runs/configured/model.safetensors"
says 0 '^images, 16 records' "eval reads others" "$configured" eval --data "$scenes/val_images.jsonl" \
    --checkpoint "$runs/configured/model.safetensors"
says 2 'data FILE is needed: the configuration has no train_file' "no data" "$configured" train --data none \
    --output "$runs/none"
rm "$scenes/half.ab"
says 1 'train_file of the configuration \(--data names others\): cannot open .*half.ab: No such file' \
    "configured data that are missing" "$configured" train --output "$runs/none"
rm "$scenes/vocab.txt"
says 1 'no vocabulary .*vocab.txt; give one with --vocab' "a vocabulary that is missing" "$configured" train \
    --data "$scenes/half.aa" --regions none --val none --output "$runs/none"
succeeds "nothing was trained" test ! -e "$runs/none/log.txt"
rm -rf "$runs" "$scenes" "$WORK/configured"
