# xvlm data check, stats and convert; and a training run over records of which one in twenty is damaged.
xvlm=$BUILD/xvlm
mini=tests/data/mini_coco
set=$WORK/records
mkdir -p "$set"

# ---- what is sound

for file in pretrain_images.jsonl pretrain_images_base64.jsonl pretrain_regions.jsonl retrieval_train.json \
    retrieval_test.json caption_test.json vqa_train.json vqa_test.json nlvr.json; do
    says 0 '^0 problems in 0 records' "check: $file" "$xvlm" data check $mini/$file
done
says 0 '^0 problems' "check: boxes" "$xvlm" data check --kind grounding_bbox --boxes $mini/grounding_boxes.json \
    $mini/grounding.json
says 0 '"records": 50, "pictures": 10,.*"steps_per_epoch": 5,' "stats" "$xvlm" data stats --json --batch 5 --world 2 \
    $mini/retrieval_train.json
"$xvlm" scenes --output "$set/scenes" --train 40 --val 6 --test 6 > /dev/null
for file in train_images.jsonl train_regions.jsonl retrieval_train.json captioning_test.json vqa_train.json \
    nlvr_val.json; do
    says 0 '^0 problems in 0 records' "check: scenes, $file" "$xvlm" data check "$set/scenes/$file"
done
says 0 '^0 problems' "check: scenes, boxes" "$xvlm" data check --kind grounding_bbox \
    --boxes "$set/scenes/grounding_boxes.json" "$set/scenes/grounding_train.json"
weak="--kind grounding_weak --boxes $set/scenes/grounding_boxes.json"
# shellcheck disable=SC2086
{
    says 0 '^0 problems' "check: scenes, detections" "$xvlm" data check $weak \
        --detections "$set/scenes/grounding_dets.json" "$set/scenes/grounding_train.json"
    printf '{"1": [[1, 2, 3, 4, 0.9]], "2": [[100, 100, 90, 90]]}\n' > "$set/dets.json"
    says 1 'detection 1: box \[100, 100, 90, 90\] outside its picture' "check: a detection outside" \
        "$xvlm" data check $weak --detections "$set/dets.json" "$set/scenes/grounding_train.json"
    says 1 'no detections are known for its picture, image id 3' "check: a picture without detections" "$xvlm" data \
        check $weak --detections "$set/dets.json" "$set/scenes/grounding_train.json"
    printf '{"1": [[1, 2, 3]]}\n' > "$set/dets.json"
    says 1 'dets.json: image 1, detection 1: not a list that starts with four numbers' "check: a short detection" \
        "$xvlm" data check $weak --detections "$set/dets.json" "$set/scenes/grounding_train.json"
    printf '{"one": [[1, 2, 3, 4]]}\n' > "$set/dets.json"
    says 1 'dets.json: key "one" is not an image id' "check: detections of no image" \
        "$xvlm" data check $weak --detections "$set/dets.json" "$set/scenes/grounding_train.json"
    printf '{"ref_id": 1, "image": "images/train/000001.jpg", "text": "a star", "dets": [[1, 2, 0, 4], 7]}\n' \
        > "$set/scenes/own_dets.json"
    says 1 'dets 1: box .* is empty' "check: an empty detection" "$xvlm" data check --kind grounding_weak \
        "$set/scenes/own_dets.json"
    says 2 'needs --boxes' "check: detections of no known image" "$xvlm" data check --kind grounding_weak \
        --detections "$set/scenes/grounding_dets.json" "$set/scenes/grounding_train.json"
    says 1 'dets 2: not a list of four numbers' "check: a broken detection" "$xvlm" data check --kind grounding_weak \
        "$set/scenes/own_dets.json"
}

# ---- what is damaged: a line each, and where the fault lies in it

