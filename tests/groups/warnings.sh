# Generated sources compile without a warning: with gcc, fused and unfused, and with clang where there is one.
# Programs are built with -Werror already; here each file counts, and both ways of compiling are looked at.

flags="-std=c11 -D_GNU_SOURCE -fopenmp -ffp-contract=fast -I. -Wall -Wextra -Wstrict-prototypes -Werror"

# compiles FILE COMPILER OPTIONS...
compiles() {
    local file=$1
    shift
    # shellcheck disable=SC2086
    timeout 300 "$@" $flags -I"$(dirname "$file")" -c -o "$WORK/warnings.o" "$file"
}

# sources OPTIONS...
sources() {
    rm -rf "$WORK/warnings"
    "$BUILD/xvlmc" models/xvlm_tiny.dsl --task pretrain --batch 4 --no-build --output "$WORK/warnings" "$@"
}

succeeds "xvlm_tiny --no-fuse compiles" sources --no-fuse
for file in "$WORK"/warnings/*.c; do
    succeeds "gcc, unfused $(basename "$file")" compiles "$file" gcc -fsyntax-only
done

succeeds "xvlm_tiny compiles" sources
for file in "$WORK"/warnings/*.c; do
    succeeds "gcc, $(basename "$file")" compiles "$file" gcc -O1
done

if command -v clang > /dev/null &&
    echo 'int main(void) { return 0; }' | clang -fopenmp -x c -o "$WORK/warnings.o" - 2> /dev/null; then
    for file in "$WORK"/warnings/*.c; do
        succeeds "clang, $(basename "$file")" compiles "$file" clang -fsyntax-only
    done
else
    skip "clang" "no clang with OpenMP here"
fi
rm -rf "$WORK/warnings" "$WORK/warnings.o"
