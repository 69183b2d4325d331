#!/bin/sh
# Packs what a machine with a GPU needs to check the target cuda into a folder that runs there by itself (check.sh in
# it): programs, cases with their official numbers, scripts. No compiler, no network, no library beyond the C library
# and NVIDIA's is needed there, but tar and gzip.
#
#   tests/gpu/bundle.sh FOLDER        from the root of the sources, after `make all unit`
#
# The runtime is in it once (runner); programs are shared objects in programs.tar.gz, one for each recorded case
# (tests/replay/cases.txt) and precision, and those of the base and the tiny model. The runtime is linked statically
# where there is an archive; what is left (cJSON, OpenMP) lies in lib/. OpenBLAS and curl are absent (absent.c).
# Licences: MIT, BSD and zlib for most parts, GPL with the runtime exception for OpenMP.
set -eu
BUILD=${BUILD:-build}
CC=${CC:-gcc}
MOST=60000000
RUNTIME=$BUILD/gpu-runtime
PROGRAMS=$BUILD/gpu-programs
PRECISIONS="fp32 tf32 bf16 fp16"

# compile NAME: PROGRAMS/NAME.so from its sources, which only launch kernels: not optimised. In the folder, since
# kernels.cu is taken in by its name.
if [ "${1:-}" = compile ]; then
    root=$PWD
    cd "$PROGRAMS/$2"
    $CC -std=c11 -D_GNU_SOURCE -O0 -fPIC -fopenmp -shared -s -Wl,-Bsymbolic -I"$root" -o "../$2.so" ./*.c
    exit
fi

FOLDER=${1:?folder}
case $FOLDER in /*) ;; *) FOLDER=$PWD/$FOLDER ;; esac
rm -rf "$FOLDER" "$PROGRAMS"
mkdir -p "$FOLDER/lib" "$FOLDER/cases" "$FOLDER/bench" "$RUNTIME" "$PROGRAMS"

# The processor there is another one: instructions of 2013, not this machine's.
make -s BUILD="$RUNTIME" NATIVE='-O3 -march=x86-64-v3 -fno-math-errno -fno-trapping-math -fopenmp' \
    "$RUNTIME/libxv.a" "$RUNTIME/tests/compare" "$RUNTIME/tests/mixed_compare" "$RUNTIME/tests/box_kinks"
$CC -O2 -c -o "$RUNTIME/absent.o" tests/gpu/absent.c
$CC -O2 -I. -c -o "$RUNTIME/runner.o" tests/gpu/runner.c

# link NAME OBJECT...: FOLDER/NAME.
link() {
    name=$1
    shift
    $CC -fopenmp -s -Wl,--as-needed -Wl,-rpath,'$ORIGIN/lib' -o "$FOLDER/$name" "$@" "$RUNTIME/absent.o" \
        -Wl,-Bstatic -ljpeg -lpng16 -lz -lutf8proc -Wl,-Bdynamic -lcjson -lm -lpthread -ldl
}

link runner -rdynamic "$RUNTIME/runner.o" -Wl,--whole-archive "$RUNTIME/libxv.a" -Wl,--no-whole-archive
for tool in compare mixed_compare box_kinks; do
    link $tool "$RUNTIME/tests/tools/$tool.o" "$RUNTIME/libxv.a"
done

# sources NAME OPTIONS...: those of a program for the target cuda.
sources() {
    name=$1
    shift
    "$BUILD/xvlmc" "$@" --target cuda --no-build --output "$PROGRAMS/$name" > /dev/null
}

sources tiny models/xvlm_tiny.dsl --task pretrain --batch 8 --precision fp32 --set images.image_key=image \
    --set images.is_image_rpath=true
for precision in $PRECISIONS; do
    sources "base-$precision" models/xvlm_base.dsl --task pretrain --batch 128 --precision "$precision"
    while read -r case task _; do
        sources "$case-$precision" models/xvlm_base.dsl --task "$task" --precision "$precision" \
            --config "tests/replay/$case/config.json" --shapes "tests/replay/$case/inputs.safetensors"
    done < tests/replay/cases.txt
done
(cd "$PROGRAMS" && ls) | BUILD=$BUILD CC=$CC xargs -P "$(nproc)" -n 1 sh "$0" compile
tar -C "$PROGRAMS" -cf - $(cd "$PROGRAMS" && ls -- *.so) | gzip -9 > "$FOLDER/programs.tar.gz"

while read -r case _; do
    cp -r "tests/replay/$case" "$FOLDER/cases"
done < tests/replay/cases.txt
"$BUILD/xvlm" scenes --output "$FOLDER/scenes" --train 64 --val 8 --test 8 > /dev/null
rm -f "$FOLDER"/scenes/*region* "$FOLDER"/scenes/val* "$FOLDER"/scenes/test*
cp tests/gpu/check.sh tests/replay/cases.txt tests/replay/mixed.sh "$FOLDER"
echo "$PRECISIONS" > "$FOLDER/precisions.txt"
cp tests/bench/torch_step.py tests/bench/xvlm_torch.py "$FOLDER/bench"

# Shared libraries that the runner wants, but for the C library's own, which belong to the machine.
ldd "$FOLDER/runner" | awk '$3 ~ /^\// { print $3 }' | while read -r library; do
    case $library in
    */libc.so.* | */libm.so.* | */libpthread.so.* | */libdl.so.* | */librt.so.* | */libresolv.so.*) ;;
    *) cp -L "$library" "$FOLDER/lib" && strip --strip-unneeded "$FOLDER/lib/$(basename "$library")" ;;
    esac
done
bytes=$(du -sb "$FOLDER" | cut -f 1)
echo "$FOLDER: $bytes bytes"
[ "$bytes" -lt $MOST ] || { echo "more than $MOST bytes" >&2; exit 1; }
