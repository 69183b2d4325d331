# Every task of models/xvlm_base.dsl with every official configuration as it is: the program is compiled at the
# official sizes and says of itself what the configuration asks for. Then every task at a small size, trained and
# evaluated on real records. The C is built without optimisation, for speed.

# information TASK OPTIONS...: compiles the task and leaves what the program says of itself in $WORK/info.json.
information() {
    local task=$1
    shift
    rm -rf "$WORK/task"
    CFLAGS=-O0 timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --task "$task" --output "$WORK/task" "$@" &&
        "$WORK/task/$task" info --json > "$WORK/info.json"
}

# configured FILE TASK EXPECTATIONS...: of an official configuration; all of them name the encoder.
configured() {
    local file=tests/data/configs/$1 task=$2
    shift 2
    succeeds "$file compiles" information "$task" --config "$file" &&
        succeeds "$file: what the program says" "$BUILD/tests/info_check" "$WORK/info.json" "task=$task" \
            config.vision_config.embed_dim=128 config.text_config.vocab_size=30522 config.optimizer.opt=adamW \
            config.optimizer.weight_decay=0.01 config.optimizer.lr_mult=2 config.schedular.sched=linear "$@"
}

# Rate, passes over the data and warm-up of a recipe.
recipe() {
    echo "config.optimizer.lr=$1" "config.schedular.lr=$1" "config.schedular.epochs=$2" \
        "config.schedular.num_warmup_steps=$3"
}

# Resolution and window.
size() {
    echo "config.image_res=$1" "config.vision_config.image_res=$1" "config.vision_config.window_size=$(($1 / 32))"
}

# shellcheck disable=SC2046
{
    for recipe in "4m 41 40 8 5114489 false" "16m 38 30 6 16219845 true"; do
        set -- $recipe
        configured "Pretrain_XVLM_base_$1.yaml" pretrain $(size 224) $(recipe 1e-4 "$2" 2500) parameters=215637241 \
            parameter_tensors=606 aliases=2 buffers=36 config.max_words="$3" config.max_tokens="$3" \
            config.max_masks="$4" config.train_dataset_size="$5" config.regions.tokenized="$6" \
            config.images.batch_size=128 config.regions.batch_size=128 config.regions.max_images=48 \
            config.regions.iter_perc=0.5 config.mask_prob=0.25 config.accelerator.CLIP_GRAD_NORM=1 \
            config.accelerator.RNG_SEED=42 entries.regions.probability=0.5
    done
    for data in "coco images/coco/ 256" "flickr images/ 128"; do
        set -- $data
        configured "Retrieval_$1.yaml" retrieval $(size 384) $(recipe 3e-5 10 0.1) parameters=213959547 \
            parameter_tensors=595 buffers=36 aliases=0 config.image_root="$2" config.k_test="$3" \
            config.batch_size_train=20 config.batch_size_test=12 config.batch_size_test_text=64 config.max_tokens=40 \
            config.temp=0.07 config.embed_dim=256 entries.pairs.data=retrieval
    done
    configured vlue-base-test/Retrieval.yaml retrieval $(size 384) parameters=213959547 config.k_test=256 \
        config.batch_size_test=64 config.batch_size_test_text=64 config.image_root=images/marvl/
    configured NLVR.yaml nlvr $(size 384) $(recipe 3e-5 10 0.1) parameters=263123834 parameter_tensors=722 buffers=36 \
        aliases=24 config.batch_size=10 config.image_root=images/nlvr2/ entries.answers.data=nlvr \
        'config.train_file=["data/finetune/nlvr_train.json"]' 'config.test_file=["data/finetune/nlvr_test.json"]' \
        config.text_encoder=data/bert-base-uncased
    configured vlue-base-test/NLVR.yaml nlvr $(size 384) parameters=263123834 config.batch_size=20
    configured Grounding.yaml grounding_weak $(size 384) $(recipe 2e-5 5 0.1) parameters=213959547 \
        config.batch_size=20 config.max_tokens=40 config.block_num=9 "config.block_nums=[9]" \
        config.image_root=images/coco/
    configured vlue-base-test/Grounding_weakly.yaml grounding_weak $(size 384) parameters=213959547 config.block_num=9
    configured Grounding_bbox.yaml grounding_bbox $(size 384) $(recipe 3e-5 10 0.1) parameters=213503356 \
        parameter_tensors=590 config.batch_size=20 config.careful_hflip=true config.refcoco_data=data/finetune/
    configured vlue-base-test/Grounding_bbox.yaml grounding_bbox $(size 384) parameters=213503356 \
        config.careful_hflip=true
    configured Grounding_bbox_pretrain_O1.yaml grounding_bbox_pretrain $(size 224) $(recipe 3e-5 2 0.1) \
        parameters=213367996 config.regions.batch_size=24 config.regions.max_images=9 config.regions.max_regions=5 \
        config.train_dataset_size=318547 config.calc_image_bbox_loss=false config.accelerator.CLIP_GRAD_NORM=1
}

