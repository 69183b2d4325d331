# Generated sources compile without a warning, with the flags of their Makefile and with another compiler where there
# is one. (Building a program uses -Werror already; here every source is looked at, for both ways of compiling.)

flags="-std=c11 -D_GNU_SOURCE -O1 -fopenmp -ffp-contract=fast -I. -Wall -Wextra -Wstrict-prototypes -Werror"

# compiles COMPILER FILE
compiles() {
    # shellcheck disable=SC2086
    timeout 300 "$1" $flags -I"$(dirname "$2")" -c -o "$WORK/warnings.o" "$2"
}

for fusing in "" --no-fuse; do
    rm -rf "$WORK/warnings"
    # shellcheck disable=SC2086
    succeeds "xvlm_tiny $fusing compiles" "$BUILD/xvlmc" models/xvlm_tiny.dsl --task pretrain --batch 4 --no-build \
        --output "$WORK/warnings" $fusing
    for file in "$WORK"/warnings/*.c; do
        succeeds "gcc, $fusing $(basename "$file")" compiles gcc "$file"
    done
done
if command -v clang > /dev/null && echo 'int main(void) { return 0; }' | clang -fopenmp -x c -o /dev/null - 2> /dev/null; then
    for file in "$WORK"/warnings/*.c; do
        succeeds "clang, $(basename "$file")" compiles clang "$file"
    done
else
    skip "clang" "no clang with OpenMP here"
fi
rm -rf "$WORK/warnings" "$WORK/warnings.o"
