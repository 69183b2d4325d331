# The bundle for machines with a GPU: it is built, small enough, needs nothing of this tree, and says what is missing;
# its checks pass where stand-ins take the place of NVIDIA's libraries (tests/driver), with one case and few steps.

# emulated NAME: the kernels of a program of the bundle for the emulator, which the stand-in for the driver runs.
emulated() {
    tests/simt/compile.sh "$BUILD/gpu-programs/$1/kernels.cu" "$WORK/$1.simt"
}

# checked FOLDER: check.sh there, over stand-ins.
checked() {
    sed -i -n '/^pretrain_swin_bert_images /p' "$1/cases.txt"
    mv "$1/runner" "$1/runner.whole"
    cat > "$1/runner" << EOF
#!/bin/sh
name=\$(basename "\$1" .so)
case \$name in base*) exit 0 ;; esac  # its kernels would take minutes here
STANDIN_KERNELS=$PWD/$WORK/\$name.simt exec ./runner.whole "\$@"
EOF
    chmod +x "$1/runner"
    XV_CUDA_LIBRARIES=$PWD/$BUILD/tests/driver XV_CUBIN_CACHE=$PWD/$WORK/cubins PYTHON=false STEPS=4 SECONDS_EACH=600 \
        REPORTS="$PWD/$WORK/reports" sh "$1/check.sh"
}

bundle=$PWD/$WORK/bundle
if succeeds "the bundle is built, under 60 MB" timeout 900 sh tests/gpu/bundle.sh "$bundle"; then
    mkdir -p "$WORK/empty" && mv "$bundle" "$WORK/empty/here"
    says 1 'no NVIDIA driver here' "up to the missing driver" \
        env -i PATH=/usr/bin:/bin HOME="$PWD/$WORK/empty" XV_CUDA_LIBRARIES="$PWD/$WORK" sh "$WORK/empty/here/check.sh"
    ends_with 1 "and writes no report" test -e "$WORK/empty/here/reports"
    tar -xzf "$WORK/empty/here/programs.tar.gz" -C "$WORK/empty"
    says 0 'compiled by xvlmc for target cuda' "programs start" \
        env -i PATH=/usr/bin:/bin "$WORK/empty/here/runner" "$WORK/empty/tiny.so" help
    ends_with 1 "nothing is found in this tree" \
        sh -c "LC_ALL=C ldd '$WORK/empty/here/runner' | grep -E 'not found|$PWD/$BUILD/lib'"
    for precision in fp32 tf32 bf16 fp16; do
        succeeds "kernels for the stand-ins, $precision" emulated pretrain_swin_bert_images-$precision
    done
    succeeds "kernels for the stand-ins, tiny" emulated tiny &&
        says 0 '^0 checks failed' "the checks pass over stand-ins" checked "$WORK/empty/here" &&
        says 0 'killed, continued: the same bits \| passed' "and are in the report" cat "$WORK"/reports/*.md
fi
rm -rf "$WORK/empty"
