# The same input gives the same bytes: sources compiled twice are equal, in another folder as well, and tell nothing
# of the machine.

# sources FOLDER MODEL OPTIONS...: writes the sources of the task into $WORK/FOLDER, from an empty folder.
sources() {
    local folder=$WORK/$1 model=$2
    shift 2
    rm -rf "$folder"
    timeout 300 "$BUILD/xvlmc" "models/$model.dsl" --task pretrain --no-build --output "$folder" "$@"
}

for model in xvlm_tiny xvlm_base; do
    for fusing in "" --no-fuse; do
        # shellcheck disable=SC2086
        succeeds "$model $fusing compiles" sources first "$model" $fusing
        # shellcheck disable=SC2086
        succeeds "$model $fusing compiles again" sources second/deeper "$model" $fusing
        succeeds "$model $fusing: two compilations give the same files" diff -rq "$WORK/first" "$WORK/second/deeper"
        ends_with 1 "$model $fusing: sources name no folder of this machine" grep -rlF "$PWD" "$WORK/first"
    done
done

succeeds "another batch size compiles" sources second xvlm_tiny --batch 4
succeeds "the first one again" sources first xvlm_tiny --batch 8
ends_with 1 "another batch size gives other files" diff -rq "$WORK/first" "$WORK/second"
rm -rf "$WORK/first" "$WORK/second"