# shellcheck disable=SC2046
{
    for pixels in 384 480; do
        file=VQA.yaml
        [ $pixels -eq 384 ] || file=VQA_480.yaml
        parameters=$((pixels == 384 ? 293483442 : 293600754))
        configured $file vqa $(size $pixels) $(recipe 5e-5 10 0.1) parameters=$parameters config.batch_size_train=24 \
            config.batch_size_test=32 config.k_test=128 config.num_dec_layers=6 config.max_tokens=40 \
            config.vqa_root=images/coco/ config.vg_root=images/visualgenome/
        configured vlue-base-test/$file vqa $(size $pixels) parameters=$parameters config.batch_size_test=32 \
            config.k_test=128 config.vqa_root=images/marvl/
    done
    configured Captioning.yaml captioning $(size 384) $(recipe 1e-5 5 0.1) parameters=212935602 \
        config.batch_size_train=32 config.batch_size_test=32 config.label_smoothing=0.1 config.max_length=20 \
        config.min_length=5 config.num_beams=3 "config.prompt=a picture of " config.image_root=images/coco/
    configured Captioning_pretrain_O1.yaml captioning_pretrain $(size 224) $(recipe 3e-5 2 0.1) parameters=212800242 \
        config.images.batch_size=128 config.images.caption_key=desc config.max_tokens=40 \
        config.train_dataset_size=5114489 config.accelerator.CLIP_GRAD_NORM=1
    configured Captioning_scst.yaml captioning_scst $(size 384) parameters=212935602 config.optimizer.lr=1e-5 \
        config.schedular.num_warmup_steps=0.1 config.schedular.num_training_steps=44275 config.batch_size_train=8 \
        config.sc_train_sample_n=5 config.sc_baseline_type=greedy config.eval_steps=500
}

# Domain pre-training for NLVR2 has no official configuration; the task's own settings are those of its siblings.
# shellcheck disable=SC2046
succeeds "nlvr_pretrain compiles" information nlvr_pretrain &&
    succeeds "nlvr_pretrain: what the program says" "$BUILD/tests/info_check" "$WORK/info.json" parameters=262065851 \
        $(size 224) $(recipe 3e-5 2 0.1) config.images.batch_size=128 config.max_tokens=40 aliases=24 \
        config.accelerator.CLIP_GRAD_NORM=1

# Without a configuration a fine-tuning task has the official one's numbers.
# shellcheck disable=SC2046
succeeds "retrieval compiles" information retrieval &&
    succeeds "retrieval: what the program says" "$BUILD/tests/info_check" "$WORK/info.json" $(size 384) \
        $(recipe 3e-5 10 0.1) config.batch_size_train=20 config.k_test=256
rm -rf "$WORK/task"

# memory TASK: GiB that a step takes at most, the largest arena with parameters, gradients and both moments.
memory() {
    awk '{ while (match($0, /\.(arena_bytes|parameter_count) = [0-9]+/)) {
               split(substr($0, RSTART, RLENGTH), part, " = ")
               if (part[1] == ".parameter_count") parameters = part[2]
               else if (part[2] + 0 > arena) arena = part[2] + 0
               $0 = substr($0, RSTART + RLENGTH) } }
         END { printf "%d\n", (arena + 16 * parameters) / 2 ^ 30 + 1 }' "$WORK/task/$1/program.c"
}

# All tasks at once, each in a folder of its own; a step of every one fits 20 GiB at batch 2.
succeeds "all tasks at batch 2" timeout 300 "$BUILD/xvlmc" models/xvlm_base.dsl --batch 2 --no-build \
    --output "$WORK/task"
for task in "$WORK"/task/*; do
    task=${task##*/}
    succeeds "$task: $(memory "$task") GiB at batch 2" test "$(memory "$task")" -le 20
done
succeeds "there are all tasks" test "$(find "$WORK/task" -name program.c | wc -l)" -eq 11
rm -rf "$WORK/task"