picture=$PWD/$mini/images/000000183709.jpg
head -c 9000 "$picture" > "$set/short.jpg"
echo "no picture at all" > "$set/text.jpg"
cat > "$set/regions.jsonl" << END
{"image": "$picture", "caption": "a street", "elems": [{"bb": [1, 2, 30, 40], "caption": "a car"}]}
{"image": "$picture", "caption": "a street", "elems": [{"bb": [1, 2, 300, 40], "caption": "a car"}]}
{"image": "$picture", "caption": "?!", "elems": [{"bb": [1, 2, 3, 0], "caption": "a car"}]}
{"image": "short.jpg", "caption": "cut off", "elems": [{"bb": [1, 2, 3, 4], "caption": "a car"}]}
{"image": "none.jpg", "caption": "missing", "elems": [{"bb": [1, 2, 3, 4], "caption": "a car"}]}
{"image": "text.jpg", "caption": "text", "elems": [{"bb": [1, 2, 3, 4], "caption": 7}]}
{"image": "$picture", "caption": "a street", "elems": []}
{"image": "$picture", "caption": "a street", "elems": [{"bb": [1, 2, 30, 40], "caption": "a car"}]}
{"image": "$picture", "elems": [{"bb": [1, 2, "3"], "caption": "x"}]} x

{"image": "$picture", "caption": 01}
END
says 1 '^11 problems in 9 records' "check: damage" "$xvlm" data check "$set/regions.jsonl"
cp "$WORK/output" "$set/found"
while IFS='|' read -r line reason; do
    says 0 "regions.jsonl:$line: $reason" "check: line $line" cat "$set/found"
done << 'END'
2|element 1: box \[1, 2, 300, 40\] outside its picture of 192x256
3|field "caption": empty caption "\?!"
3|element 1: box \[1, 2, 3, 0\] is empty
4|.*short.jpg: truncated or damaged picture
5|missing picture: cannot read none.jpg
6|.*text.jpg: unreadable picture: the image is neither JPEG nor PNG
6|element 1: neither a string nor a list of strings
7|field "elems" is an empty list
8|the same record as .*regions.jsonl:1
END
says 0 'regions.jsonl:9:[0-9]+: ' "check: column of a line" cat "$set/found"
says 0 'regions.jsonl:11:[0-9]+: ' "check: blank lines count" cat "$set/found"
printf '%s\n' "[{\"question_id\": 1, \"question\": \"a\", \"image\": \"$picture\"}," \
    " {\"question_id\": 1, \"question\": \"b\", \"image\": \"$picture\", \"answer\": []}]" > "$set/vqa.json"
says 1 'vqa.json:2:2: the same id as .*vqa.json:1' "check: ids" "$xvlm" data check "$set/vqa.json"
printf '[{"question": "a"},\n' > "$set/vqa.json"
says 1 'vqa.json:2:1: the array is not closed' "check: cut off" "$xvlm" data check "$set/vqa.json"
says 1 'say --kind' "check: unknown" "$xvlm" data check README.md
says 2 'did you mean|unknown' "check: option" "$xvlm" data check --knid x

# ---- a run over damaged records: it finishes, and names each of them

tiny_program > /dev/null
head -n 40 "$set/scenes/train_images.jsonl" > "$set/sound.jsonl"
for _ in 1 2 3 4 5; do cat "$set/sound.jsonl"; done | head -n 200 |
    sed "s|\"images/|\"$PWD/$set/scenes/images/|" | awk -v nul="$(printf '\377')" '
    NR % 20 { print; next }
    { damage++ }
    damage == 1 { print substr($0, 1, length($0) / 2) }
    damage == 2 { sub(/caption": \["/, "&" nul); print }
    damage == 3 { print $0 " and more" }
    damage == 4 { sub(/"image"/, "\"imgae\""); print }
    damage == 5 { sub(/[.]jpg/, ".jpeg"); print }
    damage == 6 { print "[1, 2, 3]" }
    damage == 7 { sub(/"caption".*/, "\"caption\": \"?!\"}"); print }
    damage == 8 { sub(/"caption".*/, "\"caption\": 5}"); print }
    damage == 9 { sub(/, "caption".*/, "}"); print }
    damage == 10 { sub(/"image": "[^"]*"/, "\"image\": \"Makefile\""); print }' > "$set/damaged.jsonl"
succeeds "damaged run: it finishes" "$TINY" train --data "$set/damaged.jsonl" --vocab "$set/scenes/vocab.txt" \
    --output "$set/run" --steps 25 --threads 2
