# Every program of tests/unit; each of its tests counts.

# count LABEL: the number that cmocka's summary gives for it.
count() {
    sed -n "s/^\[  $1 *\] \([0-9]*\) test(s).*/\1/p" "$WORK/unit" | tail -n 1
}

add() {
    local i
    for ((i = 0; i < ${2:-0}; i++)); do
        "$1" "${@:3}"
    done
}

for source in tests/unit/test_*.c; do
    name=$(basename "$source" .c)
    status=0
    timeout 900 "$BUILD/tests/$name" > "$WORK/unit" 2>&1 < /dev/null || status=$?
    broken=$(count FAILED)
    add pass "$(count PASSED)"
    add skip "$(count SKIPPED)" "$name" "see the test"
    if [ "$status" -ne 0 ]; then
        fail "$name: status $status" "$WORK/unit"
        add fail "$((${broken:-1} - 1))" "$name"
    elif [ -z "$(count PASSED)" ]; then
        fail "$name: it tells of no test" "$WORK/unit"
    fi
done
