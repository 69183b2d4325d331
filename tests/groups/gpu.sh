# The bundle for machines with a GPU: it is built, small enough, needs nothing of this tree, and says what is missing.

bundle=$PWD/$WORK/bundle
if succeeds "the bundle is built, under 60 MB" timeout 900 sh tests/gpu/bundle.sh "$bundle"; then
    mkdir -p "$WORK/empty" && mv "$bundle" "$WORK/empty/here"
    says 1 'no NVIDIA driver here' "up to the missing driver" \
        env -i PATH=/usr/bin:/bin HOME="$PWD/$WORK/empty" XV_CUDA_LIBRARIES="$PWD/$WORK" sh "$WORK/empty/here/check.sh"
    ends_with 1 "and writes no report" test -e "$WORK/empty/here/reports"
    says 0 'compiled by xvlmc for target cuda' "programs start" \
        env -i PATH=/usr/bin:/bin "$WORK/empty/here/base" help
    ends_with 1 "nothing is found in this tree" \
        sh -c "LC_ALL=C ldd '$WORK/empty/here/base' | grep -E 'not found|$PWD/$BUILD/lib'"
fi
rm -rf "$WORK/empty"