cp "$WORK/output" "$set/found"
succeeds "damaged run: ten warnings" test "$(grep -c '^warning: .*damaged.jsonl' "$set/found")" -eq 10
while IFS='|' read -r line reason; do
    says 0 "damaged.jsonl:$line: .*$reason" "damaged run: line $line" cat "$set/found"
done << 'END'
20|column [0-9]+: 
40|column [0-9]+: .*UTF-8
60|column [0-9]+: 
80|no field "image"
100|[.]jpeg
120|not a JSON object
140|no word left
160|neither a string nor a list of strings
180|missing
200|neither JPEG nor PNG
END

# ---- shards: the same pictures, and smaller ones with boxes that fit

for side in 16384 100; do
    succeeds "pack: $side" "$xvlm" data pack --output "$set/packed$side" --side $side $mini/pretrain_regions.jsonl \
        $mini/pretrain_images_base64.jsonl $mini/nlvr.json
    for file in pretrain_regions pretrain_images_base64 nlvr; do
        says 0 '^0 problems' "pack: $side, $file" "$xvlm" data check "$set/packed$side/$file.jsonl"
    done
done
mkdir -p "$set/other"
cp $mini/retrieval_test.json "$set/other/retrieval_test.jsonl"
says 2 'would both become retrieval_test.jsonl' "pack: two files of one name" "$xvlm" data pack \
    --output "$set/packedtwice" $mini/retrieval_test.json "$set/other/retrieval_test.jsonl"
printf '{"image": \n' > "$set/broken.jsonl"
says 1 'broken.jsonl:1: column 1' "show: a broken record is named" "$xvlm" data show --output "$set/broken.png" \
    "$set/broken.jsonl"
: > "$set/empty"
says 1 'empty: the image is empty' "decode: an empty file is named" "$xvlm" data decode --resolution 32 \
    --output "$set/blank.safetensors" "$set/empty"
mkfifo "$set/pipe"
says 1 'pipe: it is there and not a regular file' "decode: a pipe is not replaced" "$xvlm" data decode --resolution 32 \
    --output "$set/pipe" $mini/images/000000183709.jpg
succeeds "decode: the pipe is still there" test -p "$set/pipe"
says 0 'sides of 100 to' "pack: smaller" "$xvlm" data check "$set/packed100/pretrain_regions.jsonl"
succeeds "pack: boxes by ref_id" "$xvlm" data pack --output "$set/packedboxes" --side 100 \
    --boxes $mini/grounding_boxes.json $mini/grounding.json
says 0 '^0 problems' "pack: boxes become fields" "$xvlm" data check "$set/packedboxes/grounding.jsonl"
sed "s|\"images/|\"$PWD/$set/scenes/images/|" "$set/sound.jsonl" > "$set/plain.jsonl"
succeeds "pack: scenes" "$xvlm" data pack --output "$set/packed" --side 16384 "$set/plain.jsonl"
for run in plain packed; do
    records=$set/plain.jsonl
    [ $run = plain ] || records=$set/packed/plain.jsonl
    succeeds "pack: train, $run" "$TINY" train --data "$records" --vocab "$set/scenes/vocab.txt" \
        --output "$set/run-$run" --steps 2 --log-every 1 --seed 5
done
same "pack: training sees the same pictures" "$set/run-plain/model.safetensors" "$set/run-packed/model.safetensors"
echo "[{}, 1]" > "$set/useless.json"
says 1 "no record can be used" "pack: nothing to pack" "$xvlm" data pack --output "$set/useless" "$set/useless.json"
printf 'x' | dd of="$set/packed100/shard-00000.pack" bs=1 seek=5000 conv=notrunc 2> /dev/null
says 1 'CRC' "pack: a damaged shard is found" "$xvlm" data check "$set/packed100/pretrain_regions.jsonl"
succeeds "show" "$xvlm" data show --output "$set/show.png" --record 2 $mini/pretrain_regions.jsonl
printf '[{"image": "show.png"}]' > "$set/show.json"
says 0 '^0 problems' "show: a sound picture" "$xvlm" data check --kind captions "$set/show.json"
says 1 'has 10 records' "show: beyond the end" "$xvlm" data show --output "$set/x.png" --record 99 \
    $mini/pretrain_regions.jsonl

