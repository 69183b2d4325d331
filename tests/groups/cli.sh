# Command lines: 2 with a message for one that makes no sense, 1 with a message for what cannot be done, never a crash.

xvlmc=$BUILD/xvlmc
tiny=models/xvlm_tiny.dsl
out=$WORK/cli
rm -rf "$out"
mkdir -p "$out"

# xvlmc
says 2 '^usage: xvlmc' "xvlmc alone" "$xvlmc"
says 0 '^usage: xvlmc' "xvlmc help" "$xvlmc" help
says 0 '^usage: xvlmc' "xvlmc --help" "$xvlmc" --help
says 2 "unknown option '--flat'" "unknown option" "$xvlmc" $tiny --flat 3
says 2 'needs a value' "option without its value" "$xvlmc" $tiny --task
says 2 'no model' "options without a model" "$xvlmc" --task pretrain
says 2 'one model' "two models" "$xvlmc" $tiny models/xvlm_base.dsl
says 2 'at least 1' "--batch 0" "$xvlmc" $tiny --batch 0
says 2 'at least 1' "--batch many" "$xvlmc" $tiny --batch many
says 2 "not 'soup'" "--emit soup" "$xvlmc" $tiny --emit soup
says 2 'fp32, tf32, bf16 or fp16, not .half.' "--precision half" "$xvlmc" $tiny --precision half
says 2 "no target 'vax'" "--target vax" "$xvlmc" $tiny --target vax
says 2 'takes one file' "check without a file" "$xvlmc" check
says 2 'takes files' "fmt without a file" "$xvlmc" fmt
says 2 'takes the folder' "inspect without a folder" "$xvlmc" inspect
says 1 'none.dsl' "a model that is not there" "$xvlmc" models/none.dsl
says 1 'none.dsl' "check of a file that is not there" "$xvlmc" check none.dsl
says 1 'none.dsl' "fmt of a file that is not there" "$xvlmc" fmt none.dsl
says 1 'models' "a folder as model" "$xvlmc" models
says 1 'inspect.txt' "inspect of a folder that is none" "$xvlmc" inspect "$out"
says 1 'pretrian' "a task that is not there" "$xvlmc" $tiny --task pretrian --no-build --output "$out/none"
says 1 'none.yaml' "a configuration that is not there" "$xvlmc" $tiny --config none.yaml --no-build --output "$out/none"
printf 'a: [1, 2\nb: }\n' > "$out/broken.yaml"
says 1 'broken.yaml' "a broken YAML file" "$xvlmc" $tiny --config "$out/broken.yaml" --no-build --output "$out/none"
printf '{"image_res": 12' > "$out/broken.json"
says 1 'broken.json' "a broken JSON file" "$xvlmc" $tiny --config "$out/broken.json" --no-build --output "$out/none"
says 1 'image_ress' "--set of an unknown key" "$xvlmc" $tiny --set image_ress=3 --no-build --output "$out/none"
says 1 'image_res' "--set of another type" "$xvlmc" $tiny --set image_res=wide --no-build --output "$out/none"
says 1 'image_res|=' "--set without a value" "$xvlmc" $tiny --set image_res --no-build --output "$out/none"
says 1 'README.md' "--shapes of another kind of file" "$xvlmc" $tiny --shapes tests/replay/README.md --no-build \
    --output "$out/none"
touch "$out/file"
says 1 "$out/file" "a file in the place of the output folder" "$xvlmc" $tiny --no-build --output "$out/file/below"
ends_with 1 "after all these mistakes nothing was written" test -e "$out/none"

# Stages that can be looked at.
for stage in ast graph backward fused plan; do
    says 0 '.' "--emit=$stage" "$xvlmc" $tiny --task pretrain --emit=$stage
done

# xvlm
says 2 '^usage: xvlm ' "xvlm alone" "$BUILD/xvlm"
says 0 '^usage: xvlm ' "xvlm help" "$BUILD/xvlm" help
says 2 'did you mean scenes' "xvlm with a misspelt command" "$BUILD/xvlm" scences
says 2 'output' "scenes without a folder" "$BUILD/xvlm" scenes
says 2 'bogus' "scenes with an unknown option" "$BUILD/xvlm" scenes --output "$out/scenes" --bogus
says 2 'train' "scenes with a number that is none" "$BUILD/xvlm" scenes --output "$out/scenes" --train few
says 1 "$out/file" "scenes below a file" "$BUILD/xvlm" scenes --output "$out/file/scenes"

says 2 '^usage: xvlm data' "xvlm data alone" "$BUILD/xvlm" data
says 2 'did you mean clean' "xvlm data with a misspelt command" "$BUILD/xvlm" data claen
says 2 'caption or question' "clean without a rule" "$BUILD/xvlm" data clean "$out/file"
says 1 'none.jsonl' "clean of a file that is not there" "$BUILD/xvlm" data clean --rule caption "$out/none.jsonl"
printf '{"text": "A Dog,cat", "max_words": 3}\n{"text": "!"}\nnone\n{"text": 1}\n' > "$out/texts.jsonl"
says 1 'texts.jsonl:3: column 1' "clean of lines that are no JSON" "$BUILD/xvlm" data clean \
    --rule caption "$out/texts.jsonl"
ends_with 0 "clean left a line for each" test "$(grep -c '^{"\(out\|error\)": ".*"}$' "$WORK/output")" -eq 4

