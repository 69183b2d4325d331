# What a user adds without touching C: the model of ARCHITECTURE.md, with a backbone, a loss and a task of its own, in a
# folder beside the checkout.

own=$WORK/extend
rm -rf "$own"
mkdir -p "$own"
ln -s "$PWD" "$own/xvlmc"
awk '/^```dsl/ { on = 1; next } /^```/ { on = 0 } on' ARCHITECTURE.md > "$own/mine.dsl"
succeeds "scenes are drawn" "$BUILD/xvlm" scenes --output "$own/scenes" --train 64 --val 16 --test 8

# losses NAME: the logged values of a loss of the run.
losses() {
    sed -n "s/.*\"train_$1\":\([0-9.e+-]*\).*/\1/p" "$own/run/log.txt"
}

succeeds "the page is formatted" "$BUILD/xvlmc" fmt --check "$own/mine.dsl"
succeeds "its tasks hold" "$BUILD/xvlmc" check "$own/mine.dsl"
succeeds "its task compiles" timeout 600 "$BUILD/xvlmc" "$own/mine.dsl" --task align --batch 8 --output "$own/align" &&
    succeeds "its task trains" timeout 600 "$own/align/align" train --data "$own/scenes/train_images.jsonl" \
        --vocab "$own/scenes/vocab.txt" --output "$own/run" --steps 40 --log-every 10 &&
    succeeds "the loss falls" awk 'NR == 1 { first = $1 } END { exit !(NR == 4 && $1 < first / 2) }' \
        <(losses loss_pairs)
succeeds "pre-training with its backbone compiles" timeout 600 "$BUILD/xvlmc" "$own/mine.dsl" --task pretrain \
    --batch 8 --set images.image_key=image --set images.is_image_rpath=true --set regions.image_key=image \
    --set regions.is_image_rpath=true --set regions.max_images=4 --output "$own/pretrain" &&
    succeeds "pre-training with its backbone runs" timeout 600 "$own/pretrain/pretrain" train \
        --data "$own/scenes/train_images.jsonl" --regions "$own/scenes/train_regions.jsonl" --output "$own/run2" \
        --steps 4 &&
    says 0 '"vision_encoder\.blocks\.1\.mix\.weight"' "its parameters are named by the modules" \
        "$own/pretrain/pretrain" info --json

# Attention whose scale is 1 is a constant without a point in the generated C.
cat > "$own/plain.dsl" <<'END'
import "xvlmc/models/layers.dsl"

task probe {
    proj: Linear(16, 16)

    optimizer adamw {
        lr = 1e-3
        weight_decay = 0.0
        lr_mult = 1
        beta1 = 0.9
        beta2 = 0.98
        epsilon = 1e-8
    }

    entry step(x: [2, 6, 16]) {
        heads = heads_of(proj(x), 2)
        output loss = sum(softmax(heads @ heads.T) @ heads)
        minimise loss
    }
}
END
succeeds "attention without a scale compiles" timeout 600 "$BUILD/xvlmc" "$own/plain.dsl" --output "$own/plain"

# The official pre-training recipe with the other encoders, as its comments say (vision_config and the rest changed).
configs=$own/configs
mkdir -p "$configs"
cp tests/data/configs/*.json "$configs"
recipe=tests/data/configs/Pretrain_XVLM_base_4m.yaml
sed -e 's/^use_clip_vit: False/use_clip_vit: True/' -e 's/^use_swin: True/use_swin: False/' \
    -e 's/config_swinB_224/config_clipvitB/' -e 's/^patch_size: 32/patch_size: 16/' "$recipe" > "$configs/clip.yaml"
sed -e 's/^use_swin: True/use_swin: False/' -e 's/^patch_size: 32/patch_size: 16/' \
    -e 's/^use_roberta: False/use_roberta: True/' -e '/^text_config/s/config_bert/config_roberta/' "$recipe" \
    > "$configs/deit.yaml"
for encoders in "clip encoder.layers.11.mlp bert" "deit blocks.11.mlp roberta"; do
    # shellcheck disable=SC2086
    set -- $encoders
    succeeds "the official recipe with $1" "$BUILD/xvlmc" models/xvlm_base.dsl --task pretrain --batch 2 --no-build \
        --config "$configs/$1.yaml" --output "$own/$1" &&
        succeeds "the encoders of $1" grep -q "vision_encoder.$2.fc1.weight\"" "$own/$1/program.c" &&
        succeeds "the texts of $1" grep -q "text_encoder.$3.embeddings" "$own/$1/program.c"
done
rm -rf "$own"
