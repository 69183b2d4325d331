# Checkpoints: hostile files are refused with a message, conversion keeps every value, a full disk leaves the last file
# whole, programs start from files of every format, and PyTorch reads what is written here and is read back.

files=tests/data/checkpoint
out=$WORK/checkpoint
rm -rf "$out"
mkdir -p "$out"
xvlm=$BUILD/xvlm

# The toolbox.
says 2 'a file is needed' "checkpoint without a file" "$xvlm" checkpoint
says 2 'bogus' "checkpoint with an unknown option" "$xvlm" checkpoint --bogus $files/tiny.th
says 0 '^usage' "checkpoint --help" "$xvlm" checkpoint --help
says 0 'X-VLM pre-training, Swin, BERT' "what tiny.th is" "$xvlm" checkpoint $files/tiny.th
says 0 '"epoch":' "the same as JSON" "$xvlm" checkpoint $files/tiny.th --json
says 0 'text_encoder.bert.encoder.layer.0.attention.self.key.bias +F32 +\[16\]' "its tensors" \
    "$xvlm" checkpoint --tensors $files/tiny.th
for file in malicious malicious_legacy bad_truncated_legacy bad_oob_size bad_negative_offset bad_short_storage; do
    says 1 "$file.th: " "$file.th is refused" "$xvlm" checkpoint $files/$file.th
done
# The malicious files would print a line.
"$xvlm" checkpoint $files/malicious.th > "$out/said" 2>&1
"$xvlm" checkpoint $files/malicious_legacy.th >> "$out/said" 2>&1
ends_with 0 "nothing in them was run" sh -c '! grep -q "^UNSAFE" "$1" && test -s "$1"' sh "$out/said"
head -c 100000 $files/tiny.th > "$out/cut.th"
says 1 'is the file complete' "a cut archive is refused" "$xvlm" checkpoint "$out/cut.th"
says 1 'neither' "a picture is refused" "$xvlm" checkpoint tests/data/images/tiny_1x1.jpg
says 1 'not a regular file' "a folder is refused" "$xvlm" checkpoint "$out"

# Conversion.
hash_of() {
    "$xvlm" checkpoint "$1" | sed -n 's/^hash: *\([0-9a-f]*\).*/\1/p'
}
for name in tiny strided strided_legacy bare_state_dict; do
    succeeds "$name.th becomes a .th" "$xvlm" checkpoint convert $files/$name.th "$out/$name.th"
    succeeds "that becomes safetensors" "$xvlm" checkpoint convert "$out/$name.th" "$out/$name.safetensors"
    hash=$(hash_of $files/$name.th)
    succeeds "$name: nothing is lost" test -n "$hash" -a "$hash" = "$(hash_of "$out/$name.th")" -a \
        "$hash" = "$(hash_of "$out/$name.safetensors")"
done
says 2 'two files' "convert with one file" "$xvlm" checkpoint convert $files/tiny.th
says 2 'must end in' "convert to a name that says nothing" "$xvlm" checkpoint convert $files/tiny.th "$out/tiny"
cp "$out/tiny.th" "$out/kept.th"
cp "$out/tiny.th" "$out/before.th"
# shellcheck disable=SC2016
says 1 'kept.th: (File too large|No space left)' "a full disk is an error" \
    sh -c 'trap "" XFSZ; ulimit -f 8; exec "$@"' sh "$xvlm" checkpoint convert $files/tiny.th "$out/kept.th"
same "and leaves the last file whole" "$out/kept.th" "$out/before.th"
ends_with 1 "and no other file" test -e "$out/kept.th.partial"

# A program.
succeeds "scenes are drawn" "$xvlm" scenes --output "$out/scenes" --train 16 --val 4 --test 4
succeeds "the tiny program is built" tiny_program
data="--data $out/scenes/train_images.jsonl --regions $out/scenes/train_regions.jsonl"
# shellcheck disable=SC2086
succeeds "a model for torch.load is written" "$TINY" train $data --output "$out/run" --steps 2 --torch
says 0 '175 of 175 parameters loaded \([0-9,]* values\)$' "all of it would be loaded" \
    "$xvlm" checkpoint "$out/run/model.th" --program "$WORK/tiny"
says 0 '"missing":	0' "as JSON" "$TINY" checkpoint "$out/run/model.th" --json
says 1 'not a program' "a program that is none" "$xvlm" checkpoint "$out/run/model.th" --program README.md
says 2 'a file is needed' "the program's command without a file" "$TINY" checkpoint
says 1 'knows no source "soup"; there are: own, Swin or DeiT' "a source that is not there" \
    "$TINY" checkpoint "$out/run/model.th" --source soup
succeeds "the model becomes safetensors" "$xvlm" checkpoint convert "$out/run/model.th" "$out/model.safetensors"
# shellcheck disable=SC2086
says 0 'model.th: 175 of 175 parameters loaded' "training starts from it" \
    "$TINY" train $data --output "$out/again" --steps 0 --checkpoint "$out/run/model.th"
same "with every value" "$out/run/model.safetensors" "$out/again/model.safetensors"
# shellcheck disable=SC2086
says 1 'tiny.th: does not fit this program: vision_encoder.patch_embed.proj.weight is \[4, 3, 4, 4\] there and' \
    "a model of other sizes is refused" "$TINY" train $data --output "$out/misfit" --steps 0 --checkpoint $files/tiny.th

# Position tables of another window, and encoders alone.
succeeds "a program with a larger window is built" "$BUILD/xvlmc" models/xvlm_tiny.dsl --task pretrain --batch 2 \
    --set vision_config.ape=false --set image_res=128 --output "$out/large"
says 0 '175 of 175 parameters loaded \([0-9,]* values\), 4 of them resampled' "bias tables are resampled" \
    "$xvlm" checkpoint "$out/run/model.th" --program "$out/large"

# PyTorch.
python=${PYTHON:-python3}
if "$python" -c 'import torch' 2> /dev/null; then
    "$TINY" info --json > "$out/info.json"
    succeeds "PyTorch reads it, trains a step, writes it" "$python" tests/checkpoint/torch_round_trip.py \
        "$out/run/model.th" "$out/info.json" "$out/trained.th" "$out/trained_legacy.th" "$out/vision.pth" \
        "$out/text.bin"
    for file in trained trained_legacy; do
        says 0 '175 of 175 parameters loaded' "$file.th is read back" "$TINY" checkpoint "$out/$file.th" --complete
        succeeds "$file.th becomes safetensors" "$xvlm" checkpoint convert "$out/$file.th" "$out/$file.safetensors"
        succeeds "with PyTorch's values" "$python" tests/checkpoint/torch_round_trip.py --compare "$out/trained.th" \
            "$out/$file.safetensors"
    done
    # shellcheck disable=SC2086
    "$TINY" train $data --output "$out/encoders" --steps 0 --vision "$out/vision.pth" --text "$out/text.bin" \
        > "$out/said" 2>&1
    succeeds "training starts from a vision encoder" grep -q 'vision.pth as Swin or DeiT checkpoint: 64 of 175' \
        "$out/said"
    succeeds "and a text encoder" grep -q 'text.bin as BERT or RoBERTa checkpoint: 94 of 175' "$out/said"
else
    skip "round trip through PyTorch" "no torch in $python (tests/bench/requirements.txt)"
fi