# ---- published layouts

cat > "$set/coco.json" << 'END'
{"info": {}, "images": [{"id": 9, "file_name": "a.jpg"}, {"id": 7, "file_name": "b.jpg"}],
 "annotations": [{"image_id": 7, "id": 1, "caption": "one"}, {"image_id": 9, "id": 2, "caption": "two"},
                 {"image_id": 7, "id": 3, "caption": "three"}]}
END
# converts NAME EXPECTED ARGUMENTS...; line ends count neither in the result nor in EXPECTED
converts() {
    local name=$1 expected=$2
    shift 2
    succeeds "convert: $name" "$xvlm" data convert --output "$set/out" "$@"
    tr -d '\n' < "$set/out" > "$set/flat"
    printf '%s' "$expected" | tr -d '\n' > "$set/expected"
    same "convert: $name, result" "$set/flat" "$set/expected"
}
converts "COCO, train" '[{"image":"v/a.jpg","caption":"two","image_id":"coco_9"},
{"image":"v/b.jpg","caption":"one","image_id":"coco_7"},
{"image":"v/b.jpg","caption":"three","image_id":"coco_7"}]' \
    --from coco-captions --prefix v/ "$set/coco.json"
converts "COCO, test" '[{"image":"a.jpg","caption":["two"]},{"image":"b.jpg","caption":["one","three"]}]' \
    --from coco-captions --layout test "$set/coco.json"
converts "COCO, images" '[{"image":"a.jpg","image_id":"coco_9"},{"image":"b.jpg","image_id":"coco_7"}]' \
    --from coco-captions --layout images "$set/coco.json"
cat > "$set/karpathy.json" << 'END'
{"images": [{"filepath": "val2014", "filename": "a.jpg", "cocoid": 5, "split": "test",
             "sentences": [{"raw": "A."}, {"raw": "B"}]},
            {"filepath": "train2014", "filename": "b.jpg", "cocoid": 6, "split": "restval",
             "sentences": [{"raw": "C"}]},
            {"filename": "c.jpg", "imgid": 3, "split": "train", "sentences": [{"raw": "D"}]}], "dataset": "coco"}
END
converts "Karpathy" '[{"image":"train2014/b.jpg","caption":"C","image_id":"coco_6"},
{"image":"c.jpg","caption":"D","image_id":"flickr_3"}]' \
    --from karpathy --split train,restval "$set/karpathy.json"
converts "Karpathy, test" '[{"image":"val2014/a.jpg","caption":["A.","B"]}]' \
    --from karpathy --split test --layout test "$set/karpathy.json"
printf '10.jpg#0\tA "dog" .\n10.jpg#1\tB\n11.jpg#0\tC\n' > "$set/flickr.token"
converts "Flickr30k" '[{"image":"f/10.jpg","caption":["A \"dog\" .","B"]},{"image":"f/11.jpg","caption":["C"]}]' \
    --from flickr30k --layout test --prefix f/ "$set/flickr.token"
echo '[{"image_id": 1, "url": "https://x/rak248/VG_100K_2/1.jpg", "width": 80, "height": 60}]' > "$set/images.json"
echo '[{"id": 1, "regions": [{"x": 1, "y": 2, "width": 3, "height": 4, "phrase": "a dog", "image_id": 1}]},
       {"id": 2, "regions": []}]' > "$set/vg.json"
converts "Visual Genome, regions" '{"image":"VG_100K_2/1.jpg","width":80,"height":60,
"elems":[{"caption":"a dog","bb":[1,2,3,4]}]}' \
    --from vg-regions --images "$set/images.json" "$set/vg.json"
echo '[{"image_id": 1, "attributes": [{"x": 1, "y": 2, "w": 3, "h": 4,
       "names": ["clock"], "attributes": ["green"]}]}]' > "$set/vg.json"
converts "Visual Genome, objects" '{"image":"p/1.jpg",
"elems":[{"caption":"clock","bb":[1,2,3,4],"attributes":["green"]}]}' \
    --from vg-objects --prefix p/ "$set/vg.json"
