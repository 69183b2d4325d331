#!/bin/sh
# Packs what a machine with a GPU needs to check the target cuda into a folder that runs there by itself (check.sh in
# it): programs, cases with their official numbers, scripts. No compiler, no network, no library beyond the C library
# and NVIDIA's is needed there.
#
#   tests/gpu/bundle.sh FOLDER        from the root of the sources, after `make all unit`
#
# Programs are linked statically where there is an archive; what is left (cJSON, curl and what curl wants, OpenMP) lies
# in lib/. In the place of OpenBLAS is one plain function (sgemm.c): nothing is multiplied on the CPU there. Licences:
# MIT, BSD, zlib, curl and OpenSSL's for most parts, LGPL for shared parts (GnuTLS, GMP, Nettle, ...), GPL with the
# runtime exception for OpenMP.
set -eu
FOLDER=${1:?folder}
BUILD=${BUILD:-build}
CC=${CC:-gcc}
MOST=60000000
RUNTIME=$BUILD/gpu-runtime
case $FOLDER in /*) ;; *) FOLDER=$PWD/$FOLDER ;; esac

rm -rf "$FOLDER"
mkdir -p "$FOLDER/lib" "$FOLDER/cases" "$FOLDER/bench" "$RUNTIME"
# The processor there is another one: instructions of 2013, not this machine's.
make -s BUILD="$RUNTIME" NATIVE='-O3 -march=x86-64-v3 -fno-math-errno -fno-trapping-math -fopenmp' \
    "$RUNTIME/libxv.a" "$RUNTIME/tests/compare"

STATIC="-Wl,-Bstatic -ljpeg -lpng16 -lz -lutf8proc -Wl,-Bdynamic"
$CC -O2 -c -o "$RUNTIME/sgemm.o" tests/gpu/sgemm.c

# link NAME OBJECT...: FOLDER/NAME.
link() {
    name=$1
    shift
    # shellcheck disable=SC2086
    $CC -fopenmp -s -Wl,--as-needed -Wl,-rpath,'$ORIGIN/lib' -o "$FOLDER/$name" "$@" "$RUNTIME/libxv.a" $STATIC \
        "$RUNTIME/sgemm.o" -lcjson -lcurl -lm -lpthread -ldl
}

# program NAME OPTIONS...: a pre-training program for the target cuda as FOLDER/NAME.
program() {
    name=$1
    shift
    "$BUILD/xvlmc" "$@" --task pretrain --target cuda --output "$BUILD/gpu-programs/$name" > /dev/null
    link "$name" "$BUILD/gpu-programs/$name"/*.o
}

program base models/xvlm_base.dsl --batch 128
program tiny models/xvlm_tiny.dsl --batch 8 --set images.image_key=image --set images.is_image_rpath=true
for entry in images regions; do
    case=tests/replay/pretrain_swin_bert_$entry
    program "$entry" models/xvlm_base.dsl --config "$case/config.json" --shapes "$case/inputs.safetensors"
    cp -r "$case" "$FOLDER/cases/$entry"
done
link compare "$RUNTIME/tests/tools/compare.o"
"$BUILD/xvlm" scenes --output "$FOLDER/scenes" --train 64 --val 8 --test 8 > /dev/null
rm -f "$FOLDER"/scenes/*region* "$FOLDER"/scenes/val* "$FOLDER"/scenes/test*
cp tests/gpu/check.sh "$FOLDER"
cp tests/bench/torch_step.py tests/bench/xvlm_torch.py "$FOLDER/bench"

# Shared libraries that the programs want, but for the C library's own, which belong to the machine.
ldd "$FOLDER/base" | awk '$3 ~ /^\// { print $3 }' | while read -r library; do
    case $library in
    */libc.so.* | */libm.so.* | */libpthread.so.* | */libdl.so.* | */librt.so.* | */libresolv.so.*) ;;
    *) cp -L "$library" "$FOLDER/lib" && strip --strip-unneeded "$FOLDER/lib/$(basename "$library")" ;;
    esac
done
bytes=$(du -sb "$FOLDER" | cut -f 1)
echo "$FOLDER: $bytes bytes"
[ "$bytes" -lt $MOST ] || { echo "more than $MOST bytes" >&2; exit 1; }
