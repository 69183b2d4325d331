# Files that are not local: WebHDFS and HTTP against a small cluster on loopback that fails as asked, and the hdfs
# command. What is half transferred is never taken for whole.
command -v python3 > /dev/null || { skip storage "python3 plays the servers"; return; }

CLUSTER=$WORK/cluster
mkdir -p "$CLUSTER/hdfs/data" "$CLUSTER/web"
mkfifo "$WORK/keep"
python3 tests/storage/server.py "$CLUSTER" < "$WORK/keep" > "$WORK/ports" 2> "$WORK/server.log" &
server=$!
exec 9> "$WORK/keep"  # the server ends when this is closed
for _ in $(seq 100); do
    [ -s "$WORK/ports" ] && break
    sleep 0.1
done
read -r standby active data < "$WORK/ports"
export XV_WEBHDFS=http://127.0.0.1:$standby,http://127.0.0.1:$active HADOOP_USER_NAME="a user"

# faults WHAT COUNT...
faults() {
    : > "$CLUSTER/faults"
    while [ $# -gt 0 ]; do
        echo "$1 $2" >> "$CLUSTER/faults"
        shift 2
    done
}

head -c 20000000 /dev/urandom > "$WORK/big"
cp "$WORK/big" "$CLUSTER/hdfs/data/big file%.bin"
cp "$WORK/big" "$CLUSTER/web/big"
for name in b.jsonl a.jsonl .hidden _SUCCESS; do
    echo "{\"name\": \"$name\"}" > "$CLUSTER/hdfs/data/$name"
done

xvlm=$BUILD/xvlm
says 0 'hdfs://name/data/a.jsonl$' "list" "$xvlm" files list hdfs://name/data
"$xvlm" files list hdfs://name/data | sed 's/.*data.//' > "$WORK/listed"
printf '%s\n' a.jsonl b.jsonl "big file%.bin" > "$WORK/expected"
same "list: sorted, without markers" "$WORK/listed" "$WORK/expected"
says 0 '^active GET /webhdfs/v1/data LISTSTATUS a user' "list: the user is named" cat "$CLUSTER/requests"
says 0 'b.jsonl"' "cat" "$xvlm" files cat hdfs://name/data/b.jsonl
says 1 'File does not exist: /data/none' "cat: missing" "$xvlm" files cat hdfs://name/data/none

succeeds "get" "$xvlm" files get "hdfs://name/data/big file%.bin" "$WORK/copy"
same "get: whole" "$WORK/big" "$WORK/copy"
faults cut 2 busy 2
succeeds "get: broken off and busy" "$xvlm" files get "hdfs:///data/big file%.bin" "$WORK/copy2"
same "get: continued" "$WORK/big" "$WORK/copy2"
succeeds "get: the faults happened" grep -qx 'cut 0' "$CLUSTER/faults"
faults busy 1000
says 1 'status 503' "get: never answered" "$xvlm" files get hdfs://name/data/a.jsonl "$WORK/copy3"
succeeds "get: nothing is left behind" sh -c "! ls '$WORK' | grep -q copy3"
faults

for what in half lost; do
    faults $what 1
    succeeds "put: $what" "$xvlm" files put "$WORK/big" "hdfs://name/data/$what"
    same "put: $what, whole" "$WORK/big" "$CLUSTER/hdfs/data/$what"
    succeeds "put: $what, the fault happened" grep -qx "$what 0" "$CLUSTER/faults"
done
succeeds "put: replaces" "$xvlm" files put "$CLUSTER/hdfs/data/a.jsonl" hdfs://name/data/half
same "put: replaced" "$CLUSTER/hdfs/data/a.jsonl" "$CLUSTER/hdfs/data/half"
faults lost 1000
says 1 'cannot write' "put: never whole" "$xvlm" files put "$WORK/big" hdfs://name/data/never
succeeds "put: the name stays free" test ! -e "$CLUSTER/hdfs/data/never"
faults
succeeds "mkdir" "$xvlm" files mkdir hdfs://name/new/folder
succeeds "mkdir: made" test -d "$CLUSTER/hdfs/new/folder"

faults cut 1
succeeds "http: broken off" "$xvlm" files get "http://127.0.0.1:$data/web/big" "$WORK/copy4"
same "http: continued" "$WORK/big" "$WORK/copy4"
says 1 'status 404' "http: missing" "$xvlm" files cat "http://127.0.0.1:$data/web/none"
faults noranges 1000
says 1 'does not send parts' "http: no ranges" "$xvlm" files get "http://127.0.0.1:$data/web/big" "$WORK/copy5"
faults
says 1 'nothing can be written' "http: read only" "$xvlm" files put "$WORK/big" "http://127.0.0.1:$data/web/new"

# Training on files that are not local: records and pictures from HDFS, the run's folder on HDFS. A storage that fails
# in the middle leaves the checkpoint before, whole, and the run goes on from there.
scenes=$WORK/scenes
remote=hdfs://name/runs
store=$CLUSTER/hdfs/runs
"$BUILD/xvlm" scenes --output "$scenes" --train 24 --val 8 --test 8 > /dev/null
cp -r "$scenes/images" "$CLUSTER/hdfs/data/pictures"
cp -r "$scenes/images" "$CLUSTER/web/pictures"
succeeds "the tiny program is built" tiny_program

# train FOLDER OPTIONS...: three checkpoints of two steps.
train() {
    local folder=$1
    shift
    timeout 300 "$TINY" train --data "$scenes/train_images.jsonl" --vocab "$scenes/vocab.txt" --steps 6 --seed 3 \
        --log-every 1 --save-every 2 --threads 0 --output "$folder" "$@"
}

# same_result NAME FOLDER: the model and the log of a local run.
same_result() {
    local folder
    same "$1: parameters" "$WORK/local/model.safetensors" "$2/model.safetensors"
    for folder in "$WORK/local" "$2"; do
        curve_of "$folder/log.txt" > "$folder.curve"
    done
    same "$1: log" "$WORK/local.curve" "$2.curve"
}

export TMPDIR=$WORK/scratch
mkdir -p "$TMPDIR"
succeeds "a local run" train "$WORK/local"
says 0 "hdfs://name/runs/a/model.safetensors" "a run with its folder on HDFS" train $remote/a --torch
same_result "a run with its folder on HDFS" "$store/a"
succeeds "all its files are there" test -s "$store/a/checkpoint_latest.safetensors" -a -s "$store/a/model.th" -a \
    -s "$store/a/curve.png"
says 1 'holds a run already' "a folder on HDFS that holds a run" train $remote/a
succeeds "no scratch is left behind" test -z "$(ls "$TMPDIR")"

echo 3 > "$CLUSTER/writes"
says 1 'cannot write hdfs://name/runs/b/checkpoint_latest' "HDFS fails in the middle" train $remote/b
cp "$WORK/output" "$WORK/middle"
succeeds "HDFS fails in the middle: the checkpoint" grep -q 'the checkpoint of step 2 is intact' "$WORK/middle"
succeeds "HDFS fails in the middle: what is kept" test -s \
    "$(sed -n 's/^what could not be stored .* is kept in //p' "$WORK/middle")/checkpoint_latest.safetensors"
rm -rf "$CLUSTER/writes" "$TMPDIR"/*
says 0 'resuming after step 2 of 6' "a run on HDFS is resumed" train $remote/b --resume
same_result "a run on HDFS is resumed" "$store/b"

# A replacement that broke off between its two renames, with half of a file beside.
cp -r "$store/b" "$store/c"
mv "$store/c/checkpoint_latest.safetensors" "$store/c/checkpoint_latest.safetensors._OLD_"
head -c 1000 "$store/a/model.th" > "$store/c/checkpoint_latest.safetensors._COPYING_"
says 0 'resuming after step 6 of 6' "a replacement that broke off" train $remote/c --resume
faults simple 1000
says 0 'hdfs://name/runs/d/model' "storages without replacing renames" train $remote/d
faults
same_result "storages without replacing renames" "$store/d"
succeeds "storages without replacing renames: nothing else" test "$(ls "$store/d" | wc -l)" -eq 4
faults busy 1000
says 1 'runs' "HDFS that does not answer is not an empty folder" train $remote/b --resume
faults

says 0 '175 of 175 parameters' "weights from HDFS" train "$WORK/from" --checkpoint $remote/a/model.th
says 0 'PyTorch archive' "xvlm checkpoint of a remote file" "$xvlm" checkpoint $remote/a/model.th
says 1 'File does not exist: /runs/none.th' "weights that are missing on HDFS" train "$WORK/none" \
    --checkpoint $remote/none.th
succeeds "figures to HDFS" "$TINY" eval --data "$scenes/val_images.jsonl" --checkpoint $remote/a/model.safetensors \
    --output $remote/figures.json
succeeds "figures to a file" "$TINY" eval --data "$scenes/val_images.jsonl" --output "$WORK/figures.json" \
    --checkpoint "$WORK/local/model.safetensors"
same "figures to HDFS: whole" "$WORK/figures.json" "$store/figures.json"

# Pictures that lie elsewhere than their records.
for place in "hdfs://name/data/pictures" "http://127.0.0.1:$data/web/pictures"; do
    sed "s#\"images/#\"$place/#" "$scenes/train_images.jsonl" > "$WORK/elsewhere.jsonl"
    rm -rf "$WORK/elsewhere"
    succeeds "pictures at ${place%%:*}" train "$WORK/elsewhere" --data "$WORK/elsewhere.jsonl"
    same "pictures at ${place%%:*}: parameters" "$WORK/local/model.safetensors" "$WORK/elsewhere/model.safetensors"
done
sed 's#"images/train/000001#"http://127.0.0.1:1/none#' "$scenes/train_images.jsonl" > "$scenes/lacking.jsonl"
says 0 'lacking.jsonl:[0-9]+: .*127.0.0.1:1/none' "a picture that cannot be had" train "$WORK/lacking" \
    --data "$scenes/lacking.jsonl"
sed 's#images/#pictures/#' "$scenes/train_images.jsonl" > "$CLUSTER/hdfs/data/records.json"
says 0 '^0 problems' "xvlm data check: pictures beside records on HDFS" "$xvlm" data check --kind image_text \
    hdfs://name/data/records.json
unset TMPDIR

exec 9>&-
wait "$server"
XV_WEBHDFS=http://127.0.0.1:$active
says 1 'cannot open hdfs://name/data' "no server" "$xvlm" files list hdfs://name/data
unset XV_WEBHDFS

# The command: a stand-in that answers as `hdfs dfs` does.
cat > "$WORK/hdfs" << 'END'
#!/bin/sh
[ "$1" = dfs ] || exit 9
case $2 in
-text) file=$(dirname "$0")/cluster/hdfs/${3#hdfs://name/} && cat "$file" && [ ! -e "$(dirname "$0")/break" ] ;;
-ls) echo "Found 2 items"; echo "drwxr-xr-x   - u g    0 2022-01-01 10:00 hdfs://name/data/sub"
     echo "-rw-r--r--   3 u g  123 2022-01-01 10:00 hdfs://name/data/a.jsonl" ;;
-put) cp "$4" "$(dirname "$0")/cluster/hdfs/${5#hdfs://name/}" ;;
-mkdir) mkdir -p "$(dirname "$0")/cluster/hdfs/${4#hdfs://name/}" ;;
-test) test -e "$(dirname "$0")/cluster/hdfs/${4#hdfs://name/}" ;;
-rm) rm -f "$(dirname "$0")/cluster/hdfs/${4#hdfs://name/}" ;;
-mv) cd "$(dirname "$0")/cluster/hdfs" && [ ! -e "${4#hdfs://name/}" ] && mv "${3#hdfs://name/}" "${4#hdfs://name/}" ;;
esac
END
chmod +x "$WORK/hdfs"
export XV_HDFS_COMMAND="$WORK/hdfs dfs"
says 0 '123  hdfs://name/data/a.jsonl' "command: list" "$xvlm" files list hdfs://name/data
succeeds "command: get" "$xvlm" files get "hdfs://name/data/big file%.bin" "$WORK/copy6"
same "command: whole" "$WORK/big" "$WORK/copy6"
touch "$WORK/break"
says 1 'ended with status 1' "command: fails at its end" "$xvlm" files get \
    "hdfs://name/data/big file%.bin" "$WORK/copy7"
succeeds "command: nothing is left behind" sh -c "! ls '$WORK' | grep -q copy7"
rm "$WORK/break"
succeeds "command: put" "$xvlm" files put "$WORK/big" hdfs://name/data/put
same "command: put whole" "$WORK/big" "$CLUSTER/hdfs/data/put"
succeeds "command: put replaces" "$xvlm" files put "$CLUSTER/hdfs/data/a.jsonl" hdfs://name/data/put
same "command: put replaced" "$CLUSTER/hdfs/data/a.jsonl" "$CLUSTER/hdfs/data/put"
succeeds "command: put leaves nothing else" sh -c "! ls '$CLUSTER/hdfs/data' | grep -E '^put._'"
XV_HDFS_COMMAND="$WORK/no-such-command dfs"
says 1 'is it installed' "command: missing" "$xvlm" files cat hdfs://name/data/a.jsonl
unset XV_HDFS_COMMAND HADOOP_USER_NAME