echo '[{"id": 1, "qas": [{"image_id": 1, "question": "Who?", "answer": "A man.", "qa_id": 3}]}]' > "$set/vg.json"
converts "Visual Genome, questions" '[{"image":"VG_100K_2/1.jpg","question":"Who?","answer":"A man.","dataset":"vg"}]' \
    --from vg-qa --images "$set/images.json" "$set/vg.json"
echo '{"data_subtype": "val2014",
       "questions": [{"image_id": 42, "question": "Is it?", "question_id": 42000}]}' > "$set/questions.json"
echo '{"annotations": [{"question_id": 42000, "answers": [{"answer": "yes"}, {"answer": "no"}]}]}' > "$set/answers.json"
converts "VQA v2" '[{"question_id":42000,"question":"Is it?","answer":["yes","no"],
"image":"val2014/COCO_val2014_000000000042.jpg","dataset":"vqa"}]' \
    --from vqa2 --annotations "$set/answers.json" "$set/questions.json"
printf '%s\n' '{"identifier": "dev-5-3-0", "sentence": "S", "label": "False"}' \
    '{"identifier": "train-7-1-2", "sentence": "T", "label": "True", "directory": 12}' > "$set/nlvr.jsonl"
converts "NLVR2" '[{"sentence":"S","label":"False","images":["dev/dev-5-3-img0.png","dev/dev-5-3-img1.png"]},
{"sentence":"T","label":"True","images":["train/12/train-7-1-img0.png","train/12/train-7-1-img1.png"]}]' \
    --from nlvr2 "$set/nlvr.jsonl"
if command -v python3 > /dev/null; then
    mkdir -p "$set/refer/refcoco+"
    python3 - "$set/refer/refcoco+" << 'END'
import json
import pickle
import sys

refs = [{"ref_id": i, "ann_id": 10 + i, "image_id": 7, "category_id": 1, "file_name": "x",
         "split": "train" if i < 2 else "testA", "sent_ids": [i],
         "sentences": [{"sent_id": i, "sent": f"thing {i}", "raw": "x", "tokens": ["x"]}]} for i in range(3)]
pickle.dump(refs, open(sys.argv[1] + "/refs(unc).p", "wb"), protocol=2)
boxes = [{"id": 10 + i, "image_id": 7, "bbox": [i, 2.5, 3, 4], "category_id": 1} for i in range(3)]
instances = {"images": [{"id": 7, "width": 64, "height": 48}], "annotations": boxes}
json.dump(instances, open(sys.argv[1] + "/instances.json", "w"))
END
    converts "RefCOCO+" '[{"image":"train2014/COCO_train2014_000000000007.jpg","text":"thing 0","ref_id":0},
{"image":"train2014/COCO_train2014_000000000007.jpg","text":"thing 1","ref_id":1}]' \
        --from refcoco+ --split train "$set/refer/refcoco+"
    printf '[{"image": "%s", "text": "thing 1", "ref_id": 1}, {"image": "%s", "text": "thing 9", "ref_id": 9}]' \
        "$picture" "$picture" > "$set/grounding.json"
    says 1 '^1 problems in 1 records' "check: boxes of the official folder" "$xvlm" data check --kind grounding_bbox \
        --boxes "$set/refer" "$set/grounding.json"
    echo 'cos\nsystem\n(S"touch x"\ntR.' | sed 's/\\n/\n/g' > "$set/refer/refcoco+/refs(unc).p"
    says 1 'refs\(unc\).p' "convert: a pickle that would run code is refused" "$xvlm" data convert --from refcoco+ \
        --output "$set/out" "$set/refer/refcoco+"
else
    skip records "python3 writes the pickle of RefCOCO+"
fi
says 1 'no list "images"' "convert: wrong input" "$xvlm" data convert --from karpathy \
    --output "$set/none" "$set/vg.json"
succeeds "convert: nothing is left behind" sh -c "! ls '$set' | grep -q none"
says 2 'there are coco-captions' "convert: unknown source" "$xvlm" data convert --from x \
    --output "$set/none" "$set/vg.json"
