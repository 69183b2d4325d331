# Wrong inputs and the exact messages they get: `xvlmc check NAME.dsl` prints NAME.err and ends with 1.
# `make golden` rewrites the messages.

for file in tests/errors/*.dsl; do
    expected=${file%.dsl}.err
    status=0
    timeout 60 "$BUILD/xvlmc" check "$file" > "$WORK/stdout" 2> "$WORK/stderr" < /dev/null || status=$?
    diff -u "$expected" "$WORK/stderr" > "$WORK/difference" 2>&1
    if [ $? -eq 0 ] && [ "$status" -eq 1 ] && [ ! -s "$WORK/stdout" ]; then
        pass
    else
        fail "$file: status $status, expected 1 and the messages of $expected" "$WORK/difference"
    fi
done
for expected in tests/errors/*.err; do
    [ -f "${expected%.err}.dsl" ] || fail "$expected belongs to no input"
done
for file in models/*.dsl; do
    succeeds "$file has no error" timeout 60 "$BUILD/xvlmc" check "$file"
done
