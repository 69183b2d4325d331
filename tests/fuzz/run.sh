#!/bin/sh
# Builds the fuzz targets with clang and runs each for the given number of seconds on the corpus of shipped models and
# of wrong inputs. Run from the root of the repository.
set -eu
seconds=${1:-600}
build=build-fuzz
sources=$(ls compiler/base/*.c dsl/*.c compiler/*.c | grep -v compiler/main.c)
mkdir -p $build/corpus
bison --defines=$build/parser.tab.h -Wno-yacc -o $build/parser.tab.c dsl/parser.y
flex --header-file=$build/lexer.lex.h -o $build/lexer.lex.c dsl/lexer.l
cp models/*.dsl tasks/*.dsl tests/errors/*.dsl $build/corpus/
for target in tests/fuzz/fuzz_*.c; do
    name=$(basename "$target" .c)
    # shellcheck disable=SC2086
    clang -std=c11 -D_GNU_SOURCE -g -O1 -I. -Idsl -I$build -fsanitize=fuzzer,address,undefined -o "$build/$name" \
        "$target" $sources $build/parser.tab.c $build/lexer.lex.c -lyaml -lcjson -lm
    "$build/$name" -max_total_time="$seconds" -max_len=20000 -timeout=20 "$build/corpus"
done
