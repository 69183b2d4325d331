#!/bin/sh
# `make lint`: rules of the house that a compiler does not check. Prints one line per breach and ends with 1 when there
# was any. Long functions are only mentioned: a dispatch switch may be long.
#
#   includes   compiler/base <- dsl <- compiler <- codegen <- compiler/main.c; the runtime on its own, but for the
#              command that inspects machine code (compiler/inspect.c)
#   headers    are guarded and compile alone
#   globals    no object of the compiler's or the runtime's side is mutable at file scope
#   lengths    files up to 600 lines; lines up to 120 columns (code is wrapped at 110, see .clang-format)
#   words      no promises instead of code, no folder of somebody's machine
#   format     what `make format` would change, where clang-format is installed
set -u
export LC_ALL=C.UTF-8
BUILD=${BUILD:-build}
FLAGS="-std=c11 -D_GNU_SOURCE -I. -Idsl -I$BUILD/dsl -Itests/unit -fopenmp -Wall -Wextra -Werror"
status=0

# check RULE: runs the function of that name; every line it prints is a breach.
check() {
    found=$("$1")
    if [ -n "$found" ]; then
        printf '%s\n' "$found" | sed "s/^/$1: /"
        status=1
    fi
}

# may_include FILES ALLOWED: the quoted includes of the files that do not match the pattern.
may_include() {
    git grep -nE '^#include "' -- "$1" | grep -vE "#include \"($2)"
}

includes() {
    may_include 'compiler/base/*.[ch]' 'compiler/base/'
    may_include 'dsl/*' 'compiler/base/|dsl/|[a-z_.]+"'  # Flex and Bison write files without a folder
    may_include 'compiler/*.[ch]' 'compiler/|dsl/' | grep -vE '^compiler/(base/|main\.c|inspect\.c)'
    may_include 'compiler/main.c' 'compiler/|dsl/|codegen/'
    may_include 'compiler/inspect.c' 'compiler/|dsl/|runtime/'
    may_include 'codegen/*.[ch]' 'compiler/|codegen/'
    may_include 'runtime/*.[ch]' 'runtime/'
    may_include 'runtime/base/*.[ch]' 'runtime/base/'
    may_include 'tests/tools/*.[ch]' 'runtime/|tests/tools/'
}

headers() {
    for header in $(git ls-files '*.h'); do
        grep -q '^#pragma once' "$header" || echo "$header: no #pragma once"
        # shellcheck disable=SC2086
        errors=$(echo "#include \"$header\"" | ${CC:-gcc} $FLAGS -fsyntax-only -x c - 2>&1) ||
            echo "$header does not compile alone: $(echo "$errors" | grep -m 1 error)"
    done
}

# Objects in writable sections. Constants with addresses lie in .data.rel.ro; Bison's own default location is exempt,
# and what profilers write into (NVTX gives them no context).
globals() {
    for part in dsl compiler codegen runtime; do
        find "$BUILD/$part" -name '*.o' | sort | while read -r object; do
            objdump -t "$object" | awk -v object="$object" '
                $3 == "O" && $4 ~ /^\.(data|bss)/ && $4 !~ /^\.data\.rel\.ro/ && $NF != "yyloc_default" &&
                $NF != "xv_nvtx_functions" ||
                $3 ~ /^\.t(data|bss)/ && $NF !~ /^\./ { print object ": " $NF }'
        done
    done
}

lengths() {
    for file in $(git ls-files '*.c' '*.h' '*.l' '*.y' '*.dsl' '*.sh' '*.py' Makefile tests/run .ci \
        ':!tests/errors'); do
        grep -nE '.{121}' "$file" | sed "s|^\\([0-9]*\\):.*|$file:\\1: over 120 columns|"  # awk may count bytes
        awk -v file="$file" 'END { if (NR > 600) print file ": " NR " lines: is there a seam?" }' "$file"
    done
}

# A function starts with a brace in the first column and ends with one.
long_functions() {
    for file in $(git ls-files '*.c'); do
        awk -v file="$file" '/^[a-zA-Z]/ { name = $0 } /^\{/ { start = NR }
            /^\}/ && start {
                if (NR - start > 80) print "note: " file ":" start ": " NR - start " lines: " name
                start = 0
            }' "$file"
    done
}

words() {
    git grep -nwE 'TODO|FIXME|XXX' -- '*.c' '*.h' '*.l' '*.y' '*.dsl' '*.sh' '*.py' '*.md' Makefile tests/run .ci \
        ':!tests/lint.sh' ':!tests/data'
    git grep -nIE '(^|[^a-zA-Z0-9_.$}])/(home|root|work|Users)/' -- ':!tests/lint.sh' ':!tests/data'
}

format() {
    command -v clang-format > /dev/null && [ -f .clang-format ] || return 0
    for file in $(git ls-files '*.c' '*.h'); do
        clang-format "$file" | cmp -s - "$file" || echo "$file"
    done
}

for rule in includes headers globals lengths words format; do
    check $rule
done
long_functions
exit $status
