#!/bin/sh
# Builds the fuzz targets with clang and runs each for the given number of seconds. Run from the root of the repository:
#
#   tests/fuzz/run.sh [SECONDS [TARGET...]]     targets are named as their files, fuzz_dsl; all without a name
#
# A target of the language starts from the shipped models and the wrong inputs, one of the runtime from the data of the
# tests that it is about. Cases that break something are left in build-fuzz.
set -eu
seconds=${1:-600}
[ $# -eq 0 ] || shift
build=build-fuzz
flags="-std=c11 -D_GNU_SOURCE -g -O1 -I. -Idsl -I$build -fsanitize=fuzzer,address,undefined"
mkdir -p $build

# corpus TARGET: copies what the target starts from.
corpus() {
    mkdir -p "$build/corpus_$1"
    case $1 in
    fuzz_picture) files=$(find tests/data/images -type f -size -20k \( -name '*.jpg' -o -name '*.png' \)) ;;
    fuzz_text)
        files=
        for lines in json_edge bert_wordpiece roberta_bpe pre_caption; do
            split -l 1 -a 4 tests/data/text/$lines.jsonl "$build/corpus_$1/$lines."
        done
        ;;
    fuzz_checkpoint | fuzz_pickle) files=$(find tests/data/checkpoint -type f -size -20k) ;;
    fuzz_records)
        files=
        number=0
        for records in tests/data/mini_coco/*.json* tests/data/text/json_edge.jsonl \
            tests/data/text/vqa_train_items.jsonl; do
            for kind in 0 1 2 3 4 5 6 7 8 9 : \; '<'; do  # two bytes choose the kind and the mode
                number=$((number + 1))
                { printf '%s%s' "$kind" $((number % 10)); head -c 1500 "$records"; } > "$build/corpus_$1/$number"
            done
        done
        ;;
    *) files=$(ls models/*.dsl tasks/*.dsl tests/errors/*.dsl) ;;
    esac
    for file in $files; do
        cp "$file" "$build/corpus_$1/"
    done
}

# compile TARGET: language targets are linked with the compiler, the others with the parts of the runtime they name.
compile() {
    case $1 in
    fuzz_checkpoint | fuzz_pickle)
        sources=$(ls runtime/base/*.c runtime/storage/*.c runtime/checkpoint/*.c)
        libraries="-lcjson -lz -lcurl -lm -lpthread"
        ;;
    fuzz_picture | fuzz_text | fuzz_records)
        sources=$(ls runtime/base/*.c runtime/storage/*.c runtime/checkpoint/*.c runtime/data/*.c)
        libraries="-lcjson -ljpeg -lpng -lz -lutf8proc -lcurl -lm -lpthread"
        [ "$1" != fuzz_records ] || libraries="$libraries -Wl,--wrap=xv_is_remote"  # no path leads out
        ;;
    *)
        bison --defines=$build/parser.tab.h -Wno-yacc -o $build/parser.tab.c dsl/parser.y
        flex --header-file=$build/lexer.lex.h -o $build/lexer.lex.c dsl/lexer.l
        sources="$(ls compiler/base/*.c dsl/*.c compiler/*.c | grep -v compiler/main.c) $build/parser.tab.c
            $build/lexer.lex.c"
        libraries="-lyaml -lcjson -lm"
        ;;
    esac
    # shellcheck disable=SC2086
    clang $flags -o "$build/$1" "tests/fuzz/$1.c" $sources $libraries
}

for target in ${*:-$(basename -s .c -a tests/fuzz/fuzz_*.c)}; do
    corpus "$target"
    compile "$target"
    "$build/$target" -max_total_time="$seconds" -max_len=20000 -timeout=20 -rss_limit_mb=4096 \
        -artifact_prefix="$build/$target." "$build/corpus_$target"
done
