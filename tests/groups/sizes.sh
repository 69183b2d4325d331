# The parameter counts of the published models (state dicts of the official code), from `info --json` of each program.
# Only the tables matter, so kernels are compiled without optimisation.

# counted TASK COUNT OPTIONS...
counted() {
    local task=$1 count=$2 folder=$WORK/sizes
    shift 2
    rm -rf "$folder"
    succeeds "$task $*: compiles" "$BUILD/xvlmc" models/xvlm_base.dsl --task "$task" --no-build --output "$folder" "$@" &&
        succeeds "$task $*: builds" make -s -j2 -C "$folder" CFLAGS=-O0 XVLMC="$PWD" LIBRARY="$(realpath "$BUILD")/libxv.a" &&
        says 0 "\"parameters\":[[:space:]]*$count,?\$" "$task $*: $count parameters" "$folder/$task" info --json
    rm -rf "$folder"
}

counted pretrain 215637241
counted vqa 293483442
counted vqa 293600754 --set image_res=480 --set vision_config.image_res=480 --set vision_config.window_size=15
counted captioning 212935602
counted captioning_pretrain 212800242
counted captioning_scst 212935602