says 2 'bert or roberta' "tokenize without a tokenizer" "$BUILD/xvlm" data tokenize "$out/texts.jsonl"
says 2 'merges' "tokenize without merges" "$BUILD/xvlm" data tokenize --tokenizer roberta \
    --vocab v.json "$out/texts.jsonl"
says 1 'JSON object' "a vocabulary of the other tokenizer" "$BUILD/xvlm" data tokenize --tokenizer roberta \
    --vocab tests/data/vocab/bert-base-uncased-vocab.txt --merges tests/data/vocab/roberta-base-merges.txt \
    "$out/texts.jsonl"
printf '{"text": "a dog"}\n' > "$out/dog.jsonl"
says 0 '"ids": .1037, 3899., "tokens": ."a", "dog"' "tokenize" "$BUILD/xvlm" data tokenize --tokenizer bert \
    --vocab tests/data/vocab/bert-base-uncased-vocab.txt "$out/dog.jsonl"

says 2 'resolution' "decode without a resolution" "$BUILD/xvlm" data decode --output "$out/o.safetensors" "$out/file"
says 2 'no picture' "decode without a picture" "$BUILD/xvlm" data decode --resolution 8 --output "$out/o.safetensors"
says 1 'zero_length.jpg: the image is empty' "decode of an empty picture" "$BUILD/xvlm" data decode --resolution 8 \
    --output "$out/o.safetensors" tests/data/images/corrupt/zero_length.jpg tests/data/images/tiny_1x1.jpg
mkdir -p "$out/twin" && cp tests/data/images/tiny_1x1.jpg "$out/twin/"
succeeds "decode of two pictures of one name" "$BUILD/xvlm" data decode --resolution 8 \
    --output "$out/twin.safetensors" tests/data/images/tiny_1x1.jpg "$out/twin/tiny_1x1.jpg"
succeeds "the second keeps its path" grep -q "\"decoded/$out/twin/tiny_1x1.jpg\"" "$out/twin.safetensors"
succeeds "the others were written" grep -q '"normalised/tiny_1x1.jpg"' "$out/o.safetensors"
says 1 "$out/file" "decode below a file" "$BUILD/xvlm" data decode --resolution 8 --output "$out/file/o.safetensors" \
    tests/data/images/tiny_1x1.jpg

says 2 'together' "bench of data without a vocabulary" "$BUILD/xvlm" data bench --data "$out/none.jsonl"
says 1 'none.jsonl' "bench of data that are not there" "$BUILD/xvlm" data bench --data "$out/none.jsonl" \
    --vocab tests/data/vocab/bert-base-uncased-vocab.txt
says 0 '"pictures_per_cpu_second": [0-9.]+.*"cores_for_one_h200": .[0-9.]+, ' "bench data --json" \
    "$BUILD/xvlm" bench data --json --seconds 0 --threads 2 --resolution 32 --randaug 2

# A generated program.
succeeds "the tiny program is built" tiny_program
says 2 'usage' "the program alone" "$TINY"
says 0 'train' "help of the program" "$TINY" help
says 2 'trian' "a command that is not there" "$TINY" trian
for command in train eval replay bench info; do
    says 0 '--|usage' "$command --help" "$TINY" $command --help
    says 2 'bogus' "$command with an unknown option" "$TINY" $command --bogus
done
says 2 'data' "train without data" "$TINY" train --output "$out/run"
says 2 'output' "train without a folder" "$TINY" train --data "$out/none.jsonl"
says 1 'vocab.txt' "train without a vocabulary" "$TINY" train --data "$out/none.jsonl" --output "$out/run"
says 1 'none.jsonl' "train with data that are not there" "$TINY" train --data "$out/none.jsonl" --output "$out/run" \
    --vocab tests/data/vocab/bert-base-uncased-vocab.txt
says 1 "$out/file" "train into a file" "$TINY" train --data "$out/none.jsonl" --output "$out/file"
says 2 'weights|inputs|needed' "replay without files" "$TINY" replay
says 1 'none.safetensors' "replay with weights that are not there" "$TINY" replay --weights "$out/none.safetensors" \
    --inputs "$out/none.safetensors" --outputs "$out/outputs.safetensors"
printf '\020\000\000\000\000\000\000\000{"a":{"dtype":' > "$out/cut.safetensors"
says 1 'cut.safetensors' "replay with a broken file" "$TINY" replay --weights "$out/cut.safetensors" \
    --inputs "$out/cut.safetensors" --outputs "$out/outputs.safetensors"
says 1 'safetensors' "replay with the weights of another model" "$TINY" replay \
    --weights tests/replay/pretrain_swin_bert_images/weights.safetensors \
    --inputs tests/replay/pretrain_swin_bert_images/inputs.safetensors --outputs "$out/outputs.safetensors"
ends_with 1 "a replay that failed wrote nothing" test -e "$out/outputs.safetensors"
says 2 'checkpoint F is needed' "eval without a checkpoint" "$TINY" eval
says 2 'one of --data and --regions' "eval without data" "$TINY" eval --checkpoint "$out/none.safetensors"
says 1 'none' "eval with files that are not there" "$TINY" eval --data "$out/none.jsonl" \
    --checkpoint "$out/none.safetensors"
says 0 'parameters' "info" "$TINY" info
succeeds "bench --json" "$TINY" bench --steps 1 --json
says 0 'kernel' "inspect of a compiled task" "$xvlmc" inspect "$WORK/tiny"
rm -rf "$out"
