#!/bin/sh
# `make lint`: rules of the house that a compiler does not check. Prints what is wrong and ends with 1 if anything is.
set -u
status=0
complain() {
    echo "$*"
    status=1
}

# Include arrows: compiler/base <- dsl <- compiler <- codegen <- compiler/main.c; runtime on its own.
arrow() {  # folder, pattern that its includes must not match
    found=$(grep -nE "#include \"($2)" $1 2>/dev/null)
    [ -z "$found" ] || complain "include against the arrows:
$found"
}
arrow "compiler/base/*.[ch]" "dsl|codegen|runtime|compiler/[a-z_]+\.h"
arrow "dsl/*.[chly]" "codegen|runtime|compiler/[a-z_]+\.h"
arrow "$(ls compiler/*.[ch] | grep -v main.c | tr '\n' ' ')" "codegen|runtime"
arrow "codegen/*.[ch]" "dsl|runtime"
arrow "runtime/*/*.[ch] runtime/*.h" "compiler|dsl|codegen"

# Headers compile alone.
for header in $(git ls-files '*.h' | grep -v '^tests/'); do
    echo "#include \"$header\"" | ${CC:-gcc} -std=c11 -D_GNU_SOURCE -I. -Idsl -Ibuild/dsl -x c -fsyntax-only - 2>/dev/null ||
        complain "$header does not compile alone"
done

# No mutable objects at file scope on the compiler's side (Bison's own location default aside).
if [ -f build/compiler/main.o ]; then
    found=$(objdump -t build/compiler/*.o build/compiler/base/*.o build/dsl/*.o build/codegen/*.o |
        awk '/file format/ {file = $1} $4 == ".data" || $4 == ".bss" {if ($6 != $4 && $5 != "0000000000000000") print file, $6}' |
        grep -v yyloc_default)
    [ -z "$found" ] || complain "mutable objects at file scope:
$found"
fi

# Files over 600 lines and promises instead of code.
for file in $(git ls-files '*.c' '*.h' '*.l' '*.y' | grep -v '^tests/'); do
    lines=$(wc -l < "$file")
    [ "$lines" -le 620 ] || complain "$file has $lines lines: is there a seam?"
done
found=$(git grep -nE '\b(TODO|FIXME|XXX)\b' -- '*.c' '*.h' '*.l' '*.y' '*.dsl')
[ -z "$found" ] || complain "promises instead of code:
$found"
exit $status
