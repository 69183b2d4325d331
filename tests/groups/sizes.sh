# One real step of every task at the official sizes and batch 2, on real pictures, within 20 GiB of memory. Not among
# the groups that run by themselves, since it takes ten minutes and 10 GB: `tests/run sizes`. Prints a line for each
# step.

coco=tests/data/mini_coco
words=tests/data/vocab/bert-base-uncased-vocab.txt
root="--set image_root=$coco"
sed "s#images/#$PWD/$coco/images/#" $coco/pretrain_images.jsonl > "$WORK/images.jsonl"
sed "s#images/#$PWD/$coco/images/#" $coco/pretrain_regions.jsonl > "$WORK/regions.jsonl"

# sized ENTRY TASK DATA OPTIONS...: the task is compiled with its defaults, those of the published configuration, and a
# training step is run, in no more than 20 GiB of addresses; then ENTRY is timed.
sized() {
    local entry=$1 task=$2 data=$3 program=$WORK/task/$2 started
    shift 3
    rm -rf "$WORK/task" "$WORK/run"
    succeeds "$task at the official sizes" timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --task "$task" --batch 2 \
        --output "$WORK/task" "$@" || return
    started=$SECONDS
    # shellcheck disable=SC2016,SC2086
    says 0 'done: 1 step' "$task: a step within 20 GiB" timeout 600 sh -c 'ulimit -v 20971520; exec "$@"' sh \
        "$program" train --data $data --vocab $words --steps 1 --save-every 0 --output "$WORK/run" || return
    started=$((SECONDS - started))
    rm -rf "$WORK/run"
    succeeds "$task: timed" timeout 600 "$program" bench --entry "$entry" --steps 1 --json
    awk -v name="$task/$entry" -v run="$started" '
        /"seconds"/ { sub(/.*: */, ""); sub(/.*:\t/, ""); seconds = $0 + 0 }
        /"peak_memory_bytes"/ { sub(/.*:\t/, ""); memory = $0 + 0 }
        END { printf "%-42s %6d s to train one step, %6.2f s a step, %5.2f GiB\n", name, run, seconds, memory / 2^30 }
        ' "$WORK/output"
    rm -rf "$WORK/task"
}

# shellcheck disable=SC2086
{
    paths="--set images.image_key=image --set images.is_image_rpath=true --set images.caption_key=caption"
    boxes="--set regions.image_key=image --set regions.is_image_rpath=true"
    sized images pretrain "$WORK/images.jsonl --regions $WORK/regions.jsonl" $paths $boxes \
        --set regions.iter_perc=1.0 --set regions.max_images=2
    sized pairs retrieval $coco/retrieval_train.json $root
    sized answers nlvr $coco/nlvr.json $root
    sized images nlvr_pretrain "$WORK/images.jsonl" --set images.image_key=image --set images.is_image_rpath=true
    sized boxes grounding_bbox $coco/grounding.json $root --set refcoco_data=$coco/grounding_boxes.json
    sized regions grounding_bbox_pretrain "$WORK/regions.jsonl" $boxes --set regions.max_images=2
    sized pairs grounding_weak $coco/grounding.json $root
    sized answers vqa $coco/vqa_train.json --set vqa_root=$coco --set vg_root=$coco
    sized captions captioning $coco/retrieval_train.json $root
    sized images captioning_pretrain "$WORK/images.jsonl" $paths
    sized self_critical captioning_scst $coco/retrieval_train.json $root
}