# Other encoders need no other task.
for encoder in use_roberta=true use_clip_vit=true use_swin=false; do
    for task in retrieval nlvr nlvr_pretrain grounding_bbox grounding_bbox_pretrain grounding_weak; do
        succeeds "$task with $encoder" timeout 60 "$BUILD/xvlmc" models/xvlm_base.dsl --task $task --set $encoder \
            --verify --no-build --output "$WORK/task"
    done
done
rm -rf "$WORK/task"

# trains TASK CASE DATA METRIC OPTIONS...: two steps on real pictures at the sizes of a recorded case, then evaluation,
# which reports the metric.
trains() {
    local task=$1 case=$2 data=$3 metric=$4 program=$WORK/task/$1 words=tests/data/vocab/bert-base-uncased-vocab.txt
    shift 4
    rm -rf "$WORK/task" "$WORK/run"
    succeeds "$task at a small size" env CFLAGS=-O0 timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl --task "$task" \
        --config "tests/replay/$case/config.json" --batch 4 --set text_config.vocab_size=30522 \
        --output "$WORK/task" "$@" &&
        says 0 'done: 2 steps' "$task: two steps" timeout 300 "$program" train --data "$data" --vocab $words --steps 2 \
            --output "$WORK/run" &&
        says 0 "$metric" "$task: evaluation" timeout 300 "$program" eval --data "$data" --vocab $words \
            --checkpoint "$WORK/run/model.safetensors"
}

coco=tests/data/mini_coco
root="--set image_root=$coco"
sed "s#images/#$PWD/$coco/images/#" $coco/pretrain_images.jsonl > "$WORK/images.jsonl"
sed "s#images/#$PWD/$coco/images/#" $coco/pretrain_regions.jsonl > "$WORK/regions.jsonl"
# shellcheck disable=SC2086
{
    trains retrieval retrieval_swin_bert $coco/retrieval_train.json img_r5 $root
    succeeds "retrieval: images with several captions" "$WORK/task/retrieval" eval --data $coco/retrieval_test.json \
        --vocab tests/data/vocab/bert-base-uncased-vocab.txt --checkpoint "$WORK/run/model.safetensors" \
        --output "$WORK/recalls.json"
    succeeds "retrieval: counted" "$BUILD/tests/info_check" "$WORK/recalls.json" images=10 texts=50 img_r10=100
    trains nlvr nlvr_swin_bert $coco/nlvr.json accuracy $root
    trains nlvr_pretrain nlvr_pretrain_swin_bert "$WORK/images.jsonl" accuracy --set images.image_key=image \
        --set images.is_image_rpath=true
    trains grounding_weak grounding_weak_swin_bert $coco/grounding.json itm_accuracy $root
    trains grounding_bbox grounding_bbox_swin_bert $coco/grounding.json box_accuracy $root \
        --set refcoco_data=$coco/grounding_boxes.json
    trains grounding_bbox_pretrain grounding_bbox_pretrain_swin_bert "$WORK/regions.jsonl" box_accuracy \
        --set regions.image_key=image --set regions.is_image_rpath=true --set regions.max_images=3
}

# Self-critical training decodes and scores captions between its steps: both baselines, the last with the frequencies
# of a file; the same seed draws the same captions. `critical NAME OPTIONS...`: two steps.
critical() {
    local name=$1 program=$WORK/task/captioning_scst
    shift
    succeeds "captioning_scst, $name: small size" env CFLAGS=-O0 timeout 600 "$BUILD/xvlmc" models/xvlm_base.dsl \
        --task captioning_scst --config tests/replay/captioning_scst/config.json --batch 4 --output "$WORK/task" \
        --set text_config.vocab_size=30522 --set max_length=8 --set image_root=$coco "$@" &&
        says 0 'done: 2 steps' "captioning_scst, $name: two steps" timeout 300 "$program" train \
            --data $coco/retrieval_train.json --vocab tests/data/vocab/bert-base-uncased-vocab.txt --steps 2 \
            --output "$WORK/$name"
}

critical greedy --set baseline_type=greedy
critical again --set baseline_type=greedy
same "captioning_scst: the same parameters twice" "$WORK/greedy/model.safetensors" "$WORK/again/model.safetensors"
critical sample --set baseline_type=sample \
    --set cider_cached_tokens="$PWD/tests/data/metrics/scst_document_frequency.tsv"
rm -rf "$WORK/greedy" "$WORK/again" "$WORK/sample"
rm -rf "$WORK/task" "$WORK/run"
